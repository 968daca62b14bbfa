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
        Some(node) => {
            let names_refs = node.as_map().is_none() || node.get("refs").is_some_and(|refs| !refs.is_null());
            (names_refs || is_branch_or_tag(session)) && clauses(node, scope, session).into_iter().all(|holds| holds)
        }
        None => has_workflow_rules || is_branch_or_tag(session),
    };
    let except_holds = except.is_some_and(|node| clauses(node, scope, session).into_iter().any(|holds| holds));
    only_holds && !except_holds
}

/// What `only` means where it names no refs.
fn is_branch_or_tag(session: &Session<'_>) -> bool {
    !session.context.is_merge_request()
}

/// Each key of a filter: refs, variables, changes.
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
    match text {
        "branches" => context.tag.is_none() && !context.is_merge_request(),
        "tags" => context.tag.is_some(),
        _ => is_source(text, context.source) || name_holds(text, session),
    }
}

/// A source by its word, in the singular or the plural, without `_event`: `push`, `merge_requests`.
fn is_source(text: &str, source: PipelineSource) -> bool {
    let word = source.as_str().trim_end_matches("_event");
    let plural = if word.ends_with("sh") { "es" } else { "s" };
    text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest == plural)
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
