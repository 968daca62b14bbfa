//! `needs` and `dependencies`: names to jobs of the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::compile::Shared;
use crate::job::{Draft, matrix_names};
use crate::session::Session;
use crate::suggest;
use crate::syntax::{Map, Node, Span, Value};

/// Jobs that one job may need.
const NEEDS_MAX: usize = 50;

/// Jobs of other projects that one job may need.
const PROJECTS_MAX: usize = 5;

/// One entry of `needs`.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    job: Option<String>,
    artifacts: bool,
    optional: bool,
    matrix: Option<Node>,
    foreign: bool,
    project: bool,
    span: Span,
}

impl Need {
    /// Whether it only mirrors another pipeline.
    pub fn is_mirror(&self) -> bool {
        self.foreign && self.job.is_none()
    }
}

/// The entries of `needs`, nested lists flattened.
pub(crate) fn flat(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(flat).collect(),
        Value::Null(_) => Vec::new(),
        _ => vec![node],
    }
}

/// Reads `needs`.
pub(crate) fn parse(node: &Node) -> Vec<Need> {
    flat(node).into_iter().map(need).collect()
}

fn need(node: &Node) -> Need {
    let flag = |key: &str, default: bool| node.get(key).and_then(Node::as_bool).unwrap_or(default);
    Need {
        job: node.as_text().or_else(|| node.get("job").and_then(Node::as_text)).map(str::to_owned),
        artifacts: flag("artifacts", true),
        optional: flag("optional", false),
        matrix: node.get("parallel").and_then(|parallel| parallel.get("matrix")).cloned(),
        foreign: node.get("project").is_some() || node.get("pipeline").is_some(),
        project: node.get("project").is_some(),
        span: node.span,
    }
}

/// The jobs by the name that copies share, and copies by their own.
struct Names {
    instances: BTreeMap<String, usize>,
    /// The copies of a job stand side by side.
    groups: BTreeMap<Arc<str>, Range<usize>>,
}

impl Names {
    fn of(drafts: &[Draft]) -> Self {
        let mut names = Self { instances: BTreeMap::new(), groups: BTreeMap::new() };
        for (at, draft) in drafts.iter().enumerate() {
            if *draft.job.name != *draft.group {
                names.instances.insert(draft.job.name.clone(), at);
            }
            names.groups.entry(draft.group.clone()).or_insert(at..at).end = at + 1;
        }
        names
    }

    fn instance(&self, name: &str) -> Option<usize> {
        self.instances.get(name).copied().or_else(|| self.groups.get(name)?.clone().last())
    }

    fn find(&self, name: &str) -> Option<Range<usize>> {
        self.groups.get(name).cloned().or_else(|| self.instances.get(name).map(|at| *at..at + 1))
    }
}

/// Fills in what each job waits for; whatever does not lead anywhere is reported.
pub(crate) fn resolve(drafts: &mut [Draft], shared: &Shared, session: &mut Session<'_>) {
    let names = Names::of(drafts);
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    for at in 0..drafts.len() {
        if let Some(own) = drafts[at].own_needs.clone() {
            targets(drafts, at, &own, (&names, shared), session);
        }
        if let Some(needs) = drafts[at].needs.clone() {
            let found = targets(drafts, at, &needs, (&names, shared), session);
            edges[at] = found.iter().map(|(target, _)| *target).collect();
            wait_for(drafts, at, found, session);
        }
        depend_on(drafts, at, (&names, shared), session);
    }
    report_circles(drafts, &edges, session);
}

/// The jobs that entries of `needs` name, with the entry of each.
fn targets(
    drafts: &[Draft],
    at: usize,
    needs: &[Need],
    (names, shared): (&Names, &Shared),
    session: &mut Session<'_>,
) -> Vec<(usize, Need)> {
    let draft = &drafts[at];
    let projects = needs.iter().filter(|need| need.project).count();
    if projects > PROJECTS_MAX {
        let message = format!(
            "job `{}`: needs {projects} jobs of other projects; at most {PROJECTS_MAX} are allowed",
            draft.group
        );
        session.sink.error(draft.span, message);
    }
    let mut found: Vec<(usize, Need)> = Vec::new();
    let mut known = BTreeSet::new();
    for need in needs.iter().filter(|need| !need.foreign) {
        let Some(name) = need.job.as_deref() else { continue };
        for target in instances_of(draft, need, name, names, session) {
            if drafts[target].job.stage > draft.job.stage && draft.placed {
                let stages = (&shared.stages[drafts[target].job.stage], &shared.stages[draft.job.stage]);
                let message = format!(
                    "job `{}`: needs `{name}`, whose stage `{}` comes after `{}`",
                    draft.group, stages.0, stages.1
                );
                session.sink.error(need.span, message).hint("a job can only need jobs of its own or an earlier stage");
            } else if known.insert(target) {
                found.push((target, need.clone()));
            }
            if found.len() > NEEDS_MAX {
                let message = format!("job `{}`: needs more than {NEEDS_MAX} jobs", draft.group);
                session.sink.error(needs.first().map_or(draft.span, |need| need.span), message);
                return found;
            }
        }
    }
    found
}

fn instances_of(draft: &Draft, need: &Need, name: &str, names: &Names, session: &mut Session<'_>) -> Vec<usize> {
    let group = &draft.group;
    let Some(all) = names.find(name) else {
        if !need.optional {
            let known = names.groups.keys().map(|name| &**name);
            let hint = session.sink.did_you_mean(name, known);
            session
                .sink
                .error(need.span, format!("job `{group}`: needs `{name}`, which is not defined"))
                .maybe_hint(hint);
        }
        return Vec::new();
    };
    let Some(matrix) = &need.matrix else { return all.collect() };
    let Some(matrix) = with_own_values(matrix, draft, session) else { return Vec::new() };
    let Some(wanted) = matrix_names(name, &matrix) else {
        session.sink.error(need.span, format!("job `{group}`: the matrix in `needs` makes too many names"));
        return Vec::new();
    };
    let mut found = Vec::new();
    for name in wanted {
        match names.instance(&name) {
            Some(at) => found.push(at),
            None if need.optional => {}
            None => {
                session
                    .sink
                    .error(need.span, format!("job `{group}`: needs `{name}`, which does not exist"))
                    .hint("name every key of the other job's matrix, in its order, with values that it has");
            }
        }
    }
    found
}

/// Replaces `$[[ matrix.KEY ]]` by the job's own value; `None` where it has none, which has been reported.
fn with_own_values(node: &Node, draft: &Draft, session: &mut Session<'_>) -> Option<Node> {
    let value = match &node.value {
        Value::Text(text) if text.contains("$[[") => Value::Text(own_text(text, node.span, draft, session)?.into()),
        Value::List(items) => {
            let items: Option<Vec<Node>> = items.iter().map(|item| with_own_values(item, draft, session)).collect();
            Value::List(items?.into())
        }
        Value::Map(map) => {
            let mut out = Map::default();
            for entry in map.iter() {
                let value = with_own_values(&entry.value, draft, session)?;
                out.set(crate::syntax::Entry { value, ..entry.clone() });
            }
            Value::Map(out.into())
        }
        other => other.clone(),
    };
    Some(Node { value, span: node.span })
}

fn own_text(text: &str, span: Span, draft: &Draft, session: &mut Session<'_>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("$[[") {
        let Some(end) = rest[start..].find("]]").map(|at| start + at) else { break };
        let access = rest[start + 3..end].trim();
        let key = access.strip_prefix("matrix.").unwrap_or(access);
        let Some((_, value)) = draft.matrix.iter().find(|(known, _)| known == key) else {
            let hint = suggest::hint(key, draft.matrix.iter().map(|(key, _)| key.as_str()));
            let message = format!("job `{}`: `{key}` does not exist in the job's own matrix", draft.group);
            session.sink.error(span, message).hint(hint);
            return None;
        };
        out.push_str(&rest[..start]);
        out.push_str(value);
        rest = &rest[end + 2..];
    }
    out.push_str(rest);
    Some(out)
}

/// Puts needs into the plan; a needed job that is not in the pipeline must be optional.
fn wait_for(drafts: &mut [Draft], at: usize, found: Vec<(usize, Need)>, session: &mut Session<'_>) {
    let mut needs = Vec::new();
    for (target, need) in found {
        let job = drafts[target].job.name.clone();
        if drafts[target].included {
            needs.push(serin_model::plan::Need { job, artifacts: need.artifacts });
        } else if !need.optional && drafts[at].included {
            let message = format!("job `{}` needs `{job}`, but `{job}` is not in this pipeline", drafts[at].job.name);
            session
                .sink
                .error(need.span, message)
                .related(drafts[target].span, "its rules leave it out")
                .hint("give both the same rules, or write `optional: true`");
        }
    }
    drafts[at].job.needs = Some(needs);
}

fn depend_on(drafts: &mut [Draft], at: usize, (names, shared): (&Names, &Shared), session: &mut Session<'_>) {
    let Some((listed, span)) = drafts[at].dependencies.clone() else { return };
    let (group, stage) = (drafts[at].group.clone(), drafts[at].job.stage);
    let mut dependencies = Vec::new();
    for name in listed {
        let Some(targets) = names.find(&name) else {
            let hint = session.sink.did_you_mean(&name, names.groups.keys().map(|name| &**name));
            session
                .sink
                .error(span, format!("job `{group}`: `dependencies` names `{name}`, which is not defined"))
                .maybe_hint(hint);
            continue;
        };
        if drafts[at].placed && targets.clone().any(|target| drafts[target].job.stage > stage) {
            let later = &shared.stages[drafts[targets.start].job.stage];
            session.sink.error(
                span,
                format!("job `{group}`: `dependencies` names `{name}`, whose stage `{later}` comes later"),
            );
        }
        // A job that needs nothing downloads nothing, whatever it lists.
        if let Some(needs) = drafts[at].needs.as_ref().filter(|needs| !needs.is_empty()) {
            let needed = needs
                .iter()
                .any(|need| need.job.as_ref().is_some_and(|job| *job == name || *drafts[targets.start].group == **job));
            if !needed && drafts[at].own_needs.is_none() {
                session
                    .sink
                    .error(
                        span,
                        format!("job `{group}`: `dependencies` names `{name}`, which is not part of its `needs`"),
                    )
                    .hint(format!("add `{name}` to `needs`"));
            }
        }
        dependencies
            .extend(targets.filter(|target| drafts[*target].included).map(|target| drafts[target].job.name.clone()));
    }
    drafts[at].job.dependencies = Some(dependencies);
}

/// Takes jobs away whose needs are gone, until none is left or a circle is.
fn report_circles(drafts: &[Draft], edges: &[Vec<usize>], session: &mut Session<'_>) {
    let mut waiting: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (at, targets) in edges.iter().enumerate() {
        for target in targets {
            needed_by[*target].push(at);
        }
    }
    let mut ready: Vec<usize> = (0..edges.len()).filter(|at| waiting[*at] == 0).collect();
    let mut gone = 0;
    while let Some(at) = ready.pop() {
        gone += 1;
        for next in &needed_by[at] {
            waiting[*next] -= 1;
            if waiting[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    if gone == edges.len() {
        return;
    }
    let Some(start) = (0..edges.len()).find(|at| waiting[*at] > 0) else { return };
    let mut path = vec![start];
    loop {
        let last = path[path.len() - 1];
        let Some(next) = edges[last].iter().copied().find(|target| waiting[*target] > 0) else { return };
        if let Some(from) = path.iter().position(|at| *at == next) {
            let names: Vec<String> =
                path[from..].iter().chain([&next]).map(|at| format!("`{}`", drafts[*at].job.name)).collect();
            let message = format!("the needs of jobs are circular: {}", names.join(" → "));
            session.sink.error(drafts[next].span, message).hint("take one of these needs out");
            return;
        }
        path.push(next);
    }
}
