//! Keywords that runners carry out: scripts, images, artifacts, caches, secrets.

use super::{
    BOOL, Empty, FILLED, List, NOTHING, Nested, Object, SOME_TEXTS, Shape, TEXT, TEXTS, Text, checks, choice, list,
    mapping, object,
};

const SCRIPT_TEXTS: List = List { item: &TEXT, empty: Empty::Wrong, max: usize::MAX, nested: Nested::Yes };
/// `script`.
pub(crate) const SCRIPT: Shape =
    Shape { what: "a command or a list of commands", text: Some(Text::Filled), list: Some(SCRIPT_TEXTS), ..NOTHING };
/// `before_script` and `after_script`, which may be empty.
pub(crate) const OPTIONAL_SCRIPT: Shape = Shape {
    what: "a command or a list of commands",
    text: Some(Text::Any),
    list: Some(List { item: &TEXT, empty: Empty::Fine, max: usize::MAX, nested: Nested::Yes }),
    ..NOTHING
};
/// `hooks`.
pub(crate) const HOOKS: Shape = object(&[("pre_get_sources_script", &OPTIONAL_SCRIPT)], &[]);

const PULL: &[&str] = &["always", "if-not-present", "never"];
const PULL_POLICY: Shape = Shape {
    what: "a pull policy or a list of them",
    list: Some(List { item: &choice("a pull policy", PULL), empty: Empty::Wrong, max: usize::MAX, nested: Nested::No }),
    ..choice("a pull policy", PULL)
};
const COMMAND: Shape = Shape { text: Some(Text::Doubtful), ..SOME_TEXTS };
const DOCKER: Shape = object(&[("platform", &FILLED), ("user", &FILLED)], &[]);
const USER: Shape = Shape { what: "a user", number: Some((0, u32::MAX as i64)), ..FILLED };
const KUBERNETES: Shape = object(&[("user", &USER)], &[]);
/// `image`.
pub(crate) const IMAGE: Shape = Shape {
    what: "an image's name, or a mapping with `name`",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("name", &FILLED),
            ("entrypoint", &SOME_TEXTS),
            ("pull_policy", &PULL_POLICY),
            ("docker", &DOCKER),
            ("kubernetes", &KUBERNETES),
        ],
        rest: None,
        required: &["name"],
    }),
    ..NOTHING
};
const SERVICE: Shape = Shape {
    map: Some(Object {
        keys: &[
            ("name", &FILLED),
            ("alias", &FILLED),
            ("entrypoint", &SOME_TEXTS),
            ("command", &COMMAND),
            ("variables", &PLAIN_VARIABLES),
            ("pull_policy", &PULL_POLICY),
            ("docker", &DOCKER),
            ("kubernetes", &KUBERNETES),
        ],
        rest: None,
        required: &["name"],
    }),
    ..IMAGE
};
/// `services`.
pub(crate) const SERVICES: Shape = Shape { what: "a list of images", ..list(&SERVICE) };

/// A scalar that becomes text.
pub(crate) const SCALAR: Shape = Shape {
    what: "a text or a number",
    text: Some(Text::Any),
    number: Some((i64::MIN, i64::MAX)),
    float: true,
    boolean: true,
    ..NOTHING
};
/// Variables that are plain texts.
pub(crate) const PLAIN_VARIABLES: Shape = mapping(&SCALAR);

/// A duration.
pub(crate) const DURATION: Shape =
    Shape { what: "a duration", text: Some(Text::Filled), check: Some(checks::duration), ..NOTHING };
/// A duration or `never`.
pub(crate) const DURATION_OR_NEVER: Shape = Shape { check: Some(checks::duration_or_never), ..DURATION };
/// A duration of at most a week.
pub(crate) const START_IN: Shape = Shape { check: Some(checks::start_in), ..DURATION };

const FILES: Shape = Shape {
    what: "a path or a list of paths",
    list: Some(List { item: &TEXT, empty: Empty::Doubtful, max: usize::MAX, nested: Nested::No }),
    ..FILLED
};
const ONE_FILE: Shape = Shape { check: Some(checks::one_file), ..FILES };
/// GitLab takes the first two; the content tells the format in any case.
const COVERAGE_FORMATS: &[&str] = &["cobertura", "jacoco", "lcov", "clover"];
const COVERAGE_REPORT: Shape = object(
    &[("coverage_format", &choice("a coverage format", COVERAGE_FORMATS)), ("path", &FILLED)],
    &["coverage_format", "path"],
);
/// `artifacts:reports`.
pub(crate) const REPORTS: Shape = object(
    &[
        ("accessibility", &ONE_FILE),
        ("annotations", &ONE_FILE),
        ("browser_performance", &ONE_FILE),
        ("load_performance", &FILES),
        ("junit", &FILES),
        ("coverage_report", &COVERAGE_REPORT),
        ("codequality", &FILES),
        ("dotenv", &FILES),
        ("lsif", &FILES),
        ("sast", &FILES),
        ("dependency_scanning", &FILES),
        ("container_scanning", &FILES),
        ("cluster_image_scanning", &FILES),
        ("api_fuzzing", &FILES),
        ("coverage_fuzzing", &FILES),
        ("dast", &FILES),
        ("license_management", &FILES),
        ("license_scanning", &FILES),
        ("requirements", &FILES),
        ("requirements_v2", &FILES),
        ("secret_detection", &FILES),
        ("metrics", &FILES),
        ("terraform", &FILES),
        ("cyclonedx", &FILES),
        ("sarif", &FILES),
        ("sonarqube", &FILES),
        ("repository_xray", &FILES),
    ],
    &[],
);
const UPLOADED: Shape = choice("a moment", &["on_success", "on_failure", "always"]);
/// `artifacts`.
pub(crate) const ARTIFACTS: Shape = Shape {
    check: Some(checks::artifacts),
    ..object(
        &[
            ("paths", &TEXTS),
            ("exclude", &TEXTS),
            ("expose_as", &FILLED),
            ("name", &TEXT),
            ("untracked", &BOOL),
            ("when", &UPLOADED),
            ("expire_in", &DURATION_OR_NEVER),
            ("reports", &REPORTS),
            ("public", &BOOL),
            ("access", &choice("a group of readers", &["none", "developer", "all", "maintainer"])),
        ],
        &[],
    )
};

const KEY_FILES: Shape = Shape {
    what: "a list of one or two files",
    list: Some(List { item: &FILLED, empty: Empty::Wrong, max: 2, nested: Nested::No }),
    ..NOTHING
};
const CACHE_KEY: Shape = Shape {
    what: "a text, or a mapping with `files`",
    text: Some(Text::Any),
    map: Some(Object {
        keys: &[("files", &KEY_FILES), ("files_commits", &KEY_FILES), ("prefix", &TEXT)],
        rest: None,
        required: &[],
    }),
    check: Some(checks::cache_key),
    ..NOTHING
};
const FALLBACK_KEYS: Shape = Shape {
    what: "a list of texts",
    list: Some(List { item: &TEXT, empty: Empty::Fine, max: 5, nested: Nested::No }),
    ..NOTHING
};
const CACHE_ITEM: Shape = Shape {
    what: "a mapping",
    map: Some(Object {
        keys: &[
            ("key", &CACHE_KEY),
            ("paths", &TEXTS),
            ("untracked", &BOOL),
            ("unprotect", &BOOL),
            (
                "policy",
                &Shape { what: "a policy", text: Some(Text::Any), check: Some(checks::cache_policy), ..NOTHING },
            ),
            ("when", &UPLOADED),
            ("fallback_keys", &FALLBACK_KEYS),
        ],
        rest: None,
        required: &[],
    }),
    ..NOTHING
};
/// `cache`.
pub(crate) const CACHE: Shape = Shape {
    what: "a mapping or a list of at most four mappings",
    list: Some(List { item: &CACHE_ITEM, empty: Empty::Fine, max: 4, nested: Nested::Yes }),
    ..CACHE_ITEM
};

const AUDIENCE: Shape = Shape { what: "a text or a list of texts", list: SOME_TEXTS.list, ..FILLED };
/// `id_tokens`.
pub(crate) const ID_TOKENS: Shape = mapping(&object(&[("aud", &AUDIENCE)], &["aud"]));
/// `identity`.
pub(crate) const IDENTITY: Shape = choice("an identity provider", &["google_cloud"]);

const VAULT: Shape = Shape {
    what: "`path/field@engine`, or a mapping with `engine`, `path` and `field`",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("engine", &object(&[("name", &FILLED), ("path", &FILLED)], &["name", "path"])),
            ("path", &FILLED),
            ("field", &FILLED),
        ],
        rest: None,
        required: &["engine", "path", "field"],
    }),
    ..NOTHING
};
const VERSION: Shape = Shape { what: "a version", number: Some((0, i64::MAX)), ..FILLED };
const AWS: Shape = Shape {
    what: "a secret's name, or a mapping with `secret_id`",
    text: Some(Text::Filled),
    map: Some(Object {
        keys: &[
            ("secret_id", &FILLED),
            ("version_id", &FILLED),
            ("version_stage", &FILLED),
            ("region", &FILLED),
            ("role_arn", &FILLED),
            ("role_session_name", &FILLED),
            ("field", &FILLED),
        ],
        rest: None,
        required: &["secret_id"],
    }),
    ..NOTHING
};
/// `secrets`.
pub(crate) const SECRETS: Shape = mapping(&Shape {
    check: Some(checks::secret),
    ..object(
        &[
            ("vault", &VAULT),
            ("gcp_secret_manager", &object(&[("name", &FILLED), ("version", &VERSION)], &["name"])),
            ("azure_key_vault", &object(&[("name", &FILLED), ("version", &FILLED)], &["name"])),
            ("aws_secrets_manager", &AWS),
            ("gitlab_secrets_manager", &object(&[("name", &FILLED), ("source", &FILLED)], &["name"])),
            ("akeyless", &super::ANYTHING),
            ("file", &BOOL),
            ("token", &FILLED),
        ],
        &[],
    )
});
