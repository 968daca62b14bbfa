//! `trigger`.

use serin_model::plan::{Trigger, TriggerInclude, TriggerSource};

use crate::expand::Unknown;
use crate::inputs;
use crate::syntax::{Map, Node};
use crate::variables::Scope;

/// The downstream pipeline of a job.
pub(super) fn parse(node: &Node, scope: &Scope<'_>) -> Trigger {
    let text = |key: &str| node.get(key).and_then(Node::as_text).map(|text| scope.expand(text, Unknown::Empty));
    let forward = |key: &str| node.get("forward").and_then(|forward| forward.get(key)).and_then(Node::as_bool);
    let project = node.as_text().map(|text| scope.expand(text, Unknown::Empty)).or_else(|| text("project"));
    Trigger {
        project,
        branch: text("branch"),
        include: node.get("include").map(|include| includes(include, scope)).unwrap_or_default(),
        strategy: text("strategy"),
        forward_yaml_variables: forward("yaml_variables").unwrap_or(true),
        forward_pipeline_variables: forward("pipeline_variables").unwrap_or(false),
        inputs: given(node),
    }
}

fn given(node: &Node) -> Vec<(String, String)> {
    let entries = node.get("inputs").and_then(Node::as_map).into_iter().flat_map(Map::iter);
    entries.map(|entry| (entry.key.to_string(), inputs::json(&entry.value))).collect()
}

fn includes(node: &Node, scope: &Scope<'_>) -> Vec<TriggerInclude> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    items.iter().filter_map(|item| Some(TriggerInclude { source: source(item, scope)?, inputs: given(item) })).collect()
}

fn source(item: &Node, scope: &Scope<'_>) -> Option<TriggerSource> {
    let text = |key: &str| item.get(key).and_then(Node::as_text).map(|text| scope.expand(text, Unknown::Empty));
    let clean = |path: String| path.trim_start_matches('/').to_owned();
    if let Some(path) = item.as_text() {
        let path = scope.expand(path, Unknown::Empty);
        let remote = path.starts_with("http://") || path.starts_with("https://");
        return Some(if remote { TriggerSource::Remote(path) } else { TriggerSource::Local(clean(path)) });
    }
    if let Some(path) = text("local") {
        return Some(TriggerSource::Local(clean(path)));
    }
    if let (Some(path), Some(job)) = (text("artifact"), text("job")) {
        return Some(TriggerSource::Artifact { path: clean(path), job });
    }
    if let (Some(project), Some(file)) = (text("project"), text("file")) {
        return Some(TriggerSource::Project { project, file: clean(file), reference: text("ref") });
    }
    text("template")
        .map(TriggerSource::Template)
        .or_else(|| text("component").map(TriggerSource::Component))
        .or_else(|| text("remote").map(TriggerSource::Remote))
}
