//! `coverage:` the percentage in the last line of a trace that matches a pattern.

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a line that are looked at.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes that the compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Looks for the percentage line by line.
#[derive(Debug)]
pub(crate) struct Coverage {
    pattern: Regex,
    number: Regex,
    line: Vec<u8>,
    found: Option<f64>,
}

impl Coverage {
    /// `pattern` is written as between the slashes of `coverage: /…/`.
    pub(crate) fn new(pattern: &str) -> Result<Self, regex::Error> {
        let build = |pattern| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
        let number = build(r"[0-9]+(?:\.[0-9]+)?")?;
        Ok(Self { pattern: build(pattern)?, number, line: Vec::new(), found: None })
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    pub(crate) fn percentage(&self) -> Option<f64> {
        self.find(&self.line).or(self.found)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.line.len();
        self.line.extend(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        self.found = self.find(&self.line).or(self.found);
        self.line.clear();
    }

    /// The first number in the last group of the last match.
    fn find(&self, line: &[u8]) -> Option<f64> {
        let line = without_colours(line);
        let last = self.pattern.captures_iter(&line).last()?;
        let group = last.iter().skip(1).flatten().last().or_else(|| last.get(0))?;
        let number = self.number.find(group.as_bytes())?;
        std::str::from_utf8(number.as_bytes()).ok()?.parse().ok()
    }
}

/// Leaves out `ESC [ … letter`.
fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == 0x1b && bytes.next_if_eq(&b'[').is_some() {
            bytes.by_ref().find(|byte| (0x40..0x7f).contains(byte));
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Coverage;

    fn check(pattern: &str, text: &str, expected: Option<f64>) {
        let mut coverage = Coverage::new(pattern).unwrap();
        text.as_bytes().chunks(3).for_each(|chunk| coverage.push(chunk));
        assert_eq!(coverage.percentage(), expected, "{pattern} on {text:?}");
    }

    #[test]
    fn the_last_line_that_matches_counts() {
        check(r"total: \d+%", "total: 10%\ntotal: 83.5%\ntotal: 90%\nend\n", Some(90.0));
        check(r"(\d+\.\d+)% covered", "\x1b[32m71.25\x1b[0m% covered", Some(71.25));
        check(r"lines (\d+) of (\d+)", "lines 3 of 50", Some(50.0));
        check("none", "total: 10%", None);
        check("total", "total\ntotal", None);
    }

    #[test]
    fn endless_lines_and_patterns_are_bounded() {
        let mut coverage = Coverage::new("x").unwrap();
        (0..100).for_each(|_| coverage.push(&[b'x'; 10_000]));
        assert!(coverage.line.len() <= super::LINE_BYTES_MAX);
        assert!(Coverage::new("(((a{1000}){1000}){1000})").is_err());
    }
}
