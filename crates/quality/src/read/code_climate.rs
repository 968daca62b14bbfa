//! Code Climate's issues (codeclimate/platform, spec/analyzers/SPEC.md) and GitLab's array of them.

use std::io::{self, Read};

use serin_model::quality::Severity;
use struson::reader::ValueType;

use super::input::Input;
use super::json::{Json, Value};
use super::{Format, Found, ReadError, Reading};
use crate::finding::{Finding, Location};
use crate::place::Places;

const FORMAT: Format = Format::CodeClimate;
const UNWANTED: &[&str] = &["content", "trace", "other_locations", "remediation_points"];

/// Engines end each issue with a NUL; in JSON a blank does the same.
struct Blanks<R>(R);

impl<R: Read> Read for Blanks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(into)?;
        for byte in into[..count].iter_mut().filter(|byte| **byte == 0) {
            *byte = b' ';
        }
        Ok(count)
    }
}

pub(super) fn read(input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut json = Json::new(FORMAT, Input::new(Blanks(input), super::REPORT_BYTES_MAX));
    let mut found = Found::new(FORMAT);
    while json.has_document()? {
        match json.peek()? {
            ValueType::Array => json.array(|json| issue(json, places, &mut found))?,
            _ => issue(&mut json, places, &mut found)?,
        }
    }
    Ok(found.finish())
}

fn issue(json: &mut Json<impl Read>, places: &Places, found: &mut Found) -> Result<(), ReadError> {
    let value = json.value(UNWANTED)?;
    if value.text(&["type"]).is_some_and(|kind| !kind.eq_ignore_ascii_case("issue")) {
        return Ok(());
    }
    let (Some(message), Some(path)) = (value.text(&["description"]), value.text(&["location", "path"])) else {
        return Err(json.wrong("an issue without `description` and `location.path`"));
    };
    let tool = value.text(&["engine_name"]).unwrap_or("code quality");
    let mut finding = Finding::new(tool, value.text(&["check_name"]).unwrap_or("unknown"), message)
        .severity(severity(value.text(&["severity"])))
        .given(value.text(&["fingerprint"]));
    match places.find(path) {
        Some(path) => finding.location = Some(location(path, &value)),
        None => found.outside(),
    }
    found.push(finding)
}

fn location(path: crate::TreePath, value: &Value) -> Location {
    let number = |keys: [&[&str]; 2]| keys.iter().find_map(|keys| value.number(keys));
    let begin = ["location", "positions", "begin", "line"];
    let end = ["location", "positions", "end", "line"];
    let first = number([&["location", "lines", "begin"], &begin]).or_else(|| {
        // GitLab also takes `lines.begin` as a position of its own.
        value.number(&["location", "lines", "begin", "line"])
    });
    let last = number([&["location", "lines", "end"], &end]);
    Location::new(path, (first, last), value.number(&["location", "positions", "begin", "column"]))
}

fn severity(word: Option<&str>) -> Severity {
    word.and_then(Severity::parse).unwrap_or(match word {
        Some("normal") => Severity::Major,
        _ => Severity::Minor,
    })
}
