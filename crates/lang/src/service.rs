//! `serin.yml`: what the service is and how it is released.

mod read;
mod shape;
mod values;

use serin_model::service::Config;

use crate::diagnostic::Sink;
use crate::load::{bounded, load};
use crate::shape::Checker;
use crate::syntax::{Node, Span, Value};
use crate::{Diagnostic, SourceFile};

/// Reads a `serin.yml`; `None` where it has errors.
#[must_use]
pub fn parse(file: &SourceFile) -> (Option<Config>, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let config = load(bounded(&file.path, &file.bytes), None, &mut sink).map(|loaded| {
        let root = Node { value: Value::Map(loaded.root), span: Span { file: loaded.file, start: 0, end: 0 } };
        Checker::new(&mut sink, "").check_root(&root, &shape::CONFIG);
        read::config(&root, &mut sink)
    });
    let failed = sink.has_errors();
    let (diagnostics, _) = sink.finish();
    (config.filter(|_| !failed), diagnostics)
}

/// What may stand in the file.
pub(crate) fn shape() -> &'static crate::shape::Shape {
    &shape::CONFIG
}

#[cfg(test)]
mod tests;
