//! What a page shows of a merge request's reports beyond its gate: findings and lines at their places, tests at length.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serin_quality::flaky::Run;
use serin_quality::{ChangedLines, Coverage};
use serin_wire::quality::Finding;

/// New findings that are kept with their place.
pub(super) const FINDINGS_MAX: usize = 5_000;
/// Failing and flaky tests that are kept with their output.
pub(super) const TESTS_MAX: usize = 100;
/// Bytes of a test's output that are kept here; the report has the rest.
pub(super) const OUTPUT_BYTES_MAX: usize = 8 << 10;
/// Runs of a test that its history shows.
const HISTORY_RUNS_MAX: usize = 30;

/// What the pages show of a merge request's reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// By path after the change, what is to say of its lines.
    pub files: BTreeMap<String, FileDetails>,
    /// Tests that fail or are flaky, the newly failing first.
    pub tests: Vec<TestDetails>,
    /// New findings that are not listed because there are too many.
    pub findings_left_out: usize,
}

/// What is to say of a file's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDetails {
    /// New findings, by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Changed lines that tests ran: from, to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran: Vec<(u32, u32)>,
    /// Changed lines that could run and did not: from, to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<(u32, u32)>,
}

/// A test at length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestDetails {
    /// Its class and name.
    pub name: String,
    /// `newly_failing`, `still_failing`, `flaky`.
    pub state: String,
    /// Its message.
    pub message: String,
    /// What it printed, cut to its end.
    pub output: String,
    /// The share of runs in which it failed without reason, where it is known to be flaky.
    pub flaky_rate: Option<f64>,
    /// Its newest runs, the newest last: `p` passed, `m` passed after a failed attempt, `f` failed.
    pub history: String,
}

impl Details {
    /// Notes a new finding.
    pub(super) fn finding(&mut self, finding: Finding) {
        let known: usize = self.files.values().map(|file| file.findings.len()).sum();
        match &finding.path {
            Some(path) if known < FINDINGS_MAX => {
                self.files.entry(path.clone()).or_default().findings.push(finding);
            }
            _ => self.findings_left_out += 1,
        }
    }

    /// Puts the findings of every file in order of their lines.
    pub(super) fn settle(&mut self) {
        for file in self.files.values_mut() {
            file.findings.sort_by(|a, b| (a.line, &a.tool, &a.rule).cmp(&(b.line, &b.tool, &b.rule)));
        }
    }

    /// Notes which of the changed lines ran.
    pub(super) fn coverage(&mut self, coverage: &Coverage, changed: &ChangedLines) {
        for (path, ranges) in changed {
            let Some(lines) = coverage.of(path) else { continue };
            let (mut ran, mut missed) = (Vec::new(), Vec::new());
            for line in ranges.iter().cloned().flatten() {
                match lines.line(line) {
                    Some(true) => extend(&mut ran, line),
                    Some(false) => extend(&mut missed, line),
                    None => {}
                }
            }
            if !ran.is_empty() || !missed.is_empty() {
                let file = self.files.entry(path.to_string()).or_default();
                (file.ran, file.missed) = (ran, missed);
            }
        }
    }
}

fn extend(ranges: &mut Vec<(u32, u32)>, line: u32) {
    match ranges.last_mut() {
        Some((_, end)) if *end + 1 == line => *end = line,
        _ => ranges.push((line, line)),
    }
}

/// A test's newest runs in letters.
pub(super) fn history(runs: &[Run]) -> String {
    let newest = &runs[runs.len().saturating_sub(HISTORY_RUNS_MAX)..];
    let letter = |run: &Run| match (run.failed, run.flaky) {
        (true, _) => 'f',
        (false, true) => 'm',
        (false, false) => 'p',
    };
    newest.iter().map(letter).collect()
}

/// The end of a text, where a failure's reason usually stands.
pub(super) fn end_of(text: &str) -> String {
    let mut from = text.len().saturating_sub(OUTPUT_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    if from == 0 { text.to_owned() } else { format!("…{}", &text[from..]) }
}

#[cfg(test)]
mod tests {
    use serin_quality::TreePath;

    use super::*;

    #[test]
    fn changed_lines_are_told_apart() {
        let path = TreePath::parse("a.rs").unwrap();
        let mut coverage = Coverage::default();
        for (line, ran) in [(1, true), (2, false), (3, false), (5, true), (9, false)] {
            coverage.record(&path, line, ran).unwrap();
        }
        let changed = ChangedLines::from([(path, vec![2..=5]), (TreePath::parse("b").unwrap(), vec![1..=9])]);
        let mut details = Details::default();
        details.coverage(&coverage, &changed);
        let expected = FileDetails { findings: Vec::new(), ran: vec![(5, 5)], missed: vec![(2, 3)] };
        assert_eq!(details.files, BTreeMap::from([("a.rs".to_owned(), expected)]));
    }

    #[test]
    fn findings_are_bounded_and_in_order() {
        let mut details = Details::default();
        for line in (0..FINDINGS_MAX + 7).rev() {
            let line = u32::try_from(line).unwrap();
            details.finding(Finding { path: Some("a".into()), line, ..Finding::default() });
        }
        details.finding(Finding::default());
        details.settle();
        assert_eq!(details.findings_left_out, 8);
        let lines: Vec<u32> = details.files["a"].findings.iter().map(|finding| finding.line).collect();
        assert!(lines.is_sorted() && lines.len() == FINDINGS_MAX);
    }

    #[test]
    fn histories_and_outputs_are_cut_at_their_old_end() {
        let run = |failed, flaky| Run { subject: String::new(), failed, flaky };
        assert_eq!(history(&[run(false, false), run(true, false), run(false, true)]), "pfm");
        assert_eq!(history(&vec![run(true, false); 99]).len(), HISTORY_RUNS_MAX);
        assert_eq!(end_of("short"), "short");
        let long = "é".repeat(OUTPUT_BYTES_MAX);
        assert!(end_of(&long).starts_with('…') && end_of(&long).len() <= OUTPUT_BYTES_MAX + 4);
    }
}
