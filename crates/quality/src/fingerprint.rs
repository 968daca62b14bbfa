//! What a finding is recognised by, wherever its line goes.
//!
//! The content print is made of tool, rule and the text of the line, blanks aside: it survives moved lines, new
//! indentation and renamed files. The print of the surroundings tells equal lines apart.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::finding::Finding;
use crate::place::TreePath;

/// Characters of a line that are looked at.
const LINE_CHARS_MAX: usize = 2_000;

/// 128 bits of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Fingerprint {
    /// Reads the 32 digits that it is shown as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Hashes parts, each with its length before it, so that no two lists of parts are alike.
    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self(bytes)
    }
}

/// A finding with what it is recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The finding.
    pub finding: Finding,
    /// Tool, rule and the line's text.
    pub content: Fingerprint,
    /// Tool, rule and the nearest lines with text before and after.
    pub surroundings: Fingerprint,
}

/// A file's lines, blanks aside.
struct Lines(Vec<String>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.lines().map(plain).collect())
    }

    /// The text of a line, from 1.
    fn at(&self, line: u32) -> Option<&str> {
        self.0.get(usize::try_from(line).ok()?.checked_sub(1)?).map(String::as_str)
    }

    fn around(&self, line: u32) -> (&str, &str) {
        let at = usize::try_from(line).unwrap_or(0).clamp(1, self.0.len().max(1)) - 1;
        let text = |line: &&String| !line.is_empty();
        let before = self.0[..at.min(self.0.len())].iter().rev().find(text);
        let after = self.0.get(at + 1..).unwrap_or_default().iter().find(text);
        (before.map_or("", String::as_str), after.map_or("", String::as_str))
    }
}

/// A text without its blanks, bounded.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).take(LINE_CHARS_MAX).collect()
}

/// A message without its numbers, which name lines and counts that move.
fn without_numbers(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Traces findings; `source` gives the text of a file of the tree that they were found in, where it can be had.
///
/// Where there is no text, the tool's own fingerprint or the message stands in for the line.
pub fn trace(findings: Vec<Finding>, mut source: impl FnMut(&TreePath) -> Option<String>) -> Vec<Traced> {
    let mut files: BTreeMap<TreePath, Option<Lines>> = BTreeMap::new();
    for finding in &findings {
        if let Some(at) = &finding.location
            && !files.contains_key(&at.path)
        {
            files.insert(at.path.clone(), source(&at.path).map(|text| Lines::of(&text)));
        }
    }
    findings.into_iter().map(|finding| traced(finding, &files)).collect()
}

fn traced(finding: Finding, files: &BTreeMap<TreePath, Option<Lines>>) -> Traced {
    let at = finding.location.as_ref();
    let lines = at.and_then(|at| files.get(&at.path)?.as_ref());
    let line = at.zip(lines).and_then(|(at, lines)| lines.at(at.line)).filter(|line| !line.is_empty());
    let (tool, rule) = (finding.tool.as_str(), finding.rule.as_str());
    let content = match (line, &finding.given) {
        (Some(line), _) => Fingerprint::of(&["line", tool, rule, line]),
        (None, Some(given)) => Fingerprint::of(&["given", tool, rule, given]),
        (None, None) => Fingerprint::of(&["message", tool, rule, &without_numbers(&finding.message)]),
    };
    let surroundings = match at.zip(lines) {
        Some((at, lines)) => {
            let (before, after) = lines.around(at.line);
            Fingerprint::of(&["around", tool, rule, before, after])
        }
        None => content,
    };
    Traced { finding, content, surroundings }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Location;

    fn found(path: &str, line: i64) -> Finding {
        let mut finding = Finding::new("tool", "rule", "message 1");
        finding.location = Some(Location::new(TreePath::parse(path).unwrap(), (Some(line), None), None));
        finding
    }

    fn print(text: &str, path: &str, line: i64) -> Traced {
        trace(vec![found(path, line)], |_| Some(text.to_owned())).remove(0)
    }

    #[test]
    fn a_moved_line_of_a_renamed_file_keeps_its_prints() {
        let before = print("a\n\n  let x = 1;\nb\n", "old.rs", 3);
        let after = print("new\nmore\na\n      let x =  1;\n\nb\n", "lib/new.rs", 4);
        assert_eq!((before.content, before.surroundings), (after.content, after.surroundings));
        let other = print("a\n\n  let y = 1;\nb\n", "old.rs", 3);
        assert_ne!(before.content, other.content);
        assert_eq!(before.surroundings, other.surroundings);
    }

    #[test]
    fn places_that_are_not_there_fall_back() {
        for line in [0, -5, 99, i64::MAX] {
            let traced = print("a\n", "f", line);
            assert_eq!(traced.content, trace(vec![Finding::new("tool", "rule", "message 2")], |_| None)[0].content);
        }
        let given = trace(vec![found("f", 1).given(Some("abc"))], |_| None);
        assert_eq!(given[0].content, trace(vec![found("g", 7).given(Some("abc"))], |_| None)[0].content);
    }

    #[test]
    fn prints_are_read_back() {
        let print = Fingerprint::of(&["a", "b"]);
        assert_eq!(Fingerprint::parse(&print.to_string()), Some(print));
        assert_ne!(print, Fingerprint::of(&["ab", ""]));
        assert_eq!(Fingerprint::parse("zz"), None);
        assert_eq!(Fingerprint::parse(&"é".repeat(16)), None);
    }
}
