//! What a project demands of a change: the words that `serin.yml` and the quality gate share.

use std::fmt;

/// How bad a finding is, from the least to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Costs readability.
    #[default]
    Minor,
    /// Likely a fault.
    Major,
    /// A fault, or a weakness that can be used.
    Critical,
    /// Must never reach production.
    Blocker,
}

impl Severity {
    /// Every severity, from the least to the worst.
    pub const ALL: [Self; 5] = [Self::Info, Self::Minor, Self::Major, Self::Critical, Self::Blocker];

    /// Code Climate's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
            Self::Blocker => "blocker",
        }
    }

    /// Reads Code Climate's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `quality:` of `serin.yml`: the conditions of a project's gate.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gate {
    /// Whether a gate that is not passed keeps a merge request from being merged.
    pub blocks: bool,
    /// New findings of at least a severity that are allowed.
    pub new_findings: Vec<(Severity, u32)>,
    /// The share of changed lines that tests must run, from 0 to 1.
    pub coverage_on_changed_lines: Option<f64>,
    /// Failing tests that are allowed.
    pub failing_tests: Option<u32>,
    /// Share of added lines that may repeat others, from 0 to 1.
    pub duplicated_lines: Option<f64>,
    /// Kinds of `artifacts:reports` that must be there.
    pub reports: Vec<String>,
    /// Tests whose failure does not count for a while.
    #[cfg_attr(feature = "serde", serde(default))]
    pub quarantine: Vec<Quarantine>,
}

/// A test whose failure does not count until a day, and who looks after it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quarantine {
    /// Its class and name with a blank between, as pages show them; `*` stands for any text.
    pub test: String,
    /// Who mends it.
    pub owner: String,
    /// The last day, `2026-12-31`.
    pub until: String,
    /// Why.
    pub reason: String,
}

impl Default for Gate {
    /// What holds where `serin.yml` says nothing: it informs, and blocks nothing.
    fn default() -> Self {
        Self {
            blocks: false,
            new_findings: vec![(Severity::Major, 0)],
            coverage_on_changed_lines: None,
            failing_tests: Some(0),
            duplicated_lines: None,
            reports: Vec::new(),
            quarantine: Vec::new(),
        }
    }
}
