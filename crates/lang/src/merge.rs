//! The deep merge of includes and `extends`: mappings key by key, everything else replaced.

use std::sync::Arc;

use crate::syntax::{Map, Node, Value};

/// `upper` over `lower`; keys that are there keep their place.
pub(crate) fn deep(lower: &Map, upper: &Map) -> Map {
    let mut merged = lower.with_room(upper.len());
    for entry in upper.iter() {
        match merged.entry_mut(&entry.key) {
            Some(below) => {
                below.key_span = entry.key_span;
                below.value = node(&below.value, &entry.value);
            }
            None => merged.add(entry.clone()),
        }
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
