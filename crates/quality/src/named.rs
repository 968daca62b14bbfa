//! Which reports a job names, and which of them count.

use serin_model::plan::{Job, Work};

/// Kinds of `artifacts:reports` that are read; the others are kept for whoever downloads them.
pub const KINDS: [&str; 8] = [
    "codequality",
    "container_scanning",
    "coverage_report",
    "dependency_scanning",
    "junit",
    "sarif",
    "sast",
    "secret_detection",
];
/// The kind of the file that SonarQube's scanner leaves: it names an analysis, and holds nothing else.
pub const SONARQUBE: &str = "sonarqube";
/// A job whose variable of this name is `true` may leave a report that it names unwritten.
const OPTIONAL_REPORTS: &str = "SERIN_OPTIONAL_REPORTS";

/// The kinds of reports that a job which ran must have left: each that it names and that is read.
#[must_use]
pub fn owed(job: &Job) -> Vec<&str> {
    let is_optional = |key: &str, value: &str| key == OPTIONAL_REPORTS && value == "true";
    if job.variables.iter().any(|variable| is_optional(&variable.key, &variable.value)) {
        return Vec::new();
    }
    let Work::Script(script) = &job.work else { return Vec::new() };
    let named = script.artifacts.iter().flat_map(|artifacts| &artifacts.reports);
    named.map(|(kind, _)| kind.as_str()).filter(|kind| KINDS.contains(kind) || *kind == SONARQUBE).collect()
}
