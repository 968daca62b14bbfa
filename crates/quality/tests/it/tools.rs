//! What real tools write here and now, on small projects with known faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::installed::{eslint, installed, must, python, run};
use serin_quality::{
    ChangedLines, Content, Coverage, Finding, Format, Outcome, Places, Ratio, TestCase, TreePath, read,
};
use tempfile::TempDir;

fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let place = folder.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }
    folder
}

fn content(bytes: &[u8], folder: &Path) -> (Format, Content) {
    let format = Format::detect(bytes).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(bytes)));
    let root = folder.canonicalize().unwrap().to_string_lossy().into_owned();
    let reading = read(format, bytes, &Places::new([root, folder.to_string_lossy().into_owned()])).unwrap();
    assert_eq!(reading.notes, []);
    (format, reading.content)
}

fn findings(format: Format, bytes: &[u8], folder: &Path) -> Vec<String> {
    match content(bytes, folder) {
        (found, Content::Findings(findings)) if found == format => findings.iter().map(shown).collect(),
        other => panic!("{other:?}"),
    }
}

fn shown(finding: &Finding) -> String {
    let at = finding.location.as_ref().unwrap();
    format!("{} {} {}:{}", finding.tool, finding.rule, at.path, at.line)
}

fn tests(bytes: &[u8], folder: &Path) -> Vec<TestCase> {
    match content(bytes, folder) {
        (Format::Junit, Content::Tests(tests)) => tests,
        other => panic!("{other:?}"),
    }
}

fn outcomes(tests: &[TestCase]) -> Vec<String> {
    let mut all: Vec<String> = tests
        .iter()
        .map(|test| {
            let flaky = if test.flaky { " flaky" } else { "" };
            format!("{} {} {}{flaky}", test.class, test.name, test.outcome.as_str())
        })
        .collect();
    all.sort();
    all
}

fn coverage(bytes: &[u8], folder: &Path) -> Coverage {
    match content(bytes, folder) {
        (_, Content::Coverage(coverage)) => coverage,
        other => panic!("{other:?}"),
    }
}

const CARGO: &str = "[package]\nname = \"faulty\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
const RUST: &str = "\
pub fn first(list: &Vec<u8>) -> u8 {
    return list[0];
}

pub fn is_blank(text: &str) -> bool {
    text.len() == 0
}

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {}

    #[test]
    fn fails() {
        assert_eq!(1 + 1, 3, \"arithmetic\");
    }

    #[test]
    #[cfg_attr(all(), ignore)]
    fn sleeps() {}

    #[test]
    fn wavers() {
        let mark = concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/mark\");
        let is_second = std::path::Path::new(mark).exists();
        std::fs::write(mark, \"\").unwrap();
        assert!(is_second);
    }
}
";

fn rust_project() -> TempDir {
    project(&[
        ("Cargo.toml", CARGO),
        ("src/lib.rs", RUST),
        (
            ".config/nextest.toml",
            "[profile.ci]\nretries = 1\nfail-fast = false\n[profile.ci.junit]\npath = \"junit.xml\"\n",
        ),
    ])
}

fn cargo(folder: &TempDir) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder.path()).env("CARGO_TARGET_DIR", folder.path().join("target"));
    // The build that runs these tests is none of the small project's.
    for (key, _) in std::env::vars() {
        if key.starts_with("NEXTEST")
            || key.starts_with("CARGO_PKG")
            || key == "RUSTFLAGS"
            || key == "CARGO_MANIFEST_DIR"
        {
            command.env_remove(key);
        }
    }
    command
}

#[test]
fn clippy() {
    let folder = rust_project();
    let output = run(cargo(&folder).args(["clippy", "--all-targets", "--message-format=json", "--quiet", "--offline"]));
    let mut found = findings(Format::CargoMessages, &output.stdout, folder.path());
    found.sort();
    let expected =
        ["clippy len_zero src/lib.rs:6", "clippy needless_return src/lib.rs:2", "clippy ptr_arg src/lib.rs:1"];
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nextest() {
    let folder = rust_project();
    run(cargo(&folder).args(["nextest", "run", "--profile", "ci", "--offline"]));
    let bytes = fs::read(folder.path().join("target/nextest/ci/junit.xml")).unwrap();
    let found = tests(&bytes, folder.path());
    // nextest leaves ignored tests out of its report.
    assert_eq!(
        outcomes(&found),
        ["faulty tests::fails failed", "faulty tests::passes passed", "faulty tests::wavers passed flaky",]
    );
    let failed = found.iter().find(|test| test.outcome == Outcome::Failed).unwrap();
    assert!(failed.detail.as_ref().unwrap().output.contains("arithmetic"), "{failed:?}");
}

const PYTHON: &str = "\
import os


def pick(number):
    if number == None:
        return \"none\"
    if number > 10:
        return \"large\"
    return \"small\"


def unused():
    value = 1
    return 2
";
const PYTHON_TESTS: &str = "\
import pytest

from shop import pick


def test_small():
    assert pick(1) == \"small\"


@pytest.mark.parametrize(\"number\", [11, 5])
def test_large(number):
    assert pick(number) == \"large\"


@pytest.mark.skip(reason=\"later\")
def test_later():
    pass


@pytest.fixture
def broken():
    raise RuntimeError(\"no fixture\")


def test_broken(broken):
    pass
";

#[test]
fn ruff() {
    let tools = python();
    let folder = project(&[("shop.py", PYTHON)]);
    let expected = ["F401 shop.py:1", "E711 shop.py:5", "F841 shop.py:13"];
    for (format, output_format) in [(Format::Sarif, "sarif"), (Format::CodeClimate, "gitlab")] {
        let select = ["check", "--isolated", "--no-cache", "--select", "F,E7", "--output-format", output_format, "."];
        let output = run(Command::new(tools.join("bin/ruff")).args(select).current_dir(folder.path()));
        let found = findings(format, &output.stdout, folder.path());
        let tool = if format == Format::Sarif { "ruff" } else { "code quality" };
        assert_eq!(found, expected.map(|rest| format!("{tool} {rest}")), "{output_format}");
    }
}

#[test]
fn pytest_with_coverage() {
    let tools = python();
    let folder = project(&[("shop.py", PYTHON), ("test_shop.py", PYTHON_TESTS)]);
    let arguments =
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_cov", "--junitxml=junit.xml", "--cov=shop"];
    let mut command = Command::new("python3");
    command.args(arguments).args(["--cov-report=xml:coverage.xml", "--cov-report=lcov:coverage.lcov"]);
    let output = run(command.env("PYTHONPATH", &tools).current_dir(folder.path()));
    let read_file = |name: &str| {
        fs::read(folder.path().join(name)).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)))
    };
    let found = tests(&read_file("junit.xml"), folder.path());
    assert_eq!(
        outcomes(&found),
        [
            "test_shop test_broken failed",
            "test_shop test_large[11] passed",
            "test_shop test_large[5] failed",
            "test_shop test_later skipped",
            "test_shop test_small passed",
        ]
    );
    // By hand: lines 1, 4 to 9, 12 to 14 could run; 6, 13 and 14 did not.
    let path = TreePath::parse("shop.py").unwrap();
    let by_hand = [1, 4, 5, 6, 7, 8, 9, 12, 13, 14].map(|line| (line, ![6, 13, 14].contains(&line)));
    let changed = ChangedLines::from([(path.clone(), vec![6..=8, 13..=13])]);
    for name in ["coverage.xml", "coverage.lcov"] {
        let found = coverage(&read_file(name), folder.path());
        assert_eq!(found.of(&path).unwrap().lines().collect::<Vec<_>>(), by_hand, "{name}");
        assert_eq!(found.changed(&changed), Ratio { covered: 2, total: 4 });
    }
}

#[test]
fn eslint_as_sarif() {
    let tools = eslint();
    let folder = project(&[
        (
            "eslint.config.mjs",
            "export default [{ rules: { eqeqeq: 'error', 'no-var': 'warn', 'no-unused-vars': 'error' } }];\n",
        ),
        ("src/a.js", "var unused = 1;\nexport function same(a, b) {\n  return a == b;\n}\n"),
    ]);
    // The configuration is looked for at the project, the formatter at the tools.
    let formatter = tools.join("node_modules/@microsoft/eslint-formatter-sarif/sarif.js");
    let mut command = Command::new("node");
    command.arg(tools.join("node_modules/eslint/bin/eslint.js")).arg("--format").arg(formatter).arg("src");
    let output = run(command.current_dir(folder.path()));
    let mut found = findings(Format::Sarif, &output.stdout, folder.path());
    found.sort();
    assert_eq!(found, ["ESLint eqeqeq src/a.js:3", "ESLint no-unused-vars src/a.js:1", "ESLint no-var src/a.js:1"]);
}

/// Node's own runner measures JavaScript by V8 and writes LCOV.
#[test]
fn node_coverage_as_lcov() {
    let folder = project(&[
        (
            "pay.mjs",
            "export function pay(cents) {\n  if (cents < 0) {\n    throw new Error('negative');\n  }\n  return cents * 2;\n}\n",
        ),
        (
            "pay.test.mjs",
            "import test from 'node:test';\nimport assert from 'node:assert';\nimport { pay } from './pay.mjs';\ntest('pays', () => assert.equal(pay(2), 4));\n",
        ),
    ]);
    let arguments = ["--test", "--experimental-test-coverage", "--test-reporter=lcov", "pay.test.mjs"];
    let output = must(Command::new("node").args(arguments).current_dir(folder.path()));
    let found = coverage(&output.stdout, folder.path());
    let path = TreePath::parse("pay.mjs").unwrap();
    assert_eq!(found.of(&path).unwrap().line(3), Some(false));
    assert_eq!(found.of(&path).unwrap().line(5), Some(true));
    assert_eq!(found.changed(&ChangedLines::from([(path, vec![3..=3, 5..=5])])), Ratio { covered: 1, total: 2 });
}

/// A folder with gcovr, for `PYTHONPATH`.
fn gcovr() -> PathBuf {
    installed("gcovr-8", |folder| {
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"];
        must(Command::new("python3").args(install).arg(folder).arg("gcovr==8.*"));
    })
}

const C: &str = "\
int pay(int cents) {
    if (cents < 0) {
        return -1;
    }
    int paid = 0;
    for (int n = 0; n < cents; n++) {
        paid += 2;
    }
    return paid;
}

int unused(int x) {
    return x + 1;
}
";

/// C, measured by the compiler and told by gcovr in three formats.
#[test]
fn gcovr_in_three_formats() {
    let tools = gcovr();
    let main = "int pay(int cents);\n\nint main(void) {\n    return pay(2) == 4 ? 0 : 1;\n}\n";
    let folder = project(&[("src/pay.c", C), ("src/main.c", main)]);
    let here = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(folder.path());
        command
    };
    must(here(Path::new("cc")).args(["--coverage", "-O0", "-o", "main", "src/pay.c", "src/main.c"]));
    must(&mut here(&folder.path().join("main")));
    // By hand: lines 1 to 3, 5 to 7, 9, 12 and 13 could run; 3, 12 and 13 did not.
    let by_hand = [1, 2, 3, 5, 6, 7, 9, 12, 13].map(|line| (line, ![3, 12, 13].contains(&line)));
    let path = TreePath::parse("src/pay.c").unwrap();
    let changed = ChangedLines::from([(path.clone(), vec![3..=6, 12..=12])]);
    for (flag, format) in [("--cobertura", Format::Cobertura), ("--lcov", Format::Lcov), ("--clover", Format::Clover)] {
        let arguments = ["-m", "gcovr", "--root", ".", flag, "-"];
        let output = must(here(Path::new("python3")).args(arguments).env("PYTHONPATH", &tools));
        assert_eq!(Format::detect(&output.stdout), Some(format));
        let found = coverage(&output.stdout, folder.path());
        assert_eq!(found.of(&path).unwrap().lines().collect::<Vec<_>>(), by_hand, "{flag}");
        assert_eq!(found.changed(&changed), Ratio { covered: 2, total: 4 }, "{flag}");
        assert_eq!(found.ratio(), Ratio { covered: 8, total: 11 }, "{flag}");
    }
}

#[test]
fn ctest() {
    let folder = project(&[(
        "CTestTestfile.cmake",
        "add_test(adds \"true\")\nadd_test(subtracts \"sh\" \"-c\" \"echo 'expected 1, got 2' && exit 3\")\n\
         add_test(divides \"no-such-program-here\")\nadd_test(waits \"true\")\nset_tests_properties(waits PROPERTIES DISABLED TRUE)\n",
    )]);
    run(Command::new("ctest").args(["--output-junit", "junit.xml"]).current_dir(folder.path()));
    let found = tests(&fs::read(folder.path().join("junit.xml")).unwrap(), folder.path());
    assert_eq!(
        outcomes(&found),
        ["adds adds passed", "divides divides failed", "subtracts subtracts failed", "waits waits skipped"]
    );
    let failed = found.iter().find(|test| &*test.name == "subtracts").unwrap();
    assert!(failed.detail.as_ref().unwrap().output.contains("expected 1, got 2"), "{failed:?}");
}
