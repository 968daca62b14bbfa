//! `!reference [job, keyword, …]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Sink;
use crate::extends;
use crate::syntax::{Map, Node, Value};

/// References that may lead to one another, and levels of nesting that they may make.
const DEPTH_MAX: usize = 50;
/// Nodes that references may add together.
const NODES_MAX: usize = 500_000;

/// Resolves every reference of the merged configuration.
pub(crate) fn resolve(root: &Arc<Map>, sink: &mut Sink) -> Arc<Map> {
    if !root.iter().any(|entry| has_reference(&entry.value)) {
        return root.clone();
    }
    let mut resolver = Resolver {
        root,
        sink,
        done: BTreeMap::new(),
        extended: BTreeMap::new(),
        path: Vec::new(),
        spent: 0,
        stopped: false,
    };
    Arc::new(root.with_values(|entry| resolver.node(&entry.value, &entry.key)))
}

fn has_reference(node: &Node) -> bool {
    match &node.value {
        Value::Reference(_) => true,
        Value::List(items) => items.iter().any(has_reference),
        Value::Map(map) => map.iter().any(|entry| has_reference(&entry.value)),
        _ => false,
    }
}

struct Resolver<'r, 's> {
    root: &'r Map,
    sink: &'s mut Sink,
    done: BTreeMap<Vec<String>, (Node, usize)>,
    /// Jobs with what they extend, where a reference has led to them.
    extended: BTreeMap<String, Node>,
    path: Vec<Vec<String>>,
    spent: usize,
    stopped: bool,
}

impl Resolver<'_, '_> {
    fn node(&mut self, node: &Node, job: &str) -> Node {
        let value = match &node.value {
            Value::Reference(items) => return self.follow(node, items, job),
            Value::List(items) if has_reference(node) => {
                Value::List(Arc::new(items.iter().map(|item| self.node(item, job)).collect()))
            }
            Value::Map(map) if has_reference(node) => {
                Value::Map(Arc::new(map.with_values(|entry| self.node(&entry.value, job))))
            }
            other => other.clone(),
        };
        Node { value, span: node.span }
    }

    fn follow(&mut self, node: &Node, items: &[Node], job: &str) -> Node {
        let nothing = Node { value: Value::Null(crate::syntax::Null::Explicit), span: node.span };
        let path: Option<Vec<String>> = items.iter().map(|item| item.as_text().map(str::to_owned)).collect();
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            self.sink
                .error(node.span, format!("`{job}`: `!reference` needs a list of keys"))
                .hint("write `!reference [.job, script]`");
            return nothing;
        };
        if self.stopped {
            return nothing;
        }
        let shown = path.join(", ");
        if let Some((value, nodes)) = self.done.get(&path).cloned() {
            return if self.spend(nodes, node) { value } else { nothing };
        }
        if self.path.contains(&path) {
            self.sink.error(
                node.span,
                format!("`{job}`: `!reference [{shown}]` leads back to itself, a circular chain of references"),
            );
            return nothing;
        }
        if self.path.len() >= DEPTH_MAX {
            self.too_deep(node, job);
            return nothing;
        }
        let Some(target) = self.dig(&path) else {
            let known = self.root.iter().map(|entry| &*entry.key).filter(|key| *key != path[0]);
            let hint = self.sink.did_you_mean(&path[0], known);
            self.sink.error(node.span, format!("`{job}`: `!reference [{shown}]` leads nowhere")).maybe_hint(hint);
            return nothing;
        };
        self.path.push(path.clone());
        let value = self.node(&target, job);
        self.path.pop();
        let (nodes, depth) = weigh(&value);
        if depth > DEPTH_MAX {
            self.too_deep(node, job);
            return nothing;
        }
        self.done.insert(path, (value.clone(), nodes));
        if self.spend(nodes, node) { value } else { nothing }
    }

    fn too_deep(&mut self, at: &Node, job: &str) {
        self.stopped = true;
        self.sink.error(at.span, format!("`{job}`: more than {DEPTH_MAX} references lead to one another"));
    }

    fn spend(&mut self, nodes: usize, at: &Node) -> bool {
        self.spent = self.spent.saturating_add(nodes);
        if self.spent > NODES_MAX && !self.stopped {
            self.stopped = true;
            self.sink.error(at.span, format!("the references expand to more than {NODES_MAX} values"));
        }
        self.spent <= NODES_MAX
    }

    /// What a path leads to.
    fn dig(&mut self, path: &[String]) -> Option<Node> {
        let (first, rest) = path.split_first()?;
        let mut at = self.entry(first)?;
        for key in rest {
            at = at.get(key)?.clone();
        }
        Some(at)
    }

    /// A root key's value; a job has the keys of what it extends too.
    fn entry(&mut self, key: &str) -> Option<Node> {
        let own = self.root.get(key).filter(|node| !node.is_null())?;
        if own.get("extends").is_none() {
            return Some(own.clone());
        }
        if let Some(known) = self.extended.get(key) {
            return Some(known.clone());
        }
        let map = extends::one(self.root, key, &mut Sink::default())?;
        let node = Node { value: Value::Map(map), span: own.span };
        self.extended.insert(key.to_owned(), node.clone());
        Some(node)
    }
}

/// Nodes and levels of a value.
fn weigh(node: &Node) -> (usize, usize) {
    let add = |(nodes, depth): (usize, usize), (more, deep): (usize, usize)| (nodes + more, depth.max(deep));
    let (nodes, depth) = match &node.value {
        Value::List(items) | Value::Reference(items) => items.iter().map(weigh).fold((0, 0), add),
        Value::Map(map) => map.iter().map(|entry| weigh(&entry.value)).fold((0, 0), add),
        _ => (0, 0),
    };
    (nodes + 1, depth + 1)
}
