//! SARIF 2.1.0 (OASIS, sections 3.13 sarifLog, 3.14 run, 3.27 result, 3.49 reportingDescriptor).

use std::collections::BTreeMap;
use std::io::Read;

use serin_model::quality::Severity;

use super::input::Input;
use super::json::{Json, Value};
use super::{FINDINGS_MAX, Format, Found, ReadError, Reading};
use crate::finding::{Finding, Location};
use crate::place::{Places, TreePath};

const FORMAT: Format = Format::Sarif;
/// Parts of a result that may be large and say nothing that is needed.
const UNWANTED: &[&str] =
    &["codeFlows", "threadFlows", "graphs", "graphTraversals", "fixes", "stacks", "attachments", "relatedLocations"];
/// Parts of a rule that may be large and say nothing that is needed.
const UNWANTED_OF_RULES: &[&str] = &["help", "fullDescription", "relationships"];
/// Rules of one run, and files that it lists.
const RULES_MAX: usize = 50_000;
const ARTIFACTS_MAX: usize = 200_000;
/// Bases that a base may stand on in turn.
const BASES_DEPTH_MAX: usize = 8;
/// Texts of a rule.
const MESSAGES_MAX: usize = 64;

/// A rule of the tool, or of one of its extensions.
struct Rule {
    id: String,
    level: Option<String>,
    security: Option<f64>,
    text: Option<String>,
    messages: Vec<(String, String)>,
}

/// The rules of the tool's driver, or of one of its extensions, in their order and by their ids.
#[derive(Default)]
struct Component {
    name: String,
    rules: Vec<Rule>,
    by_id: BTreeMap<String, usize>,
}

/// Which rule a result breaks (3.27.5 to 3.27.7, 3.52).
struct RuleReference {
    id: Option<String>,
    index: Option<usize>,
    /// The extension that has the rule; `None`: the driver.
    extension: Option<usize>,
    extension_name: Option<String>,
}

/// What is kept of a result until its run's rules are known: they may stand behind it.
struct Raw {
    rule: RuleReference,
    level: Option<String>,
    message: Message,
    place: Option<Place>,
    given: Option<String>,
}

/// A text, or the name of one of the rule's texts (3.11).
#[derive(Default)]
struct Message {
    text: String,
    id: Option<String>,
    arguments: Vec<String>,
}

struct Place {
    file: Artifact,
    lines: (Option<i64>, Option<i64>),
    column: Option<i64>,
}

/// A file by its address, or by its number in the run's list (3.4).
#[derive(Clone, Default)]
struct Artifact {
    uri: Option<String>,
    base: Option<String>,
    index: Option<usize>,
}

#[derive(Default)]
struct Run {
    driver: Component,
    extensions: Vec<Component>,
    bases: Vec<(String, Artifact)>,
    artifacts: Vec<Artifact>,
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
    let mut run = Run::default();
    json.object(|json, key| match key {
        "tool" => json.object(|json, key| match key {
            "driver" => {
                run.driver = component(json)?;
                Ok(())
            }
            "extensions" => json.array(|json| {
                run.extensions.push(component(json)?);
                if run.extensions.len() > RULES_MAX { Err(too_many(RULES_MAX, "extensions")) } else { Ok(()) }
            }),
            _ => json.skip(),
        }),
        "originalUriBaseIds" => {
            if let Value::Map(entries) = json.value(&[])? {
                run.bases = entries.iter().map(|(id, value)| (id.clone(), artifact(value))).collect();
            }
            Ok(())
        }
        "artifacts" => json.array(|json| {
            let value = json.value(&["contents", "hashes", "properties", "description"])?;
            run.artifacts.push(value.at(&["location"]).map(artifact).unwrap_or_default());
            if run.artifacts.len() > ARTIFACTS_MAX { Err(too_many(ARTIFACTS_MAX, "files")) } else { Ok(()) }
        }),
        "results" => json.array(|json| {
            let value = json.value(UNWANTED)?;
            if run.results.len() == FINDINGS_MAX {
                return Err(too_many(FINDINGS_MAX, "findings"));
            }
            run.results.extend(raw(&value));
            Ok(())
        }),
        _ => json.skip(),
    })?;
    Ok(run)
}

fn too_many(max: usize, unit: &'static str) -> ReadError {
    ReadError::TooLarge { format: FORMAT.as_str(), max: max as u64, unit }
}

fn component(json: &mut Json<impl Read>) -> Result<Component, ReadError> {
    let mut component = Component::default();
    json.object(|json, key| match key {
        "name" => {
            if let Value::Text(name) = json.value(&[])? {
                component.name = name;
            }
            Ok(())
        }
        "rules" => json.array(|json| {
            let value = json.value(UNWANTED_OF_RULES)?;
            if component.rules.len() < RULES_MAX {
                let rule = rule(&value);
                component.by_id.entry(rule.id.clone()).or_insert(component.rules.len());
                component.rules.push(rule);
            }
            Ok(())
        }),
        _ => json.skip(),
    })?;
    Ok(component)
}

fn rule(value: &Value) -> Rule {
    let text = |keys: &[&str]| value.text(keys).map(str::to_owned);
    let messages = match value.at(&["messageStrings"]) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let message = |(id, value): &(String, Value)| Some((id.clone(), value.text(&["text"])?.to_owned()));
    Rule {
        id: text(&["id"]).unwrap_or_default(),
        level: text(&["defaultConfiguration", "level"]),
        security: value.fraction(&["properties", "security-severity"]),
        text: text(&["shortDescription", "text"]).or_else(|| text(&["name"])),
        messages: messages.iter().take(MESSAGES_MAX).filter_map(message).collect(),
    }
}

fn artifact(value: &Value) -> Artifact {
    let text = |key: &str| value.text(&[key]).map(str::to_owned);
    Artifact { uri: text("uri"), base: text("uriBaseId"), index: value.index(&["index"]) }
}

/// Takes what is needed of a result; `None` where it is no finding: passed, suppressed, or gone since the baseline.
fn raw(value: &Value) -> Option<Raw> {
    let is = |key: &str, words: &[&str]| value.text(&[key]).is_some_and(|word| words.contains(&word));
    if is_suppressed(value) || is("kind", &["pass", "notApplicable"]) || is("baselineState", &["absent"]) {
        return None;
    }
    let text = |keys: &[&str]| value.text(keys).map(str::to_owned);
    let rule = RuleReference {
        id: text(&["ruleId"]).or_else(|| text(&["rule", "id"])),
        index: value.index(&["ruleIndex"]).or_else(|| value.index(&["rule", "index"])),
        extension: value.index(&["rule", "toolComponent", "index"]),
        extension_name: text(&["rule", "toolComponent", "name"]),
    };
    // What is no failure has the level `none` (3.27.10).
    let level = if value.text(&["kind"]).is_some_and(|kind| kind != "fail") { Some("none".into()) } else { None };
    let word = |value: &Value| value.text(&[]).unwrap_or_default().to_owned();
    let message = Message {
        text: text(&["message", "text"]).or_else(|| text(&["message", "markdown"])).unwrap_or_default(),
        id: text(&["message", "id"]),
        arguments: value.list(&["message", "arguments"]).iter().map(word).collect(),
    };
    Some(Raw {
        rule,
        level: level.or_else(|| text(&["level"])),
        message,
        place: place(value),
        given: fingerprint(value),
    })
}

/// Whether somebody decided that a result is none (3.27.23): nothing that was refused or is still looked at.
fn is_suppressed(value: &Value) -> bool {
    let suppressions = value.list(&["suppressions"]);
    let is_open = |one: &Value| matches!(one.text(&["status"]), Some("rejected" | "underReview"));
    !suppressions.is_empty() && !suppressions.iter().any(is_open)
}

/// The first place of a result, or else the file that was analysed.
fn place(value: &Value) -> Option<Place> {
    let physical = value.list(&["locations"]).first().and_then(|location| location.at(&["physicalLocation"]));
    let Some(physical) = physical else {
        let file = artifact(value.at(&["analysisTarget"])?);
        return Some(Place { file, lines: (None, None), column: None });
    };
    Some(Place {
        file: artifact(physical.at(&["artifactLocation"])?),
        lines: (physical.number(&["region", "startLine"]), physical.number(&["region", "endLine"])),
        column: physical.number(&["region", "startColumn"]),
    })
}

fn fingerprint(value: &Value) -> Option<String> {
    let first = |key: &str| match value.at(&[key]) {
        Some(Value::Map(entries)) => entries.first().and_then(|(_, print)| print.text(&[])).map(str::to_owned),
        _ => None,
    };
    first("fingerprints").or_else(|| first("partialFingerprints"))
}

impl Component {
    /// A rule by its id, or by that of the rule that it refines: `CA1000/1` belongs to `CA1000` (3.27.5).
    fn of_id(&self, id: &str) -> Option<&Rule> {
        let mut id = id;
        loop {
            if let Some(index) = self.by_id.get(id) {
                return self.rules.get(*index);
            }
            id = id.rsplit_once('/')?.0;
        }
    }
}

impl Run {
    fn finding(&self, raw: &Raw, places: &Places, found: &mut Found) -> Result<(), ReadError> {
        let rule = self.rule(&raw.rule);
        let id = raw.rule.id.as_deref().or(rule.map(|rule| rule.id.as_str())).unwrap_or("unknown");
        let message = raw.message.told(rule).unwrap_or_else(|| id.to_owned());
        let level = raw.level.as_deref().or(rule.and_then(|rule| rule.level.as_deref()));
        let severity = severity(level, rule.and_then(|rule| rule.security));
        let tool = if self.driver.name.is_empty() { "sarif" } else { &self.driver.name };
        let mut finding = Finding::new(tool, id, &message).severity(severity).given(raw.given.as_deref());
        if let Some(place) = &raw.place {
            match self.path(&place.file, places) {
                Some(path) => finding.location = Some(Location::new(path, place.lines, place.column)),
                None => found.outside(),
            }
        }
        found.push(finding)
    }

    fn rule(&self, wanted: &RuleReference) -> Option<&Rule> {
        let by_name = |name: &String| self.extensions.iter().position(|component| component.name == *name);
        let extension = wanted.extension.or_else(|| by_name(wanted.extension_name.as_ref()?));
        let component = extension.and_then(|index| self.extensions.get(index)).unwrap_or(&self.driver);
        if let Some(rule) = wanted.index.and_then(|index| component.rules.get(index)) {
            return Some(rule);
        }
        let id = wanted.id.as_deref()?;
        component.of_id(id).or_else(|| [&self.driver].into_iter().chain(&self.extensions).find_map(|one| one.of_id(id)))
    }

    /// The file that an address means: relative to a base that the run names (3.4.4), or in the run's list (3.4.5).
    ///
    /// Some tools name the root of the file system as the base of addresses that are relative to the project.
    fn path(&self, file: &Artifact, places: &Places) -> Option<TreePath> {
        let listed = || file.index.and_then(|index| self.artifacts.get(index));
        let file = if file.uri.is_some() { file } else { listed()? };
        let uri = file.uri.as_deref()?;
        let whole = self.absolute(file, BASES_DEPTH_MAX)?;
        let is_of_root = whole.strip_prefix("file:").is_some_and(|path| path.trim_start_matches('/') == uri);
        let as_it_is = || if is_of_root { places.find(uri) } else { places.find_existing(uri) };
        places.find(&whole).or_else(as_it_is)
    }

    fn absolute(&self, file: &Artifact, depth_left: usize) -> Option<String> {
        let uri = file.uri.clone().unwrap_or_default();
        let base = file.base.as_ref().and_then(|id| self.bases.iter().find(|(known, _)| known == id));
        let Some((_, base)) = base.filter(|_| !uri.contains("://") && !uri.starts_with("file:")) else {
            return Some(uri);
        };
        let base = self.absolute(base, depth_left.checked_sub(1)?)?;
        Some(match base.trim_end_matches('/') {
            "" => uri,
            "file:" => format!("file:///{}", uri.trim_start_matches('/')),
            base => format!("{base}/{}", uri.trim_start_matches('/')),
        })
    }
}

impl Message {
    /// The text, with its arguments in their places; that of the rule where it has none of its own.
    fn told(&self, rule: Option<&Rule>) -> Option<String> {
        let of_rule = || {
            let id = self.id.as_ref()?;
            rule?.messages.iter().find(|(known, _)| known == id).map(|(_, text)| text.as_str())
        };
        let own = Some(self.text.as_str()).filter(|text| !text.is_empty());
        let text = own.or_else(of_rule).or_else(|| rule?.text.as_deref())?;
        let filled = |text: String, (number, argument): (usize, &String)| {
            let longer = text.len().saturating_add(argument.len()) > crate::text::MESSAGE_BYTES_MAX * 4;
            if longer { text } else { text.replacen(&format!("{{{number}}}"), argument, 1) }
        };
        Some(self.arguments.iter().enumerate().take(MESSAGES_MAX).fold(text.to_owned(), filled))
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
