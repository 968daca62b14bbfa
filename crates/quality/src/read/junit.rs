//! JUnit XML in the dialects of pytest, nextest, Surefire, Jest, Go's reporters, ctest and GoogleTest.

use std::io::Read;
use std::sync::Arc;

use super::input::Input;
use super::xml::{Element, Token, Xml};
use super::{Content, Format, OUTPUTS_BYTES_MAX, ReadError, Reading, TESTS_MAX};
use crate::finding::LINE_MAX;
use crate::note::Note;
use crate::place::Places;
use crate::test_case::{Detail, Outcome, TestCase};
use crate::text::{self, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, OUTPUT_BYTES_MAX};

const FORMAT: Format = Format::Junit;
/// Bytes of one text that are looked at before it is cleaned.
const RAW_BYTES_MAX: usize = 4 * OUTPUT_BYTES_MAX;
/// A test takes no longer, in milliseconds: a day.
const DURATION_MS_MAX: f64 = 86_400_000.0;

/// What ctest says of a test whose program is missing.
const WITHOUT_PROGRAM: &str = "Unable to find executable";

/// What is told of a test inside its element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `failure`, `error`: how it ended.
    Failure,
    /// `skipped`, or one of its synonyms.
    Skipped,
    /// `flakyFailure`, `rerunFailure` and their kin: an attempt that failed before.
    Attempt,
    /// `system-out`, `system-err`.
    Output,
    /// Anything else.
    Other,
}

impl Part {
    fn of(name: &str) -> Self {
        match name {
            "failure" | "error" => Self::Failure,
            "skipped" | "ignored" | "disabled" => Self::Skipped,
            "flakyFailure" | "flakyError" | "rerunFailure" | "rerunError" | "rerun" => Self::Attempt,
            "system-out" | "system-err" => Self::Output,
            _ => Self::Other,
        }
    }
}

/// A test whose element is open.
struct Open {
    class: Arc<str>,
    name: Box<str>,
    duration_ms: u32,
    outcome: Outcome,
    failed_attempts: u32,
    detail: Detail,
    part: Part,
}

struct Walk<'a> {
    places: &'a Places,
    tests: Vec<TestCase>,
    suites: Vec<Arc<str>>,
    class: Arc<str>,
    open: Option<Open>,
    /// A suite's own error, outside any test.
    suite_failure: bool,
    output_bytes: usize,
    cut: usize,
}

pub(super) fn read(input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut xml = Xml::new(FORMAT, input, RAW_BYTES_MAX);
    let mut walk = Walk {
        places,
        tests: Vec::new(),
        suites: Vec::new(),
        class: Arc::from(""),
        open: None,
        suite_failure: false,
        output_bytes: 0,
        cut: 0,
    };
    let mut is_root = true;
    while let Some(token) = xml.next()? {
        match token {
            Token::Open(element) => {
                if std::mem::take(&mut is_root) && !matches!(element.name.as_str(), "testsuites" | "testsuite") {
                    return Err(xml.wrong(&format!("it begins with `<{}>`", element.name)));
                }
                walk.begin(&element);
            }
            Token::Text(text) => walk.text(&text),
            Token::Close(name) => walk.end(&name)?,
        }
    }
    Ok(walk.finish())
}

impl Walk<'_> {
    fn begin(&mut self, element: &Element) {
        match (&mut self.open, element.name.as_str()) {
            (Some(open), name) => open.part(Part::of(name), element),
            (None, "testcase") => self.open = Some(self.test(element)),
            (None, "testsuite") => {
                self.suites.push(text::line(element.get("name").unwrap_or_default(), NAME_BYTES_MAX).into());
            }
            (None, name) if Part::of(name) == Part::Failure && !self.suites.is_empty() => self.suite_error(element),
            _ => {}
        }
    }

    fn test(&mut self, element: &Element) -> Open {
        let class = element.get("classname").or(element.get("class")).filter(|class| !class.trim().is_empty());
        let class = match class {
            Some(class) => self.class_of(class),
            None => self.suites.last().cloned().unwrap_or_default(),
        };
        // GoogleTest tells a disabled test by `status`, or by `result`, alone.
        let is_out = matches!(element.get("status"), Some("notrun" | "disabled" | "skipped" | "ignored"))
            || matches!(element.get("result"), Some("skipped" | "suppressed"));
        let has_failed = matches!(element.get("status"), Some("fail" | "failed" | "failure" | "error"));
        let location = element.get("file").and_then(|file| self.places.find(file)).map(|path| (path, line(element)));
        Open {
            class,
            name: text::line(element.get("name").unwrap_or("unnamed"), NAME_BYTES_MAX).into(),
            duration_ms: duration_ms(element.get("time")),
            outcome: match (has_failed, is_out) {
                (true, _) => Outcome::Failed,
                (false, true) => Outcome::Skipped,
                (false, false) => Outcome::Passed,
            },
            failed_attempts: 0,
            detail: Detail { location, ..Detail::default() },
            part: Part::Other,
        }
    }

    /// Tests of one class follow each other: they share its name.
    fn class_of(&mut self, raw: &str) -> Arc<str> {
        let class = text::line(raw, NAME_BYTES_MAX);
        if *self.class != *class {
            self.class = class.into();
        }
        Arc::clone(&self.class)
    }

    /// A suite that failed outside its tests counts as a failed test of its name.
    fn suite_error(&mut self, element: &Element) {
        let class = self.suites.last().cloned().unwrap_or_default();
        self.suite_failure = true;
        let mut open = Open {
            name: "(suite)".into(),
            class,
            duration_ms: 0,
            outcome: Outcome::Passed,
            failed_attempts: 0,
            detail: Detail::default(),
            part: Part::Other,
        };
        open.part(Part::Failure, element);
        self.open = Some(open);
    }

    fn text(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        let wanted = matches!(open.part, Part::Failure | Part::Attempt | Part::Output | Part::Skipped);
        let room = RAW_BYTES_MAX.saturating_sub(open.detail.output.len());
        if wanted && room > text.len() {
            open.detail.output.push_str(text);
        }
    }

    fn end(&mut self, name: &str) -> Result<(), ReadError> {
        match name {
            "testcase" => self.close()?,
            "failure" | "error" if std::mem::take(&mut self.suite_failure) => self.close()?,
            "testsuite" => {
                self.suites.pop();
            }
            name => {
                if let Some(open) = &mut self.open
                    && Part::of(name) == open.part
                {
                    open.part = Part::Other;
                    if !open.detail.output.ends_with('\n') && !open.detail.output.is_empty() {
                        open.detail.output.push('\n');
                    }
                }
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReadError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if self.tests.len() == TESTS_MAX {
            return Err(ReadError::TooLarge { format: FORMAT.as_str(), max: TESTS_MAX as u64, unit: "tests" });
        }
        let flaky = open.failed_attempts > 0 && open.outcome == Outcome::Passed;
        let needed = open.outcome != Outcome::Passed || flaky;
        let detail = needed.then(|| self.bounded(open.detail));
        self.tests.push(TestCase {
            class: open.class,
            name: open.name,
            outcome: open.outcome,
            flaky,
            duration_ms: open.duration_ms,
            detail: detail.map(Box::new),
        });
        Ok(())
    }

    fn bounded(&mut self, mut detail: Detail) -> Detail {
        detail.output = text::block(&detail.output, OUTPUT_BYTES_MAX);
        if detail.message.is_empty() {
            let first = detail.output.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            detail.message = text::line(first, MESSAGE_BYTES_MAX);
        }
        if self.output_bytes + detail.output.len() > OUTPUTS_BYTES_MAX {
            self.cut += 1;
            detail.output = String::new();
        }
        self.output_bytes += detail.output.len();
        detail
    }

    fn finish(self) -> Reading {
        let notes = (self.cut > 0).then_some(Note::OutputsLeftOut(self.cut)).into_iter().collect();
        Reading { content: Content::Tests(self.tests), notes }
    }
}

impl Open {
    fn part(&mut self, part: Part, element: &Element) {
        if part == Part::Other {
            return;
        }
        self.part = part;
        match part {
            Part::Failure => self.outcome = Outcome::Failed,
            // ctest counts a test without its program among the failed ones, and reports it as left out.
            Part::Skipped if element.get("message").is_some_and(|why| why.starts_with(WITHOUT_PROGRAM)) => {
                self.outcome = Outcome::Failed;
            }
            Part::Skipped if self.outcome != Outcome::Failed => self.outcome = Outcome::Skipped,
            Part::Attempt => self.failed_attempts += 1,
            _ => {}
        }
        if matches!(part, Part::Failure | Part::Skipped | Part::Attempt) && self.detail.message.is_empty() {
            let message = element.get("message").or(element.get("type")).unwrap_or_default();
            self.detail.message = text::line(message, MESSAGE_BYTES_MAX);
        }
    }
}

fn line(element: &Element) -> u32 {
    element.number("line").and_then(|line| u32::try_from(line).ok()).filter(|line| *line <= LINE_MAX).unwrap_or(0)
}

/// Seconds, also as `1,234.5` and `0,25`; what cannot be a duration is none.
fn duration_ms(seconds: Option<&str>) -> u32 {
    let seconds = seconds.and_then(|text| plain_number(text.trim()).parse::<f64>().ok());
    (seconds.unwrap_or(0.0) * 1000.0).clamp(0.0, DURATION_MS_MAX).round() as u32
}

/// A number without commas: one before three last digits parts thousands, unless nothing but zero stands before it.
fn plain_number(text: &str) -> String {
    match text.split_once(',') {
        Some((whole, part)) if !part.contains([',', '.']) && (part.len() != 3 || matches!(whole, "0" | "-0" | "")) => {
            format!("{whole}.{part}")
        }
        _ => text.replace(',', ""),
    }
}
