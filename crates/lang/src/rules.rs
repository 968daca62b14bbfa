//! Rules of jobs, workflow and includes: which is the first that holds.

use crate::expand::Unknown;
use crate::origin::Origin;
use crate::request::{Answer, Request};
use crate::session::{Reply, Session};
use crate::syntax::{Node, Value};
use crate::variables::Scope;

/// The rules of a list that may be nested, in order.
pub(crate) fn flat(node: &Node) -> Vec<&Node> {
    let mut rules = Vec::new();
    collect(node, &mut rules);
    rules
}

fn collect<'a>(node: &'a Node, rules: &mut Vec<&'a Node>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| collect(item, rules)),
        Value::Map(_) => rules.push(node),
        _ => {}
    }
}

/// Whether a rule holds; clauses that are not there hold, and so does what had to be asked for first.
pub(crate) fn holds(rule: &Node, scope: &Scope<'_>, origin: &Origin, session: &mut Session<'_>) -> bool {
    if let Some(text) = rule.get("if").and_then(Node::as_text)
        && !expression_holds(text, scope, session)
    {
        return false;
    }
    if let Some(changes) = rule.get("changes")
        && !changes_hold(changes, scope, session)
    {
        return false;
    }
    match rule.get("exists") {
        Some(exists) => exists_holds(exists, scope, origin, session),
        None => true,
    }
}

/// Whether an expression holds; an invalid one does not.
pub(crate) fn expression_holds(text: &str, scope: &Scope<'_>, session: &mut Session<'_>) -> bool {
    session
        .sink
        .memo
        .expression(text)
        .as_ref()
        .as_ref()
        .is_ok_and(|expression| expression.holds(&|name| scope.get(name)))
}

fn paths(node: &Node, scope: &Scope<'_>) -> Vec<String> {
    let list = node.get("paths").unwrap_or(node);
    list.flat_texts().iter().map(|path| scope.expand(path, Unknown::Keep)).collect()
}

/// Whether `changes` holds.
pub(crate) fn changes_hold(node: &Node, scope: &Scope<'_>, session: &mut Session<'_>) -> bool {
    let patterns = paths(node, scope);
    let changed = match node.get("compare_to").and_then(Node::as_text) {
        None => session.context.changed_files.clone(),
        Some(reference) => {
            let reference = scope.expand(reference, Unknown::Empty);
            match session.ask(Request::ChangedFilesAgainst { reference: reference.clone() }) {
                Reply::Asked => None,
                Reply::Given(Answer::Changes(changed)) => changed.clone(),
                Reply::Given(_) => {
                    let message =
                        format!("`changes:compare_to` names `{reference}`, which is no known branch, tag or commit");
                    session.sink.error(node.span, message);
                    None
                }
            }
        }
    };
    changed.is_none_or(|changed| session.any_match(&patterns, &changed))
}

fn exists_holds(node: &Node, scope: &Scope<'_>, origin: &Origin, session: &mut Session<'_>) -> bool {
    let patterns = paths(node, scope);
    let request = match node.get("project").and_then(Node::as_text) {
        Some(project) => {
            let reference = node.get("ref").and_then(Node::as_text).map(|text| scope.expand(text, Unknown::Empty));
            Some(Request::TreeListing { project: Some(scope.expand(project, Unknown::Empty)), reference })
        }
        None => origin.listing(),
    };
    let Some(request) = request else { return false };
    match session.ask(request) {
        Reply::Asked => true,
        Reply::Given(Answer::Files(files)) => session.any_match(&patterns, files),
        Reply::Given(answer) => {
            if let (Some(project), Answer::Missing(why)) = (node.get("project"), answer) {
                let message = format!(
                    "`exists:project` names `{}`, which cannot be read: {why}",
                    project.as_text().unwrap_or_default()
                );
                session.sink.error(project.span, message);
            }
            false
        }
    }
}
