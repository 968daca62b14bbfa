//! LCOV's trace files (geninfo(1), section FILES).

use std::io::{BufRead, Read};

use super::input::{Input, limit_of};
use super::{Content, Format, ReadError, Reading, files_outside, full};
use crate::coverage::{Coverage, FileCoverage};
use crate::place::{Places, TreePath};

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 256 << 10;
const FORMAT: Format = Format::Lcov;

struct Trace<'a> {
    places: &'a Places,
    coverage: Coverage,
    /// The file whose lines come; its path is `None` where it lies outside the tree.
    file: Option<(Option<TreePath>, FileCoverage)>,
    outside: usize,
    records: usize,
}

pub(super) fn read(mut input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut trace = Trace { places, coverage: Coverage::default(), file: None, outside: 0, records: 0 };
    let mut line = Vec::new();
    loop {
        line.clear();
        let number = input.line();
        input.next_token();
        let read = input.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line);
        let read = read.map_err(|error| match limit_of(&error) {
            Some(limit) => ReadError::TooLarge { format: FORMAT.as_str(), max: limit.max, unit: limit.unit },
            None => ReadError::Io(error),
        })?;
        if read == 0 {
            break;
        }
        if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(malformed(number, &format!("a line of more than {LINE_BYTES_MAX} bytes")));
        }
        trace.line(line.trim_ascii(), number)?;
    }
    if trace.file.is_some() {
        return Err(malformed(input.line(), "it ends in the middle of a file's record"));
    }
    if trace.records == 0 {
        return Err(malformed(input.line(), "it holds no record"));
    }
    Ok(Reading { notes: files_outside(trace.outside), content: Content::Coverage(trace.coverage) })
}

impl Trace<'_> {
    fn line(&mut self, line: &[u8], number: u64) -> Result<(), ReadError> {
        if let Some(data) = line.strip_prefix(b"DA:") {
            let Some((_, lines)) = &mut self.file else {
                return Err(malformed(number, "`DA:` before any `SF:`"));
            };
            let (at, hits) = data_of(data).ok_or_else(|| malformed(number, "`DA:` without a line and a count"))?;
            lines.record(at, hits);
        } else if let Some(path) = line.strip_prefix(b"SF:") {
            if self.file.is_some() {
                return Err(malformed(number, "`SF:` before the `end_of_record` of the file before"));
            }
            let path = std::str::from_utf8(path).ok().and_then(|path| self.places.find(path));
            self.outside += usize::from(path.is_none());
            self.file = Some((path, FileCoverage::default()));
        } else if line == b"end_of_record" {
            let Some((path, lines)) = self.file.take() else {
                return Err(malformed(number, "`end_of_record` before any `SF:`"));
            };
            self.records += 1;
            if let Some(path) = path {
                self.coverage.add(&path, &lines).map_err(|error| full(FORMAT, error))?;
            }
        } else if !is_other_record(line) {
            return Err(malformed(number, "no record of a trace file"));
        }
        Ok(())
    }
}

/// Functions, branches, summaries, test names, comments and empty lines say nothing about lines; nor do records of a
/// later version, all of which begin with a tag in capitals.
fn is_other_record(line: &[u8]) -> bool {
    let tag = line.iter().position(|byte| *byte == b':').map(|end| &line[..end]);
    let is_tag = |tag: &[u8]| !tag.is_empty() && tag.iter().all(u8::is_ascii_uppercase);
    line.is_empty() || line.starts_with(b"#") || tag.is_some_and(is_tag)
}

/// The line and whether it ran; negative and giant counts are counts that gcov could not keep.
fn data_of(data: &[u8]) -> Option<(u32, bool)> {
    let mut parts = data.split(|byte| *byte == b',');
    let (line, hits) = (parts.next()?, parts.next()?);
    let line = line.iter().try_fold(0_u32, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    });
    let ran = !hits.starts_with(b"-") && hits.iter().any(|byte| (b'1'..=b'9').contains(byte));
    Some((line?, ran)).filter(|_| !hits.is_empty())
}

fn malformed(line: u64, problem: &str) -> ReadError {
    ReadError::Malformed {
        format: FORMAT.as_str(),
        place: format!("line {line}"),
        problem: problem.to_owned(),
        hint: "records `SF:path`, `DA:line,count`, `end_of_record` are expected",
    }
}
