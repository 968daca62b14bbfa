//! `serin run`: what the reports of its jobs say, against the merge base.

use super::{json, project};
use crate::project::Project;

/// The check that the server's gate is tested with too.
const CHECK: &str = include_str!("../../../../../tests/e2e/fixtures/check.sh");
const PIPELINE: &str = "\
check:
  script: bash check.sh
  artifacts:
    reports:
      codequality: quality.json
      junit: junit.xml
      coverage_report: { coverage_format: cobertura, path: cobertura.xml }
";
const SERVICE: &str = "service: { name: shop }\nquality:\n  new_findings: { major: 0 }\n  failing_tests: 0\n  \
                       coverage_on_changed_lines: 80%\n  reports: [junit]\n";

fn begun() -> Project {
    let project = project(PIPELINE);
    project.write("check.sh", CHECK);
    project.write("serin.yml", SERVICE);
    project.write("a.txt", "first line\nbad one\npasses here\nlast line\n");
    project.commit("second");
    project
}

#[test]
fn a_run_tells_what_is_new_against_the_merge_base() {
    let project = begun();
    // The run of the base: what it finds is there already.
    let said = project.serin(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.output, said.errors);
    assert!(said.output.contains("✓ no new finding of severity major or worse"), "{}", said.output);
    project.git(&["checkout", "-q", "-b", "change"]);
    // Lines move down, uncommitted; one finding and one failing test are added, in a line that no test runs.
    project.write("a.txt", "first line\nnew above\nbad one\npasses here\nbad two idle\nfails here\nlast line\n");
    let said = project.serin(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.output, said.errors);
    for line in [
        "a.txt:5 major a bad line code quality bad",
        "findings: 1 new, 0 fixed, 1 remaining",
        "fails a.txt t6 it fails",
        "tests: 1 passed, 1 failed, 0 skipped, 1 newly failing",
        "coverage: 85.7 % (6/7), changed lines 66.6 % (2/3)",
        "✓ the report `junit` is there",
        "✗ 1 new finding of severity major or worse, 0 allowed: fix 1 (a.txt:5 bad)",
        "✗ 1 test fails, 0 allowed: mend 1 (a.txt t6)",
        "✗ 66.6 % of the changed lines are tested (2 of 3), 80 % asked: test 1 more line",
    ] {
        assert!(said.output.contains(line), "{line}\n{}", said.output);
    }
    let said = json(&project.serin(&["run", "--format", "json"]));
    assert_eq!(said["quality"]["passed"], false);
    assert_eq!(said["quality"]["findings"]["new"][0]["line"], 5, "{said}");
    let said = project.serin(&["run", "--language", "zh"]);
    assert!(said.output.contains("问题：新增 1，修复 0，遗留 1"), "{}", said.output);
    assert!(said.output.contains("✗ 1 个测试失败，允许 0 个"), "{}", said.output);
}

#[test]
fn without_a_run_of_the_base_the_changed_lines_count_and_new_files_are_changed_as_a_whole() {
    let project = begun();
    project.git(&["checkout", "-q", "-b", "change"]);
    project.write("b.txt", "bad in a new file\n");
    let said = project.serin(&["run"]);
    assert!(said.output.contains("b.txt:1 major a bad line"), "{}", said.output);
    assert!(!said.output.contains("a.txt:2 major"), "{}", said.output);
}

#[test]
fn a_report_that_is_named_and_does_not_come_is_no_pass() {
    let project = begun();
    project.write("check.sh", "echo '<testsuites>' > junit.xml; echo '[]' > quality.json");
    let said = project.serin(&["run"]);
    assert!(said.output.contains("✗ the report `coverage_report` is missing"), "{}", said.output);
    assert!(said.output.contains("✗ the report `junit` cannot be read (junit.xml: JUnit, line 2"), "{}", said.output);
    let said = json(&project.serin(&["run", "--format", "json"]));
    assert_eq!(said["quality"]["passed"], false);
}

#[test]
fn a_run_without_reports_says_nothing_of_them() {
    let project = project("a: {script: 'true'}");
    let said = json(&project.serin(&["run", "--format", "json"]));
    assert_eq!(said["quality"], serde_json::Value::Null);
}
