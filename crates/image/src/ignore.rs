//! `.dockerignore`: which files of a context stay behind (Docker documentation, ".dockerignore files").
//!
//! The engine does not read it: whoever sends a context leaves them out.

use regex::{Regex, escape};

use crate::Error;

/// Patterns of one file.
const PATTERNS_MAX: usize = 1_000;
/// Bytes of one pattern.
const PATTERN_BYTES_MAX: usize = 1_024;

/// The patterns of a `.dockerignore`.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    is_exception: bool,
}

impl Ignore {
    /// Reads the lines of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let wrong = |reason: &str| {
                Error::refused(format!("`.dockerignore`, line {}: `{}` {reason}", index + 1, shown(line)))
            };
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            if patterns.len() == PATTERNS_MAX || line.len() > PATTERN_BYTES_MAX {
                return Err(wrong(&format!("is one pattern of more than {PATTERNS_MAX}, or too long")));
            }
            let (written, is_exception) = match line.trim().strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line.trim(), false),
            };
            let path = clean(written);
            if path.is_empty() {
                if written.is_empty() {
                    return Err(wrong("is no pattern"));
                }
                continue;
            }
            let regex = translated(&path).and_then(|text| Regex::new(&text).ok());
            let regex = regex.ok_or_else(|| wrong("is no pattern"))?;
            patterns.push(Pattern { regex, is_exception });
        }
        Ok(Self { patterns })
    }

    /// Whether a path, with `/` between its parts, stays behind. The last pattern that matches it, or a folder above,
    /// counts.
    pub(crate) fn leaves_out(&self, path: &str) -> bool {
        let mut left_out = false;
        for pattern in &self.patterns {
            // A pattern that would change nothing need not be asked.
            if pattern.is_exception == left_out && pattern.matches(path) {
                left_out = !pattern.is_exception;
            }
        }
        left_out
    }

    /// Whether something may be taken that is below a folder that is left out.
    pub(crate) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_exception)
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        std::iter::once(path).chain(folders).any(|path| self.regex.is_match(path))
    }
}

fn shown(line: &str) -> String {
    line.chars().take(100).collect()
}

/// A path without `.`, `..`, doubled slashes and slashes at its ends.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A pattern of Go's `filepath.Match`, with `**` for any number of folders, as a regular expression.
fn translated(pattern: &str) -> Option<String> {
    let mut out = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.peek() == Some(&'*') => {
                while rest.next_if_eq(&'*').is_some() {}
                match rest.next_if_eq(&'/') {
                    Some(_) => out.push_str("(?:.*/)?"),
                    None => out.push_str(".*"),
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut rest, &mut out)?,
            '\\' => out.push_str(&escape(&rest.next()?.to_string())),
            c => out.push_str(&escape(&c.to_string())),
        }
    }
    out.push('$');
    Some(out)
}

/// The rest of a class such as `[a-z]` or `[^x]`.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut members = 0;
    loop {
        match rest.next()? {
            ']' if members > 0 => break,
            ']' => return None,
            '-' if members > 0 && rest.peek().is_some_and(|next| *next != ']') => out.push('-'),
            c => {
                let c = if c == '\\' { rest.next()? } else { c };
                if c.is_ascii_punctuation() {
                    out.push('\\');
                }
                out.push(c);
                members += 1;
            }
        }
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::Ignore;

    fn left_out(patterns: &str, path: &str) -> bool {
        Ignore::parse(patterns).unwrap().leaves_out(path)
    }

    #[test]
    fn patterns_are_dockers() {
        for (patterns, path, expected) in [
            ("target", "target", true),
            ("target", "target/debug/x", true),
            ("/target/", "target/x", true),
            ("target", "a/target", false),
            ("./a/../target", "target", true),
            ("**/target", "a/b/target/x", true),
            ("**/target", "target", true),
            ("*.log", "a.log", true),
            ("*.log", "a/b.log", false),
            ("**/*.log", "a/b.log", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/c", "a/c", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a.b", "axb", false),
            ("# a\n\n", "# a", false),
            ("*\n!keep", "keep", false),
            ("*\n!keep", "keep/x", false),
            ("*\n!keep", "other", true),
            ("a\n!a/b", "a/b", false),
            ("a\n!a/b\na/b/c", "a/b/c", true),
            ("!a", "a", false),
            ("secret (1)", "secret (1)", true),
            ("[]a]", "a", false),
        ] {
            let read = Ignore::parse(patterns).map(|ignore| ignore.leaves_out(path)).unwrap_or(false);
            assert_eq!(read, expected, "{patterns:?} {path}");
        }
        assert!(left_out("[&&~~]x", "&x") && left_out("[a\\]]", "]"));
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for text in ["[", "a[", "[]", "a\\", "!"] {
            let said = Ignore::parse(&format!("fine\n{text}")).unwrap_err().to_string();
            assert!(said.contains("line 2"), "{said}");
        }
    }
}
