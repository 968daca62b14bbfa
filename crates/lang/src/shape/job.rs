//! Keywords of jobs.

use super::include::{FILTER, INPUT_VALUES, JOB_INPUTS, JOB_RULES, PROJECT_PATH, TRIGGER_INCLUDE};
use super::runner::{
    ARTIFACTS, CACHE, DURATION, DURATION_OR_NEVER, HOOKS, ID_TOKENS, IDENTITY, IMAGE, OPTIONAL_SCRIPT, SCALAR, SCRIPT,
    SECRETS, SERVICES, START_IN,
};
use super::{
    ANYTHING, BOOL, Empty, FILLED, List, NOTHING, Nested, Object, SOME_TEXTS, Shape, TEXT, TEXTS, Text, checks, choice,
    list, mapping, object,
};

const EXIT_CODE: Shape = Shape { what: "an exit code", number: Some((0, 255)), ..NOTHING };
const EXIT_CODES: Shape = Shape {
    what: "an exit code or a list of them",
    list: Some(List { item: &EXIT_CODE, empty: Empty::Doubtful, max: checks::EXIT_CODES_MAX, nested: Nested::No }),
    check: Some(checks::distinct),
    ..EXIT_CODE
};
/// `allow_failure`.
pub(crate) const ALLOW_FAILURE: Shape = Shape {
    what: "`true`, `false`, or a mapping with `exit_codes`",
    map: Some(Object { keys: &[("exit_codes", &EXIT_CODES)], rest: None, required: &["exit_codes"] }),
    ..BOOL
};

const MATRIX_VALUE: Shape = Shape { what: "a text or a list of texts", list: list(&SCALAR).list, ..SCALAR };
const MATRIX: Shape = Shape {
    what: "a list of mappings",
    list: Some(List {
        item: &Shape { check: Some(checks::matrix_entry), ..mapping(&MATRIX_VALUE) },
        empty: Empty::Wrong,
        max: 200,
        nested: Nested::Yes,
    }),
    ..NOTHING
};
/// Copies of one job.
pub(crate) const PARALLEL_MAX: usize = 200;
const PARALLEL: Shape = Shape {
    what: "a number from 1 to 200, or a mapping with `matrix`",
    number: Some((1, PARALLEL_MAX as i64)),
    map: Some(Object { keys: &[("matrix", &MATRIX)], rest: None, required: &["matrix"] }),
    ..NOTHING
};
const NEED_PARALLEL: Shape = object(&[("matrix", &MATRIX)], &["matrix"]);

const NEED: Shape = Shape {
    what: "a job's name or a mapping",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("job", &FILLED),
            ("artifacts", &BOOL),
            ("optional", &BOOL),
            ("parallel", &NEED_PARALLEL),
            ("project", &PROJECT_PATH),
            ("ref", &FILLED),
            ("pipeline", &FILLED),
        ],
        rest: None,
        required: &[],
    }),
    skipped: true,
    check: Some(checks::need),
    ..NOTHING
};
/// `needs`.
const NEEDS: Shape = Shape {
    what: "a list of jobs",
    text: None,
    list: Some(List { item: &NEED, empty: Empty::Fine, max: usize::MAX, nested: Nested::Yes }),
    ..NEED
};
/// `rules:needs`.
pub(crate) const RULE_NEEDS: Shape = Shape {
    what: "a list of jobs",
    list: Some(List {
        item: &Shape {
            what: "a job's name or a mapping",
            text: Some(Text::Filled),
            map: Some(Object {
                keys: &[("job", &FILLED), ("artifacts", &BOOL), ("optional", &BOOL), ("parallel", &NEED_PARALLEL)],
                rest: None,
                required: &["job"],
            }),
            ..NOTHING
        },
        empty: Empty::Fine,
        max: usize::MAX,
        nested: Nested::Yes,
    }),
    ..NOTHING
};

const RETRY_REASONS: &[&str] = &[
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "stuck_pending_with_matching_runners",
    "stuck_pending_no_matching_runners",
    "runner_system_failure",
    "runner_unsupported",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "stale_schedule",
    "job_execution_timeout",
    "job_execution_server_timeout",
    "no_updates_received",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
    "trace_size_exceeded",
];
const RETRY_WHEN: Shape = Shape {
    what: "a reason or a list of them",
    list: Some(List {
        item: &choice("a reason", RETRY_REASONS),
        empty: Empty::Fine,
        max: usize::MAX,
        nested: Nested::No,
    }),
    ..choice("a reason", RETRY_REASONS)
};
const RETRY_MAX: Shape = Shape { what: "a number from 0 to 2", number: Some((0, 2)), ..NOTHING };
/// `retry`.
pub(crate) const RETRY: Shape = Shape {
    what: "a number from 0 to 2, or a mapping with `max`, `when` and `exit_codes`",
    map: Some(Object {
        keys: &[("max", &RETRY_MAX), ("when", &RETRY_WHEN), ("exit_codes", &EXIT_CODES)],
        rest: None,
        required: &[],
    }),
    check: Some(checks::retry),
    ..RETRY_MAX
};

const AGENT: Shape = object(
    &[
        ("agent", &TEXT),
        ("namespace", &FILLED),
        ("flux_resource_path", &TEXT),
        ("managed_resources", &object(&[("enabled", &BOOL)], &[])),
        ("dashboard", &object(&[("namespace", &FILLED), ("flux_resource_path", &TEXT)], &[])),
    ],
    &[],
);
const ENVIRONMENT: Shape = Shape {
    what: "a name, or a mapping with `name`",
    text: Some(Text::Filled),
    check: Some(checks::environment_name),
    map: Some(Object {
        keys: &[
            ("name", &Shape { check: Some(checks::environment_name), ..FILLED }),
            ("url", &Shape { check: Some(checks::address), ..FILLED }),
            ("action", &choice("an action", &["start", "prepare", "stop", "verify", "access"])),
            ("on_stop", &FILLED),
            ("auto_stop_in", &DURATION_OR_NEVER),
            ("deployment_tier", &choice("a tier", &["production", "staging", "testing", "development", "other"])),
            ("kubernetes", &AGENT),
        ],
        rest: None,
        required: &["name"],
    }),
    ..NOTHING
};
const LINK: Shape = object(
    &[
        ("name", &FILLED),
        ("url", &FILLED),
        ("filepath", &TEXT),
        ("link_type", &choice("a type of link", &["runbook", "package", "image", "other"])),
    ],
    &["name", "url"],
);
const LINKS: Shape = Shape {
    what: "a list of links",
    list: Some(List { item: &LINK, empty: Empty::Wrong, max: usize::MAX, nested: Nested::No }),
    ..NOTHING
};
const MILESTONES: Shape = Shape { what: "a list of texts", text: Some(Text::Doubtful), list: TEXTS.list, ..NOTHING };
const RELEASE: Shape = object(
    &[
        ("tag_name", &FILLED),
        ("tag_message", &TEXT),
        ("name", &TEXT),
        ("description", &FILLED),
        ("ref", &TEXT),
        ("milestones", &MILESTONES),
        ("released_at", &Shape { check: Some(checks::date), ..FILLED }),
        ("assets", &object(&[("links", &LINKS)], &["links"])),
    ],
    &["tag_name", "description"],
);
const TRIGGER: Shape = Shape {
    what: "a project's path, or a mapping with `project` or `include`",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("project", &PROJECT_PATH),
            ("branch", &FILLED),
            ("include", &TRIGGER_INCLUDE),
            ("strategy", &choice("a strategy", &["depend", "mirror"])),
            ("forward", &object(&[("yaml_variables", &BOOL), ("pipeline_variables", &BOOL)], &[])),
            ("inputs", &INPUT_VALUES),
        ],
        rest: None,
        required: &[],
    }),
    check: Some(trigger),
    ..NOTHING
};

fn trigger(node: &crate::syntax::Node, checker: &mut super::Checker<'_>) {
    checks::project_path(node, checker);
    checks::trigger(node, checker);
}

/// Keywords that `default` may hold, and `inherit:default` may list.
pub(crate) const DEFAULT_KEYS: &[&str] = &[
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];
const INHERIT_DEFAULT: Shape = Shape {
    what: "`true`, `false`, or a list of keywords",
    list: list(&choice("a keyword of `default`", DEFAULT_KEYS)).list,
    ..BOOL
};
const INHERIT_VARIABLES: Shape = Shape { what: "`true`, `false`, or a list of variables", list: TEXTS.list, ..BOOL };
/// `inherit`.
const INHERIT: Shape = object(&[("default", &INHERIT_DEFAULT), ("variables", &INHERIT_VARIABLES)], &[]);

/// `tags`.
pub(crate) const TAGS: Shape = Shape {
    what: "a list of texts",
    list: Some(List { item: &TEXT, empty: Empty::Fine, max: 49, nested: Nested::Yes }),
    ..NOTHING
};

const VARIABLE: Shape = Shape {
    what: "a text, or a mapping with `value` and `expand`",
    map: Some(Object { keys: &[("value", &SCALAR), ("expand", &BOOL)], rest: None, required: &[] }),
    ..SCALAR
};
const STEP: Shape = Shape {
    check: Some(checks::step),
    ..object(
        &[
            ("name", &Shape { check: Some(checks::step_name), ..FILLED }),
            ("script", &FILLED),
            ("step", &STEP_REFERENCE),
            ("func", &STEP_REFERENCE),
            ("action", &FILLED),
            ("env", &mapping(&TEXT)),
            ("inputs", &mapping(&ANYTHING)),
        ],
        &["name"],
    )
};
const STEP_REFERENCE: Shape = Shape {
    what: "a path, an address, or a mapping with `git` or `oci`",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("git", &object(&[("url", &FILLED), ("dir", &TEXT), ("rev", &FILLED), ("file", &TEXT)], &["url", "rev"])),
            (
                "oci",
                &object(
                    &[
                        ("registry", &FILLED),
                        ("repository", &FILLED),
                        ("tag", &FILLED),
                        ("dir", &TEXT),
                        ("file", &TEXT),
                    ],
                    &["registry", "repository", "tag"],
                ),
            ),
        ],
        rest: None,
        required: &[],
    }),
    check: Some(checks::step_reference),
    ..NOTHING
};
const RUN: Shape = Shape {
    what: "a list of steps",
    list: Some(List { item: &STEP, empty: Empty::Wrong, max: usize::MAX, nested: Nested::No }),
    ..NOTHING
};
const PAGES: Shape = Shape {
    what: "`true`, `false`, or a mapping",
    map: Some(Object {
        keys: &[("publish", &TEXT), ("path_prefix", &TEXT), ("expire_in", &DURATION_OR_NEVER)],
        rest: None,
        required: &[],
    }),
    ..BOOL
};
const DAST: Shape = object(&[("site_profile", &TEXT), ("scanner_profile", &TEXT)], &[]);
const EXTENDS: Shape = Shape { what: "a job's name or a list of them", list: SOME_TEXTS.list, ..FILLED };
const DEPENDENCIES: Shape = Shape { what: "a list of jobs", ..TEXTS };
/// Actions of `serin`.
pub(crate) const ACTIONS: &[&str] = &["package", "deploy", "detach", "canary", "clear", "release"];
const COUNT: Shape = Shape { what: "a number from 1 to 1000", number: Some((1, 1000)), ..NOTHING };
const SERIN: Shape = object(
    &[
        ("action", &choice("an action", ACTIONS)),
        ("environment", &FILLED),
        ("nodes", &COUNT),
        ("from", &FILLED),
        ("into", &FILLED),
    ],
    &["action"],
);

/// A job.
pub(crate) const JOB: Shape = Shape { check: Some(checks::delay), ..JOB_KEYS };
const JOB_KEYS: Shape = object(
    &[
        ("script", &SCRIPT),
        ("run", &RUN),
        ("trigger", &TRIGGER),
        ("serin", &SERIN),
        ("stage", &FILLED),
        ("before_script", &OPTIONAL_SCRIPT),
        ("after_script", &OPTIONAL_SCRIPT),
        ("variables", &mapping(&VARIABLE)),
        ("rules", &JOB_RULES),
        ("when", &choice("a moment", &["on_success", "on_failure", "always", "manual", "delayed"])),
        ("needs", &NEEDS),
        ("dependencies", &DEPENDENCIES),
        ("artifacts", &ARTIFACTS),
        ("cache", &CACHE),
        ("image", &IMAGE),
        ("services", &SERVICES),
        ("allow_failure", &ALLOW_FAILURE),
        ("retry", &RETRY),
        ("timeout", &DURATION),
        ("environment", &ENVIRONMENT),
        ("interruptible", &BOOL),
        ("resource_group", &FILLED),
        ("parallel", &PARALLEL),
        ("tags", &TAGS),
        ("extends", &EXTENDS),
        ("inherit", &INHERIT),
        ("start_in", &START_IN),
        ("manual_confirmation", &TEXT),
        ("coverage", &Shape { what: "a regular expression between slashes", check: Some(checks::coverage), ..FILLED }),
        ("only", &FILTER),
        ("except", &FILTER),
        ("release", &RELEASE),
        ("secrets", &SECRETS),
        ("id_tokens", &ID_TOKENS),
        ("identity", &IDENTITY),
        ("hooks", &HOOKS),
        ("pages", &PAGES),
        ("publish", &TEXT),
        ("inputs", &JOB_INPUTS),
        ("dast_configuration", &DAST),
    ],
    &[],
);
