//! Checks parts of a pipeline file by the shapes of their keywords alone.

use crate::diagnostic::Sink;
use crate::load::{bounded, load};
use crate::shape::root::check_key;
use crate::{Diagnostic, SourceFile};

/// Checks the root keys that are wanted.
pub(crate) fn check(file: &SourceFile, wanted: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let mut sink = Sink::default();
    if let Some(loaded) = load(bounded(&file.path, &file.bytes), None, &mut sink) {
        for entry in loaded.root.iter().filter(|entry| wanted(&entry.key)) {
            check_key(&entry.key, &entry.value, &mut sink);
        }
    }
    sink.finish().0
}

/// Checks the value of each root key as a file.
pub(crate) fn each(file: &SourceFile) -> Vec<(String, Vec<Diagnostic>)> {
    let mut parsed = Sink::default();
    let Some(loaded) = load(bounded(&file.path, &file.bytes), None, &mut parsed) else { return Vec::new() };
    let mut fragments = Vec::new();
    for entry in loaded.root.iter() {
        let mut sink = parsed.clone();
        for inner in entry.value.as_map().into_iter().flat_map(crate::syntax::Map::iter) {
            check_key(&inner.key, &inner.value, &mut sink);
        }
        fragments.push((entry.key.to_string(), sink.finish().0));
    }
    fragments
}
