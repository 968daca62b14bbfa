//! Code checks and tests of the template where a service names none: each ecosystem's own tools, by the files there.

use std::fmt::Write;

use serin_model::service::Service;

use super::{list, quote};

/// A tool of an ecosystem.
struct Tool {
    job: &'static str,
    /// Files by which a project is known to want it.
    files: &'static [&'static str],
    script: &'static [&'static str],
    /// Kind of report and its files.
    reports: &'static [(&'static str, &'static str)],
}

/// What is said and done where a tool is not on the machine; the job fails and nothing but the gate minds.
macro_rules! absent {
    ($tool:literal, $how:literal) => {
        concat!("echo '", $tool, " is not installed, so nothing was checked: ", $how, "' >&2; exit 1")
    };
}

const CHECKS: &[Tool] = &[
    Tool {
        job: "check-rust",
        files: &["Cargo.toml"],
        // Where clippy is not there, the compiler's own warnings are.
        script: &[
            "if cargo clippy --version > /dev/null 2>&1; then checker=clippy; else checker=check; fi",
            "cargo $checker --workspace --all-targets --message-format=json > check-rust.json",
        ],
        reports: &[("codequality", "check-rust.json")],
    },
    Tool {
        job: "check-python",
        files: &["pyproject.toml", "ruff.toml", ".ruff.toml", "setup.py"],
        script: &[concat!(
            "if command -v ruff > /dev/null; then ruff check --exit-zero --output-format=sarif --output-file=check-python.sarif .; \
             elif python3 -m ruff --version > /dev/null 2>&1; then \
             python3 -m ruff check --exit-zero --output-format=sarif --output-file=check-python.sarif .; else ",
            absent!("ruff", "pip install ruff"),
            "; fi"
        )],
        reports: &[("sarif", "check-python.sarif")],
    },
    Tool {
        job: "check-javascript",
        files: &["eslint.config.js", "eslint.config.mjs", "eslint.config.cjs", "eslint.config.ts"],
        script: &[
            "if [ ! -d node_modules ] && [ -f package-lock.json ]; then npm ci --ignore-scripts --no-audit --no-fund; fi",
            concat!(
                "if [ -d node_modules/@microsoft/eslint-formatter-sarif ]; then \
                 npx --no-install eslint --format @microsoft/eslint-formatter-sarif --output-file check-javascript.sarif . || [ $? -eq 1 ]; else ",
                absent!(
                    "@microsoft/eslint-formatter-sarif",
                    "npm install --save-dev @microsoft/eslint-formatter-sarif"
                ),
                "; fi"
            ),
        ],
        reports: &[("sarif", "check-javascript.sarif")],
    },
    Tool {
        job: "check-go",
        files: &["go.mod"],
        script: &[concat!(
            "if command -v golangci-lint > /dev/null; then \
             golangci-lint run --issues-exit-code=0 --output.sarif.path=check-go.sarif ./...; else ",
            absent!("golangci-lint", "see golangci-lint.run"),
            "; fi"
        )],
        reports: &[("sarif", "check-go.sarif")],
    },
];

const TESTS: &[Tool] = &[
    Tool {
        job: "test-rust",
        files: &[".config/nextest.toml"],
        script: &[
            // What fails is tried once more, so that a flaky test shows itself at once; the report says so.
            "printf '[profile.default]\\nretries = 1\\n[profile.default.junit]\\npath = \"junit.xml\"\\n' > nextest-junit.toml",
            concat!(
                "if cargo nextest --version > /dev/null 2>&1; then \
                 cargo nextest run --workspace --no-fail-fast --tool-config-file \"serin:$PWD/nextest-junit.toml\"; else ",
                absent!("cargo-nextest", "see nexte.st"),
                "; fi"
            ),
        ],
        reports: &[("junit", "target/nextest/default/junit.xml")],
    },
    Tool {
        job: "test-python",
        files: &["pytest.ini", "conftest.py", "tests/conftest.py", "test_*.py", "tests/test_*.py"],
        script: &[concat!(
            "if python3 -c 'import pytest, pytest_cov' 2> /dev/null; then \
             python3 -m pytest --junitxml=junit.xml --cov --cov-report=xml:coverage.xml; \
             elif python3 -c 'import pytest' 2> /dev/null; then python3 -m pytest --junitxml=junit.xml; else ",
            absent!("pytest", "pip install pytest pytest-cov"),
            "; fi"
        )],
        reports: &[("junit", "junit.xml"), ("coverage_report", "coverage.xml")],
    },
    Tool {
        job: "test-go",
        files: &["go.mod"],
        script: &[
            "if command -v gotestsum > /dev/null; then gotestsum --junitfile=junit.xml ./...; else go test ./...; fi",
        ],
        reports: &[("junit", "junit.xml")],
    },
    Tool {
        job: "test-java",
        files: &["pom.xml"],
        script: &[
            "if [ -x ./mvnw ]; then maven=./mvnw; else maven=mvn; fi",
            "$maven --batch-mode -Dsurefire.rerunFailingTestsCount=1 test",
        ],
        reports: &[
            ("junit", "**/target/surefire-reports/TEST-*.xml"),
            ("coverage_report", "**/target/site/jacoco/jacoco.xml"),
        ],
    },
];

/// Whether a kind of report is written by a check, and not by tests.
fn is_of_check(kind: &str) -> bool {
    !matches!(kind, "junit" | "coverage_report")
}

/// The jobs of code check and tests, and the reports that are left to the build job.
pub(super) fn jobs(out: &mut String, service: &Service, when: &[&String]) {
    match &service.check {
        None => CHECKS.iter().for_each(|tool| tool_job(out, tool, (when, Failure::Warns))),
        Some(commands) if commands.is_empty() => {}
        Some(commands) => {
            super::job(out, "check", "build", when);
            list(out, "  script:", "    ", commands.iter());
            out.push_str("  interruptible: true\n");
            let of_check = service.reports.iter().filter(|(kind, _)| is_of_check(kind));
            reports(out, of_check.map(|(kind, files)| (kind.as_str(), files.as_slice())));
        }
    }
    if service.test.is_empty() {
        TESTS.iter().for_each(|tool| tool_job(out, tool, (when, Failure::Counts)));
    }
}

/// Writes which reports the build job leaves: those of tests, and those of checks where no other job writes them.
pub(super) fn reports_of_build(out: &mut String, service: &Service) {
    let has_check = service.check.as_ref().is_some_and(|commands| !commands.is_empty());
    let of_build = service.reports.iter().filter(|(kind, _)| !has_check || !is_of_check(kind));
    let lines: Vec<(&str, &[String])> = of_build.map(|(kind, files)| (kind.as_str(), files.as_slice())).collect();
    if service.outputs.is_empty() && lines.is_empty() {
        return;
    }
    out.push_str("  artifacts:\n");
    if !service.outputs.is_empty() {
        list(out, "    paths:", "      ", service.outputs.iter());
    }
    report_lines(out, lines.into_iter());
}

/// What a tool's failure does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The pipeline goes on with a warning: the gate judges the findings.
    Warns,
    /// It fails the pipeline.
    Counts,
}

fn tool_job(out: &mut String, tool: &Tool, (when, failure): (&[&String], Failure)) {
    let _ = write!(out, "\n{}:\n  stage: build\n  rules:\n", tool.job);
    let files: Vec<String> = tool.files.iter().map(|file| quote(file)).collect();
    for rule in when {
        let _ = writeln!(out, "    - if: {}\n      exists: [{}]", quote(rule), files.join(", "));
    }
    let script: Vec<String> = tool.script.iter().map(|line| (*line).to_owned()).collect();
    list(out, "  script:", "    ", script.iter());
    out.push_str("  interruptible: true\n");
    if failure == Failure::Warns {
        out.push_str("  allow_failure: true\n");
    }
    // What a tool does not write is asked for by the gate alone.
    out.push_str("  variables: { SERIN_OPTIONAL_REPORTS: \"true\" }\n");
    let files: Vec<(&str, [String; 1])> =
        tool.reports.iter().map(|(kind, file)| (*kind, [(*file).to_owned()])).collect();
    reports(out, files.iter().map(|(kind, files)| (*kind, files.as_slice())));
}

pub(super) fn reports<'t>(out: &mut String, reports: impl Iterator<Item = (&'t str, &'t [String])>) {
    let mut reports = reports.peekable();
    if reports.peek().is_some() {
        out.push_str("  artifacts:\n    when: always\n");
        report_lines(out, reports);
    }
}

fn report_lines<'t>(out: &mut String, reports: impl Iterator<Item = (&'t str, &'t [String])>) {
    let mut reports = reports.peekable();
    if reports.peek().is_some() {
        out.push_str("    reports:\n");
    }
    for (kind, files) in reports {
        let quoted: Vec<String> = files.iter().map(|file| quote(file)).collect();
        let _ = match (kind, quoted.first()) {
            // The content tells the format; the language asks for one of two names.
            ("coverage_report", Some(file)) => {
                writeln!(out, "      coverage_report: {{ coverage_format: cobertura, path: {file} }}")
            }
            _ => writeln!(out, "      {kind}: [{}]", quoted.join(", ")),
        };
    }
}
