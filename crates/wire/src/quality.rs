//! How a change stands before the quality gate: what the API shows, and what the server keeps.

use serde::{Deserialize, Serialize};

/// How a pipeline's change stands before the gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// `passed`, `failed`, or `unmeasured`: no condition applies.
    pub status: String,
    /// Whether the project's gate keeps what does not pass from being merged.
    pub blocks: bool,
    /// Every condition, in a stable order.
    pub conditions: Vec<Condition>,
    /// The pipeline of the merge base that was compared with.
    pub base_pipeline: Option<i64>,
    /// What became of findings; `None`: no report of them.
    pub findings: Option<Findings>,
    /// What became of tests; `None`: no report of them.
    pub tests: Option<Tests>,
    /// Which lines ran; `None`: no report of it.
    pub coverage: Option<Coverage>,
    /// What `coverage:` of jobs found in their output, percent.
    #[serde(default)]
    pub job_coverage: Vec<JobCoverage>,
    /// What people should know of the reports.
    pub notes: Vec<String>,
    /// The same in Chinese.
    #[serde(default)]
    pub notes_zh: Vec<String>,
}

/// What `coverage:` of a job found in its output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobCoverage {
    /// The job.
    pub job: String,
    /// Percent.
    pub percent: f64,
    /// The same at the merge base.
    pub before: Option<f64>,
}

/// One condition and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Such as `new_findings.major`; stable.
    pub key: String,
    /// `passed`, `failed`, `missing`.
    pub verdict: String,
    /// How it stands and what would satisfy it, in English.
    pub english: String,
    /// The same in Chinese.
    pub chinese: String,
}

/// What became of findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// How many are new.
    pub new: usize,
    /// How many are gone.
    pub fixed: usize,
    /// How many were there before.
    pub remaining: usize,
    /// The worst new ones.
    pub shown: Vec<Finding>,
}

/// A finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `info`, `minor`, `major`, `critical`, `blocker`.
    pub severity: String,
    /// The tool.
    pub tool: String,
    /// Its rule.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// The file.
    pub path: Option<String>,
    /// The line, from 1.
    pub line: u32,
}

/// What became of tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tests {
    /// How many passed.
    pub passed: u32,
    /// How many failed.
    pub failed: u32,
    /// How many were left out.
    pub skipped: u32,
    /// How many passed and failed before.
    pub newly_passing: usize,
    /// How many failed before too.
    pub still_failing: usize,
    /// How many take much longer.
    pub slower: usize,
    /// How many are not there any more.
    pub removed: usize,
    /// Tests that fail and did not.
    pub newly_failing: Vec<Test>,
    /// Tests that gave both outcomes on one tree.
    pub flaky: Vec<Test>,
}

/// A test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Its class and name.
    pub name: String,
    /// What it said.
    pub message: String,
    /// The share of runs in which it failed without reason, where it is known to be flaky.
    pub flaky_rate: Option<f64>,
}

/// Which lines ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Changed lines that ran, of those that could; `None`: the difference is too large to look at.
    pub changed: Option<(u64, u64)>,
    /// All lines that ran, of those that could.
    pub whole: (u64, u64),
    /// The same at the merge base.
    pub before: Option<(u64, u64)>,
}

/// Asks that a merge request passes although its gate does not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewOverride {
    /// Why.
    pub reason: String,
}

/// Who let a merge request pass although its gate does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The person.
    pub name: String,
    /// The person's reason.
    pub reason: String,
    /// RFC 3339.
    pub created_at: String,
}

/// A merge request before its gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quality {
    /// How its newest pipeline stands; `None`: it is not finished.
    pub judgement: Option<Judgement>,
    /// Who let its present commit pass.
    #[serde(rename = "override")]
    pub overridden: Option<Override>,
}
