//! Failing tests that do not count for a while: each with an owner and a last day, and always told.

use serin_model::quality::Quarantine;

/// What quarantine makes of the failing tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted<'t> {
    /// Tests that count.
    pub counted: Vec<&'t str>,
    /// Tests that do not, each with its entry.
    pub held: Vec<(&'t str, &'t Quarantine)>,
    /// Tests that count again because their time is over, each with its entry.
    pub ended: Vec<(&'t str, &'t Quarantine)>,
}

/// Sorts failing tests by the entries; `today` is a day such as `2026-11-23`, and where it is not known nothing is held.
#[must_use]
pub fn sort<'t>(
    failing: impl IntoIterator<Item = &'t str>,
    entries: &'t [Quarantine],
    today: Option<&str>,
) -> Sorted<'t> {
    let mut sorted = Sorted::default();
    for test in failing {
        let of_test = || entries.iter().filter(|entry| matches(&entry.test, test));
        // Days of this form are in order as texts.
        let running = today.and_then(|today| of_test().find(|entry| today <= entry.until.as_str()));
        if let Some(entry) = running {
            sorted.held.push((test, entry));
            continue;
        }
        sorted.counted.push(test);
        sorted.ended.extend(of_test().next().map(|entry| (test, entry)));
    }
    sorted
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(test: &str, until: &str) -> Quarantine {
        Quarantine { test: test.into(), owner: "dana".into(), until: until.into(), reason: String::new() }
    }

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("a b", "a b", true),
            ("a b", "a bc", false),
            ("a*", "a", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("a*a", "a", false),
            ("*b*", "abc", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_quarantine_ends_and_is_never_silent() {
        let entries = [entry("shop pays", "2026-11-23"), entry("shop ships*", "2026-11-22")];
        let failing = ["shop pays", "shop ships far", "shop packs"];
        let sorted = sort(failing, &entries, Some("2026-11-23"));
        assert_eq!(sorted.held, [("shop pays", &entries[0])]);
        assert_eq!(sorted.ended, [("shop ships far", &entries[1])]);
        assert_eq!(sorted.counted, ["shop ships far", "shop packs"]);
        assert_eq!(sort(failing, &entries, None).counted.len(), 3);
    }
}
