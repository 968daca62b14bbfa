//! SARIF 2.1.0 (OASIS, sections 3.13 sarifLog, 3.14 run, 3.27 result, 3.49 reportingDescriptor).

use std::io::Read;

use serin_model::quality::Severity;

use super::input::Input;
use super::json::{Json, Value};
use super::{FINDINGS_MAX, Format, Found, ReadError, Reading};
use crate::finding::{Finding, Location};
use crate::place::Places;

const FORMAT: Format = Format::Sarif;
/// Parts of a result that may be large and say nothing that is needed.
const UNWANTED: &[&str] =
    &["codeFlows", "threadFlows", "graphs", "graphTraversals", "fixes", "stacks", "attachments", "relatedLocations"];
/// Rules of one run.
const RULES_MAX: usize = 50_000;

/// A rule of the tool.
struct Rule {
    id: String,
    level: Option<String>,
    security: Option<f64>,
    text: Option<String>,
}

/// What is kept of a result until its run's rules are known: they may stand behind it.
struct Raw {
    rule: Option<String>,
    rule_index: Option<usize>,
    level: Option<String>,
    message: String,
    place: Option<Place>,
    given: Option<String>,
}

struct Place {
    uri: String,
    base: Option<String>,
    lines: (Option<i64>, Option<i64>),
    column: Option<i64>,
}

#[derive(Default)]
struct Run {
    tool: String,
    rules: Vec<Rule>,
    bases: Vec<(String, String)>,
    results: Vec<Raw>,
}

pub(super) fn read(input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut json = Json::new(FORMAT, input);
    let mut found = Found::new(FORMAT);
    let mut has_runs = false;
    json.object(|json, key| match key {
        "runs" => {
            has_runs = true;
            json.array(|json| {
                let run = run(json)?;
                run.results.iter().try_for_each(|raw| run.finding(raw, places, &mut found))
            })
        }
        "version" => version(json),
        _ => json.skip(),
    })?;
    if !has_runs {
        return Err(json.wrong("it has no `runs`"));
    }
    Ok(found.finish())
}

fn version(json: &mut Json<impl Read>) -> Result<(), ReadError> {
    match json.value(&[])? {
        Value::Text(version) if version.starts_with("2.") => Ok(()),
        _ => Err(json.wrong("its `version` is not 2.1.0")),
    }
}

fn run(json: &mut Json<impl Read>) -> Result<Run, ReadError> {
    let mut run = Run { tool: "sarif".to_owned(), ..Run::default() };
    json.object(|json, key| match key {
        "tool" => json.object(|json, key| match key {
            "driver" => json.object(|json, key| driver(json, key, &mut run)),
            _ => json.skip(),
        }),
        "originalUriBaseIds" => {
            if let Value::Map(entries) = json.value(&[])? {
                let base = |(id, value): &(String, Value)| Some((id.clone(), value.text(&["uri"])?.to_owned()));
                run.bases = entries.iter().filter_map(base).collect();
            }
            Ok(())
        }
        "results" => json.array(|json| {
            let value = json.value(UNWANTED)?;
            if run.results.len() == FINDINGS_MAX {
                let (format, max) = (FORMAT.as_str(), FINDINGS_MAX as u64);
                return Err(ReadError::TooLarge { format, max, unit: "findings" });
            }
            run.results.extend(raw(&value));
            Ok(())
        }),
        _ => json.skip(),
    })?;
    Ok(run)
}

fn driver(json: &mut Json<impl Read>, key: &str, run: &mut Run) -> Result<(), ReadError> {
    match key {
        "name" => {
            if let Value::Text(name) = json.value(&[])? {
                run.tool = name;
            }
            Ok(())
        }
        "rules" => json.array(|json| {
            let value = json.value(&["help", "fullDescription", "relationships"])?;
            if run.rules.len() < RULES_MAX {
                run.rules.push(rule(&value));
            }
            Ok(())
        }),
        _ => json.skip(),
    }
}

fn rule(value: &Value) -> Rule {
    let text = |keys: &[&str]| value.text(keys).map(str::to_owned);
    Rule {
        id: text(&["id"]).unwrap_or_default(),
        level: text(&["defaultConfiguration", "level"]),
        security: value.text(&["properties", "security-severity"]).and_then(|score| score.parse().ok()),
        text: text(&["shortDescription", "text"]).or_else(|| text(&["name"])),
    }
}

/// Takes what is needed of a result; `None` where it is no finding: passed, suppressed, or gone since the baseline.
fn raw(value: &Value) -> Option<Raw> {
    let is = |key: &str, words: &[&str]| value.text(&[key]).is_some_and(|word| words.contains(&word));
    let suppressed = value
        .list(&["suppressions"])
        .iter()
        .any(|one| !matches!(one.text(&["status"]), Some("rejected" | "underReview")));
    if suppressed || is("kind", &["pass", "notApplicable"]) || is("baselineState", &["absent"]) {
        return None;
    }
    let text = |keys: &[&str]| value.text(keys).map(str::to_owned);
    let index = |keys: &[&str]| value.number(keys).and_then(|number| usize::try_from(number).ok());
    let physical = value.list(&["locations"]).first().and_then(|location| location.at(&["physicalLocation"]));
    let place = physical.and_then(|place| {
        Some(Place {
            uri: place.text(&["artifactLocation", "uri"])?.to_owned(),
            base: place.text(&["artifactLocation", "uriBaseId"]).map(str::to_owned),
            lines: (place.number(&["region", "startLine"]), place.number(&["region", "endLine"])),
            column: place.number(&["region", "startColumn"]),
        })
    });
    Some(Raw {
        rule: text(&["ruleId"]).or_else(|| text(&["rule", "id"])),
        rule_index: index(&["ruleIndex"]).or_else(|| index(&["rule", "index"])),
        level: text(&["level"]),
        message: text(&["message", "text"]).or_else(|| text(&["message", "markdown"])).unwrap_or_default(),
        place,
        given: fingerprint(value),
    })
}

fn fingerprint(value: &Value) -> Option<String> {
    let first = |key: &str| match value.at(&[key]) {
        Some(Value::Map(entries)) => entries.first().and_then(|(_, print)| print.text(&[])).map(str::to_owned),
        _ => None,
    };
    first("fingerprints").or_else(|| first("partialFingerprints"))
}

impl Run {
    fn finding(&self, raw: &Raw, places: &Places, found: &mut Found) -> Result<(), ReadError> {
        let by_id = |id: &str| self.rules.iter().find(|rule| rule.id == id || id.starts_with(&format!("{}/", rule.id)));
        let rule = raw.rule_index.and_then(|index| self.rules.get(index)).or_else(|| by_id(raw.rule.as_deref()?));
        let id = raw.rule.as_deref().or(rule.map(|rule| rule.id.as_str())).unwrap_or("unknown");
        let message = match raw.message.is_empty() {
            true => rule.and_then(|rule| rule.text.as_deref()).unwrap_or(id),
            false => &raw.message,
        };
        let level = raw.level.as_deref().or(rule.and_then(|rule| rule.level.as_deref()));
        let severity = severity(level, rule.and_then(|rule| rule.security));
        let mut finding = Finding::new(&self.tool, id, message).severity(severity).given(raw.given.as_deref());
        if let Some(place) = &raw.place {
            match places.find(&self.path(place)) {
                Some(path) => finding.location = Some(Location::new(path, place.lines, place.column)),
                None => found.outside(),
            }
        }
        found.push(finding)
    }

    /// An address relative to a base that the run names (3.4.4); bases that are not absolute mean the tree.
    fn path(&self, place: &Place) -> String {
        let base = place.base.as_ref().and_then(|id| self.bases.iter().find(|(known, _)| known == id));
        match base {
            Some((_, base)) if base.starts_with("file:") && !place.uri.starts_with("file:") => {
                format!("{}/{}", base.trim_end_matches('/'), place.uri)
            }
            _ => place.uri.clone(),
        }
    }
}

/// The level (3.27.10), and where a rule has one its `security-severity` from 0 to 10, by CVSS's bands.
fn severity(level: Option<&str>, security: Option<f64>) -> Severity {
    match security {
        Some(score) if score >= 9.0 => return Severity::Blocker,
        Some(score) if score >= 7.0 => return Severity::Critical,
        Some(score) if score >= 4.0 => return Severity::Major,
        Some(score) if score > 0.0 => return Severity::Minor,
        _ => {}
    }
    match level {
        Some("error") => Severity::Major,
        Some("note" | "none") => Severity::Info,
        _ => Severity::Minor,
    }
}
