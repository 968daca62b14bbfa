//! One job of the file to the jobs of the plan.

mod filter;
mod parallel;
mod script;
mod steps;
mod trigger;

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_model::plan::{Action, AllowFailure, Environment, Job, Retry, Variable, When, Work};

use crate::compile::{Shared, check_circles, overlay, variables};
use crate::diagnostic::Sink;
use crate::expand::Unknown;
use crate::needs::Need;
use crate::origin::Origin;
use crate::session::Session;
use crate::shape::job::DEFAULT_KEYS;
use crate::syntax::{ENTRY_BYTES, Entry, Map, Node, Span, Value};
use crate::variables::{Known, Layer, OfJob, Scope, settings};
use crate::{JobDetail, Reason, duration, expand, inputs, needs, rules, suggest};
pub(crate) use parallel::{Instance, matrix_names};

/// A job on its way into the plan.
pub(crate) struct Draft {
    /// The job as the plan will hold it; its needs come last.
    pub job: Box<Job>,
    /// The name in the file, without the suffix of copies.
    pub group: Arc<str>,
    /// Whether its stage exists.
    pub placed: bool,
    /// Where its name stands.
    pub span: Span,
    /// Whether the pipeline has it.
    pub included: bool,
    /// Its values of the matrix.
    pub matrix: Vec<(String, String)>,
    /// What it needs; `None`: nothing is said.
    pub needs: Option<Vec<Need>>,
    /// `needs` of the job itself, where a rule replaced them.
    pub own_needs: Option<Vec<Need>>,
    /// `dependencies`.
    pub dependencies: Option<(Vec<String>, Span)>,
    /// The environment's name as it is written; jobs of one environment are told by it.
    pub environment: Option<String>,
    /// The rule that decided.
    pub rule: Option<Span>,
    /// Why the pipeline has it or not.
    pub reason: Reason,
    /// The keywords that it has, and where.
    pub keywords: Vec<(&'static str, Span)>,
    /// Keywords that the plan has no room for, as JSON.
    pub extra: Vec<(String, String)>,
}

impl Draft {
    /// What is known of the job beyond the plan.
    pub fn detail(&self, sink: &Sink) -> JobDetail {
        JobDetail {
            job: self.job.name.clone(),
            group: self.group.to_string(),
            defined: sink.locate(self.span),
            rule: self.rule.map(|span| sink.locate(span)),
            reason: self.reason,
            included: self.included,
            extra: self.extra.clone(),
        }
    }
}

/// Keywords that are handed on as JSON.
const EXTRA: [&str; 10] =
    ["id_tokens", "secrets", "identity", "release", "pages", "run", "inputs", "dast_configuration", "hooks", "publish"];

/// The jobs that one job of the file makes.
pub(crate) fn drafts(entry: &Entry, own: &Arc<Map>, shared: &Shared, session: &mut Session<'_>) -> Vec<Draft> {
    let name = &*entry.key;
    check_together(entry, own, session);
    let map = with_defaults(own, shared);
    let placed = stage(entry, &map, shared, session);
    let stage = placed.unwrap_or(0);
    let instances = parallel::instances(entry, &map, session);
    let own_variables = variables(map.get("variables"), false);
    let base = inherited_variables(&map, shared);
    let bytes = map.weight() + base.iter().map(|variable| ENTRY_BYTES + variable.value.len()).sum::<usize>();
    let mut made: Vec<Draft> = Vec::new();
    for instance in instances {
        if !session.afford(bytes) {
            break;
        }
        let mut yaml = base.clone();
        overlay(&mut yaml, instance.variables());
        overlay(&mut yaml, own_variables.clone());
        overlay(
            &mut yaml,
            instance.matrix.iter().map(|(key, value)| Variable::plain(key.as_str(), value.as_str())).collect(),
        );
        // Only the job's own values can close a circle that the root's do not.
        if own_variables.iter().any(|variable| leads_on(variable, &yaml)) {
            check_circles(&yaml, map.get("variables"), session);
        }
        let making = Making { name, entry, map: &map, stage, shared, instance };
        let draft = Draft { placed: placed.is_some(), ..making.draft(yaml, session) };
        match made.iter_mut().find(|known| known.job.name == draft.job.name) {
            Some(known) => *known = draft,
            None => made.push(draft),
        }
    }
    made
}

/// Whether a variable names one whose value names others, without which there is no circle.
fn leads_on(variable: &Variable, all: &[Variable]) -> bool {
    let names_others = |variable: &Variable| variable.value.contains(['$', '%']);
    let reached = |name: &str| all.iter().any(|other| other.key == name && names_others(other));
    names_others(variable) && expand::names(&variable.value).into_iter().any(reached)
}

struct Making<'m> {
    name: &'m str,
    entry: &'m Entry,
    map: &'m Map,
    stage: usize,
    shared: &'m Shared,
    instance: Instance,
}

impl Making<'_> {
    fn get(&self, key: &str) -> Option<&Node> {
        self.map.get(key).filter(|node| !node.is_null())
    }

    fn draft(&self, mut yaml: Vec<Variable>, session: &mut Session<'_>) -> Draft {
        let known = session.known.clone();
        let predefined = self.predefined(&yaml, &known);
        let scoped = self.environment_settings(&yaml, &predefined, &known, session);
        let settings = scoped.as_ref().unwrap_or(&known.settings);
        let mut decision = self.decide(&Scope::new(&known, settings, &yaml, Some(&predefined)), session);
        overlay(&mut yaml, std::mem::take(&mut decision.variables));
        let scope = Scope::new(&known, settings, &yaml, Some(&predefined));
        let environment = self.environment(&scope);
        let resource_group =
            self.get("resource_group").and_then(Node::as_text).map(|text| scope.expand(text, Unknown::Empty));
        let tags = self.get("tags").map(Node::flat_texts).unwrap_or_default();
        let mut job = Box::new(Job {
            name: self.instance.name.clone(),
            stage: self.stage,
            when: decision.when,
            allow_failure: decision.allow_failure,
            needs: None,
            dependencies: None,
            retry: self.get("retry").map(retry).unwrap_or_default(),
            timeout_ms: self.get("timeout").and_then(Node::scalar_text).and_then(|text| duration::parse_ms(&text)),
            interruptible: decision
                .interruptible
                .or_else(|| self.get("interruptible").and_then(Node::as_bool))
                .unwrap_or(false),
            resource_group: resource_group.filter(|text| !text.is_empty()),
            environment,
            work: self.work(&scope, session),
            variables: Vec::new(),
            tags: tags.iter().map(|tag| scope.expand(tag, Unknown::Empty)).collect(),
            manual_confirmation: self.get("manual_confirmation").and_then(Node::as_text).map(str::to_owned),
        });
        job.variables = yaml;
        let has_extra = self.map.iter().any(|entry| &*entry.key == "needs" || EXTRA.contains(&&*entry.key));
        let own_needs = self.get("needs").map(needs::parse);
        let needs = decision.needs.clone().map_or_else(|| own_needs.clone(), Some);
        let dependencies = self.get("dependencies").map(|node| (node.flat_texts(), node.span));
        Draft {
            job,
            group: self.entry.key.clone(),
            placed: true,
            span: self.entry.key_span,
            included: decision.included,
            matrix: self.instance.matrix.clone(),
            own_needs: decision.needs.is_some().then(|| own_needs.unwrap_or_default()),
            needs: needs.filter(|needs| !needs.iter().all(Need::is_mirror) || needs.is_empty()),
            dependencies,
            environment: self.get("environment").and_then(written_name).map(str::to_owned),
            rule: decision.rule,
            reason: decision.reason,
            keywords: if has_extra { self.keywords() } else { Vec::new() },
            extra: if has_extra { self.extra() } else { Vec::new() },
        }
    }

    fn keywords(&self) -> Vec<(&'static str, Span)> {
        let own =
            EXTRA.iter().filter_map(|key| Some((*key, self.map.entry(key).filter(|entry| !entry.value.is_null())?)));
        own.filter(|(_, entry)| entry.value.as_bool() != Some(false))
            .filter(|(key, entry)| *key != "run" || !steps::are_scripts(&entry.value))
            .map(|(key, entry)| (key, entry.key_span))
            .collect()
    }

    fn extra(&self) -> Vec<(String, String)> {
        let mut extra: Vec<(String, String)> =
            EXTRA.iter().filter_map(|key| Some(((*key).to_owned(), inputs::json(self.get(key)?)))).collect();
        if let Some(needs) = self.get("needs") {
            let foreign: Vec<String> = needs::flat(needs)
                .into_iter()
                .filter(|need| need.get("project").is_some() || need.get("pipeline").is_some())
                .map(inputs::json)
                .collect();
            if !foreign.is_empty() {
                extra.push(("needs".to_owned(), format!("[{}]", foreign.join(","))));
            }
        }
        extra
    }

    /// Variables that are known once the job is: its name, its stage, its environment.
    fn predefined(&self, yaml: &[Variable], known: &Known) -> OfJob<'_> {
        let names = (self.instance.name.as_str(), self.name);
        let mut list = OfJob::new(names, &self.shared.stages[self.stage], self.instance.total);
        if let Some(node) = self.get("environment") {
            let action = node.get("action").and_then(Node::as_text).unwrap_or("start");
            let name = environment_name(node, &Scope::new(known, &known.settings, yaml, Some(&list)));
            list.environment = name.map(|name| (name, action));
        }
        list
    }

    /// Settings with those of the job's environment; `None`: none is scoped to an environment.
    fn environment_settings(
        &self,
        yaml: &[Variable],
        predefined: &OfJob<'_>,
        known: &Known,
        session: &Session<'_>,
    ) -> Option<Layer> {
        let node = self.get("environment")?;
        let lists = [&session.context.group_variables, &session.context.project_variables];
        if lists.iter().all(|list| list.iter().all(|setting| setting.environment_scope == "*")) {
            return None;
        }
        let scope = Scope::new(known, &known.settings, yaml, Some(predefined));
        Some(settings(session.context, environment_name(node, &scope).as_deref()))
    }

    fn environment(&self, scope: &Scope<'_>) -> Option<Environment> {
        let node = self.get("environment")?;
        let text = |key: &str| node.get(key).and_then(Node::scalar_text);
        Some(Environment {
            name: environment_name(node, scope)?,
            url: text("url"),
            action: text("action"),
            on_stop: text("on_stop"),
            auto_stop_in: text("auto_stop_in").map(|text| scope.expand(&text, Unknown::Empty)),
            deployment_tier: text("deployment_tier"),
        })
    }

    fn work(&self, scope: &Scope<'_>, session: &mut Session<'_>) -> Work {
        if let Some(node) = self.get("trigger") {
            return Work::Trigger(Box::new(trigger::parse(node, scope)));
        }
        if let Some(action) = self.get("serin").and_then(|node| action(node, scope, self.name, session)) {
            return Work::Action(action);
        }
        Work::Script(Box::new(script::parse(self.map)))
    }

    fn decide(&self, scope: &Scope<'_>, session: &mut Session<'_>) -> Decision {
        let when = self.get("when").and_then(Node::as_text);
        let mut decision = Decision {
            included: true,
            when: moment(when, self.get("start_in")),
            allow_failure: allow_failure(self.get("allow_failure"), when == Some("manual")),
            interruptible: None,
            variables: Vec::new(),
            needs: None,
            rule: None,
            reason: Reason::NoRules,
        };
        let Some(list) = self.get("rules") else {
            decision.included = filter::included(self.map, self.shared.has_workflow_rules, scope, session);
            if self.get("only").is_some() || self.get("except").is_some() || !decision.included {
                decision.reason = Reason::Filter;
            }
            return decision;
        };
        for rule in rules::flat(list) {
            if rules::holds(rule, scope, &Origin::Own, session) {
                self.apply(rule, &mut decision);
                return decision;
            }
        }
        decision.included = false;
        decision.reason = Reason::NoRuleHolds;
        decision
    }

    fn apply(&self, rule: &Node, decision: &mut Decision) {
        decision.rule = Some(rule.span);
        decision.reason = Reason::Rule;
        let when = rule.get("when").and_then(Node::as_text);
        if when == Some("never") {
            decision.included = false;
        }
        if when.is_some() {
            decision.when = moment(when, rule.get("start_in").or_else(|| self.get("start_in")));
        }
        if let Some(node) = rule.get("allow_failure") {
            decision.allow_failure = allow_failure(Some(node), false);
        }
        decision.interruptible = rule.get("interruptible").and_then(Node::as_bool);
        decision.variables = variables(rule.get("variables"), false);
        decision.needs = rule.get("needs").map(needs::parse);
    }
}

struct Decision {
    included: bool,
    when: When,
    allow_failure: AllowFailure,
    interruptible: Option<bool>,
    variables: Vec<Variable>,
    needs: Option<Vec<Need>>,
    rule: Option<Span>,
    reason: Reason,
}

fn moment(when: Option<&str>, start_in: Option<&Node>) -> When {
    match when {
        Some("on_failure") => When::OnFailure,
        Some("always") => When::Always,
        Some("manual") => When::Manual,
        Some("delayed") => {
            let text = start_in.and_then(Node::scalar_text).unwrap_or_default();
            When::Delayed { start_in_ms: duration::parse_ms(&text).unwrap_or(0) }
        }
        _ => When::OnSuccess,
    }
}

fn allow_failure(node: Option<&Node>, manual: bool) -> AllowFailure {
    let Some(node) = node else {
        return if manual { AllowFailure::Yes } else { AllowFailure::No };
    };
    match node.get("exit_codes") {
        Some(codes) => AllowFailure::ExitCodes(numbers(codes)),
        None if node.as_bool() == Some(true) => AllowFailure::Yes,
        None => AllowFailure::No,
    }
}

fn numbers(node: &Node) -> Vec<i32> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    items.iter().filter_map(Node::as_int).filter_map(|code| i32::try_from(code).ok()).collect()
}

fn retry(node: &Node) -> Retry {
    let max = |node: &Node| node.as_int().and_then(|max| u32::try_from(max).ok()).unwrap_or(0);
    match node.as_map() {
        None => Retry { max: max(node), ..Retry::default() },
        Some(_) => Retry {
            max: node.get("max").map_or(0, max),
            when: node.get("when").map(Node::flat_texts).unwrap_or_default(),
            exit_codes: node.get("exit_codes").map(numbers).unwrap_or_default(),
        },
    }
}

fn environment_name(node: &Node, scope: &Scope<'_>) -> Option<String> {
    Some(scope.expand(written_name(node)?, Unknown::Empty)).filter(|name| !name.is_empty())
}

fn written_name(node: &Node) -> Option<&str> {
    node.as_text().or_else(|| node.get("name").and_then(Node::as_text))
}

fn check_together(entry: &Entry, map: &Map, session: &mut Session<'_>) {
    let name = &entry.key;
    let has = |key: &str| map.get(key).is_some_and(|node| !node.is_null());
    let works = ["script", "run", "trigger", "serin"];
    let given: Vec<&str> = works.into_iter().filter(|key| has(key)).collect();
    let mirrors = map.get("needs").is_some_and(|needs| needs.as_map().is_some_and(|map| map.contains("pipeline")));
    // A misspelt keyword has been reported as an unknown one.
    let misspelt = given.is_empty()
        && map.iter().any(|entry| !works.contains(&&*entry.key) && suggest::nearest(&entry.key, works).is_some());
    match given[..] {
        // A job whose `extends` leads nowhere has been reported.
        [] if !mirrors && !has("extends") && !misspelt => {
            let message = format!("job `{name}` needs `script`, `run`, `trigger` or `serin`");
            session.sink.error(entry.key_span, message).hint("add `script: [...]`");
        }
        [first, second, ..] => {
            let span = map.entry(second).map_or(entry.key_span, |entry| entry.key_span);
            session.sink.error(span, format!("job `{name}`: `{first}` and `{second}` cannot be used together"));
        }
        _ => {}
    }
    for (first, others) in APART {
        if !has(first) {
            continue;
        }
        for second in others.iter().filter(|second| has(second)) {
            let span = map.entry(second).map_or(entry.key_span, |entry| entry.key_span);
            session.sink.error(span, format!("job `{name}`: `{second}` cannot be used together with `{first}`"));
        }
    }
    let publishes = map.get("pages").is_some_and(|pages| pages.as_bool() != Some(false) && !pages.is_null());
    if has("publish") && !publishes && (**name != *"pages" || has("pages")) {
        let span = map.entry("publish").map_or(entry.key_span, |entry| entry.key_span);
        session.sink.error(span, format!("job `{name}`: `publish` goes with `pages` alone")).hint("add `pages: true`");
    }
    if has("trigger") {
        check_trigger_job(entry, map, session);
    }
}

/// What a trigger job may not say of keywords that it shares with others.
fn check_trigger_job(entry: &Entry, map: &Map, session: &mut Session<'_>) {
    let delayed = map.get("when").and_then(Node::as_text) == Some("delayed");
    let codes = map.get("allow_failure").is_some_and(|node| node.as_map().is_some());
    let copies = map.get("parallel").is_some_and(|node| node.as_int().is_some());
    let wrong = [
        ("when", delayed, "`when: delayed`"),
        ("allow_failure", codes, "`allow_failure:exit_codes`"),
        ("parallel", copies, "`parallel` as a number"),
    ];
    for (key, _, what) in wrong.into_iter().filter(|(_, given, _)| *given) {
        let span = map.entry(key).map_or(entry.key_span, |entry| entry.key_span);
        session.sink.error(span, format!("job `{}`: {what} cannot be used together with `trigger`", entry.key));
    }
}

/// Keywords, and those that do not go with them.
const APART: [(&str, &[&str]); 4] = [
    ("rules", &["only", "except"]),
    ("run", &["before_script", "after_script"]),
    (
        "trigger",
        &[
            "before_script",
            "after_script",
            "artifacts",
            "image",
            "services",
            "cache",
            "tags",
            "retry",
            "timeout",
            "coverage",
            "release",
            "dependencies",
            "hooks",
            "id_tokens",
            "secrets",
            "identity",
            "pages",
            "publish",
            "dast_configuration",
            "start_in",
        ],
    ),
    ("serin", &["before_script", "after_script", "artifacts", "image", "services", "cache"]),
];

fn with_defaults(own: &Arc<Map>, shared: &Shared) -> Map {
    let mut map = own.with_room(shared.defaults.len());
    let allowed = own.get("inherit").and_then(|inherit| inherit.get("default")).cloned();
    for entry in shared.defaults.iter() {
        let inherits = match allowed.as_ref().map(|node| &node.value) {
            Some(Value::Bool(value)) => *value,
            Some(Value::List(keys)) => keys.iter().any(|key| key.as_text() == Some(&entry.key)),
            _ => true,
        };
        let missing = map.get(&entry.key).is_none_or(Node::is_null);
        let fits = !map.contains("trigger") && !map.contains("serin") || entry.key.as_ref() == "interruptible";
        if inherits && missing && fits && DEFAULT_KEYS.contains(&&*entry.key) {
            map.set(entry.clone());
        }
    }
    map
}

fn inherited_variables(map: &Map, shared: &Shared) -> Vec<Variable> {
    let allowed = map.get("inherit").and_then(|inherit| inherit.get("variables"));
    match allowed.map(|node| &node.value) {
        Some(Value::Bool(false)) => Vec::new(),
        Some(Value::List(keys)) => {
            let keys: Vec<&str> = keys.iter().filter_map(Node::as_text).collect();
            shared.variables.iter().filter(|variable| keys.contains(&variable.key.as_str())).cloned().collect()
        }
        _ => shared.variables.clone(),
    }
}

fn stage(entry: &Entry, map: &Map, shared: &Shared, session: &mut Session<'_>) -> Option<usize> {
    let node = map.get("stage").filter(|node| !node.is_null());
    let name = node.and_then(Node::as_text).unwrap_or("test");
    let found = shared.stages.iter().position(|stage| stage == name);
    if found.is_none() {
        let hint = suggest::hint(name, shared.stages.iter().map(String::as_str));
        let span = node.map_or(entry.key_span, |node| node.span);
        session.sink.error(span, format!("job `{}`: the stage `{name}` does not exist", entry.key)).hint(hint);
    }
    found
}

fn action(node: &Node, scope: &Scope<'_>, job: &str, session: &mut Session<'_>) -> Option<Action> {
    let word = node.get("action").and_then(Node::as_text)?;
    let text = |key: &str| node.get(key).and_then(Node::scalar_text).map(|text| scope.expand(&text, Unknown::Empty));
    let allowed: &[&str] = match word {
        "package" => &[],
        "deploy" | "canary" | "release" => &["environment"],
        "detach" => &["environment", "nodes"],
        "clear" => &["from", "into"],
        _ => return None,
    };
    for entry in node.as_map()?.iter().filter(|entry| *entry.key != *"action" && !allowed.contains(&&*entry.key)) {
        let message = format!("job `{job}`: `serin:{}` does not go with the action `{word}`", entry.key);
        session.sink.error(entry.key_span, message);
    }
    let mut required = |key: &str| {
        let found = text(key).filter(|text| !text.is_empty());
        if found.is_none() {
            session.sink.error(node.span, format!("job `{job}`: the action `{word}` needs `serin:{key}`"));
        }
        found
    };
    Some(match word {
        "package" => Action::Package,
        "deploy" => Action::Deploy { environment: required("environment")? },
        "canary" => Action::Canary { environment: required("environment")? },
        "release" => Action::Release { environment: required("environment")? },
        "detach" => {
            let nodes = node.get("nodes").and_then(Node::as_int).and_then(|nodes| u32::try_from(nodes).ok());
            Action::Detach { environment: required("environment")?, nodes }
        }
        _ => {
            let (from, into) = (required("from"), required("into"));
            Action::Clear { from: from?, into: into? }
        }
    })
}

/// `environment:on_stop` must name a job that stops the same environment.
pub(crate) fn check_stop_jobs(drafts: &[Draft], session: &mut Session<'_>) {
    let jobs: BTreeMap<&str, &Draft> = drafts.iter().rev().map(|draft| (&*draft.group, draft)).collect();
    for draft in drafts {
        let Some(environment) = &draft.job.environment else { continue };
        let Some(stop) = &environment.on_stop else { continue };
        let group = &draft.group;
        let Some(target) = jobs.get(&**stop) else {
            let hint = session.sink.did_you_mean(stop, jobs.keys().copied());
            let message = format!("job `{group}`: `environment:on_stop` names `{stop}`, which is no job");
            session.sink.error(draft.span, message).maybe_hint(hint);
            continue;
        };
        let problem = match &target.job.environment {
            None => "has no `environment`",
            Some(_) if target.environment != draft.environment => "has another `environment:name`",
            Some(other) if other.action.as_deref() != Some("stop") => "has no `environment:action: stop`",
            Some(_) => continue,
        };
        let message = format!("job `{group}`: `environment:on_stop` names `{stop}`, which {problem}");
        session.sink.error(draft.span, message).related(target.span, "the stopping job");
    }
}
