//! The checks and tests that the built-in flows run where a repository names none: with the real tools.

use super::json;
use crate::installed;
use crate::project::Project;

const CARGO: &str = "[package]\nname = \"faulty\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
const RUST: &str = "\
pub fn first(list: &Vec<u8>) -> u8 {
    return list[0];
}

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {}

    #[test]
    fn wavers() {
        let mark = concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/mark\");
        let is_second = std::path::Path::new(mark).exists();
        std::fs::write(mark, \"\").unwrap();
        assert!(is_second);
    }
}
";
const PYTHON: &str = "import os\n\n\ndef twice(n):\n    if n == None:\n        return 0\n    return 2 * n\n";
const PYTHON_TEST: &str = "from shop import twice\n\n\ndef test_twice():\n    assert twice(2) == 4\n\n\ndef test_wrong():\n    assert twice(2) == 5\n";

/// A repository without a pipeline of its own, with files that a change adds.
fn repository(files: &[(&str, &str)]) -> Project {
    let project = Project::new("faulty", "develop");
    project.write("serin.yml", "service: { name: faulty, build: [] }\n");
    project.commit("first");
    project.git(&["checkout", "-q", "-b", "change"]);
    files.iter().for_each(|(path, text)| project.write(path, text));
    project
}

fn ran(project: &Project, arguments: &[&str]) -> serde_json::Value {
    let said = project.serin(&[&["run", "--format", "json", "--branch", "develop"], arguments].concat());
    json(&said)
}

fn rules(outcome: &serde_json::Value) -> Vec<String> {
    let new = outcome["quality"]["findings"]["new"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut rules: Vec<String> =
        new.iter().map(|one| format!("{} {} {}", text(&one["tool"]), text(&one["rule"]), one["line"])).collect();
    rules.sort();
    rules
}

#[test]
fn rust_is_checked_by_clippy_and_tested_by_nextest() {
    let nextest = "[profile.default]\nfail-fast = false\n";
    let project = repository(&[("Cargo.toml", CARGO), ("src/lib.rs", RUST), (".config/nextest.toml", nextest)]);
    let outcome = ran(&project, &["check-rust", "test-rust"]);
    assert_eq!(outcome["status"], "success", "{outcome:#}");
    assert_eq!(rules(&outcome), ["clippy needless_return 2", "clippy ptr_arg 1"]);
    let tests = &outcome["quality"]["tests"];
    assert_eq!((&tests["passed"], &tests["failed"]), (&2.into(), &0.into()), "{tests}");
}

#[test]
fn python_is_checked_by_ruff_and_tested_by_pytest_with_coverage() {
    let project = repository(&[
        ("pyproject.toml", "[tool.ruff.lint]\nselect = [\"F\", \"E7\"]\n"),
        ("shop.py", PYTHON),
        ("test_shop.py", PYTHON_TEST),
    ]);
    let path = format!("PYTHONPATH={}", installed::python().display());
    let outcome = ran(&project, &["check-python", "test-python", "--var", &path]);
    assert_eq!(rules(&outcome), ["ruff E711 5", "ruff F401 1"], "{outcome:#}");
    let tests = &outcome["quality"]["tests"];
    assert_eq!((&tests["passed"], &tests["failed"]), (&1.into(), &1.into()), "{tests}");
    assert_eq!(tests["newly_failing"], serde_json::json!(["test_shop test_wrong"]));
    // Of shop.py five lines could run, and all but the return of 0 did; of the tests' five all.
    assert_eq!(outcome["quality"]["coverage"], serde_json::json!({ "covered": 9, "total": 10 }));
}

#[test]
fn javascript_is_checked_by_the_projects_own_eslint() {
    let project = repository(&[
        ("eslint.config.mjs", "export default [{ files: [\"src/*.js\"], rules: { eqeqeq: 'error' } }];\n"),
        ("src/a.js", "export function same(a, b) {\n  return a == b;\n}\n"),
    ]);
    // As `npm ci` would have left it.
    let modules = installed::eslint().join("node_modules");
    std::os::unix::fs::symlink(&modules, project.root().join("node_modules")).unwrap();
    let outcome = ran(&project, &["check-javascript"]);
    assert_eq!(rules(&outcome), ["ESLint eqeqeq 2"], "{outcome:#}");
}
