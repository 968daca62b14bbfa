//! The checks and tests that the built-in flows run where a repository names none: with the real tools.

use std::process::Command;

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
const GO: &str = "package shop\n\nfunc Twice(n int) int {\n\treturn 2 * n\n}\n";
const GO_TEST: &str = "\
package shop

import \"testing\"

func TestTwice(t *testing.T) {
	t.Run(\"small\", func(t *testing.T) {})
	if Twice(2) != 4 {
		t.Fatal(\"not 4\")
	}
}

func TestWrong(t *testing.T) {
	t.Errorf(\"%d is not 5\", Twice(2))
}

func TestLater(t *testing.T) {
	t.Skip(\"later\")
}
";
const POM: &str = "\
<project xmlns='http://maven.apache.org/POM/4.0.0'>
  <modelVersion>4.0.0</modelVersion>
  <groupId>shop</groupId><artifactId>faulty</artifactId><version>1</version>
  <properties>
    <maven.compiler.source>8</maven.compiler.source>
    <maven.compiler.target>8</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.x</version><scope>test</scope></dependency>
  </dependencies>
</project>
";
const JAVA: &str =
    "package shop;\n\npublic class Twice {\n    public static int of(int number) { return 2 * number; }\n}\n";
const JAVA_TEST: &str = "\
package shop;

import static org.junit.Assert.assertEquals;
import java.io.File;
import java.io.IOException;
import org.junit.Ignore;
import org.junit.Test;

public class TwiceTest {
    @Test public void passes() { assertEquals(4, Twice.of(2)); }
    @Test public void wrong() { assertEquals(5, Twice.of(2)); }
    @Test public void wavers() throws IOException { assertEquals(false, new File(\"target/mark\").createNewFile()); }
    @Ignore @Test public void later() {}
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

#[test]
fn go_is_tested_by_gotestsum_and_a_missing_linter_says_so() {
    let project = repository(&[("go.mod", "module shop\n\ngo 1.19\n"), ("shop.go", GO), ("shop_test.go", GO_TEST)]);
    let home = format!("GOCACHE={}", project.above().join("go-cache").display());
    let outcome = ran(&project, &["test-go", "--var", &home]);
    let tests = &outcome["quality"]["tests"];
    let counts = ["passed", "failed", "skipped"].map(|word| tests[word].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1)], "{outcome:#}");
    assert_eq!(tests["newly_failing"], serde_json::json!(["shop TestWrong"]));
    // A machine without the linter: nothing is on this path.
    let path = format!("PATH={}", project.above().join("empty").display());
    let said = project.serin(&["run", "--branch", "develop", "check-go", "--var", &path]);
    assert!(said.output.contains("golangci-lint is not installed, so nothing was checked"), "{}", said.output);
}

#[test]
fn java_is_tested_by_surefire_and_a_test_that_wavers_is_tried_again() {
    let project = repository(&[
        ("pom.xml", POM),
        ("src/main/java/shop/Twice.java", JAVA),
        ("src/test/java/shop/TwiceTest.java", JAVA_TEST),
    ]);
    // The system's own plugins, in a repository that this project may write to; nothing is fetched.
    let plugins = project.above().join("maven");
    installed::must(Command::new("cp").args(["--recursive", "--symbolic-link", "/usr/share/maven-repo"]).arg(&plugins));
    project.write(".mvn/maven.config", format!("--offline\n-Dmaven.repo.local={}\n", plugins.display()));
    project.commit("offline");
    let outcome = ran(&project, &["test-java"]);
    let tests = &outcome["quality"]["tests"];
    let counts = ["passed", "failed", "skipped"].map(|word| tests[word].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1)], "{outcome:#}");
    assert_eq!(tests["newly_failing"], serde_json::json!(["shop.TwiceTest wrong"]));
}
