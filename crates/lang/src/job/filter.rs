//! `only` and `except`.

use crate::context::PipelineSource;
use crate::rules;
use crate::session::Session;
use crate::syntax::{Map, Node};
use crate::variables::Scope;

/// Whether `only` and `except` let a job into the pipeline.
pub(super) fn included(map: &Map, has_workflow_rules: bool, scope: &Scope<'_>, session: &mut Session<'_>) -> bool {
    let only = map.get("only").filter(|node| !node.is_null());
    let except = map.get("except").filter(|node| !node.is_null());
    let only_holds = match only {
        Some(node) => clauses(node, scope, session).into_iter().all(|holds| holds),
        None if except.is_none() && has_workflow_rules => true,
        None => !session.context.is_merge_request(),
    };
    let except_holds = except.is_some_and(|node| clauses(node, scope, session).into_iter().any(|holds| holds));
    only_holds && !except_holds
}

/// Each key of a filter: refs, variables, changes. A mapping without `refs` in `only` means branches and tags.
fn clauses(node: &Node, scope: &Scope<'_>, session: &mut Session<'_>) -> Vec<bool> {
    if node.as_map().is_none() {
        let refs = node.flat_texts();
        return vec![refs.iter().any(|reference| ref_holds(reference, session))];
    }
    let mut clauses = Vec::new();
    if let Some(refs) = node.get("refs") {
        clauses.push(refs.flat_texts().iter().any(|reference| ref_holds(reference, session)));
    }
    if let Some(list) = node.get("variables") {
        clauses.push(list.flat_texts().iter().any(|text| rules::expression_holds(text, scope, session)));
    }
    if let Some(changes) = node.get("changes") {
        clauses.push(rules::changes_hold(changes, scope, session));
    }
    if node.get("kubernetes").is_some() {
        clauses.push(scope.get("CI_KUBERNETES_ACTIVE") == Some("true"));
    }
    clauses
}

fn ref_holds(text: &str, session: &mut Session<'_>) -> bool {
    let context = session.context;
    let (text, project) = match text.rsplit_once('@') {
        Some((text, project)) if !project.ends_with('/') && project.contains('/') && !text.is_empty() => {
            (text, Some(project))
        }
        _ => (text, None),
    };
    if project.is_some_and(|project| project != context.project) {
        return false;
    }
    let source = context.source;
    match text {
        "branches" => context.tag.is_none() && !context.is_merge_request(),
        "tags" => context.tag.is_some(),
        "merge_requests" => context.is_merge_request(),
        "pushes" => source == PipelineSource::Push,
        "schedules" => source == PipelineSource::Schedule,
        "triggers" => source == PipelineSource::Trigger,
        "web" => source == PipelineSource::Web,
        "api" => source == PipelineSource::Api,
        "pipelines" => source == PipelineSource::Pipeline,
        "chat" => source == PipelineSource::Chat,
        "external" => source == PipelineSource::External,
        "external_pull_requests" => source == PipelineSource::ExternalPullRequestEvent,
        _ => name_holds(text, session),
    }
}

fn name_holds(text: &str, session: &mut Session<'_>) -> bool {
    let context = session.context;
    if context.is_merge_request() {
        return false;
    }
    match session.sink.memo.pattern(text) {
        Some(regex) => regex.is_match(context.ref_name()),
        None => text == context.ref_name(),
    }
}
