//! What became of a test.

use std::sync::Arc;

use crate::place::TreePath;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It was left out.
    Skipped,
    /// A check in it failed, or it could not run.
    Failed,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One test of a report, with text that is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// Its class, module or package; the suite's name where the report names none.
    pub class: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// How it ended, after all attempts.
    pub outcome: Outcome,
    /// Whether attempts of the same run ended differently.
    pub flaky: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// Why it did not pass.
    pub detail: Option<Box<Detail>>,
}

/// What a report says of a test that did not simply pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Its message, on one line.
    pub message: String,
    /// What it printed: the failure's text, then its output.
    pub output: String,
    /// Its file and line, where the report names them.
    pub location: Option<(TreePath, u32)>,
}

impl TestCase {
    /// What it is known by from run to run.
    #[must_use]
    pub fn id(&self) -> TestId<'_> {
        TestId { class: &self.class, name: &self.name }
    }
}

/// What a test is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestId<'a> {
    /// Its class.
    pub class: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many passed.
    pub passed: u32,
    /// How many failed.
    pub failed: u32,
    /// How many were left out.
    pub skipped: u32,
    /// How many of those that passed needed more than one attempt.
    pub flaky: u32,
}

impl Counts {
    /// Counts tests.
    #[must_use]
    pub fn of<'a>(tests: impl IntoIterator<Item = &'a TestCase>) -> Self {
        let mut counts = Self::default();
        for test in tests {
            match test.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed => counts.failed += 1,
                Outcome::Skipped => counts.skipped += 1,
            }
            counts.flaky += u32::from(test.flaky && test.outcome == Outcome::Passed);
        }
        counts
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u32 {
        self.passed + self.failed + self.skipped
    }
}
