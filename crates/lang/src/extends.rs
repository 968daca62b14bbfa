//! `extends`: bases first, left to right, the job on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Sink;
use crate::merge;
use crate::syntax::{Entry, Map, Node, Value};

/// Ancestors above one job.
const ANCESTORS_MAX: usize = 10;
/// Entries that all merges may make together.
const ENTRIES_MAX: usize = 2_000_000;

/// Merges every job with what it extends.
pub(crate) fn resolve(root: &Arc<Map>, sink: &mut Sink) -> Arc<Map> {
    if !root.iter().any(|entry| entry.value.as_map().is_some_and(|job| job.contains("extends"))) {
        return root.clone();
    }
    let mut extension = Extension { root, sink, done: BTreeMap::new(), path: Vec::new(), spent: 0 };
    Arc::new(root.with_values(|entry| match extension.job(&entry.key) {
        Some(map) => Node { value: Value::Map(map), span: entry.value.span },
        None => entry.value.clone(),
    }))
}

/// Merges one job with what it extends.
pub(crate) fn one(root: &Map, key: &str, sink: &mut Sink) -> Option<Arc<Map>> {
    Extension { root, sink, done: BTreeMap::new(), path: Vec::new(), spent: 0 }.job(key)
}

struct Extension<'r, 's> {
    root: &'r Map,
    sink: &'s mut Sink,
    done: BTreeMap<&'r str, (Arc<Map>, usize)>,
    path: Vec<&'r str>,
    spent: usize,
}

impl<'r> Extension<'r, '_> {
    /// The merged job; `None` where it is no mapping.
    fn job(&mut self, key: &str) -> Option<Arc<Map>> {
        if let Some((done, _)) = self.done.get(key) {
            return Some(done.clone());
        }
        let Entry { key, value, .. } = self.root.entry(key)?;
        let Value::Map(own) = &value.value else { return None };
        let Some(extends) = own.get("extends").filter(|node| !node.is_null()) else {
            return Some(own.clone());
        };
        if self.path.len() > ANCESTORS_MAX {
            self.too_deep(key, extends);
            return Some(own.clone());
        }
        self.path.push(key);
        let mut merged: Option<Map> = None;
        let (mut broken, mut levels) = (false, 0);
        for base in bases(extends) {
            let name = base.as_text().unwrap_or_default();
            let Some(base) = self.base(key, base) else {
                broken = true;
                continue;
            };
            levels = levels.max(self.done.get(name).map_or(0, |(_, levels)| *levels));
            self.spent = self.spent.saturating_add(base.len() + own.len());
            merged = Some(match merged {
                Some(lower) => merge::deep(&lower, &base),
                None => (*base).clone(),
            });
        }
        self.path.pop();
        if self.spent > ENTRIES_MAX {
            self.sink.error(extends.span, format!("job `{key}`: `extends` makes more than {ENTRIES_MAX} entries"));
            return Some(own.clone());
        }
        let mut result = merged.map_or_else(|| (**own).clone(), |lower| merge::deep(&lower, own));
        if !broken {
            result.remove("extends");
        }
        let result = Arc::new(result);
        if levels > ANCESTORS_MAX {
            self.too_deep(key, extends);
            levels = 0;
        }
        self.done.insert(key, (result.clone(), levels + 1));
        Some(result)
    }

    fn too_deep(&mut self, key: &str, extends: &Node) {
        let message =
            format!("job `{key}`: `extends` is nested too deep; more than {ANCESTORS_MAX} jobs stand above it");
        self.sink.error(extends.span, message).hint("merge some of them");
    }

    fn base(&mut self, key: &'r str, name: &Node) -> Option<Arc<Map>> {
        let Some(text) = name.as_text() else {
            let message = format!("job `{key}`: `extends` must be a job's name or a list of them, not {}", name.kind());
            self.sink.error(name.span, message);
            return None;
        };
        if self.path.contains(&text) {
            let chain = self.path.iter().map(|job| format!("`{job}`")).collect::<Vec<_>>().join(" → ");
            self.sink.error(name.span, format!("job `{key}`: `extends` is circular: {chain} → `{text}`"));
            return None;
        }
        let Some(base) = self.root.get(text) else {
            let hint = self.sink.did_you_mean(text, self.root.iter().map(|entry| &*entry.key));
            self.sink
                .error(name.span, format!("job `{key}`: `extends` names `{text}`, which does not exist"))
                .maybe_hint(hint);
            return None;
        };
        if base.as_map().is_none() {
            let message = format!("job `{key}`: `extends` names `{text}`, which is {}, not a mapping", base.kind());
            self.sink.error(name.span, message).related(base.span, "defined");
            return None;
        }
        self.job(text)
    }
}

fn bases(extends: &Node) -> Vec<&Node> {
    match &extends.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![extends],
    }
}
