//! Regular expressions in RE2's syntax, on a linear-time engine.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Bytes of a pattern's text.
const PATTERN_BYTES_MAX: usize = 8 << 10;

/// Compiles an RE2 pattern without slashes; the error says in a few words why it is none.
pub(crate) fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let flags: String = flags.chars().filter(|flag| "imsU".contains(*flag)).collect();
    let text = if flags.is_empty() { translate(pattern) } else { format!("(?{flags}){}", translate(pattern)) };
    RegexBuilder::new(&text).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            other => {
                let text = other.to_string();
                text.lines().last().unwrap_or("syntax error").trim_start_matches("error: ").to_owned()
            }
        },
    )
}

/// `/pattern/flags` cut in two, where a text has that form.
pub(crate) fn slashed(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix('/')?;
    let end = body.rfind('/')?;
    let flags = &body[end + 1..];
    let pattern = &body[..end];
    (pattern.chars().count() >= 1 && flags.chars().all(|flag| "imsU".contains(flag))).then_some((pattern, flags))
}

/// Escapes what RE2 reads as plain text and the engine does not.
fn translate(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut at, mut in_class, mut after_set) = (0, false, false);
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied();
        if c == '\\' {
            match next {
                Some('/') => out.push('/'),
                Some('Q') => {
                    let rest: String = chars[at + 2..].iter().collect();
                    let quoted = rest.split("\\E").next().unwrap_or_default();
                    out.push_str(&regex::escape(quoted));
                    at += 2 + quoted.chars().count();
                    if rest.len() == quoted.len() {
                        break;
                    }
                }
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            }
            after_set = matches!(next, Some('d' | 'D' | 'w' | 'W' | 's' | 'S'));
            at += 2;
            continue;
        }
        if in_class {
            class_char(&mut out, c, next, after_set);
            in_class = c != ']';
            after_set = false;
        } else if c == '[' {
            at = open_class(&mut out, &chars, at);
            (in_class, after_set) = (true, false);
            continue;
        } else if c == '{' && !is_repetition(&chars[at..]) {
            out.push_str("\\{");
        } else {
            out.push(c);
        }
        at += 1;
    }
    out
}

fn class_char(out: &mut String, c: char, next: Option<char>, after_set: bool) {
    let escape = match c {
        '[' => next != Some(':'),
        '&' | '~' => true,
        '-' => after_set && next != Some(']'),
        _ => false,
    };
    if escape {
        out.push('\\');
    }
    out.push(c);
}

/// Writes `[`, `[^`, and a `]` right behind it, which is plain text; returns what comes next.
fn open_class(out: &mut String, chars: &[char], mut at: usize) -> usize {
    out.push('[');
    at += 1;
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    if chars.get(at) == Some(&']') {
        out.push_str("\\]");
        at += 1;
    }
    at
}

fn is_repetition(chars: &[char]) -> bool {
    let body: String = chars.iter().skip(1).take_while(|c| **c != '}').take(12).collect();
    let closed = chars.get(body.chars().count() + 1) == Some(&'}');
    let (low, high) = body.split_once(',').unwrap_or((&body, ""));
    closed && !low.is_empty() && low.chars().all(|c| c.is_ascii_digit()) && high.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn re2_texts_compile() {
        for (pattern, text) in [
            (r"^v\d+{", "v1{"),
            (r"[\w-.]+", "a-b.c"),
            (r"[[]x", "[x"),
            (r"[]a]", "]"),
            (r"a\/b", "a/b"),
            (r"\Qa.b\E+", "a.b"),
            (r"(?i)ABC", "abc"),
            (r"a{2,3}$", "aaa"),
        ] {
            assert!(compile(pattern, "").unwrap().is_match(text), "{pattern}");
        }
    }

    #[test]
    fn a_catastrophic_pattern_is_harmless() {
        let text = "a".repeat(50_000) + "!";
        assert!(!compile("^(a+)+$", "").unwrap().is_match(&text));
        assert!(compile("((a{1000}){1000}){1000}", "").is_err());
    }
}
