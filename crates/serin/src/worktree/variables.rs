//! Variables of a local pipeline: predefined ones, `.serin.env`, flags.

use anyhow::{Context as _, Result, bail};
use serin_lang::SettingVariable;
use serin_model::plan::Variable;

use super::facts::{Head, NO_COMMIT};
use super::{Event, EventFlags, Project};

/// Holds variables as the project's settings on a server would; not for the repository.
pub const ENV_FILE: &str = ".serin.env";
/// Values that are shorter cannot be hidden without hiding everything.
const MASKED_BYTES_MIN: usize = 8;
/// Parts of names that speak of secrets.
const SECRET_NAMES: [&str; 9] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "DSN"];

/// Reads `KEY=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if is_key(key) => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as `KEY=VALUE`, with a key of letters, digits, `_` and `-`".to_owned()),
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A value of an input as JSON: numbers, booleans and lists as they are, all else as text.
pub fn json(value: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(value) {
        Ok(known) if !known.is_null() && !known.is_object() => known.to_string(),
        _ => serde_json::Value::String(value.to_owned()).to_string(),
    }
}

impl Project {
    /// The variables of `.serin.env`: `KEY=VALUE` lines; values that may be secrets are hidden in logs. Lines below `[plain]`
    /// are shown, those below `[environment NAME]` are for the jobs of that environment.
    pub(super) fn settings(&self) -> Result<Vec<SettingVariable>> {
        let Some(file) = self.file(ENV_FILE)? else { return Ok(Vec::new()) };
        let mut settings = Vec::new();
        let mut section = Section::default();
        for (at, line) in file.text().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(words) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = Section::parse(words).with_context(|| format!("line {} of `{ENV_FILE}`", at + 1))?;
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((key, value)) = line.split_once('=').filter(|(key, _)| is_key(key)) else {
                // The line may hold a secret, so it is not shown.
                bail!("line {} of `{ENV_FILE}` is not `KEY=VALUE`", at + 1);
            };
            settings.push(section.variable(key, unquoted(value)));
        }
        Ok(settings)
    }
}

/// What `[…]` says about the lines below it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    plain: bool,
    scope: Option<String>,
}

impl Section {
    fn parse(words: &str) -> Result<Self> {
        let mut section = Self::default();
        for word in words.split(',').map(str::trim) {
            match word.split_once(' ') {
                None if word == "plain" => section.plain = true,
                Some(("environment", scope)) => section.scope = Some(scope.trim().to_owned()),
                _ => bail!("unknown section `[{words}]`: write `[plain]`, `[environment NAME]`, or both with a comma"),
            }
        }
        Ok(section)
    }

    fn variable(&self, key: &str, value: &str) -> SettingVariable {
        let masked = !self.plain && is_secret(key, value);
        let variable = Variable { masked, ..Variable::plain(key, value) };
        let environment_scope = self.scope.clone().unwrap_or_else(|| "*".to_owned());
        SettingVariable { variable, environment_scope, protected: false }
    }
}

/// Whether a value has to be hidden: what is nothing but words stands all over a log, and hiding it there helps nobody,
/// unless its name says that it is a secret.
fn is_secret(key: &str, value: &str) -> bool {
    let key = key.to_ascii_uppercase();
    let named_so = SECRET_NAMES.iter().any(|word| key.contains(word));
    let is_wording = value.chars().all(|c| c.is_ascii_alphabetic() || " .,:/_-".contains(c));
    value.len() >= MASKED_BYTES_MIN && (named_so || !is_wording)
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// The predefined variables that are known before the file is read, beyond those that the compiler derives itself.
pub fn predefined(project: &Project, flags: &EventFlags) -> Vec<Variable> {
    let facts = &project.facts;
    let login = facts.user_email.split('@').next().filter(|login| !login.is_empty()).unwrap_or("local");
    let name = if facts.user_name.is_empty() { login } else { &facts.user_name };
    let mut list = vec![
        ("CI_SERVER", "yes".to_owned()),
        ("CI_SERVER_NAME", "Serin".to_owned()),
        ("CI_SERVER_VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("CI_PROJECT_ID", "1".to_owned()),
        ("CI_PROJECT_VISIBILITY", "private".to_owned()),
        ("CI_CONFIG_PATH", flags.file.clone().unwrap_or_else(|| super::PIPELINE_FILE.to_owned())),
        ("CI_COMMIT_BEFORE_SHA", NO_COMMIT.to_owned()),
        ("GITLAB_USER_ID", "1".to_owned()),
        ("GITLAB_USER_LOGIN", login.to_owned()),
        ("GITLAB_USER_NAME", name.to_owned()),
        ("GITLAB_USER_EMAIL", facts.user_email.clone()),
    ];
    if let Some(head) = &facts.head {
        list.extend(commit(head));
    }
    match flags.event {
        Event::MergeRequest => list.extend(merge_request(project, flags)),
        Event::Schedule => list.push(("CI_PIPELINE_SCHEDULE_DESCRIPTION", "local".to_owned())),
        Event::Trigger => list.push(("CI_PIPELINE_TRIGGERED", "true".to_owned())),
        _ => {}
    }
    list.into_iter().map(|(key, value)| Variable { raw: true, ..Variable::plain(key, value) }).collect()
}

fn commit(head: &Head) -> Vec<(&'static str, String)> {
    let description = head.message.split_once('\n').map_or("", |(_, rest)| rest.trim_start_matches('\n'));
    vec![
        ("CI_COMMIT_MESSAGE", head.message.clone()),
        ("CI_COMMIT_TITLE", head.title().to_owned()),
        ("CI_COMMIT_DESCRIPTION", description.to_owned()),
        ("CI_COMMIT_AUTHOR", head.author.clone()),
        ("CI_COMMIT_TIMESTAMP", head.timestamp.clone()),
    ]
}

fn merge_request(project: &Project, flags: &EventFlags) -> Vec<(&'static str, String)> {
    let facts = &project.facts;
    let (path, url) = facts.project(&project.root);
    let target = flags.target.clone().unwrap_or_else(|| facts.default_branch.clone());
    let head = facts.head.clone().unwrap_or_default();
    let base = project.git.commit(&target).unwrap_or_default();
    let url = format!("{url}/{path}");
    vec![
        ("CI_MERGE_REQUEST_ID", "1".to_owned()),
        ("CI_MERGE_REQUEST_IID", "1".to_owned()),
        ("CI_MERGE_REQUEST_TITLE", head.title().to_owned()),
        ("CI_MERGE_REQUEST_EVENT_TYPE", "detached".to_owned()),
        ("CI_MERGE_REQUEST_REF_PATH", "refs/merge-requests/1/head".to_owned()),
        ("CI_MERGE_REQUEST_PROJECT_ID", "1".to_owned()),
        ("CI_MERGE_REQUEST_PROJECT_PATH", path.clone()),
        ("CI_MERGE_REQUEST_PROJECT_URL", url.clone()),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "1".to_owned()),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", path),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_URL", url),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", head.sha),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", target),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", base.clone()),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", base),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Section, json, pair, unquoted};

    #[test]
    fn pairs_and_values() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(pair("A").is_err() && pair("=x").is_err() && pair("a b=c").is_err());
        assert_eq!(
            (json("3"), json("[1]"), json("x y"), json("\"3\"")),
            ("3".to_owned(), "[1]".to_owned(), "\"x y\"".to_owned(), "\"3\"".to_owned())
        );
        assert_eq!((unquoted("'a b'"), unquoted("\"a"), unquoted("x")), ("a b", "\"a", "x"));
    }

    #[test]
    fn sections() {
        let shown = Section::parse("plain, environment review/*").unwrap();
        assert_eq!(shown, Section { plain: true, scope: Some("review/*".to_owned()) });
        assert!(!shown.variable("A", "long enough 1").variable.masked);
        let hidden = |key, value| Section::default().variable(key, value).variable.masked;
        assert!(hidden("A", "long enough 1") && !hidden("A", "short1"));
        assert!(!hidden("NODE_ENV", "production") && !hidden("HOST", "https://shop.example.org/"));
        assert!(hidden("db_password", "correct-horse") && hidden("HOOK", "https://chat.example.org/T0/x"));
        assert!(Section::parse("secret").is_err());
    }
}
