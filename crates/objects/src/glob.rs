//! Patterns of paths, as in `artifacts:paths`: `*`, `?`, `[a-z]`, `{a,b}` and `**`, over bytes.

use crate::error::Error;

/// Patterns that the braces of one may make.
const ALTERNATIVES_MAX: usize = 256;
/// Bytes of one pattern.
const PATTERN_BYTES_MAX: usize = 4_096;

/// A pattern below a folder.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Each of them a list of segments.
    alternatives: Vec<Vec<Vec<u8>>>,
}

impl Pattern {
    /// Parses `text`; it may not lead out of the folder that it is applied to.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fail = |reason| Error::Pattern { pattern: text.to_owned(), reason };
        if text.len() > PATTERN_BYTES_MAX {
            return Err(fail("it is too long"));
        }
        let mut alternatives = Vec::new();
        for alternative in braces(text).ok_or_else(|| fail("its braces make too many alternatives"))? {
            if alternative.starts_with('/') {
                return Err(fail("it is not below the project folder; write it without a leading `/`"));
            }
            let segments: Vec<Vec<u8>> = alternative
                .split('/')
                .filter(|segment| !segment.is_empty() && *segment != ".")
                .map(|segment| segment.as_bytes().to_vec())
                .collect();
            if segments.iter().any(|segment| segment == b"..") {
                return Err(fail("it leads out of the project folder with `..`"));
            }
            alternatives.push(segments);
        }
        Ok(Self { alternatives })
    }

    /// Whether the pattern names exactly this path.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let path = split(path);
        self.alternatives.iter().any(|segments| segments_match(segments, &path))
    }

    /// Whether the pattern names this path or a folder above it.
    #[must_use]
    pub fn selects(&self, path: &[u8]) -> bool {
        let path = split(path);
        (0..=path.len()).any(|end| self.alternatives.iter().any(|segments| segments_match(segments, &path[..end])))
    }

    /// For each alternative the folder, or file, that all its matches are below, as segments.
    pub(crate) fn literal_prefixes(&self) -> impl Iterator<Item = &[Vec<u8>]> {
        self.alternatives.iter().map(|segments| {
            let literal = segments.iter().take_while(|segment| !segment.iter().any(|b| b"*?[\\".contains(b))).count();
            &segments[..literal]
        })
    }
}

fn split(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect()
}

/// Matches segments without backtracking more than over the last `**`.
fn segments_match(pattern: &[Vec<u8>], path: &[&[u8]]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at) {
            Some(segment) if segment == b"**" => {
                retry = Some((at, seen));
                at += 1;
                continue;
            }
            Some(segment) if path.get(seen).is_some_and(|name| segment_matches(segment, name)) => {
                at += 1;
                seen += 1;
                continue;
            }
            None if seen == path.len() => return true,
            _ => {}
        }
        match retry {
            Some((star, from)) if from < path.len() => {
                retry = Some((star, from + 1));
                at = star + 1;
                seen = from + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one name without backtracking more than over the last `*`.
fn segment_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            retry = Some((at, seen));
            at += 1;
            continue;
        }
        if at == pattern.len() && seen == name.len() {
            return true;
        }
        if let (Some(byte), true) = (name.get(seen), at < pattern.len())
            && let Some(used) = one_matches(&pattern[at..], *byte)
        {
            at += used;
            seen += 1;
            continue;
        }
        match retry {
            Some((star, from)) if from < name.len() => {
                retry = Some((star, from + 1));
                at = star + 1;
                seen = from + 1;
            }
            _ => return false,
        }
    }
}

/// Bytes of the pattern that stand for `byte`, if its first element does.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', class @ ..] => match class_end(class) {
            Some(end) => class_matches(&class[..end], byte).then_some(end + 2),
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Where the `]` of a class stands; one at its very beginning belongs to it.
fn class_end(class: &[u8]) -> Option<usize> {
    let start = usize::from(matches!(class.first(), Some(b'!' | b'^'))) + 1;
    (start..class.len()).find(|index| class[*index] == b']')
}

fn class_matches(class: &[u8], byte: u8) -> bool {
    let (negated, mut members) = match class {
        [b'!' | b'^', members @ ..] => (true, members),
        members => (false, members),
    };
    let mut found = false;
    while let [first, rest @ ..] = members {
        if let [b'-', last, after @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            members = after;
        } else {
            found |= *first == byte;
            members = rest;
        }
    }
    found != negated
}

/// Expands `{a,b}`, also nested; unbalanced braces are text.
fn braces(text: &str) -> Option<Vec<String>> {
    let mut open = vec![text.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        if open.len() + done.len() > ALTERNATIVES_MAX {
            return None;
        }
        match innermost(&text) {
            Some((start, end)) => {
                let parts = text[start + 1..end].split(',').rev();
                open.extend(parts.map(|part| format!("{}{part}{}", &text[..start], &text[end + 1..])));
            }
            None => done.push(text),
        }
    }
    Some(done)
}

/// The first pair of braces that holds no other.
fn innermost(text: &str) -> Option<(usize, usize)> {
    let mut start = None;
    for (index, byte) in text.bytes().enumerate() {
        match (byte, start) {
            (b'{', _) => start = Some(index),
            (b'}', Some(start)) => return Some((start, index)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap();
        yes.iter().for_each(|path| assert!(parsed.matches(path.as_bytes()), "{pattern} should match {path}"));
        no.iter().for_each(|path| assert!(!parsed.matches(path.as_bytes()), "{pattern} should not match {path}"));
    }

    #[test]
    fn segments() {
        check("a/*.o", &["a/x.o", "a/.o"], &["a/b/x.o", "b/x.o", "a/x.obj"]);
        check("a/**/x", &["a/x", "a/b/x", "a/b/c/x"], &["a/b", "x", "a/b/y"]);
        check("**/*.xml", &["x.xml", "a/b.xml"], &["a/b.xm"]);
        check("a/**", &["a/b", "a/b/c", "a"], &["b"]);
        check("./a//b/", &["a/b"], &["a"]);
        check("*a*b*c", &["xaxbxc", "abc"], &["ab", "acb"]);
    }

    #[test]
    fn classes_braces_and_escapes() {
        check("[a-c]?", &["b1"], &["d1", "b"]);
        check("[!a-c]", &["d"], &["a", ""]);
        check("[]x]", &["]", "x"], &["y"]);
        check("[x", &["[x"], &["x"]);
        check("{a,b/{c,d}}/e", &["a/e", "b/c/e", "b/d/e"], &["b/e"]);
        check("\\*", &["*"], &["x"]);
        check("a{b", &["a{b"], &["ab"]);
    }

    #[test]
    fn a_folder_selects_what_is_below() {
        let pattern = Pattern::parse("out/").unwrap();
        assert!(pattern.selects(b"out/a/b") && pattern.selects(b"out") && !pattern.selects(b"outer/a"));
        assert!(!pattern.matches(b"out/a"));
    }

    #[test]
    fn ways_out_are_refused() {
        for pattern in ["../x", "a/../../x", "/etc/passwd", "{a,/etc}/x", "a/{..,b}"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::parse(&"{a,b}".repeat(12)).is_err());
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = Pattern::parse(&"*a".repeat(500)).unwrap();
        assert!(!pattern.matches(&b"a".repeat(100_000)[..499]));
        let deep = Pattern::parse(&"**/a/".repeat(100)).unwrap();
        assert!(!deep.matches("b/".repeat(2_000).as_bytes()));
    }
}
