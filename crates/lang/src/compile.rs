//! From the entry file to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serin_model::plan::{AutoCancel, OnJobFailure, OnNewCommit, Plan, Variable};

use crate::context::Context;
use crate::expand::{Unknown, expand_all};
use crate::job::{self, Draft};
use crate::merged::Merged;
use crate::origin::Origin;
use crate::request::Answers;
use crate::session::Session;
use crate::shape::{Checker, job as job_shape, root};
use crate::syntax::{Entry, Map, Node, Span, Value};
use crate::{Compilation, JobDetail, NotCreated, Parsed, Step};
use crate::{extends, include, needs, plain, reference, rules, suggest, warnings};

/// Stages of a file that names none.
const STAGES: [&str; 3] = ["build", "test", "deploy"];
/// Stages of a pipeline.
pub(crate) const STAGES_MAX: usize = 1_000;
/// Characters of the name of a job or stage.
pub(crate) const NAME_CHARS_MAX: usize = 255;

/// Compiles, as far as the answers reach.
pub(crate) fn run(entry: Parsed, context: &Context, answers: &Answers) -> Step {
    let mut session = Session::new(context, answers, entry.sink);
    let merged = entry.loaded.map(|loaded| include::read(loaded, &mut session)).unwrap_or_default();
    let asked = session.take_asked();
    if !asked.is_empty() {
        return Step::Ask(asked);
    }
    let built = if session.sink.has_errors() { Built::default() } else { build(&merged, &mut session) };
    let asked = session.take_asked();
    if !asked.is_empty() {
        return Step::Ask(asked);
    }
    let failed = session.sink.has_errors();
    let (diagnostics, files) = session.sink.finish();
    let sources = files.sources();
    let not_created = built.not_created.filter(|_| !failed);
    let plan = built.plan.filter(|_| !failed && not_created.is_none());
    let details = if plan.is_some() { built.details } else { Vec::new() };
    let merged = Merged::new(built.root, files);
    Step::Done(Box::new(Compilation {
        plan,
        not_created,
        details,
        excluded: built.excluded,
        merged,
        diagnostics,
        sources,
    }))
}

#[derive(Default)]
struct Built {
    plan: Option<Plan>,
    details: Vec<JobDetail>,
    excluded: Vec<JobDetail>,
    root: Arc<Map>,
    not_created: Option<NotCreated>,
}

/// What all jobs share.
pub(crate) struct Shared {
    /// All stages, `.pre` first and `.post` last.
    pub stages: Vec<String>,
    /// Root variables with those of the matching workflow rule on top.
    pub variables: Vec<Variable>,
    /// The `default` section, with the deprecated root keywords.
    pub defaults: Map,
    /// Whether there are `workflow:rules`.
    pub has_workflow_rules: bool,
}

fn build(merged: &Arc<Map>, session: &mut Session<'_>) -> Built {
    if let Some(one_too_many) = merged.iter().filter(|entry| is_job(&entry.key)).nth(DRAFTS_MAX) {
        session.sink.error(one_too_many.key_span, format!("the file defines more than {DRAFTS_MAX} jobs"));
        return Built::default();
    }
    plain::report(merged, &mut session.sink);
    let root = reference::resolve(merged, &mut session.sink);
    let root = extends::resolve(&root, &mut session.sink);
    check_root(&root, session);
    let stages = stages(&root, session);
    let defaults = defaults(&root, session);
    let mut variables = variables(root.get("variables"), true);
    let workflow = workflow(&root, &variables, session);
    overlay(&mut variables, workflow.variables);
    check_circles(&variables, root.get("variables"), session);
    let has_workflow_rules = root.get("workflow").is_some_and(|workflow| workflow.get("rules").is_some());
    let shared = Shared { stages, variables, defaults, has_workflow_rules };
    let mut drafts = drafts(&root, &shared, session);
    if has_too_many(&drafts, session) {
        return Built::default();
    }
    needs::resolve(&mut drafts, &shared, session);
    job::check_stop_jobs(&drafts, session);
    warnings::report(&root, &shared, session);
    if !workflow.runs {
        return Built { not_created: Some(NotCreated::Workflow), root, ..Built::default() };
    }
    let name = workflow_name(&root, &shared, session);
    let (included, excluded): (Vec<Draft>, Vec<Draft>) = drafts.into_iter().partition(|draft| draft.included);
    let excluded = excluded.iter().map(|draft| draft.detail(&session.sink)).collect();
    Built { excluded, root, ..finish(included, shared, name, workflow.auto_cancel, session) }
}

fn finish(
    included: Vec<Draft>,
    shared: Shared,
    name: Option<String>,
    auto_cancel: AutoCancel,
    session: &mut Session<'_>,
) -> Built {
    let last = shared.stages.len().saturating_sub(1);
    let only_edges = included.iter().all(|draft| draft.job.stage == 0 || draft.job.stage == last);
    let not_created = (included.is_empty() || only_edges).then_some(NotCreated::NoJobs);
    let mut ordered: Vec<Draft> = included;
    ordered.sort_by_key(|draft| draft.job.stage);
    let details = ordered.iter().map(|draft| draft.detail(&session.sink)).collect();
    let jobs = ordered.into_iter().map(|draft| *draft.job).collect();
    let plan = Plan { name, stages: shared.stages, jobs, variables: shared.variables, auto_cancel };
    Built { plan: Some(plan), details, not_created, ..Built::default() }
}

/// Whether more jobs are in the pipeline than it may have, which is told before their needs are followed.
fn has_too_many(drafts: &[Draft], session: &mut Session<'_>) -> bool {
    const MAX: usize = serin_model::limit::PIPELINE_JOBS_MAX;
    let mut included = drafts.iter().filter(|draft| draft.included);
    let count = included.clone().count();
    let Some(first) = included.next().filter(|_| count > MAX) else { return false };
    session.sink.error(first.span, format!("the pipeline has {count} jobs; at most {MAX} are allowed"));
    true
}

/// Whether a root key is a job.
pub(crate) fn is_job(key: &str) -> bool {
    !key.starts_with('.') && root::shape(key).is_none()
}

fn check_root(map: &Map, session: &mut Session<'_>) {
    for entry in map.iter() {
        let key = &*entry.key;
        if key == "spec" {
            let hint = "put a line `---` between the `spec` header and the jobs";
            session.sink.warning(entry.key_span, "`spec` counts only as a header of its own").hint(hint);
        }
        if key == "types" {
            session.sink.error(entry.key_span, "`types` is no longer known").hint("write `stages`");
        } else if !is_job(key) {
            if !key.starts_with('.') {
                root::check_key(key, &entry.value, &mut session.sink);
            }
        } else if entry.value.as_map().is_none() {
            let message = format!("unknown root key `{key}`: a job must be a mapping, not {}", entry.value.kind());
            let names = root::KEYS.iter().map(|(name, _)| *name);
            let near = suggest::nearest(key, names).map(|near| format!("did you mean `{near}`?"));
            let hint = near.unwrap_or_else(|| {
                "write the job's keywords below it, indented, or start its name with `.`".to_owned()
            });
            session.sink.error(entry.key_span, message).hint(hint);
        }
    }
    if !map.iter().any(|entry| is_job(&entry.key)) {
        let span = map.iter().next().map_or_else(Span::default, |entry| entry.key_span);
        session.sink.error(span, "the file has no visible job").hint("add one, such as `test: {script: make test}`");
    }
}

fn stages(map: &Map, session: &mut Session<'_>) -> Vec<String> {
    let named = map.get("stages").filter(|node| !node.is_null());
    let mut stages = vec![".pre".to_owned()];
    let mut known = BTreeSet::new();
    match named {
        Some(node) => {
            for stage in node.flat_texts().into_iter().take(STAGES_MAX) {
                if stage.chars().count() > NAME_CHARS_MAX {
                    session.sink.error(node.span, format!("a stage's name has more than {NAME_CHARS_MAX} characters"));
                } else if stage != ".pre" && stage != ".post" && known.insert(stage.clone()) {
                    stages.push(stage);
                }
            }
        }
        None => stages.extend(STAGES.map(str::to_owned)),
    }
    stages.push(".post".to_owned());
    stages
}

fn defaults(map: &Map, session: &mut Session<'_>) -> Map {
    let mut defaults = map.get("default").and_then(Node::as_map).cloned().unwrap_or_default();
    for key in ["image", "services", "cache", "before_script", "after_script"] {
        let Some(entry) = map.entry(key).filter(|entry| !entry.value.is_null()) else { continue };
        if let Some(twice) = defaults.entry(key) {
            let message = format!("`{key}` is defined at the root and under `default`");
            session
                .sink
                .error(entry.key_span, message)
                .related(twice.key_span, "under `default`")
                .hint("keep the one under `default`");
        }
        defaults.set(entry.clone());
    }
    defaults
}

/// Variables of a mapping, in order.
pub(crate) fn variables(node: Option<&Node>, described: bool) -> Vec<Variable> {
    let entries = node.and_then(Node::as_map).into_iter().flat_map(Map::iter);
    entries.filter_map(|entry| variable(entry, described)).collect()
}

fn variable(entry: &Entry, described: bool) -> Option<Variable> {
    let (value, raw) = match entry.value.as_map() {
        Some(map) => {
            let value = map.get("value").and_then(Node::scalar_text);
            let raw = map.get("expand").and_then(Node::as_bool) == Some(false);
            (value.or(described.then(String::new)).unwrap_or_default(), raw)
        }
        None => (entry.value.scalar_text()?, false),
    };
    Some(Variable { raw, ..Variable::plain(entry.key.to_string(), value) })
}

/// Puts variables over others; a key that is there keeps its place.
pub(crate) fn overlay(below: &mut Vec<Variable>, above: Vec<Variable>) {
    if above.len() > FEW {
        return overlay_many(below, above);
    }
    for variable in above {
        match below.iter_mut().find(|known| known.key == variable.key) {
            Some(known) => *known = variable,
            None => below.push(variable),
        }
    }
}

/// Variables that are looked for one after the other, which is faster than to index the others first.
const FEW: usize = 16;

fn overlay_many(below: &mut Vec<Variable>, above: Vec<Variable>) {
    let mut places: BTreeMap<String, usize> =
        below.iter().enumerate().map(|(at, variable)| (variable.key.clone(), at)).collect();
    for variable in above {
        match places.get(&variable.key) {
            Some(at) => below[*at] = variable,
            None => {
                places.insert(variable.key.clone(), below.len());
                below.push(variable);
            }
        }
    }
}

/// Reports variables that refer to each other in a circle.
pub(crate) fn check_circles(variables: &[Variable], node: Option<&Node>, session: &mut Session<'_>) {
    if !variables.iter().any(|variable| variable.value.contains(['$', '%'])) {
        return;
    }
    if let Err(circle) = expand_all(variables) {
        let entry = node
            .and_then(Node::as_map)
            .and_then(|map| map.iter().find(|entry| circle.0.iter().any(|name| **name == *entry.key)));
        let span = entry.map_or_else(Span::default, |entry| entry.key_span);
        session.sink.error(span, circle.to_string()).hint("break the circle, or set `expand: false` on one of them");
    }
}

struct Workflow {
    runs: bool,
    variables: Vec<Variable>,
    auto_cancel: AutoCancel,
}

fn workflow(map: &Map, variables: &[Variable], session: &mut Session<'_>) -> Workflow {
    let workflow = map.get("workflow");
    let mut auto_cancel = AutoCancel::default();
    let own = workflow.and_then(|workflow| workflow.get("auto_cancel"));
    if let Some(node) = own {
        read_auto_cancel(node, &mut auto_cancel);
    }
    let Some(list) = workflow.and_then(|workflow| workflow.get("rules")) else {
        return Workflow { runs: true, variables: Vec::new(), auto_cancel };
    };
    let known = session.known.clone();
    let scope = known.scope_with(variables);
    for rule in rules::flat(list) {
        if rules::holds(rule, &scope, &Origin::Own, session) {
            let runs = rule.get("when").and_then(Node::as_text) != Some("never");
            if let Some(node) = rule.get("auto_cancel") {
                read_auto_cancel(node, &mut auto_cancel);
            }
            return Workflow { runs, variables: self::variables(rule.get("variables"), false), auto_cancel };
        }
    }
    Workflow { runs: false, variables: Vec::new(), auto_cancel }
}

fn read_auto_cancel(node: &Node, into: &mut AutoCancel) {
    match node.get("on_new_commit").and_then(Node::as_text) {
        Some("conservative") => into.on_new_commit = OnNewCommit::Conservative,
        Some("interruptible") => into.on_new_commit = OnNewCommit::Interruptible,
        Some("none") => into.on_new_commit = OnNewCommit::None,
        _ => {}
    }
    match node.get("on_job_failure").and_then(Node::as_text) {
        Some("all") => into.on_job_failure = OnJobFailure::All,
        Some("none") => into.on_job_failure = OnJobFailure::None,
        _ => {}
    }
}

fn workflow_name(map: &Map, shared: &Shared, session: &Session<'_>) -> Option<String> {
    let name = map.get("workflow")?.get("name")?.as_text()?;
    let scope = session.known.scope_with(&shared.variables);
    let name = scope.expand(name, Unknown::Empty).trim().chars().take(NAME_CHARS_MAX).collect::<String>();
    (!name.is_empty()).then_some(name)
}

fn drafts(map: &Map, shared: &Shared, session: &mut Session<'_>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for entry in map.iter().filter(|entry| is_job(&entry.key)) {
        let Value::Map(own) = &entry.value.value else { continue };
        let length = entry.key.chars().count();
        if length > NAME_CHARS_MAX || length == 0 {
            let message = format!("a job's name must have 1 to {NAME_CHARS_MAX} characters, not {length}");
            session.sink.error(entry.key_span, message);
            continue;
        }
        Checker::new(&mut session.sink, format!("job `{}`", entry.key)).check(&entry.value, &job_shape::JOB);
        let made = job::drafts(entry, own, shared, session);
        if session.is_overdrawn() {
            session
                .sink
                .error(entry.key_span, "the jobs up to this one hold too much text together")
                .hint("let jobs share less: what stands under `default` and `variables` is there once for each job");
            break;
        }
        if drafts.len() + made.len() > DRAFTS_MAX {
            session.sink.error(entry.key_span, format!("the file defines more than {DRAFTS_MAX} jobs"));
            break;
        }
        drafts.extend(made);
    }
    report_uncarried(&drafts, session);
    drafts
}

/// Jobs of a file, whether they are in the pipeline or not.
const DRAFTS_MAX: usize = 20_000;

/// Says in one line each what is understood and not carried out.
fn report_uncarried(drafts: &[Draft], session: &mut Session<'_>) {
    const UNCARRIED: [(&str, &str); 6] = [
        ("secrets", "reads no external vault; set the value as a masked variable of the project"),
        ("identity", "hands out no cloud identity"),
        ("dast_configuration", "runs no DAST profiles"),
        ("run", "runs steps with `script` alone; the job fails at the others"),
        ("pages", "publishes no sites; the folder is kept as an artifact"),
        ("release", "creates no release pages; the job's script runs"),
    ];
    let mut said = BTreeSet::new();
    for draft in drafts {
        for (keyword, span) in &draft.keywords {
            if let Some((_, words)) = UNCARRIED.iter().find(|(known, _)| known == keyword)
                && said.insert(*keyword)
            {
                session.sink.warning(*span, format!("`{keyword}`: Serin {words}"));
            }
        }
    }
}
