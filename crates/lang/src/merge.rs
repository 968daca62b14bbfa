//! The deep merge of includes and `extends`: mappings key by key, everything else replaced.

use std::sync::Arc;

use crate::syntax::{Entry, Map, Node, Value};

/// `upper` over `lower`; keys that are there keep their place.
pub(crate) fn deep(lower: &Map, upper: &Map) -> Map {
    let mut merged = lower.clone();
    for entry in upper.iter() {
        let value = match merged.get(&entry.key) {
            Some(below) => node(below, &entry.value),
            None => entry.value.clone(),
        };
        merged.set(Entry { key: entry.key.clone(), key_span: entry.key_span, value });
    }
    merged
}

fn node(lower: &Node, upper: &Node) -> Node {
    match (&lower.value, &upper.value) {
        (Value::Map(below), Value::Map(above)) => {
            Node { value: Value::Map(Arc::new(deep(below, above))), span: upper.span }
        }
        _ => upper.clone(),
    }
}
