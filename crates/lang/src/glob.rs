//! Globs: of rules (Ruby's `File.fnmatch` with PATHNAME, DOTMATCH, EXTGLOB) and of `include:local`.

/// Alternatives that braces of one glob may make.
const ALTERNATIVES_MAX: usize = 1_000;

/// A glob of `rules:changes` and `rules:exists`.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    alternatives: Vec<Vec<Segment>>,
}

#[derive(Clone, Debug)]
enum Segment {
    /// `**`: any folders, also none.
    Folders,
    /// One name.
    Name(Vec<char>),
}

impl Glob {
    /// Reads a glob.
    pub fn new(pattern: &str) -> Self {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        let mut texts = Vec::new();
        braces(pattern, &mut texts, 0);
        let alternatives = texts.iter().map(|text| segments(text)).collect();
        Self { alternatives }
    }

    /// Whether a path matches.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<Vec<char>> = path.split('/').map(|name| name.chars().collect()).collect();
        self.alternatives.iter().any(|segments| match_path(segments, &names))
    }
}

fn segments(text: &str) -> Vec<Segment> {
    let parts: Vec<&str> = text.split('/').collect();
    let last = parts.len() - 1;
    parts
        .iter()
        .enumerate()
        .map(
            |(at, part)| {
                if *part == "**" && at < last { Segment::Folders } else { Segment::Name(part.chars().collect()) }
            },
        )
        .collect()
}

/// Row by row over the segments, so that many `**` cost no more than segments times names.
fn match_path(segments: &[Segment], names: &[Vec<char>]) -> bool {
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for segment in segments {
        let mut next = vec![false; names.len() + 1];
        match segment {
            Segment::Folders => {
                let mut open = false;
                for at in 0..names.len() {
                    open |= reached[at];
                    next[at] = open;
                }
            }
            Segment::Name(pattern) => {
                for at in 0..names.len() {
                    next[at + 1] = reached[at] && match_name(pattern, &names[at]);
                }
            }
        }
        reached = next;
    }
    reached[names.len()]
}

/// One name against `*`, `?`, `[a-z]`, `\x`; goes back to the last `*` alone, so it is at worst quadratic.
fn match_name(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => match_class(&pattern[p..], name[n]),
            Some('\\') => pattern.get(p + 1).is_some_and(|c| *c == name[n]).then_some(2),
            Some(c) => (*c == name[n]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                n += 1;
            }
            (None, Some((star_p, star_n))) => {
                p = star_p + 1;
                n = star_n + 1;
                star = Some((star_p, star_n + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The width of a class that holds the character; an unclosed `[` is plain text.
fn match_class(pattern: &[char], c: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = 1 + usize::from(negated);
    let Some(end) = pattern.iter().skip(first + 1).position(|c| *c == ']').map(|at| at + first + 1) else {
        return (c == '[').then_some(1);
    };
    let (mut at, mut found) = (first, false);
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= pattern[at] == c;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

/// Writes out `{a,b}`; what does not close stays text.
fn braces(text: &str, out: &mut Vec<String>, depth: usize) {
    if out.len() >= ALTERNATIVES_MAX {
        return;
    }
    let Some((open, close)) = outer_braces(text).filter(|_| depth < 8) else {
        out.push(text.to_owned());
        return;
    };
    for choice in split_commas(&text[open + 1..close]) {
        braces(&format!("{}{choice}{}", &text[..open], &text[close + 1..]), out, depth + 1);
    }
}

fn outer_braces(text: &str) -> Option<(usize, usize)> {
    let (mut depth, mut open, mut escaped) = (0_usize, 0, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' => escaped = true,
            '{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some((open, at));
                }
            }
            _ => {}
        }
    }
    None
}

fn split_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Whether `include:local` holds a wildcard.
pub(crate) fn is_wildcard(path: &str) -> bool {
    path.contains('*')
}

/// Whether a path matches a wildcard of `include:local`: `*` stays in a folder, `**` does not.
pub(crate) fn include_matches(pattern: &str, path: &str) -> bool {
    let (p, n) = (pattern.as_bytes(), path.as_bytes());
    let mut reached = vec![false; n.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < p.len() {
        let mut next = vec![false; n.len() + 1];
        let deep = p[at..].starts_with(b"**");
        if p[at] == b'*' {
            let mut open = false;
            for i in 0..=n.len() {
                open = reached[i] || (open && i > 0 && (deep || n[i - 1] != b'/'));
                next[i] = open;
            }
        } else {
            for i in 0..n.len() {
                next[i + 1] = reached[i] && n[i] == p[at];
            }
        }
        reached = next;
        at += if deep { 2 } else { 1 };
    }
    reached[n.len()]
}

#[cfg(test)]
mod tests {
    use super::{Glob, include_matches};

    #[test]
    fn globs_of_rules() {
        for (pattern, path, expected) in [
            ("src/*", "src/a.c", true),
            ("src/*", "src/lib/a.c", false),
            ("src/**/*", "src/lib/a.c", true),
            ("src/**/*", "src/a.c", true),
            ("src/**", "src/lib/a.c", false),
            ("src/**", "src/a.c", true),
            ("**/*", ".hidden", true),
            ("*", ".hidden", true),
            ("*", "a/b", false),
            ("src/lib/*.{c,h}", "src/lib/a.h", true),
            ("{a,b{c,d}}/x", "bd/x", true),
            ("**/*.md", "README.md", true),
            ("doc/[a-c]?.md", "doc/bx.md", true),
            ("doc/[!a-c]?.md", "doc/bx.md", false),
            ("Dockerfile", "Dockerfile", true),
            ("", "a", false),
            ("a/**/b/**/c", "a/x/y/b/c", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(path), expected, "`{pattern}` on `{path}`");
        }
    }

    #[test]
    fn wildcards_of_includes() {
        for (pattern, path, expected) in [
            ("configs/*.yml", "configs/a.yml", true),
            ("configs/*.yml", "configs/b/a.yml", false),
            ("configs/**.yml", "configs/b/a.yml", true),
            ("configs/**.yml", "configs/a.yml", true),
            ("configs/**/*.yml", "configs/a.yml", false),
            ("configs/**/*.yml", "configs/b/c/a.yml", true),
        ] {
            assert_eq!(include_matches(pattern, path), expected, "`{pattern}` on `{path}`");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        assert!(!Glob::new(&format!("{}b", "**/".repeat(200))).matches(&"a/".repeat(200)));
        assert!(!Glob::new(&format!("{}b", "*a".repeat(100))).matches(&"a".repeat(2000)));
    }
}
