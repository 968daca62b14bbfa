//! `cargo xtask test`: everything that must hold before a change is merged.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::step::{self, Outcome};
use crate::{setup, tidy};

/// Sets up, then runs every check and every test, also after a failed one; `arguments` go to the test runner.
pub fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    let mut outcomes = vec![in_process("setup", || setup::run(root).map(|()| true))?];
    outcomes.push(in_process("tidy", || Ok(tidy::run(root)? == ExitCode::SUCCESS))?);
    outcomes.push(step::run("format", &mut cargo(root, &["fmt", "--all", "--check"]), |_| false)?);
    let lints = &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
    outcomes.push(step::run("lints", &mut cargo(root, lints), |_| false)?);
    let engine = Engine::find_or_start()?;
    // The tests from outside run these two programs, and would not notice that one is old.
    let program = &["build", "--package", "serin", "--locked"];
    outcomes.push(step::run("program", &mut cargo(root, program), |_| false)?);
    let demo = &["build", "--package", "serin", "--locked", "--profile", "demo"];
    outcomes.push(step::run("demo", &mut cargo(root, demo), |_| false)?);
    outcomes.extend(tests(root, arguments, &engine)?);
    Ok(report(&outcomes, start))
}

fn tests(root: &Path, arguments: &[String], engine: &Engine) -> Result<Vec<Outcome>> {
    let has_nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("start `cargo nextest`")?
        .success();
    if !has_nextest {
        let mut command = cargo(root, &["test", "--workspace", "--no-fail-fast", "--locked"]);
        return Ok(vec![step::run("tests", engine.env(command.args(arguments)), is_summary)?]);
    }
    let mut command = cargo(root, &["nextest", "run", "--workspace", "--no-fail-fast", "--locked"]);
    let mut outcomes = vec![step::run("tests", engine.env(command.args(arguments)), is_summary)?];
    if arguments.is_empty() {
        // nextest runs no examples of the documentation.
        outcomes.push(step::run(
            "examples",
            &mut cargo(root, &["test", "--workspace", "--doc", "--locked", "--quiet"]),
            is_summary,
        )?);
    }
    Ok(outcomes)
}

fn in_process(name: &'static str, act: impl FnOnce() -> Result<bool>) -> Result<Outcome> {
    step::announce(name, "this program");
    let start = Instant::now();
    let is_good = act()?;
    Ok(Outcome { name, is_good, time: start.elapsed(), kept: Vec::new() })
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root);
    command
}

fn report(outcomes: &[Outcome], start: Instant) -> ExitCode {
    eprintln!("\nstep          time  result");
    for outcome in outcomes {
        let result = if outcome.is_good { "passed" } else { "FAILED" };
        eprintln!("{:<10} {:>5.0} s  {result}", outcome.name, outcome.time.as_secs_f64());
    }
    eprintln!("{:<10} {:>5.0} s", "all", start.elapsed().as_secs_f64());
    let counts = outcomes.iter().flat_map(|outcome| &outcome.kept).fold(Counts::default(), |sum, line| sum.with(line));
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_good).map(|outcome| outcome.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: failed: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// Tests by result, summed over the runner's closing lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    fn with(mut self, line: &str) -> Self {
        let words: Vec<&str> = line.split([' ', ',', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let [number, word] = pair else { continue };
            let Ok(number) = number.parse::<u32>() else { continue };
            match *word {
                "passed" => self.passed += number,
                "failed" | "timed" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
        self
    }
}

/// Tells the closing line of nextest, and each of libtest.
fn is_summary(line: &str) -> bool {
    line.starts_with("test result: ") || line.starts_with("Summary [")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u32, failed: u32, skipped: u32) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn closing_lines_are_summed() {
        let lines = [
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ];
        assert!(lines.iter().all(|line| is_summary(line)));
        assert_eq!(lines.iter().fold(Counts::default(), |sum, line| sum.with(line)), counts(7, 4, 1));
    }

    #[test]
    fn nextest_tells_slow_and_timed_out_tests_in_brackets() {
        let line = "Summary [  12.345s] 40 tests run: 37 passed (2 slow), 2 failed, 1 timed out, 3 skipped";
        assert!(is_summary(line));
        assert_eq!(Counts::default().with(line), counts(37, 3, 3));
    }

    #[test]
    fn other_lines_are_not_counted() {
        assert!(!is_summary("2 passed"));
        assert!(!is_summary("running 5 tests"));
    }
}
