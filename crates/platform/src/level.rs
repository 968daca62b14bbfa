//! Tells WARN and ERROR lines, in the three formats.

use serde::Deserialize;
use serin_model::service::LogFormat;

/// A line's level as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Below WARN.
    Other,
    /// WARN.
    Warn,
    /// ERROR and above.
    Error,
}

/// Bytes of a text line in which its level is looked for.
const TEXT_HEAD_BYTES: usize = 128;

/// The level of a line; `None` where it says none.
///
/// A line that is no JSON object, respectively has no level key, is judged as text: panics of a service that logs JSON.
pub(crate) fn of(format: LogFormat, line: &[u8]) -> Option<Level> {
    let own = match format {
        LogFormat::Json => json(line),
        LogFormat::Logfmt => logfmt(line),
        LogFormat::Text => None,
    };
    match own {
        Some(level) => level,
        None => text(line),
    }
}

#[derive(Deserialize)]
struct JsonLine<'a> {
    #[serde(borrow, default)]
    level: Option<JsonLevel<'a>>,
    #[serde(borrow, default)]
    severity: Option<JsonLevel<'a>>,
    #[serde(borrow, default)]
    lvl: Option<JsonLevel<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonLevel<'a> {
    Word(&'a str),
    Number(u64),
    Other(serde::de::IgnoredAny),
}

fn json(line: &[u8]) -> Option<Option<Level>> {
    let line: JsonLine<'_> = serde_json::from_slice(line).ok()?;
    let found = line.level.or(line.severity).or(line.lvl);
    Some(found.and_then(|level| match level {
        JsonLevel::Word(name) => word(name),
        // Numbers of bunyan and pino: 40 warn, 50 error, 60 fatal.
        JsonLevel::Number(50..) => Some(Level::Error),
        JsonLevel::Number(40..) => Some(Level::Warn),
        JsonLevel::Number(_) => Some(Level::Other),
        JsonLevel::Other(_) => None,
    }))
}

fn logfmt(line: &[u8]) -> Option<Option<Level>> {
    let line = String::from_utf8_lossy(line);
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(rest.len());
        let (key, behind) = rest.split_at(end);
        let (value, behind) = match behind.strip_prefix('=') {
            Some(value) => logfmt_value(value),
            None => ("", behind),
        };
        if matches!(key, "level" | "lvl" | "severity") {
            return Some(word(value));
        }
        rest = behind.trim_start();
    }
    None
}

/// A value, perhaps in quotes, and what follows it.
fn logfmt_value(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    };
    let mut escaped = false;
    for (index, letter) in quoted.char_indices() {
        match letter {
            '"' if !escaped => return (&quoted[..index], &quoted[index + 1..]),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (quoted, "")
}

/// The first level word near the line's start: in capitals anywhere there, in other letters only as `error:` or
/// `[error]`.
fn text(line: &[u8]) -> Option<Level> {
    let head = String::from_utf8_lossy(&line[..line.len().min(TEXT_HEAD_BYTES)]);
    head.split([' ', '\t']).find_map(|token| {
        let name = token.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let marked = token.ends_with(':') || token.starts_with('[') && token.ends_with(']');
        let capitals = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
        if marked || capitals { word(name) } else { None }
    })
}

/// The level that a word names.
fn word(name: &str) -> Option<Level> {
    const WARN: [&str; 2] = ["warn", "warning"];
    const ERROR: [&str; 9] = ["error", "err", "fatal", "critical", "crit", "panic", "alert", "emergency", "emerg"];
    const OTHER: [&str; 6] = ["info", "debug", "trace", "notice", "information", "verbose"];
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match () {
        () if is(&ERROR) => Some(Level::Error),
        () if is(&WARN) => Some(Level::Warn),
        () if is(&OTHER) => Some(Level::Other),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, of};
    use serin_model::service::LogFormat;

    fn check(format: LogFormat, cases: &[(&str, Option<Level>)]) {
        for (line, expected) in cases {
            assert_eq!(of(format, line.as_bytes()), *expected, "{line}");
        }
    }

    #[test]
    fn json_levels() {
        check(
            LogFormat::Json,
            &[
                (r#"{"level":"error","msg":"x"}"#, Some(Level::Error)),
                (r#"{"msg":"x","severity":"WARNING"}"#, Some(Level::Warn)),
                (r#"{"lvl":"Warn"}"#, Some(Level::Warn)),
                (r#"{"level":50}"#, Some(Level::Error)),
                (r#"{"level":40}"#, Some(Level::Warn)),
                (r#"{"level":30}"#, Some(Level::Other)),
                (r#"{"level":"info","msg":"ERROR in \"level\":\"error\""}"#, Some(Level::Other)),
                (r#"{"inner":{"level":"error"}}"#, None),
                (r#"{"level":null}"#, None),
                (r#"{"level":["error"]}"#, None),
                ("ERROR not JSON at all", Some(Level::Error)),
                (r#"{"level":"error""#, None),
            ],
        );
    }

    #[test]
    fn logfmt_levels() {
        check(
            LogFormat::Logfmt,
            &[
                ("ts=1 level=error msg=x", Some(Level::Error)),
                ("level=\"warn\" msg=x", Some(Level::Warn)),
                ("msg=\"level=error\" lvl=info", Some(Level::Other)),
                (r#"msg="a \" level=error" level=warning"#, Some(Level::Warn)),
                ("mylevel=error msg=x", None),
                ("flag level=fatal", Some(Level::Error)),
                ("msg=\"open level=error", None),
            ],
        );
    }

    #[test]
    fn text_levels() {
        check(
            LogFormat::Text,
            &[
                ("2026-01-01 12:00:00 ERROR it broke", Some(Level::Error)),
                ("[WARN] careful", Some(Level::Warn)),
                ("error: no such file", Some(Level::Error)),
                ("[error] no such file", Some(Level::Error)),
                ("FATAL: out of memory", Some(Level::Error)),
                ("INFO handled an ERROR", Some(Level::Other)),
                ("no error found", None),
                ("TERROR reigns", None),
                ("ERRORS: 0", None),
                ("", None),
            ],
        );
        let late = format!("{} ERROR", "x".repeat(200));
        assert_eq!(of(LogFormat::Text, late.as_bytes()), None);
    }
}
