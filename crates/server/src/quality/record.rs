//! What a report holds, as a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serin_model::quality::Severity;
use serin_quality::coverage::FileCoverage;
use serin_quality::gate::Language;
use serin_quality::test_case::Detail;
use serin_quality::{Coverage, Finding, Fingerprint, Location, Note, Outcome, TestCase, Traced, TreePath};

/// What one report file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// It could not be read.
    Nothing,
    /// Findings.
    Findings(Vec<FindingRecord>),
    /// Tests.
    Tests(Vec<TestRecord>),
    /// Lines by file.
    Coverage(BTreeMap<String, LinesRecord>),
}

/// Something in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Said {
    /// English, Chinese.
    Both(String, String),
    /// English alone, as earlier versions kept it.
    English(String),
}

impl From<Note> for Said {
    fn from(note: Note) -> Self {
        Self::Both(note.sentence(Language::English), note.sentence(Language::Chinese))
    }
}

impl Said {
    /// English, Chinese.
    pub(super) fn both(self) -> (String, String) {
        match self {
            Self::Both(english, chinese) => (english, chinese),
            Self::English(english) => (english.clone(), english),
        }
    }
}

/// A traced finding.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FindingRecord {
    tool: String,
    rule: String,
    severity: Severity,
    message: String,
    at: Option<(String, u32, u32, u32)>,
    content: String,
    around: String,
}

/// A test.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TestRecord {
    class: String,
    name: String,
    outcome: String,
    #[serde(default, skip_serializing_if = "is_false")]
    flaky: bool,
    ms: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    output: String,
}

/// The lines of a file as ranges from, to, in turn: those that ran, those that did not.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LinesRecord {
    ran: Vec<(u32, u32)>,
    missed: Vec<(u32, u32)>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl From<&Traced> for FindingRecord {
    fn from(traced: &Traced) -> Self {
        let finding = &traced.finding;
        let at = finding.location.as_ref();
        Self {
            tool: finding.tool.clone(),
            rule: finding.rule.clone(),
            severity: finding.severity,
            message: finding.message.clone(),
            at: at.map(|at| (at.path.to_string(), at.line, at.column, at.end_line)),
            content: traced.content.to_string(),
            around: traced.surroundings.to_string(),
        }
    }
}

impl FindingRecord {
    /// The finding again; `None` where the record is damaged.
    pub(super) fn traced(self) -> Option<Traced> {
        let location = match self.at {
            Some((path, line, column, end_line)) => {
                Some(Location { path: TreePath::parse(&path)?, line, column, end_line })
            }
            None => None,
        };
        Some(Traced {
            content: Fingerprint::parse(&self.content)?,
            surroundings: Fingerprint::parse(&self.around)?,
            finding: Finding {
                tool: self.tool,
                rule: self.rule,
                severity: self.severity,
                message: self.message,
                location,
                given: None,
            },
        })
    }
}

impl From<TestCase> for TestRecord {
    fn from(test: TestCase) -> Self {
        let detail = test.detail.map(|detail| *detail).unwrap_or_default();
        Self {
            class: test.class.to_string(),
            name: test.name.into(),
            outcome: test.outcome.as_str().to_owned(),
            flaky: test.flaky,
            ms: test.duration_ms,
            message: detail.message,
            output: detail.output,
        }
    }
}

impl From<TestRecord> for TestCase {
    fn from(record: TestRecord) -> Self {
        let outcome = match record.outcome.as_str() {
            "passed" => Outcome::Passed,
            "skipped" => Outcome::Skipped,
            _ => Outcome::Failed,
        };
        let detail = Detail { message: record.message, output: record.output, location: None };
        Self {
            class: record.class.into(),
            name: record.name.into(),
            outcome,
            flaky: record.flaky,
            duration_ms: record.ms,
            detail: (outcome != Outcome::Passed || record.flaky).then(|| Box::new(detail)),
        }
    }
}

impl From<&FileCoverage> for LinesRecord {
    fn from(file: &FileCoverage) -> Self {
        let mut record = Self::default();
        for (line, ran) in file.lines() {
            let ranges = if ran { &mut record.ran } else { &mut record.missed };
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == line => *end = line,
                _ => ranges.push((line, line)),
            }
        }
        record
    }
}

/// The coverage of a record, added to `whole`; `None` where the record is damaged.
pub(super) fn add_coverage(files: &BTreeMap<String, LinesRecord>, whole: &mut Coverage) -> Option<()> {
    for (path, record) in files {
        let mut lines = FileCoverage::default();
        for (ranges, ran) in [(&record.ran, true), (&record.missed, false)] {
            for line in ranges.iter().flat_map(|(from, to)| *from..=*to) {
                lines.record(line, ran);
            }
        }
        whole.add(&TreePath::parse(path)?, &lines).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_earlier_versions_are_read() {
        let kept: Vec<Said> = serde_json::from_str(r#"["old",["new","新"]]"#).unwrap();
        let told: Vec<(String, String)> = kept.into_iter().map(Said::both).collect();
        assert_eq!(told, [("old".into(), "old".into()), ("new".into(), "新".into())]);
        let both = serde_json::to_string(&Said::from(Note::FilesOutside(2))).unwrap();
        assert!(both.starts_with("[\"2 files lie"), "{both}");
    }

    #[test]
    fn records_are_read_back() {
        let path = TreePath::parse("src/a.rs").unwrap();
        let mut finding = Finding::new("tool", "rule", "message").severity(Severity::Critical);
        finding.location = Some(Location::new(path.clone(), (Some(3), Some(4)), Some(5)));
        let traced = serin_quality::fingerprint::trace(vec![finding], |_| Some("a\nb\nc\n".into()));
        let text = serde_json::to_string(&FindingRecord::from(&traced[0])).unwrap();
        assert_eq!(serde_json::from_str::<FindingRecord>(&text).unwrap().traced().unwrap(), traced[0]);
        let mut coverage = Coverage::default();
        for (line, ran) in [(1, true), (2, true), (4, false), (5, true), (900, false)] {
            coverage.record(&path, line, ran).unwrap();
        }
        let files: BTreeMap<String, LinesRecord> =
            coverage.files().map(|(path, lines)| (path.to_string(), lines.into())).collect();
        assert_eq!(files["src/a.rs"].ran, [(1, 2), (5, 5)]);
        let mut again = Coverage::default();
        add_coverage(&files, &mut again).unwrap();
        assert_eq!(again, coverage);
        let detail = Some(Box::new(Detail { message: "m".into(), output: "o".into(), location: None }));
        let test = TestCase {
            class: "c".into(),
            name: "n".into(),
            outcome: Outcome::Failed,
            flaky: false,
            duration_ms: 7,
            detail,
        };
        assert_eq!(TestCase::from(TestRecord::from(test.clone())), test);
    }
}
