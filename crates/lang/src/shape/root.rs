//! Keywords of the root.

use super::include::{AUTO_CANCEL, INCLUDE, SPEC, WORKFLOW_RULES};
use super::job::{JOB, RETRY, TAGS};
use super::runner::{ARTIFACTS, CACHE, DURATION, HOOKS, ID_TOKENS, IDENTITY, IMAGE, OPTIONAL_SCRIPT, SCALAR, SERVICES};
use super::{BOOL, Checker, Empty, FILLED, List, NOTHING, Nested, Object, Shape, TEXT, checks, mapping, object};
use crate::compile::STAGES_MAX;
use crate::diagnostic::Sink;
use crate::syntax::Node;

/// `default`.
pub(crate) const DEFAULT: Shape = object(
    &[
        ("after_script", &OPTIONAL_SCRIPT),
        ("artifacts", &ARTIFACTS),
        ("before_script", &OPTIONAL_SCRIPT),
        ("cache", &CACHE),
        ("hooks", &HOOKS),
        ("id_tokens", &ID_TOKENS),
        ("identity", &IDENTITY),
        ("image", &IMAGE),
        ("interruptible", &BOOL),
        ("retry", &RETRY),
        ("services", &SERVICES),
        ("tags", &TAGS),
        ("timeout", &DURATION),
    ],
    &[],
);
const OPTIONS: Shape = Shape {
    what: "a list of texts",
    list: Some(List { item: &SCALAR, empty: Empty::Doubtful, max: usize::MAX, nested: Nested::No }),
    ..NOTHING
};
const GLOBAL_VARIABLE: Shape = Shape {
    what: "a text, or a mapping with `value`, `description`, `options` and `expand`",
    map: Some(Object {
        keys: &[("value", &SCALAR), ("description", &TEXT), ("options", &OPTIONS), ("expand", &BOOL)],
        rest: None,
        required: &[],
    }),
    check: Some(checks::global_variable),
    ..SCALAR
};
const STAGES: Shape = Shape {
    what: "a list of texts",
    list: Some(List { item: &TEXT, empty: Empty::Doubtful, max: STAGES_MAX, nested: Nested::Yes }),
    ..NOTHING
};
const WORKFLOW: Shape = object(
    &[
        ("name", &Shape { check: Some(checks::pipeline_name), ..FILLED }),
        ("rules", &WORKFLOW_RULES),
        ("auto_cancel", &AUTO_CANCEL),
    ],
    &[],
);

/// Root keys that are no jobs, with their shapes.
pub(crate) const KEYS: &[(&str, &Shape)] = &[
    ("default", &DEFAULT),
    ("include", &INCLUDE),
    ("stages", &STAGES),
    ("variables", &mapping(&GLOBAL_VARIABLE)),
    ("workflow", &WORKFLOW),
    ("spec", &SPEC),
    ("image", &IMAGE),
    ("services", &SERVICES),
    ("cache", &CACHE),
    ("before_script", &OPTIONAL_SCRIPT),
    ("after_script", &OPTIONAL_SCRIPT),
];

/// The shape of a root key that is no job.
pub(crate) fn shape(key: &str) -> Option<&'static Shape> {
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, shape)| *shape)
}

/// Checks a root key: a keyword of the root, or a job. Hidden keys may hold anything.
pub(crate) fn check_key(key: &str, node: &Node, sink: &mut Sink) {
    if let Some(shape) = shape(key) {
        Checker::new(sink, "").key(key, node, shape);
    } else if !key.starts_with('.') {
        Checker::new(sink, format!("job `{key}`")).check(node, &JOB);
    }
}
