//! Source files: size, stub markers, skipped tests, waits in tests, names.

use super::{Checkout, Finding};

/// Lines of a Rust file, its tests not counted.
const LINES_MAX: usize = 800;
/// Longest pause between two looks of a test that must poll, in milliseconds.
const TEST_PAUSE_MS_MAX: u64 = 100;
/// Written apart, so that this file does not find itself.
const STUBS: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];
const SKIPPED: &str = concat!("#[ig", "nore");
const ROOMS_WITHOUT_A_NAME: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "manager", "mod"];
/// Extensions of files that people write here and that are checked for stub markers.
const EXTENSIONS: &[&str] = &["css", "html", "js", "rs", "sh", "sql", "toml", "yml"];

/// Checks every source file.
pub fn check(checkout: &Checkout) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in EXTENSIONS.iter().flat_map(|extension| checkout.with_extension(extension)) {
        if !is_data(path) {
            findings.extend(stubs(path, text));
        }
    }
    for (path, text) in checkout.with_extension("rs") {
        findings.extend(size(path, text));
        findings.extend(name(path));
        findings.extend(crate_doc(path, text));
        findings.extend(skipped(path, text));
        if is_test(path) {
            findings.extend(waits(path, text));
        }
    }
    findings
}

/// Inputs of tests are whatever they must be.
fn is_data(path: &str) -> bool {
    !path.ends_with(".rs") && (path.contains("/tests/") || path.contains("/testdata/") || path.contains("/corpus/"))
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/it/") || path.starts_with("tests/")
}

fn size(path: &str, text: &str) -> Option<Finding> {
    if is_test(path) || path.ends_with("/tests.rs") {
        return None;
    }
    let lines = text.lines().collect::<Vec<_>>();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    let length = tests.unwrap_or(lines.len());
    (length > LINES_MAX)
        .then(|| Finding::new(path, 0, format!("{length} lines without tests, {LINES_MAX} are allowed")))
}

fn name(path: &str) -> Option<Finding> {
    let stem = path.rsplit('/').next()?.strip_suffix(".rs")?;
    let message = match stem {
        "mod" => "`foo.rs` beside `foo/` in place of `mod.rs`".to_owned(),
        other => format!("`{other}` says nothing: name the file after what it holds"),
    };
    ROOMS_WITHOUT_A_NAME.contains(&stem).then(|| Finding::new(path, 0, message))
}

fn crate_doc(path: &str, text: &str) -> Option<Finding> {
    let is_crate = path.starts_with("crates/") && path.ends_with("/src/lib.rs");
    (is_crate && !text.starts_with("//!"))
        .then(|| Finding::new(path, 1, "a crate begins with `//!` that states its invariants"))
}

fn stubs(path: &str, text: &str) -> Vec<Finding> {
    on_lines(text, |line| STUBS.iter().find(|marker| has_word(line, marker)))
        .map(|(number, marker)| Finding::new(path, number, format!("stub marker `{marker}`")))
        .collect()
}

fn skipped(path: &str, text: &str) -> Vec<Finding> {
    on_lines(text, |line| line.trim_start().starts_with(SKIPPED).then_some(()))
        .map(|(number, ())| Finding::new(path, number, "a test that never runs: repair it or remove it"))
        .collect()
}

fn waits(path: &str, text: &str) -> Vec<Finding> {
    let message = format!("waits longer than {TEST_PAUSE_MS_MAX} ms: wait for the event, or look again sooner");
    on_lines(text, |line| pause_ms(line).filter(|pause| *pause > TEST_PAUSE_MS_MAX))
        .map(|(number, _)| Finding::new(path, number, message.clone()))
        .collect()
}

/// Returns the milliseconds of `sleep(Duration::from_…(N))` on a line.
fn pause_ms(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("sleep(")?;
    let (_, rest) = rest.split_once("from_")?;
    let (unit, rest) = rest.split_once('(')?;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '_').filter(|c| *c != '_').collect();
    let number: u64 = digits.parse().ok()?;
    match unit {
        "secs" => Some(number.saturating_mul(1000)),
        "millis" => Some(number),
        _ => None,
    }
}

fn on_lines<T>(text: &str, look: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = (usize, T)> {
    text.lines().enumerate().filter_map(move |(index, line)| Some((index + 1, look(line)?)))
}

/// Tells whether the marker stands alone on the line, not inside a longer word.
fn has_word(line: &str, marker: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(marker).any(|(start, found)| {
        let after = line[start + found.len()..].chars().next();
        !is_letter(line[..start].chars().next_back()) && (marker.ends_with('(') || !is_letter(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, text: &str) -> Vec<String> {
        check(&Checkout::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_files_are_found_but_for_their_tests() {
        let body = "// line\n".repeat(LINES_MAX);
        assert_eq!(told("xtask/src/a.rs", &body), [""; 0]);
        assert_eq!(told("xtask/src/a.rs", &format!("{body}// one\n")).len(), 1);
        let tests = format!("{body}#[cfg(test)]\nmod tests {{\n{body}}}\n");
        assert_eq!(told("xtask/src/a.rs", &tests), [""; 0]);
        assert_eq!(told("crates/x/tests/it/a.rs", &format!("{body}{body}")), [""; 0]);
    }

    #[test]
    fn stub_markers_are_found_as_words() {
        for marker in STUBS {
            assert_eq!(told("xtask/src/a.rs", &format!("// {marker}\n")).len(), 1, "{marker}");
            assert_eq!(told("xtask/src/a.rs", &format!("// A{marker}\n")), [""; 0], "{marker}");
        }
        assert_eq!(told("crates/x/tests/data/a.yml", &format!("# {}\n", STUBS[2])), [""; 0]);
        assert_eq!(told("crates/web/static/a.js", &format!("// {}: later\n", STUBS[3])).len(), 1);
    }

    #[test]
    fn tests_that_never_run_are_found() {
        assert_eq!(told("xtask/src/a.rs", &format!("    {SKIPPED}]\n    fn a() {{}}\n")).len(), 1);
        assert_eq!(told("xtask/src/a.rs", &format!("    {SKIPPED} = \"slow\"]\n")).len(), 1);
    }

    #[test]
    fn long_waits_are_found_in_tests_alone() {
        let line = "tokio::time::sleep(Duration::from_secs(2)).await;\n";
        assert_eq!(told("crates/x/tests/it/a.rs", line).len(), 1);
        assert_eq!(told("tests/e2e/src/a.rs", "thread::sleep(std::time::Duration::from_millis(1_500));").len(), 1);
        assert_eq!(told("crates/x/tests/it/a.rs", "sleep(Duration::from_millis(5)).await;\n"), [""; 0]);
        assert_eq!(told("crates/x/src/a.rs", line), [""; 0]);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert_eq!(told("xtask/src/utils.rs", "").len(), 1);
        assert_eq!(told("xtask/src/a/mod.rs", "").len(), 1);
        assert_eq!(told("xtask/src/model.rs", ""), [""; 0]);
    }

    #[test]
    fn crates_state_their_invariants() {
        assert_eq!(told("crates/x/src/lib.rs", "//! Invariants: none.\n"), [""; 0]);
        assert_eq!(told("crates/x/src/lib.rs", "pub fn a() {}\n").len(), 1);
    }
}
