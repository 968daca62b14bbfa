//! Findings as SARIF 2.1.0.

use serde_json::{Value, json};
use serin_lang::{Diagnostic, Severity};

/// The log of one run.
pub fn log(findings: &[Diagnostic]) -> Value {
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "serin lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": [rule("error", "error"), rule("warning", "warning")],
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(id: &str, level: &str) -> Value {
    let text = match id {
        "error" => "The file cannot be used",
        _ => "Legal, and surely not meant",
    };
    json!({ "id": id, "shortDescription": { "text": text }, "defaultConfiguration": { "level": level } })
}

fn result(finding: &Diagnostic) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let text = match &finding.hint {
        Some(hint) => format!("{}. {hint}", finding.message),
        None => finding.message.clone(),
    };
    let related = finding.related.iter().map(|(place, word)| {
        json!({ "message": { "text": word }, "physicalLocation": physical(&place.file, place.line, place.column) })
    });
    let chain = finding.chain.iter().map(|place| {
        json!({
            "message": { "text": "included from here" },
            "physicalLocation": physical(&place.file, place.line, place.column),
        })
    });
    json!({
        "ruleId": level,
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": physical(&finding.file, finding.line, finding.column) }],
        "relatedLocations": related.chain(chain).collect::<Vec<_>>(),
    })
}

fn physical(file: &str, line: u32, column: u32) -> Value {
    json!({ "artifactLocation": { "uri": file }, "region": { "startLine": line, "startColumn": column } })
}
