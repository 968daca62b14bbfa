//! Cargo's messages (The Cargo Book, External Tools, JSON messages; The rustc book, JSON Output).

use std::io::Read;

use serin_model::quality::Severity;

use super::input::Input;
use super::json::{Json, Value};
use super::{Format, Found, ReadError, Reading};
use crate::finding::{Finding, Location};
use crate::place::Places;

const FORMAT: Format = Format::CargoMessages;
const UNWANTED: &[&str] =
    &["rendered", "text", "expansion", "suggested_replacement", "suggestion_applicability", "target", "features"];

pub(super) fn read(input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut json = Json::new(FORMAT, input);
    let mut found = Found::new(FORMAT);
    let mut has_messages = false;
    while json.has_document()? {
        let value = json.value(UNWANTED)?;
        let Some(reason) = value.text(&["reason"]) else {
            return Err(json.wrong("a message without `reason`"));
        };
        has_messages = true;
        if reason == "compiler-message" {
            diagnostic(&value, places, &mut found)?;
        }
    }
    if !has_messages {
        return Err(json.wrong("it holds no message"));
    }
    Ok(dedup(found).finish())
}

fn diagnostic(value: &Value, places: &Places, found: &mut Found) -> Result<(), ReadError> {
    let text = |keys: &[&str]| value.text(keys).unwrap_or_default();
    let code = text(&["message", "code", "code"]);
    let level = text(&["message", "level"]);
    let spans = value.list(&["message", "spans"]);
    // Counts such as `3 warnings emitted` have neither code nor place.
    if spans.is_empty() && code.is_empty() {
        return Ok(());
    }
    let (tool, rule) = match code.strip_prefix("clippy::") {
        Some(rule) => ("clippy", rule),
        None => ("rustc", if code.is_empty() { level } else { code }),
    };
    let severity = match level {
        level if level.starts_with("error") => Severity::Major,
        "warning" => Severity::Minor,
        _ => Severity::Info,
    };
    let mut finding = Finding::new(tool, rule, text(&["message", "message"])).severity(severity);
    let primary = spans.iter().find(|span| span.at(&["is_primary"]) == Some(&Value::Truth(true))).or(spans.first());
    if let Some(span) = primary {
        let lines = (span.number(&["line_start"]), span.number(&["line_end"]));
        match places.find(span.text(&["file_name"]).unwrap_or_default()) {
            Some(path) => finding.location = Some(Location::new(path, lines, span.number(&["column_start"]))),
            None => found.outside(),
        }
    }
    found.push(finding)
}

/// A library is compiled once for itself and once for its tests, and says everything twice.
fn dedup(mut found: Found) -> Found {
    let mut seen = std::collections::BTreeSet::new();
    found.findings.retain(|finding| {
        let place = finding.location.as_ref().map(|at| (at.path.clone(), at.line, at.column));
        seen.insert((place, finding.rule.clone(), finding.message.clone()))
    });
    found
}
