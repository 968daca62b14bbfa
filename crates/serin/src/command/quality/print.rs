//! What `serin quality` prints: for people, as JSON, as SARIF 2.1.0.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serin_quality::gate::{self, Language, Verdict};
use serin_quality::test_case::Counts;
use serin_quality::{Finding, Ratio, Severity, TestCase, Traced};

use super::Outcome;
use crate::cli::{Quality, QualityFormat};
use crate::terminal::{self, DIM, GREEN, RED, YELLOW, styled};

/// New findings that people are shown; the other formats have all.
const SHOWN_MAX: usize = 50;
const SARIF_SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn print(outcome: &Outcome, flags: &Quality) {
    match flags.format {
        QualityFormat::Text => text(outcome, flags.language.into()).iter().for_each(|line| terminal::line(line)),
        QualityFormat::Json => terminal::line(&format!("{:#}", whole(outcome))),
        QualityFormat::Sarif => terminal::line(&format!("{:#}", sarif(outcome))),
    }
}

/// Where a finding is.
pub(super) fn place(finding: &Finding) -> String {
    finding.location.as_ref().map_or_else(|| "-".to_owned(), |at| format!("{}:{}", at.path, at.line))
}

/// What a test is called.
pub(super) fn test_name(test: &TestCase) -> String {
    if test.class.is_empty() { test.name.to_string() } else { format!("{} {}", test.class, test.name) }
}

/// What people read, line by line.
#[must_use]
pub fn text(outcome: &Outcome, language: Language) -> Vec<String> {
    let pick = |english: String, chinese: String| match language {
        Language::English => english,
        Language::Chinese => chinese,
    };
    let mut lines = Vec::new();
    if let Some((found, change)) = &outcome.findings {
        lines.extend(change.new.iter().take(SHOWN_MAX).map(|index| finding_line(&found[*index].finding)));
        let more = change.new.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            lines.push(pick(
                format!("… {more} more; `--format json` lists them all"),
                format!("……还有 {more} 个，`--format json` 会全部列出"),
            ));
        }
        let (new, fixed, remaining) = (change.new.len(), change.fixed.len(), found.len() - change.new.len());
        lines.push(pick(
            format!("findings: {new} new, {fixed} fixed, {remaining} remaining"),
            format!("问题：新增 {new}，修复 {fixed}，遗留 {remaining}"),
        ));
    }
    if let Some((tests, change)) = &outcome.tests {
        for (indices, english, chinese) in
            [(&change.newly_failing, "fails", "失败"), (&change.still_failing, "still fails", "仍然失败")]
        {
            let word = styled(RED, &pick(english.to_owned(), chinese.to_owned()));
            lines.extend(indices.iter().take(SHOWN_MAX).map(|index| failing_line(&word, &tests[*index])));
        }
        let Counts { passed, failed, skipped, .. } = Counts::of(tests);
        let new = change.newly_failing.len();
        lines.push(pick(
            format!("tests: {passed} passed, {failed} failed, {skipped} skipped, {new} newly failing"),
            format!("测试：通过 {passed}，失败 {failed}，跳过 {skipped}，新失败 {new}"),
        ));
    }
    if let Some(coverage) = outcome.coverage {
        let shown = |ratio| percent(ratio, &pick("no line".to_owned(), "无代码行".to_owned()));
        let changed = outcome.changed.map(shown);
        let more = |before: &str| changed.as_ref().map(|share| format!("{before}{share}")).unwrap_or_default();
        let whole = shown(coverage);
        lines.push(pick(
            format!("coverage: {whole}{}", more(", changed lines ")),
            format!("覆盖率：{whole}{}", more("，变更行 ")),
        ));
    }
    for condition in &outcome.conditions {
        let mark = match condition.verdict {
            Verdict::Passed => styled(GREEN, "✓"),
            Verdict::Failed | Verdict::Missing => styled(RED, "✗"),
        };
        lines.push(format!("{mark} {}", gate::sentence(condition, language)));
    }
    lines
}

fn finding_line(finding: &Finding) -> String {
    let severity = styled(YELLOW, finding.severity.as_str());
    let rule = styled(DIM, &format!("{} {}", finding.tool, finding.rule));
    format!("{} {severity} {} {rule}", place(finding), finding.message)
}

fn failing_line(word: &str, test: &TestCase) -> String {
    let message = test.detail.as_ref().map(|detail| detail.message.as_str()).filter(|message| !message.is_empty());
    let message = message.map(|message| format!(" {}", styled(DIM, message))).unwrap_or_default();
    format!("{word} {}{message}", test_name(test))
}

fn percent(ratio: Ratio, none: &str) -> String {
    match ratio.share() {
        Some(share) => format!("{} ({}/{})", gate::percent(share), ratio.covered, ratio.total),
        None => none.to_owned(),
    }
}

/// All of it for machines.
#[must_use]
pub fn whole(outcome: &Outcome) -> Value {
    let conditions: Vec<Value> = outcome
        .conditions
        .iter()
        .map(|one| {
            json!({
                "key": one.subject.key(),
                "verdict": one.verdict.as_str(),
                "english": gate::sentence(one, Language::English),
                "chinese": gate::sentence(one, Language::Chinese),
            })
        })
        .collect();
    let ratio = |ratio: Ratio| json!({ "covered": ratio.covered, "total": ratio.total });
    json!({
        "passed": gate::passed(&outcome.conditions),
        "conditions": conditions,
        "findings": outcome.findings.as_ref().map(|(found, change)| json!({
            "new": change.new.iter().map(|index| finding(&found[*index])).collect::<Vec<_>>(),
            "fixed": change.fixed.len(),
            "remaining": found.len() - change.new.len(),
        })),
        "tests": outcome.tests.as_ref().map(|(tests, change)| {
            let counts = Counts::of(tests);
            let names = |list: &[usize]| list.iter().map(|index| test_name(&tests[*index])).collect::<Vec<_>>();
            json!({
                "passed": counts.passed,
                "failed": counts.failed,
                "skipped": counts.skipped,
                "newly_failing": names(&change.newly_failing),
                "newly_passing": names(&change.newly_passing),
                "removed": change.removed.len(),
                "slower": change.slower.len(),
            })
        }),
        "coverage": outcome.coverage.map(ratio),
        "coverage_on_changed_lines": outcome.changed.map(ratio),
    })
}

fn finding(traced: &Traced) -> Value {
    let finding = &traced.finding;
    let at = finding.location.as_ref();
    json!({
        "severity": finding.severity.as_str(),
        "tool": finding.tool,
        "rule": finding.rule,
        "message": finding.message,
        "path": at.map(|at| at.path.as_str()),
        "line": at.map(|at| at.line),
        "fingerprint": traced.content.to_string(),
    })
}

/// One run for each tool; `baselineState` (SARIF 3.27.24) tells new findings from those that remain.
fn sarif(outcome: &Outcome) -> Value {
    let Some((found, change)) = &outcome.findings else {
        return json!({ "$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [] });
    };
    let new: BTreeSet<usize> = change.new.iter().copied().collect();
    let tools: BTreeSet<&str> = found.iter().map(|traced| traced.finding.tool.as_str()).collect();
    let runs = tools.into_iter().map(|tool| {
        let of_tool = found.iter().enumerate().filter(|(_, traced)| traced.finding.tool == tool);
        let results: Vec<Value> = of_tool.map(|(index, traced)| result(traced, new.contains(&index))).collect();
        json!({ "tool": { "driver": { "name": tool } }, "results": results })
    });
    json!({ "$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": runs.collect::<Vec<_>>() })
}

fn result(traced: &Traced, is_new: bool) -> Value {
    let finding = &traced.finding;
    let level = match finding.severity {
        Severity::Info => "note",
        Severity::Minor => "warning",
        _ => "error",
    };
    let mut result = json!({
        "ruleId": finding.rule,
        "level": level,
        "message": { "text": finding.message },
        "baselineState": if is_new { "new" } else { "unchanged" },
        "partialFingerprints": { "serinContent/v1": traced.content.to_string() },
    });
    if let Some(at) = &finding.location {
        let mut physical = json!({ "artifactLocation": { "uri": uri(at.path.as_str()) } });
        if at.line > 0 {
            physical["region"] = json!({ "startLine": at.line, "endLine": at.end_line });
        }
        result["locations"] = json!([{ "physicalLocation": physical }]);
    }
    result
}

/// A path as a relative address (RFC 3986).
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
