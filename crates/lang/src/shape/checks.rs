//! Further looks at values whose kind is right.

use super::Checker;
use crate::syntax::{Map, Node, Span, Value};
use crate::{duration, pattern};

/// Milliseconds of one week, the longest `start_in`.
const START_IN_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;

/// Exit codes that there are.
pub(crate) const EXIT_CODES_MAX: usize = 256;
/// Characters of a pipeline's name.
const NAME_CHARS_MAX: usize = 255;

/// `1h 30m`, a number of seconds, or a variable.
pub(crate) fn duration(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.scalar_text() else { return };
    if !text.contains('$') && duration::parse_ms(&text).is_none() {
        checker
            .error(node, &format!("is no duration: `{text}`"))
            .hint("write it as `30 minutes`, `1h 30m` or `never` where that is allowed");
    }
}

/// A duration or `never`.
pub(crate) fn duration_or_never(node: &Node, checker: &mut Checker<'_>) {
    if node.as_text().is_none_or(|text| text.trim() != "never") {
        duration(node, checker);
    }
}

/// A duration of at most a week.
pub(crate) fn start_in(node: &Node, checker: &mut Checker<'_>) {
    duration(node, checker);
    if node.scalar_text().and_then(|text| duration::parse_ms(&text)).is_some_and(|ms| ms > START_IN_MS_MAX) {
        checker.error(node, "must not be longer than one week");
    }
}

/// `rules:if`.
pub(crate) fn expression(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    let read = checker.sink.memo.expression(text);
    let Err(invalid) = &*read else { return };
    let span = within(checker, node.span, text, invalid.at);
    let says = format!("has an invalid expression syntax: {}", invalid.reason);
    checker.error_at(span, &says).maybe_hint(invalid.hint.clone());
}

/// The place of a byte of a scalar, where the scalar stands in the file as it is.
fn within(checker: &Checker<'_>, span: Span, text: &str, at: usize) -> Span {
    let Some(offset) = checker.sink.text(span).find(text) else {
        return span;
    };
    let start = span.start + (offset + at) as u32;
    let width = text[at.min(text.len())..].chars().next().map_or(0, char::len_utf8);
    Span { start, end: start + width as u32, ..span }
}

/// `/pattern/`.
pub(crate) fn coverage(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    match pattern::slashed(text).filter(|(body, _)| !body.is_empty()) {
        None => {
            checker
                .error(node, "must be a regular expression between slashes")
                .hint(format!("write `/{}/`", text.trim_matches('/')));
        }
        Some((body, flags)) => {
            if let Err(reason) = pattern::compile(body, flags) {
                checker.error(node, &format!("is no regular expression: {reason}"));
            }
        }
    }
}

/// `group/project`, or something with a variable.
pub(crate) fn project_path(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    let parts: Vec<&str> = text.split('/').collect();
    let path = parts.len() > 1 && parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace));
    let variable =
        text.split_once('$').is_some_and(|(_, rest)| !rest.is_empty() && !rest.starts_with(char::is_whitespace));
    if !path && !variable {
        checker
            .error(node, &format!("must be a project's full path, not `{text}`"))
            .hint("write it as `group/project`");
    }
}

/// `cache:key`.
pub(crate) fn cache_key(node: &Node, checker: &mut Checker<'_>) {
    if let Some(map) = node.as_map() {
        if !map.contains("files") && !map.contains("files_commits") {
            checker.error(node, "needs the key `files` or `files_commits`");
        }
        if map.contains("files") && map.contains("files_commits") {
            checker.error(node, "may hold `files` or `files_commits`, not both");
        }
    }
    let Some(text) = node.as_text() else { return };
    let decoded = text.replace("%2F", "/").replace("%2f", "/").replace("%2E", ".").replace("%2e", ".");
    if decoded.contains('/') {
        checker
            .error(node, &format!("must not hold a slash: `{text}`"))
            .hint("use `-` in its place, or a `_SLUG` variable");
    } else if text.is_empty() {
        checker.warning(node, "is empty, so the key is `default`");
    } else if decoded.chars().all(|c| c == '.') {
        checker.error(node, "must not consist of dots alone");
    }
}

/// `cache:policy`: a word or a variable.
pub(crate) fn cache_policy(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    let words = ["pull-push", "pull", "push"];
    if !text.contains('$') && !words.contains(&text) {
        let hint = crate::suggest::hint(text, words);
        checker.error(node, &format!("does not know `{text}`")).hint(hint);
    }
}

/// `artifacts`.
pub(crate) fn artifacts(node: &Node, checker: &mut Checker<'_>) {
    if let (Some(_), Some(access)) = (node.get("public"), node.get("access")) {
        checker.error(access, "cannot have both `access` and `public`");
    }
    let Some(expose) = node.get("expose_as").filter(|node| !node.is_null()) else { return };
    match node.get("paths").filter(|paths| !paths.is_null()) {
        None => {
            checker.error(expose, "cannot have `expose_as` without `artifacts:paths`");
        }
        Some(paths) if paths.flat_texts().iter().any(|path| path.contains('*')) => {
            checker.warning(paths, "has `*`, which GitLab does not take together with `expose_as`");
        }
        Some(_) => {}
    }
}

/// `retry:exit_codes`.
pub(crate) fn distinct(node: &Node, checker: &mut Checker<'_>) {
    let items = node.as_list().unwrap_or_default();
    for (at, item) in items.iter().enumerate().take(EXIT_CODES_MAX) {
        if items[..at].iter().any(|earlier| earlier.value == item.value) {
            checker.warning(item, "lists the same value twice");
        }
    }
}

/// `exists`: a `ref` needs its `project`.
pub(crate) fn exists(node: &Node, checker: &mut Checker<'_>) {
    if let Some(map) = node.as_map()
        && map.contains("ref")
        && !map.contains("project")
    {
        checker.error(node, "has `ref` without `project`").hint("say of which project it is the ref");
    }
}

/// A rule: `when: delayed` and `start_in` go together.
pub(crate) fn rule(node: &Node, checker: &mut Checker<'_>) {
    let delayed = node.get("when").and_then(Node::as_text) == Some("delayed");
    match (delayed, node.get("start_in")) {
        (true, None) => {
            checker.error(node, "needs `start_in` for `when: delayed`").hint("add `start_in: 30 minutes`");
        }
        (false, Some(start_in)) => {
            checker.error(start_in, "allows `start_in` with `when: delayed` alone");
        }
        _ => {}
    }
    filled_rule(node, checker);
}

/// A rule that says something.
pub(crate) fn filled_rule(node: &Node, checker: &mut Checker<'_>) {
    if node.as_map().is_some_and(Map::is_empty) {
        checker.error(node, "holds an empty rule").hint("write `when: always` for a rule that always matches");
    }
}

/// A job: `start_in` goes with `when: delayed`; under `rules` each rule has its own.
pub(crate) fn delay(node: &Node, checker: &mut Checker<'_>) {
    let given = |key: &str| node.get(key).filter(|value| !value.is_null());
    let when = given("when").filter(|when| when.as_text() == Some("delayed"));
    match (when, given("start_in"), given("rules")) {
        (Some(when), None, None) => {
            checker.error(when, "has `when: delayed` without `start_in`").hint("add `start_in: 30 minutes`");
        }
        (_, Some(start_in), Some(_)) => {
            checker
                .error(start_in, "has `start_in`, which cannot be used together with `rules`")
                .hint("write `start_in` in the rule that has `when: delayed`");
        }
        (None, Some(start_in), None) => {
            checker.error(start_in, "has `start_in`, which goes with `when: delayed` alone");
        }
        _ => {}
    }
}

/// `only:refs`: a name, or a pattern between slashes.
pub(crate) fn reference(node: &Node, checker: &mut Checker<'_>) {
    if let Some((body, flags)) = node.as_text().and_then(pattern::slashed)
        && let Err(reason) = pattern::compile(body, flags)
    {
        checker.error(node, &format!("has a pattern that is none: {reason}"));
    }
}

/// `secrets:NAME`: exactly one provider.
pub(crate) fn secret(node: &Node, checker: &mut Checker<'_>) {
    const PROVIDERS: [&str; 6] =
        ["vault", "gcp_secret_manager", "azure_key_vault", "aws_secrets_manager", "gitlab_secrets_manager", "akeyless"];
    let Some(map) = node.as_map() else { return };
    let given = PROVIDERS.iter().filter(|provider| map.contains(provider)).count();
    if given != 1 {
        checker.error(node, "needs exactly one provider").hint(
            "one of `vault`, `gcp_secret_manager`, `azure_key_vault`, `aws_secrets_manager`, `gitlab_secrets_manager`",
        );
    }
    if map.contains("gcp_secret_manager") && !map.contains("token") {
        checker.error(node, "needs `token` for `gcp_secret_manager`");
    }
}

/// A variable as a mapping: `value` is one of `options`.
pub(crate) fn global_variable(node: &Node, checker: &mut Checker<'_>) {
    let Some(options) = node.get("options") else { return };
    let Some(value) = node.get("value") else {
        checker.error(options, "needs `value` beside it").hint("name the option that is the default");
        return;
    };
    let listed = options.as_list().unwrap_or_default().iter().any(|option| option.scalar_text() == value.scalar_text());
    if !listed {
        let text = value.scalar_text().unwrap_or_default();
        checker.error(value, &format!("is `{text}`, which is not one of its `options`"));
    }
}

/// `run` steps: a name, and one thing to do.
pub(crate) fn step(node: &Node, checker: &mut Checker<'_>) {
    let Some(map) = node.as_map() else { return };
    let given: Vec<&str> = ["script", "step", "func", "action"].into_iter().filter(|key| map.contains(key)).collect();
    match given[..] {
        [] => {
            checker.error(node, "needs `script`, `step` or `func` in each step");
        }
        ["script"] => {
            if let Some(inputs) = map.get("inputs") {
                checker.error(inputs, "allows `inputs` with `step` or `func`, not with `script`");
            }
        }
        [_] => {}
        _ => {
            checker.error(node, &format!("has both `{}` and `{}` in one step", given[0], given[1]));
        }
    }
}

/// `run:step` as a mapping: from git or from a registry.
pub(crate) fn step_reference(node: &Node, checker: &mut Checker<'_>) {
    if let Some(map) = node.as_map()
        && map.len() != 1
    {
        checker.error(node, "needs either `git` or `oci`");
    }
}

/// A job input: a typed default is mandatory.
pub(crate) fn job_input(node: &Node, checker: &mut Checker<'_>) {
    spec_input(node, checker);
    if node.as_map().is_some_and(|map| !map.contains("default")) {
        checker.error(node, "needs a `default`");
    }
}

/// A declared input: its default has its type, `rules` stand alone.
pub(crate) fn spec_input(node: &Node, checker: &mut Checker<'_>) {
    let Some(map) = node.as_map() else { return };
    let kind = node.get("type").and_then(Node::as_text).unwrap_or("string");
    if let Some(default) = map.get("default")
        && !fits(default, kind)
    {
        checker.error(default, &format!("has a default that is {}, not of its type `{kind}`", default.kind()));
    }
    if let Some(rules) = map.get("rules") {
        for key in ["default", "options"] {
            if map.contains(key) {
                checker
                    .error(rules, &format!("cannot be used together with `{key}` beside it"))
                    .hint(format!("put `{key}` into the rules"));
            }
        }
    }
    if let Some(regex) = node.get("regex").and_then(Node::as_text)
        && let Err(reason) = pattern::compile(regex, "")
    {
        checker.error(node, &format!("has a `regex` that is none: {reason}"));
    }
}

/// Whether a value has the type of an input.
pub(crate) fn fits(node: &Node, kind: &str) -> bool {
    match kind {
        "string" => matches!(node.value, Value::Text(_)),
        "number" => matches!(node.value, Value::Int(_) | Value::Float(_)),
        "boolean" => matches!(node.value, Value::Bool(_)),
        "array" => matches!(node.value, Value::List(_)),
        _ => true,
    }
}

/// A rule of an input needs its default.
pub(crate) fn input_rule(node: &Node, checker: &mut Checker<'_>) {
    if let Some(map) = node.as_map()
        && !map.contains("default")
    {
        checker.error(node, "needs a `default` in each rule");
    }
}

/// `$[[ inputs.x ]] == "y"`.
pub(crate) fn description(node: &Node, checker: &mut Checker<'_>) {
    if node.as_text().is_some_and(|text| text.chars().count() > 256) {
        checker.error(node, "must not be longer than 256 characters");
    }
}

/// The path of an included file, where it holds no variable.
pub(crate) fn yaml_path(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    if !text.contains('$') && !is_yaml(text) {
        checker.error(node, &format!("must name a file that ends in `.yml` or `.yaml`, not `{text}`"));
    }
}

/// Whether a path or an address ends as GitLab wants it.
pub(crate) fn is_yaml(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.ends_with(".yml") || path.ends_with(".yaml")
}

/// `include:remote`.
pub(crate) fn remote(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text().filter(|text| !text.contains('$')) else { return };
    if !is_address(text) {
        checker.error(node, &format!("is no address: `{text}`")).hint("write it as `https://host/path.yml`");
    }
}

/// Whether a text is an address of the web.
pub(crate) fn is_address(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// `environment:url`: an address, or a variable at its start.
pub(crate) fn address(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    if !is_address(text) && !text.starts_with('$') {
        checker
            .warning(node, &format!("is no address: `{text}`"))
            .hint("write it as `https://host/path`, or start it with a variable");
    }
}

/// `release:released_at`: a date as ISO 8601 writes it.
pub(crate) fn date(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text().filter(|text| !text.contains('$')) else { return };
    const FORM: &str = "^[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$";
    if pattern::compile(FORM, "").is_ok_and(|form| !form.is_match(text)) {
        checker.error(node, &format!("is no date: `{text}`")).hint("write it as `2021-03-15T08:00:00Z`");
    }
}

/// The name of a step: letters, digits and `_`.
pub(crate) fn step_name(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain || text.starts_with(|c: char| c.is_ascii_digit()) {
        checker
            .warning(node, "should be a name of letters, digits and `_` that starts with no digit")
            .hint("GitLab's schema takes no other name");
    }
}

/// `workflow:name`.
pub(crate) fn pipeline_name(node: &Node, checker: &mut Checker<'_>) {
    if node.as_text().is_some_and(|text| text.chars().count() > NAME_CHARS_MAX) {
        checker.error(node, &format!("must not be longer than {NAME_CHARS_MAX} characters"));
    }
}

/// An entry of `include` or `trigger:include`: one source, and what belongs to it.
pub(crate) fn include_source(node: &Node, checker: &mut Checker<'_>) {
    const SOURCES: [&str; 6] = ["local", "project", "remote", "template", "component", "artifact"];
    let Some(map) = node.as_map() else {
        if node.as_text().is_some_and(|text| !is_address(text)) {
            yaml_path(node, checker);
        }
        return;
    };
    let given: Vec<&str> = SOURCES.into_iter().filter(|source| map.contains(source)).collect();
    match given[..] {
        [_] => {}
        [] => {
            let hint = if map.contains("file") {
                "`file` goes with `project`"
            } else {
                "one of `local`, `project`, `remote`, `template`, `component`"
            };
            checker.error(node, "does not say what to include").hint(hint);
            return;
        }
        _ => {
            checker.error(node, &format!("says both `{}` and `{}` in one entry", given[0], given[1]));
            return;
        }
    }
    for (key, source) in
        [("file", "project"), ("ref", "project"), ("integrity", "remote"), ("cache", "remote"), ("job", "artifact")]
    {
        if let Some(value) = map.get(key)
            && !map.contains(source)
        {
            checker.error(value, &format!("allows `{key}` with `{source}` alone"));
        }
    }
    for (source, key) in [("project", "file"), ("artifact", "job")] {
        if map.contains(source) && !map.contains(key) {
            checker.error(node, &format!("needs the key `{key}` for `{source}`"));
        }
    }
}

/// Names of inputs.
pub(crate) fn input_names(node: &Node, checker: &mut Checker<'_>) {
    let Some(map) = node.as_map() else { return };
    for entry in map.iter() {
        let plain = entry.key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !plain {
            let message = format!("{} has an input with the name `{}`", checker.place(), entry.key);
            checker.sink.error(entry.key_span, message).hint("names of inputs are letters, digits, `_` and `-`");
        }
    }
}

/// `parallel:matrix`: no more than 200 jobs are told later; here each entry must hold something.
pub(crate) fn matrix_entry(node: &Node, checker: &mut Checker<'_>) {
    let Some(map) = node.as_map() else { return };
    for entry in map.iter() {
        if entry.value.as_list().is_some_and(<[Node]>::is_empty) {
            checker.error(&entry.value, "must list at least one value");
        }
    }
}

/// `trigger`: another project or included files.
pub(crate) fn trigger(node: &Node, checker: &mut Checker<'_>) {
    let Some(map) = node.as_map() else { return };
    match (map.contains("project"), map.get("include")) {
        (true, Some(include)) => {
            checker.error(include, "cannot be used together with `trigger:project`");
        }
        (false, None) => {
            checker.error(node, "needs `project` or `include`");
        }
        _ => {}
    }
    for key in ["branch", "inputs"] {
        if let Some(value) = map.get(key)
            && !map.contains("project")
        {
            checker.error(value, &format!("allows `{key}` with `project` alone"));
        }
    }
}

/// Entries of `needs`.
pub(crate) fn need(node: &Node, checker: &mut Checker<'_>) {
    let Some(map) = node.as_map() else { return };
    let has = |key: &str| map.get(key).is_some_and(|node| !node.is_null());
    if !has("job") && !has("pipeline") {
        checker.error(node, "needs the key `job`");
    }
    for key in ["job", "ref"].into_iter().filter(|key| has("project") && !has(key)) {
        checker.error(node, &format!("needs the key `{key}` for `project`"));
    }
    if has("project") && has("pipeline") {
        checker.error(node, "cannot hold both `project` and `pipeline`");
    }
    if has("ref") && !has("project") {
        checker.error(node, "allows `ref` with `project` alone");
    }
}

/// A report of a single file.
pub(crate) fn one_file(node: &Node, checker: &mut Checker<'_>) {
    if node.as_list().is_some() {
        checker.warning(node, "should be one path; of a list GitLab reads the files and shows one report");
    }
}

/// `retry` as a mapping: without `max` nothing is tried again.
pub(crate) fn retry(node: &Node, checker: &mut Checker<'_>) {
    if node.as_map().is_some() && node.get("max").is_none() {
        checker.warning(node, "has no `max`, so nothing is tried again").hint("add `max: 1` or `max: 2`");
    }
}

/// `environment:name`.
pub(crate) fn environment_name(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    let allowed = |c: char| c.is_alphanumeric() || " -_/${}.".contains(c);
    if !text.chars().all(allowed) || text.starts_with('/') || text.ends_with('/') {
        let hint = "letters, digits, blanks and `-_/.${}` are allowed, and no slash at the ends";
        checker.error(node, &format!("holds characters that no environment may have: `{text}`")).hint(hint);
    }
}
