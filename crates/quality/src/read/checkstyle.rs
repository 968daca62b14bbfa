//! Checkstyle's XML, which many linters write.

use std::io::Read;

use serin_model::quality::Severity;

use super::input::Input;
use super::xml::{Element, Token, Xml};
use super::{Format, Found, ReadError, Reading};
use crate::finding::{Finding, Location};
use crate::place::{Places, TreePath};

const FORMAT: Format = Format::Checkstyle;

pub(super) fn read(input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut xml = Xml::new(FORMAT, input, 0);
    let mut found = Found::new(FORMAT);
    let mut file: Option<TreePath> = None;
    let mut is_root = true;
    while let Some(token) = xml.next()? {
        let Token::Open(element) = token else { continue };
        if std::mem::take(&mut is_root) && element.name != "checkstyle" {
            return Err(xml.wrong(&format!("it begins with `<{}>`", element.name)));
        }
        match element.name.as_str() {
            "file" => file = places.find(element.get("name").unwrap_or_default()),
            "error" => {
                let severity = severity(element.get("severity"));
                if let Some(severity) = severity {
                    found.push(finding(&element, severity, file.as_ref()))?;
                    found.outside += usize::from(file.is_none());
                }
            }
            _ => {}
        }
    }
    Ok(found.finish())
}

fn finding(element: &Element, severity: Severity, file: Option<&TreePath>) -> Finding {
    // `com.puppycrawl.tools.checkstyle.checks.JavadocCheck`, `eslint.rules.no-var`, `ktlint:indent`
    let source = element.get("source").unwrap_or("unknown");
    let (owner, rule) = source.rsplit_once(['.', ':']).unwrap_or(("", source));
    let tool = match owner.split(['.', ':']).find(|part| !matches!(*part, "" | "com" | "org" | "io" | "net")) {
        Some("puppycrawl") | None => "checkstyle",
        Some(tool) => tool,
    };
    let mut finding = Finding::new(tool, rule, element.get("message").unwrap_or(rule)).severity(severity);
    finding.location =
        file.map(|path| Location::new(path.clone(), (element.number("line"), None), element.number("column")));
    finding
}

/// `None`: the tool was told to be silent.
fn severity(word: Option<&str>) -> Option<Severity> {
    match word {
        Some("ignore") => None,
        Some("info") => Some(Severity::Info),
        Some("error") => Some(Severity::Major),
        _ => Some(Severity::Minor),
    }
}
