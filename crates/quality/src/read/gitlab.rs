//! GitLab's security reports (gitlab-org/security-products/security-report-schemas), version 14 and later.

use std::io::Read;

use serin_model::quality::Severity;

use super::input::Input;
use super::json::{Json, Value};
use super::{Format, Found, ReadError, Reading};
use crate::finding::{Finding, Location};
use crate::place::Places;

const FORMAT: Format = Format::GitlabSecurity;
const UNWANTED: &[&str] = &["details", "evidence", "tracking", "links", "flags", "raw_source_code_extract"];

pub(super) fn read(input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut json = Json::new(FORMAT, input);
    let mut found = Found::new(FORMAT);
    let mut tool = None;
    let mut has_list = false;
    json.object(|json, key| match key {
        "vulnerabilities" => {
            has_list = true;
            json.array(|json| {
                let value = json.value(UNWANTED)?;
                weakness(&value, places, &mut found)
            })
        }
        "scan" => {
            let scan = json.value(&["observability", "scanned_resources"])?;
            tool = scan.text(&["scanner", "name"]).map(|name| crate::text::line(name, crate::text::NAME_BYTES_MAX));
            Ok(())
        }
        _ => json.skip(),
    })?;
    if !has_list {
        return Err(json.wrong("it has no `vulnerabilities`"));
    }
    // The scan may stand behind its findings.
    for finding in &mut found.findings {
        if finding.tool.is_empty() {
            finding.tool = tool.clone().unwrap_or_else(|| "security".to_owned());
        }
    }
    Ok(found.finish())
}

fn weakness(value: &Value, places: &Places, found: &mut Found) -> Result<(), ReadError> {
    let text = |keys: &[&str]| value.text(keys).filter(|text| !text.is_empty());
    let identifier = value.list(&["identifiers"]).first();
    let rule = identifier.and_then(|id| id.text(&["value"]).or(id.text(&["name"]))).or(text(&["category"]));
    let name = text(&["name"]).or(text(&["message"])).or(text(&["description"])).unwrap_or("a weakness");
    let package = text(&["location", "dependency", "package", "name"]);
    let version = text(&["location", "dependency", "version"]);
    let message = match (package, version) {
        (Some(package), Some(version)) => format!("{package} {version}: {name}"),
        (Some(package), None) => format!("{package}: {name}"),
        _ => name.to_owned(),
    };
    let mut finding = Finding::new(text(&["scanner", "name"]).unwrap_or_default(), rule.unwrap_or("unknown"), &message)
        .severity(severity(text(&["severity"])))
        .given(text(&["id"]).filter(|_| package.is_some()));
    if let Some(path) = text(&["location", "file"]) {
        let lines = (value.number(&["location", "start_line"]), value.number(&["location", "end_line"]));
        match places.find(path) {
            Some(path) => finding.location = Some(Location::new(path, lines, None)),
            None => found.outside(),
        }
    }
    found.push(finding)
}

fn severity(word: Option<&str>) -> Severity {
    match word.unwrap_or_default().to_ascii_lowercase().as_str() {
        "critical" => Severity::Blocker,
        "high" => Severity::Critical,
        "medium" => Severity::Major,
        "info" => Severity::Info,
        _ => Severity::Minor,
    }
}
