//! What is legal and surely not meant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::compile::Shared;
use crate::diagnostic::Sink;
use crate::needs;
use crate::rules;
use crate::session::Session;
use crate::syntax::{Entry, Map, Node, Value};
use crate::variables;

/// Predefined variables that a rule may name although this pipeline has none of that name.
const PREDEFINED: &str = "CI GITLAB_CI CI_SERVER CI_API_V4_URL CI_API_GRAPHQL_URL CI_BUILDS_DIR CI_COMMIT_AUTHOR CI_COMMIT_BEFORE_SHA \
CI_COMMIT_BRANCH CI_COMMIT_DESCRIPTION CI_COMMIT_MESSAGE CI_COMMIT_REF_NAME CI_COMMIT_REF_PROTECTED CI_COMMIT_REF_SLUG CI_COMMIT_SHA \
CI_COMMIT_SHORT_SHA CI_COMMIT_TAG CI_COMMIT_TAG_MESSAGE CI_COMMIT_TIMESTAMP CI_COMMIT_TITLE CI_CONFIG_PATH CI_DEBUG_TRACE \
CI_DEBUG_SERVICES CI_DEFAULT_BRANCH CI_DEFAULT_BRANCH_SLUG CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX \
CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX CI_DEPENDENCY_PROXY_SERVER CI_DEPENDENCY_PROXY_USER CI_DEPENDENCY_PROXY_PASSWORD CI_DEPLOY_FREEZE \
CI_DISPOSABLE_ENVIRONMENT CI_SHARED_ENVIRONMENT CI_ENVIRONMENT_NAME CI_ENVIRONMENT_SLUG CI_ENVIRONMENT_URL CI_ENVIRONMENT_ACTION \
CI_ENVIRONMENT_TIER CI_ENVIRONMENT_ID CI_GITLAB_FIPS_MODE CI_HAS_OPEN_REQUIREMENTS CI_JOB_GROUP_NAME CI_JOB_ID CI_JOB_IMAGE CI_JOB_MANUAL \
CI_JOB_NAME CI_JOB_NAME_SLUG CI_JOB_STAGE CI_JOB_STATUS CI_JOB_TIMEOUT CI_JOB_TOKEN CI_JOB_URL CI_JOB_STARTED_AT CI_KUBERNETES_ACTIVE \
CI_NODE_INDEX CI_NODE_TOTAL CI_OPEN_MERGE_REQUESTS CI_PAGES_DOMAIN CI_PAGES_HOSTNAME CI_PAGES_URL CI_PIPELINE_ID CI_PIPELINE_IID \
CI_PIPELINE_SOURCE CI_PIPELINE_TRIGGERED CI_PIPELINE_URL CI_PIPELINE_CREATED_AT CI_PIPELINE_NAME CI_PIPELINE_SCHEDULE_DESCRIPTION \
CI_PROJECT_DIR CI_PROJECT_ID CI_PROJECT_NAME CI_PROJECT_NAMESPACE CI_PROJECT_NAMESPACE_ID CI_PROJECT_NAMESPACE_SLUG CI_PROJECT_PATH \
CI_PROJECT_PATH_SLUG CI_PROJECT_ROOT_NAMESPACE CI_PROJECT_TITLE CI_PROJECT_DESCRIPTION CI_PROJECT_URL CI_PROJECT_VISIBILITY \
CI_PROJECT_CLASSIFICATION_LABEL CI_PROJECT_REPOSITORY_LANGUAGES CI_PROJECT_TOPICS CI_REGISTRY CI_REGISTRY_IMAGE CI_REGISTRY_USER \
CI_REGISTRY_PASSWORD CI_RELEASE_DESCRIPTION CI_REPOSITORY_URL CI_RUNNER_ID CI_RUNNER_DESCRIPTION CI_RUNNER_EXECUTABLE_ARCH \
CI_RUNNER_REVISION CI_RUNNER_SHORT_TOKEN CI_RUNNER_TAGS CI_RUNNER_VERSION CI_SERVER_FQDN CI_SERVER_HOST CI_SERVER_NAME CI_SERVER_PORT \
CI_SERVER_PROTOCOL CI_SERVER_URL CI_SERVER_REVISION CI_SERVER_VERSION CI_SERVER_VERSION_MAJOR CI_SERVER_VERSION_MINOR \
CI_SERVER_VERSION_PATCH CI_SERVER_SHELL_SSH_HOST CI_SERVER_SHELL_SSH_PORT CI_SERVER_TLS_CA_FILE CI_SERVER_TLS_CERT_FILE \
CI_SERVER_TLS_KEY_FILE CI_TEMPLATE_REGISTRY_HOST CI_TRIGGER_SHORT_TOKEN CI_UPSTREAM_PROJECT_ID CI_UPSTREAM_PIPELINE_ID CI_UPSTREAM_JOB_ID \
GITLAB_FEATURES GITLAB_USER_ID GITLAB_USER_LOGIN GITLAB_USER_NAME GITLAB_USER_EMAIL CI_MERGE_REQUEST_ID CI_MERGE_REQUEST_IID \
CI_MERGE_REQUEST_TITLE CI_MERGE_REQUEST_DESCRIPTION CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED CI_MERGE_REQUEST_LABELS \
CI_MERGE_REQUEST_MILESTONE CI_MERGE_REQUEST_ASSIGNEES CI_MERGE_REQUEST_APPROVED CI_MERGE_REQUEST_DRAFT CI_MERGE_REQUEST_EVENT_TYPE \
CI_MERGE_REQUEST_REF_PATH CI_MERGE_REQUEST_PROJECT_ID CI_MERGE_REQUEST_PROJECT_PATH CI_MERGE_REQUEST_PROJECT_URL \
CI_MERGE_REQUEST_SQUASH_ON_MERGE CI_MERGE_REQUEST_DIFF_BASE_SHA CI_MERGE_REQUEST_DIFF_ID CI_MERGE_REQUEST_SOURCE_BRANCH_NAME \
CI_MERGE_REQUEST_SOURCE_BRANCH_SHA CI_MERGE_REQUEST_SOURCE_BRANCH_PROTECTED CI_MERGE_REQUEST_SOURCE_PROJECT_ID \
CI_MERGE_REQUEST_SOURCE_PROJECT_PATH CI_MERGE_REQUEST_SOURCE_PROJECT_URL CI_MERGE_REQUEST_TARGET_BRANCH_NAME \
CI_MERGE_REQUEST_TARGET_BRANCH_SHA CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED CI_EXTERNAL_PULL_REQUEST_IID \
CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME \
CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA";

/// Looks at every job and at the workflow.
pub(crate) fn report(root: &Map, shared: &Shared, session: &mut Session<'_>) {
    let layers = session.known.clone();
    let names = known_names(root, shared, &layers);
    let mut known = Known { names, near: BTreeMap::new() };
    let mut sound = BTreeSet::new();
    let mut covered = BTreeMap::new();
    if let Some(list) = root.get("workflow").and_then(|workflow| workflow.get("rules")) {
        rule_list(list, "`workflow`", &mut known, session);
    }
    for entry in root.iter().filter(|entry| crate::compile::is_job(&entry.key)) {
        if let Some(list) =
            entry.value.get("rules").filter(|list| identity(list).is_none_or(|list| !sound.contains(&list)))
        {
            let before = session.sink.count();
            rule_list(list, &format!("job `{}`", entry.key), &mut known, session);
            never(list, entry, session);
            if session.sink.count() == before {
                sound.extend(identity(list));
            }
        }
        if let Some(list) = entry.value.get("needs") {
            shaky_needs(list, entry, (root, &mut covered), session);
        }
    }
}

/// What tells lists apart that jobs do not share by `extends` or an alias.
fn identity(list: &Node) -> Option<*const Vec<Node>> {
    match &list.value {
        Value::List(items) => Some(Arc::as_ptr(items)),
        _ => None,
    }
}

/// Names of variables that may be defined, sorted, and what the others look like.
struct Known<'n> {
    names: Vec<&'n str>,
    near: BTreeMap<String, Option<String>>,
}

impl Known<'_> {
    fn near(&mut self, name: &str, sink: &mut Sink) -> Option<String> {
        if let Some(near) = self.near.get(name) {
            return near.clone();
        }
        let near = sink.nearest(name, self.names.iter().copied()).filter(|near| near.len() > 4);
        let near = near.map(str::to_owned);
        self.near.insert(name.to_owned(), near.clone());
        near
    }
}

fn known_names<'n>(root: &'n Map, shared: &'n Shared, layers: &'n variables::Known) -> Vec<&'n str> {
    let mut names: BTreeSet<&str> = PREDEFINED.split_whitespace().collect();
    names.extend(shared.variables.iter().map(|variable| variable.key.as_str()));
    for layer in [&layers.pipeline, &layers.settings, &layers.predefined] {
        names.extend(layer.keys().map(String::as_str));
    }
    let mut defined = |holder: &'n Node| {
        let variables = holder.get("variables").and_then(Node::as_map);
        names.extend(variables.into_iter().flat_map(Map::iter).map(|entry| &*entry.key));
    };
    let mut seen = BTreeSet::new();
    for entry in root.iter() {
        defined(&entry.value);
        let Some(list) = entry.value.get("rules") else { continue };
        if identity(list).is_none_or(|list| seen.insert(list)) {
            rules::flat(list).into_iter().for_each(&mut defined);
        }
    }
    names.into_iter().collect()
}

fn rule_list(list: &Node, subject: &str, known: &mut Known<'_>, session: &mut Session<'_>) {
    let rules = rules::flat(list);
    if let Some(at) = rules.iter().position(|rule| is_unconditional(rule))
        && let Some(behind) = rules.get(at + 1)
    {
        session
            .sink
            .warning(behind.span, format!("{subject}: this rule is never reached"))
            .related(rules[at].span, "this rule always holds")
            .hint("move it up, or give the rule above a condition");
    }
    for rule in rules {
        let Some(node) = rule.get("if") else { continue };
        let Some(read) = node.as_text().map(|text| session.sink.memo.expression(text)) else { continue };
        let Ok(expression) = &*read else { continue };
        if expression.equals_pattern() {
            session
                .sink
                .warning(
                    node.span,
                    format!("{subject}: the rule asks by `==` or `!=` whether a text is a pattern, which none is"),
                )
                .hint("`=~` and `!~` try a pattern");
        }
        for name in expression.variables() {
            misspelt(name, node, subject, known, session);
        }
    }
}

/// Variables may come from settings, so only what looks misspelt is told.
fn misspelt(name: &str, node: &Node, subject: &str, known: &mut Known<'_>, session: &mut Session<'_>) {
    if known.names.binary_search(&name).is_ok() {
        return;
    }
    let near = known.near(name, &mut session.sink);
    let reserved = ["CI_", "GITLAB_"].iter().any(|prefix| name.starts_with(prefix));
    if near.is_some() || reserved {
        let hint = near.map(|near| format!("did you mean `${near}`?"));
        session
            .sink
            .warning(node.span, format!("{subject}: the rule names `${name}`, which is not defined"))
            .maybe_hint(hint);
    }
}

fn is_unconditional(rule: &Node) -> bool {
    ["if", "changes", "exists"].iter().all(|clause| rule.get(clause).is_none())
}

fn never(list: &Node, entry: &Entry, session: &mut Session<'_>) {
    let rules = rules::flat(list);
    let says_never = |rule: &&Node| rule.get("when").and_then(Node::as_text) == Some("never");
    if !rules.is_empty() && rules.iter().all(says_never) {
        let message = format!("job `{}` can never run: every rule says `when: never`", entry.key);
        session.sink.warning(list.span, message).hint("start its name with `.` to switch it off");
    }
}

/// Pairs of rules, and whether the second hold wherever the first do.
type Covered = BTreeMap<(*const Vec<Node>, *const Vec<Node>), bool>;

/// Whether rules let a job in wherever other rules let theirs in, as far as that shows.
fn covers(rules: &Node, own: &Node, session: &mut Session<'_>) -> bool {
    let says_never = |rule: &&Node| rule.get("when").and_then(Node::as_text) == Some("never");
    let (never, lets): (Vec<&Node>, Vec<&Node>) = rules::flat(rules).into_iter().partition(says_never);
    let (own_never, own_lets): (Vec<&Node>, Vec<&Node>) = rules::flat(own).into_iter().partition(says_never);
    own_lets.iter().all(|own| lets.iter().any(|rule| narrows(own, rule, session)))
        && never.iter().all(|rule| own_never.iter().any(|own| narrows(rule, own, session)))
}

/// Whether a rule holds only where another does.
fn narrows(rule: &Node, wider: &Node, session: &mut Session<'_>) -> bool {
    let clauses = ["changes", "exists"].iter().all(|clause| match (rule.get(clause), wider.get(clause)) {
        (_, None) => true,
        (Some(own), Some(other)) => own.is_same(other),
        (None, Some(_)) => false,
    });
    let mut read = |rule: &Node| rule.get("if").and_then(Node::as_text).map(|text| session.sink.memo.expression(text));
    clauses
        && match (read(rule), read(wider)) {
            (_, None) => true,
            (Some(own), Some(other)) => {
                matches!((&*own, &*other), (Ok(own), Ok(other)) if own.implies(other))
            }
            (None, Some(_)) => false,
        }
}

/// A needed job that its rules may leave out, where the other job has other rules.
fn shaky_needs(list: &Node, entry: &Entry, (root, covered): (&Map, &mut Covered), session: &mut Session<'_>) {
    let own = entry.value.get("rules");
    for need in needs::flat(list) {
        let optional = need.get("optional").and_then(Node::as_bool) == Some(true);
        let Some(name) = need.as_text().or_else(|| need.get("job").and_then(Node::as_text)) else { continue };
        let Some(target) =
            root.entry(name).filter(|_| !optional && need.get("pipeline").is_none() && need.get("project").is_none())
        else {
            continue;
        };
        let Some(rules) = target.value.get("rules").filter(|rules| !own.is_some_and(|own| own.is_same(rules))) else {
            continue;
        };
        let kept = rules::flat(rules)
            .iter()
            .any(|rule| is_unconditional(rule) && rule.get("when").and_then(Node::as_text) != Some("never"));
        let pair = own.and_then(identity).zip(identity(rules));
        let follows = pair.is_some_and(|pair| {
            *covered.entry(pair).or_insert_with(|| own.is_some_and(|own| covers(rules, own, session)))
        });
        if !kept && !follows {
            let message =
                format!("job `{}` needs `{name}`, which its rules may leave out; then there is no pipeline", entry.key);
            session
                .sink
                .warning(need.span, message)
                .related(rules.span, "these rules")
                .hint("give both the same rules, or write `optional: true`");
        }
    }
}
