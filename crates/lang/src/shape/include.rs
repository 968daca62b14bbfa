//! `include`, rules of all kinds, inputs.

use super::runner::{PLAIN_VARIABLES, SCALAR, START_IN};
use super::{
    ANYTHING, BOOL, Empty, FILLED, List, NOTHING, Nested, Object, Shape, TEXT, Text, checks, choice, list, mapping,
    object,
};

/// Entries of `changes` and of `exists`.
const PATHS_MAX: usize = 50;

const PATHS: Shape = Shape {
    what: "a list of paths",
    list: Some(List { item: &TEXT, empty: Empty::Doubtful, max: PATHS_MAX, nested: Nested::Yes }),
    ..NOTHING
};
/// `changes`.
pub(crate) const CHANGES: Shape = Shape {
    what: "a list of paths, or a mapping with `paths`",
    list: PATHS.list,
    map: Some(Object { keys: &[("paths", &PATHS), ("compare_to", &FILLED)], rest: None, required: &["paths"] }),
    ..NOTHING
};
/// `exists`.
pub(crate) const EXISTS: Shape = Shape {
    what: "a list of paths, or a mapping with `paths`",
    list: PATHS.list,
    map: Some(Object {
        keys: &[("paths", &PATHS), ("project", &FILLED), ("ref", &FILLED)],
        rest: None,
        required: &["paths"],
    }),
    check: Some(checks::exists),
    ..NOTHING
};
/// `if`.
pub(crate) const IF: Shape =
    Shape { what: "an expression", text: Some(Text::Filled), check: Some(checks::expression), ..NOTHING };
const ALWAYS_OR_NEVER: Shape = choice("`always` or `never`", &["always", "never"]);

const fn rules(item: &'static Shape) -> Shape {
    Shape {
        what: "a list of rules",
        list: Some(List { item, empty: Empty::Wrong, max: usize::MAX, nested: Nested::Yes }),
        ..NOTHING
    }
}

/// `rules` of a job.
pub(crate) const JOB_RULES: Shape = rules(&Shape {
    what: "a rule",
    check: Some(checks::rule),
    ..object(
        &[
            ("if", &IF),
            ("changes", &CHANGES),
            ("exists", &EXISTS),
            ("when", &choice("a moment", &["on_success", "on_failure", "always", "never", "manual", "delayed"])),
            ("start_in", &START_IN),
            ("allow_failure", &super::job::ALLOW_FAILURE),
            ("variables", &PLAIN_VARIABLES),
            ("needs", &super::job::RULE_NEEDS),
            ("interruptible", &BOOL),
        ],
        &[],
    )
});
/// `workflow:auto_cancel`.
pub(crate) const AUTO_CANCEL: Shape = object(
    &[
        ("on_new_commit", &choice("what is cancelled", &["conservative", "interruptible", "none"])),
        ("on_job_failure", &choice("what is cancelled", &["none", "all"])),
    ],
    &[],
);
/// `workflow:rules`.
pub(crate) const WORKFLOW_RULES: Shape = rules(&Shape {
    check: Some(checks::filled_rule),
    ..object(
        &[
            ("if", &IF),
            ("changes", &CHANGES),
            ("exists", &EXISTS),
            ("when", &ALWAYS_OR_NEVER),
            ("variables", &PLAIN_VARIABLES),
            ("auto_cancel", &AUTO_CANCEL),
        ],
        &[],
    )
});
/// `include:rules`.
const INCLUDE_RULES: Shape = rules(&Shape {
    check: Some(checks::filled_rule),
    ..object(&[("if", &IF), ("changes", &CHANGES), ("exists", &EXISTS), ("when", &ALWAYS_OR_NEVER)], &[])
});

/// Values of inputs.
pub(crate) const INPUT_VALUES: Shape = Shape { check: Some(checks::input_names), ..mapping(&ANYTHING) };
const PROJECT: Shape =
    Shape { what: "a project's path", text: Some(Text::Filled), check: Some(checks::project_path), ..NOTHING };
/// A project's path.
pub(crate) const PROJECT_PATH: Shape = PROJECT;
/// The path of an included file, or an address of one.
const PATH: Shape = Shape { check: Some(checks::yaml_path), ..FILLED };
const REMOTE: Shape = Shape { check: Some(checks::remote), ..FILLED };
const FILE: Shape = Shape {
    what: "a path or a list of paths",
    list: Some(List { item: &PATH, empty: Empty::Wrong, max: usize::MAX, nested: Nested::No }),
    ..PATH
};

const ITEM: Shape = Shape {
    what: "a path, an address, or a mapping",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("local", &PATH),
            ("project", &PROJECT),
            ("file", &FILE),
            ("ref", &FILLED),
            ("remote", &REMOTE),
            ("integrity", &FILLED),
            ("cache", &SCALAR),
            ("template", &PATH),
            ("component", &FILLED),
            ("inputs", &INPUT_VALUES),
            ("rules", &INCLUDE_RULES),
        ],
        rest: None,
        required: &[],
    }),
    check: Some(checks::include_source),
    ..NOTHING
};
/// `include`.
pub(crate) const INCLUDE: Shape = Shape {
    what: "a path, a mapping, or a list of them",
    list: Some(List { item: &ITEM, empty: Empty::Fine, max: usize::MAX, nested: Nested::Yes }),
    ..ITEM
};
const TRIGGER_ITEM: Shape = Shape {
    map: Some(Object {
        keys: &[
            ("local", &PATH),
            ("project", &PROJECT),
            ("file", &PATH),
            ("ref", &FILLED),
            ("remote", &REMOTE),
            ("template", &PATH),
            ("component", &FILLED),
            ("artifact", &PATH),
            ("job", &FILLED),
            ("inputs", &INPUT_VALUES),
        ],
        rest: None,
        required: &[],
    }),
    ..ITEM
};
/// `trigger:include`.
pub(crate) const TRIGGER_INCLUDE: Shape = Shape {
    what: "a path, a mapping, or a list of at most three",
    list: Some(List { item: &TRIGGER_ITEM, empty: Empty::Wrong, max: 3, nested: Nested::No }),
    ..TRIGGER_ITEM
};

const TYPES: Shape = choice("a type of input", &["string", "number", "boolean", "array"]);
const OPTIONS: Shape = Shape {
    what: "a list of values",
    list: Some(List { item: &SCALAR, empty: Empty::Fine, max: 50, nested: Nested::No }),
    ..NOTHING
};
const INPUT_RULE: Shape = Shape {
    check: Some(checks::input_rule),
    ..object(&[("if", &IF), ("options", &OPTIONS), ("default", &ANYTHING)], &[])
};
/// One of `spec:inputs`.
const SPEC_INPUT: Shape = Shape {
    what: "a mapping",
    check: Some(checks::spec_input),
    ..object(
        &[
            ("type", &TYPES),
            ("default", &ANYTHING),
            ("description", &TEXT),
            ("options", &OPTIONS),
            ("regex", &TEXT),
            ("rules", &rules(&INPUT_RULE)),
        ],
        &[],
    )
};
/// `inputs` of a job.
pub(crate) const JOB_INPUTS: Shape = mapping(&Shape {
    check: Some(checks::job_input),
    ..object(
        &[("type", &TYPES), ("default", &ANYTHING), ("description", &TEXT), ("options", &OPTIONS), ("regex", &TEXT)],
        &[],
    )
});
const SPEC_INCLUDE_ITEM: Shape = Shape {
    what: "a path or a mapping",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("local", &PATH),
            ("project", &PROJECT),
            ("file", &FILE),
            ("ref", &FILLED),
            ("remote", &REMOTE),
            ("integrity", &FILLED),
        ],
        rest: None,
        required: &[],
    }),
    check: Some(checks::include_source),
    ..NOTHING
};
const SPEC_INCLUDE: Shape = Shape {
    what: "a list of files",
    list: Some(List { item: &SPEC_INCLUDE_ITEM, empty: Empty::Fine, max: usize::MAX, nested: Nested::No }),
    ..SPEC_INCLUDE_ITEM
};
const COMPONENT: Shape = Shape {
    what: "a list of words",
    list: Some(List {
        item: &choice("a fact about the component", &["name", "sha", "version", "reference"]),
        empty: Empty::Fine,
        max: 4,
        nested: Nested::No,
    }),
    ..NOTHING
};
/// `spec`.
pub(crate) const SPEC: Shape = object(
    &[
        ("inputs", &mapping(&SPEC_INPUT)),
        ("include", &SPEC_INCLUDE),
        ("component", &COMPONENT),
        ("description", &Shape { check: Some(checks::description), ..TEXT }),
    ],
    &[],
);
const REFS: Shape = Shape { what: "a list of refs", ..list(&Shape { check: Some(checks::reference), ..TEXT }) };
/// `only` and `except` as a mapping or a list.
pub(crate) const FILTER: Shape = Shape {
    what: "a list of refs, or a mapping",
    list: REFS.list,
    map: Some(Object {
        keys: &[
            ("refs", &REFS),
            (
                "variables",
                &Shape {
                    what: "a list of expressions",
                    list: Some(List { item: &IF, empty: Empty::Fine, max: usize::MAX, nested: Nested::No }),
                    ..NOTHING
                },
            ),
            ("changes", &CHANGES),
            ("kubernetes", &choice("a state", &["active"])),
        ],
        rest: None,
        required: &[],
    }),
    ..NOTHING
};
