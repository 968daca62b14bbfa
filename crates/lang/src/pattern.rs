//! Regular expressions in RE2's syntax, on a linear-time engine.

mod limits;
mod translate;

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Why a pattern is refused that would take too many bytes.
pub(crate) const TOO_LARGE: &str = "it is too large";
/// Bytes of a pattern's text.
const PATTERN_BYTES_MAX: usize = 8 << 10;

/// Compiles an RE2 pattern without slashes; the error says in a few words why it is none.
pub(crate) fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let flags: String = flags.chars().filter(|flag| "imsU".contains(*flag)).collect();
    let translated = translate::translate(pattern)?;
    limits::check(&translated)?;
    let text = if flags.is_empty() { translated } else { format!("(?{flags}){translated}") };
    RegexBuilder::new(&text).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => TOO_LARGE.to_owned(),
            other => last_line(&other.to_string()),
        },
    )
}

/// Compiles what stands between slashes, where `\/` is a slash.
pub(crate) fn compile_slashed(body: &str, flags: &str) -> Result<Regex, String> {
    compile(&body.replace("\\/", "/"), flags)
}

/// `/pattern/flags` cut in two, where a text has that form.
pub(crate) fn slashed(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix('/')?;
    let end = body.rfind('/')?;
    let (pattern, flags) = (&body[..end], &body[end + 1..]);
    flags.chars().all(|flag| "imsU".contains(flag)).then_some((pattern, flags))
}

fn last_line(error: &str) -> String {
    error.lines().last().unwrap_or("syntax error").trim_start_matches("error: ").to_owned()
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
            (r"^\p{Greek}\p{^Greek}\PL$", "αa1"),
            (r"^\x{e9}\x61\101$", "éaA"),
            (r"^\<\_\>$", "<_>"),
            (r"^[^\w]\W[\D][^\s]\B", "ééé\u{b}"),
            (r"^[[:^alpha:][:digit:]]+$", "1-2"),
            (r"[[:x]$", "x"),
            (r"^{a}{,2}$", "{a}{,2}"),
        ] {
            assert!(compile(pattern, "").unwrap().is_match(text), "{pattern}");
        }
    }

    #[test]
    fn classes_know_ascii_alone() {
        for pattern in [r"^\w$", r"^[\w]$", r"^\d$", r"^\s$", r"x\b"] {
            for text in ["é", "٣", "\u{a0}", "\u{b}", "xé"] {
                assert_eq!(
                    compile(pattern, "").unwrap().is_match(text),
                    pattern == r"x\b" && text == "xé",
                    "{pattern}"
                );
            }
        }
    }

    #[test]
    fn what_re2_refuses() {
        for pattern in [
            r"a++",
            r"a**",
            r"a{1}{2}",
            r"a{1001}",
            r"(a{100}){100}",
            r"(?x)a",
            r"(?u:a)",
            r"(?=a)",
            r"(?<!a)b",
            r"(a)\1",
            r"(?>a)",
            r"[[:foo:]]",
            r"\u0061",
            r"a\Z",
            r"\h",
            r"\e",
            r"\y",
            r"\p{Foo}",
            r"\p{",
            r"\x{",
            r"\x{zz}",
            r"(?P<n>a)(?P<n>b)",
            r"a\",
            r"[b-a]",
            r"*a",
            r"(",
        ] {
            assert!(compile(pattern, "").is_err(), "{pattern}");
        }
        assert!(compile("(?:a{100}){10}", "").is_ok());
    }

    #[test]
    fn a_catastrophic_pattern_is_harmless() {
        let text = "a".repeat(50_000) + "!";
        assert!(!compile("^(a+)+$", "").unwrap().is_match(&text));
        assert!(compile("((a{1000}){1000}){1000}", "").is_err());
    }
}
