//! Expansion of variables by the runner: once, unknown names become empty, `$$` becomes `$`.

use serin_model::plan::Variable;

/// Expands `$NAME` and `${NAME}` in `text` by `variables`, of which a later one wins; values are not expanded again.
#[must_use]
pub fn expand(text: &str, variables: &[Variable]) -> String {
    expand_with(text, |name| variables.iter().rev().find(|variable| variable.key == name).map(|v| v.value.as_str()))
}

/// Expands `text` with what `lookup` knows; the rules are those of Go's `os.Expand`, which the official runner uses.
pub(crate) fn expand_with<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (reference, used) = reference(tail);
        match reference {
            Reference::Dollar => out.push('$'),
            Reference::Name(name) => out.push_str(lookup(name).unwrap_or_default()),
            Reference::Nothing => {}
        }
        rest = &tail[used..];
    }
    out.push_str(rest);
    out
}

enum Reference<'a> {
    Dollar,
    Name(&'a str),
    Nothing,
}

/// What stands behind a `$`, and how many bytes of it belong to the reference.
fn reference(tail: &str) -> (Reference<'_>, usize) {
    let Some(first) = tail.bytes().next() else { return (Reference::Dollar, 0) };
    match first {
        b'$' => (Reference::Dollar, 1),
        b'{' => braced(tail),
        b'*' | b'#' | b'@' | b'!' | b'?' | b'-' | b'0'..=b'9' => (Reference::Name(&tail[..1]), 1),
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
            let end = tail.bytes().take_while(|byte| *byte == b'_' || byte.is_ascii_alphanumeric()).count();
            (Reference::Name(&tail[..end]), end)
        }
        _ => (Reference::Dollar, 0),
    }
}

fn braced(tail: &str) -> (Reference<'_>, usize) {
    match tail.find('}') {
        Some(1) => (Reference::Nothing, 2),
        Some(end) => match &tail[1..end] {
            "$" => (Reference::Dollar, end + 1),
            name => (Reference::Name(name), end + 1),
        },
        None => (Reference::Nothing, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let variables = [
            Variable::plain("A", "old"),
            Variable::plain("A", "1"),
            Variable::plain("LONG_2", "$A"),
            Variable::plain("E", ""),
        ];
        assert_eq!(expand(text, &variables), expected, "{text:?}");
    }

    #[test]
    fn names_and_braces() {
        check("x$A-y", "x1-y");
        check("${A}b", "1b");
        check("$LONG_2/", "$A/");
        check("[$E]", "[]");
        check("$A$A", "11");
        check("ä$Aä", "ä1ä");
    }

    #[test]
    fn unknown_becomes_empty_and_two_dollars_one() {
        check("<$NO ${NO}>", "< >");
        check("$$A", "$A");
        check("$$$A", "$1");
        check("${$}", "$");
    }

    #[test]
    fn odd_ends_stay_calm() {
        check("$", "$");
        check("a$ b", "a$ b");
        check("${}", "");
        check("${A", "A");
        check("$1$?x", "x");
        check("100 %$", "100 %$");
    }
}
