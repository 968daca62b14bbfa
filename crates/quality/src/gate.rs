//! The gate: conditions, each with its value, its verdict, and what would satisfy it.

mod sentence;

use serin_model::quality::{Gate, Quarantine, Severity};

use crate::coverage::Ratio;
use crate::quarantine;

pub use sentence::{Language, percent, sentence};

/// What is known of a change; what no report tells is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Severities of the new findings.
    pub new_findings: Option<Vec<Severity>>,
    /// The worst new findings in words, the worst first.
    pub worst_findings: Vec<String>,
    /// Tests that fail.
    pub failing_tests: Option<u64>,
    /// The failing tests by name, those that began to fail first.
    pub first_failing: Vec<String>,
    /// The day, such as `2026-11-23`; where it is not known, no test is held in quarantine.
    pub today: Option<String>,
    /// Changed lines that tests ran, of those that could run.
    pub changed_coverage: Option<Ratio>,
    /// Added lines that repeat others, of all added lines.
    pub duplicated: Option<Ratio>,
    /// The reports that were named or asked for.
    pub reports: Vec<ReportState>,
    /// What other gates say, such as SonarQube's.
    pub gates: Vec<OtherGate>,
}

/// What another gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherGate {
    /// Its name.
    pub name: String,
    /// Its word.
    pub verdict: Verdict,
    /// Its conditions that do not hold, or why it says nothing.
    pub open: Vec<String>,
    /// The same for readers of Chinese.
    pub open_chinese: Vec<String>,
}

/// What became of one kind of report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportState {
    /// Its kind, as in `artifacts:reports`.
    pub kind: String,
    /// How it stands.
    pub state: Presence,
}

/// Whether a report is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was read.
    Read,
    /// A job names it, and no file came.
    Absent,
    /// It cannot be read, and why.
    Broken(String),
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// New findings of at least that severity.
    NewFindings(Severity),
    /// Changed lines that tests ran.
    ChangedCoverage,
    /// Tests that fail.
    FailingTests,
    /// Added lines that repeat others.
    DuplicatedLines,
    /// Failing tests that do not count for a while.
    Quarantine,
    /// Tests whose quarantine is over.
    QuarantineEnded,
    /// What another gate says.
    Gate(String),
    /// A kind of report that must be there.
    Report(String),
}

impl Subject {
    /// Its key, for machines; stable.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::NewFindings(severity) => format!("new_findings.{severity}"),
            Self::ChangedCoverage => "coverage_on_changed_lines".to_owned(),
            Self::FailingTests => "failing_tests".to_owned(),
            Self::DuplicatedLines => "duplicated_lines".to_owned(),
            Self::Quarantine => "quarantine".to_owned(),
            Self::QuarantineEnded => "quarantine_ended".to_owned(),
            Self::Gate(name) => format!("gate.{name}"),
            Self::Report(kind) => format!("report.{kind}"),
        }
    }
}

/// A measured value, or a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// Lines of lines.
    Lines(Ratio),
    /// A share from 0 to 1.
    Share(f64),
}

/// How a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// Nothing tells whether it holds; that is never a pass.
    Missing,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// One condition and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What it is about.
    pub subject: Subject,
    /// What was measured.
    pub value: Option<Value>,
    /// What is allowed or asked.
    pub limit: Option<Value>,
    /// How it stands.
    pub verdict: Verdict,
    /// The first things at fault, by name, or why a report cannot be read.
    pub names: Vec<String>,
    /// The same for readers of Chinese, where it is not the same.
    pub names_chinese: Option<Vec<String>>,
}

/// Whether every condition holds; without conditions there is nothing to hold.
#[must_use]
pub fn passed(conditions: &[Condition]) -> bool {
    conditions.iter().all(|condition| condition.verdict == Verdict::Passed)
}

/// Holds facts against a project's gate; `None`: against the default, which asks only of what is reported.
#[must_use]
pub fn judge(gate: Option<&Gate>, facts: &Facts) -> Vec<Condition> {
    let default = Gate::default();
    let asked = gate.is_some();
    let gate = gate.unwrap_or(&default);
    let mut conditions = reports(gate, facts);
    for (severity, allowed) in &gate.new_findings {
        conditions.push(new_findings(facts, *severity, *allowed));
    }
    conditions.extend(tests(gate, facts));
    if let Some(share) = gate.coverage_on_changed_lines {
        conditions.push(coverage(facts.changed_coverage, share));
    }
    if let Some(share) = gate.duplicated_lines {
        let value = facts.duplicated.map(Value::Lines);
        conditions.push(at_most(Subject::DuplicatedLines, value, Value::Share(share)));
    }
    conditions.extend(facts.gates.iter().map(|gate| Condition {
        subject: Subject::Gate(gate.name.clone()),
        value: Some(Value::Count(gate.open.len() as u64)),
        limit: None,
        verdict: gate.verdict,
        names: gate.open.clone(),
        names_chinese: Some(gate.open_chinese.clone()),
    }));
    conditions
        .retain(|condition| asked || condition.value.is_some() || matches!(condition.subject, Subject::Report(_)));
    conditions
}

/// Failing tests, and what of them quarantine holds: that is told, never silent.
fn tests(gate: &Gate, facts: &Facts) -> Vec<Condition> {
    let names = facts.first_failing.iter().map(String::as_str);
    let sorted = quarantine::sort(names, &gate.quarantine, facts.today.as_deref());
    let mut conditions = Vec::new();
    if let Some(allowed) = gate.failing_tests {
        let count = facts.failing_tests.map(|count| count.saturating_sub(sorted.held.len() as u64));
        let is_over = count > Some(allowed.into());
        let names = if is_over { sorted.counted.iter().map(|name| (*name).to_owned()).collect() } else { Vec::new() };
        let limit = Value::Count(allowed.into());
        conditions.push(Condition { names, ..at_most(Subject::FailingTests, count.map(Value::Count), limit) });
    }
    for (subject, listed) in [(Subject::Quarantine, &sorted.held), (Subject::QuarantineEnded, &sorted.ended)] {
        if !listed.is_empty() {
            let told = |(name, entry): &(&str, &Quarantine)| format!("{name}: {}, {}", entry.owner, entry.until);
            conditions.push(Condition {
                subject,
                value: Some(Value::Count(listed.len() as u64)),
                limit: None,
                verdict: Verdict::Passed,
                names: listed.iter().map(told).collect(),
                names_chinese: None,
            });
        }
    }
    conditions
}

/// Reports that must be there, and those that a job named and that did not come or cannot be read.
fn reports(gate: &Gate, facts: &Facts) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let wanted = gate.reports.iter().filter(|kind| !facts.reports.iter().any(|report| report.kind == **kind));
    for kind in wanted {
        conditions.push(report(kind, &Presence::Absent));
    }
    for known in &facts.reports {
        if known.state != Presence::Read || gate.reports.contains(&known.kind) {
            conditions.push(report(&known.kind, &known.state));
        }
    }
    conditions
}

fn report(kind: &str, state: &Presence) -> Condition {
    let (verdict, names) = match state {
        Presence::Read => (Verdict::Passed, Vec::new()),
        Presence::Absent => (Verdict::Missing, Vec::new()),
        Presence::Broken(problem) => (Verdict::Failed, vec![problem.clone()]),
    };
    Condition {
        subject: Subject::Report(kind.to_owned()),
        value: None,
        limit: None,
        verdict,
        names,
        names_chinese: None,
    }
}

fn new_findings(facts: &Facts, severity: Severity, allowed: u32) -> Condition {
    let bad = |found: &Vec<Severity>| found.iter().filter(|one| **one >= severity).count() as u64;
    let value = facts.new_findings.as_ref().map(bad);
    // The worst come first: those behind are not bad enough to count.
    let counted = value.filter(|value| *value > u64::from(allowed)).unwrap_or(0);
    let names = facts.worst_findings.iter().take(usize::try_from(counted).unwrap_or(usize::MAX)).cloned().collect();
    let limit = Value::Count(allowed.into());
    Condition { names, ..at_most(Subject::NewFindings(severity), value.map(Value::Count), limit) }
}

fn at_most(subject: Subject, value: Option<Value>, limit: Value) -> Condition {
    let verdict = match (value, limit) {
        (Some(Value::Count(count)), Value::Count(allowed)) if count <= allowed => Verdict::Passed,
        (Some(Value::Lines(lines)), Value::Share(allowed)) if lines.share().unwrap_or(0.0) <= allowed => {
            Verdict::Passed
        }
        (None, _) => Verdict::Missing,
        _ => Verdict::Failed,
    };
    Condition { subject, value, limit: Some(limit), verdict, names: Vec::new(), names_chinese: None }
}

/// A change without a line that could run needs no test.
fn coverage(ratio: Option<Ratio>, asked: f64) -> Condition {
    let verdict = match ratio {
        None => Verdict::Missing,
        Some(ratio) if lines_missing(ratio, asked) == 0 => Verdict::Passed,
        Some(_) => Verdict::Failed,
    };
    Condition {
        subject: Subject::ChangedCoverage,
        value: ratio.map(Value::Lines),
        limit: Some(Value::Share(asked)),
        verdict,
        names: Vec::new(),
        names_chinese: None,
    }
}

/// How many more lines must be run to reach a share.
fn lines_missing(ratio: Ratio, asked: f64) -> u64 {
    // A rounding error must not ask for one line more than all.
    let needed = (asked * ratio.total as f64 - 1e-9).ceil().max(0.0) as u64;
    needed.min(ratio.total).saturating_sub(ratio.covered)
}

#[cfg(test)]
mod tests;
