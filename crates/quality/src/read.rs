//! Reads reports: one reader for each format, all of them bounded and streaming.

mod checkstyle;
mod code_climate;
mod detect;
mod encoding;
mod gitlab;
mod input;
mod json;
mod junit;
mod lcov;
mod line_coverage;
mod messages;
mod sarif;
mod xml;

use std::io::{self, Read};

use crate::coverage::{Coverage, Full};
use crate::finding::Finding;
use crate::note::Note;
use crate::place::Places;
use crate::test_case::TestCase;

/// Bytes of a report; LCOV of a large tree is the largest of them.
pub const REPORT_BYTES_MAX: u64 = 4 << 30;
/// Findings of one report.
pub const FINDINGS_MAX: usize = 200_000;
/// Bytes of the texts of one report's findings together.
pub const FINDING_BYTES_MAX: usize = 64 << 20;
/// Tests of one report.
pub const TESTS_MAX: usize = 1_000_000;
/// Bytes of the outputs of one report's tests together; what is beyond is left out with a note.
pub const OUTPUTS_BYTES_MAX: usize = 16 << 20;

/// What a report is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// SARIF 2.1.0 (OASIS).
    Sarif,
    /// Code Climate's issues: an array, or one object after another.
    CodeClimate,
    /// Checkstyle's XML.
    Checkstyle,
    /// GitLab's security report: SAST, dependency scanning and their kin.
    GitlabSecurity,
    /// `cargo clippy --message-format=json`.
    CargoMessages,
    /// JUnit XML, in any of its dialects.
    Junit,
    /// Cobertura's XML.
    Cobertura,
    /// JaCoCo's XML.
    Jacoco,
    /// Clover's XML.
    Clover,
    /// LCOV's trace file.
    Lcov,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 10] = [
        Self::Sarif,
        Self::CodeClimate,
        Self::Checkstyle,
        Self::GitlabSecurity,
        Self::CargoMessages,
        Self::Junit,
        Self::Cobertura,
        Self::Jacoco,
        Self::Clover,
        Self::Lcov,
    ];

    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sarif => "SARIF",
            Self::CodeClimate => "Code Climate",
            Self::Checkstyle => "Checkstyle",
            Self::GitlabSecurity => "GitLab security report",
            Self::CargoMessages => "cargo messages",
            Self::Junit => "JUnit",
            Self::Cobertura => "Cobertura",
            Self::Jacoco => "JaCoCo",
            Self::Clover => "Clover",
            Self::Lcov => "LCOV",
        }
    }

    /// Tells the format by a report's first bytes; a few kilobytes are enough.
    #[must_use]
    pub fn detect(head: &[u8]) -> Option<Self> {
        detect::detect(head)
    }
}

/// What a report holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// What a code check found.
    Findings(Vec<Finding>),
    /// What became of tests.
    Tests(Vec<TestCase>),
    /// Which lines ran.
    Coverage(Coverage),
}

/// A report, read whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it holds.
    pub content: Content,
    /// What people should know of it though it is no error, such as paths outside the tree.
    pub notes: Vec<Note>,
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not what its format says.
    #[error("{format}, {place}: {problem}; {hint}")]
    Malformed {
        /// The format's name.
        format: &'static str,
        /// `line 3`, `line 3, column 7` or `byte 90`.
        place: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        hint: &'static str,
    },
    /// It goes beyond a limit.
    #[error("{format}: more than {max} {unit}; split the report, or leave generated files out of it")]
    TooLarge {
        /// The format's name.
        format: &'static str,
        /// The limit.
        max: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// The bytes cannot be read.
    #[error("cannot read the report")]
    Io(#[from] io::Error),
}

/// Reads a report whole.
///
/// # Errors
/// Where it is malformed, too large, or cannot be read; the message names the place.
pub fn read(format: Format, bytes: impl Read, places: &Places) -> Result<Reading, ReadError> {
    let input = input::Input::new(bytes, REPORT_BYTES_MAX);
    match format {
        Format::Sarif => sarif::read(input, places),
        Format::CodeClimate => code_climate::read(input, places),
        Format::Checkstyle => checkstyle::read(input, places),
        Format::GitlabSecurity => gitlab::read(input, places),
        Format::CargoMessages => messages::read(input, places),
        Format::Junit => junit::read(input, places),
        Format::Cobertura | Format::Jacoco | Format::Clover => line_coverage::read(format, input, places),
        Format::Lcov => lcov::read(input, places),
    }
}

fn full(format: Format, full: Full) -> ReadError {
    ReadError::TooLarge { format: format.as_str(), max: full.max as u64, unit: full.unit }
}

/// Findings as they come out of a reader.
struct Found {
    format: Format,
    findings: Vec<Finding>,
    bytes: usize,
    outside: usize,
}

impl Found {
    fn new(format: Format) -> Self {
        Self { format, findings: Vec::new(), bytes: 0, outside: 0 }
    }

    /// Counts a place that leads out of the tree.
    fn outside(&mut self) {
        self.outside += 1;
    }

    fn push(&mut self, finding: Finding) -> Result<(), ReadError> {
        let too_large = |max: usize, unit| ReadError::TooLarge { format: self.format.as_str(), max: max as u64, unit };
        if self.findings.len() == FINDINGS_MAX {
            return Err(too_large(FINDINGS_MAX, "findings"));
        }
        self.bytes += finding.message.len() + finding.rule.len() + finding.tool.len();
        if self.bytes > FINDING_BYTES_MAX {
            return Err(too_large(FINDING_BYTES_MAX, "bytes of text"));
        }
        self.findings.push(finding);
        Ok(())
    }

    fn finish(self) -> Reading {
        let notes = (self.outside > 0).then_some(Note::FindingsOutside(self.outside)).into_iter().collect();
        Reading { content: Content::Findings(self.findings), notes }
    }
}

fn files_outside(count: usize) -> Vec<Note> {
    (count > 0).then_some(Note::FilesOutside(count)).into_iter().collect()
}
