//! What a code check found.

use serin_model::quality::Severity;

use crate::place::TreePath;
use crate::text::{self, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};

/// Lines of a file; what lies beyond is no line of a source file.
pub const LINE_MAX: u32 = 4_000_000;

/// Something that a tool found, with text that is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The tool, such as `clippy`.
    pub tool: String,
    /// Its rule, such as `needless_return`.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, on one line.
    pub message: String,
    /// Where it is; `None`: the change as a whole, or a place that no report may name.
    pub location: Option<Location>,
    /// The tool's own fingerprint.
    pub given: Option<String>,
}

/// A place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: TreePath,
    /// The first line, from 1; 0: the file as a whole.
    pub line: u32,
    /// The column in characters, from 1; 0 where it is not known.
    pub column: u32,
    /// The last line.
    pub end_line: u32,
}

impl Finding {
    /// Makes a finding out of raw text.
    #[must_use]
    pub fn new(tool: &str, rule: &str, message: &str) -> Self {
        Self {
            tool: text::line(tool, NAME_BYTES_MAX),
            rule: text::line(rule, NAME_BYTES_MAX),
            severity: Severity::default(),
            message: text::line(message, MESSAGE_BYTES_MAX),
            location: None,
            given: None,
        }
    }

    /// Sets how bad it is.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets the tool's own fingerprint.
    #[must_use]
    pub fn given(mut self, given: Option<&str>) -> Self {
        self.given = given.map(|given| text::line(given, NAME_BYTES_MAX)).filter(|given| !given.is_empty());
        self
    }
}

impl Location {
    /// Makes a place of what a report says; numbers that cannot be are taken as not known.
    #[must_use]
    pub fn new(path: TreePath, lines: (Option<i64>, Option<i64>), column: Option<i64>) -> Self {
        let number =
            |value: Option<i64>| value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v <= LINE_MAX).unwrap_or(0);
        let line = number(lines.0);
        Self { path, line, column: number(column), end_line: number(lines.1).max(line) }
    }
}
