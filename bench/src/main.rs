//! Serin's measurements, against the real binary; README.md holds the numbers and the commands that make them.
//!
//! Invariants: nothing here is part of the tests; a measurement says exactly what it measures, and ends with a code other
//! than 0 where a bound does not hold.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program of the developers")]

mod canary;
mod changes;
mod chromium;
mod docker;
mod git;
mod http;
mod listing;
mod local;
mod nodes;
mod once;
mod project;
mod push;
mod server;
mod statistics;
mod traps;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

const HELP: &str = "\
measurements of Serin

usage: serin-bench push [--pushes N] [--serin PROGRAM]
       serin-bench run [--gitlab-ci-local SCRIPT] [--serin PROGRAM]
       serin-bench list [--jobs N] [--peer PROGRAM] [--serin PROGRAM]
       serin-bench traps [--serin PROGRAM]
       serin-bench changes [--serin PROGRAM]
       serin-bench canary [--cases all|worse|same] [--only TEXT] [--lanes N] [--minutes N] [--rate N] [--serin PROGRAM]
       serin-bench nodes [--nodes N] [--serin PROGRAM]

  push   from a push to the first process of its first job, and the server's memory
  run    `serin run` against gitlab-ci-local and against a loop of bash
  list   listing a pipeline of many jobs, against gitlab-ci-local
  traps  hostile pipeline files: time and memory until they are refused
  changes  the pages of a merge request with 5,000 changed files and 2,000 findings

  canary   canaries on containers under load: seven regressions, twenty unchanged versions
  nodes    200 containers as nodes: what looking at them costs; 50 deployed, against `docker run`

  --cases WHICH     all, the worse versions alone, or the unchanged ones alone (default: all)
  --only TEXT       only versions whose name has this text
  --lanes N         environments side by side (default 7)
  --minutes N       how long a canary is (default 12)
  --rate N          requests a second to each environment (default 40)
  --nodes N         containers that are looked at (default 200)
  --gitlab-ci-local SCRIPT  its entry, for `node`; without it, it is not measured
  --pushes N        how many pushes (default 50)
  --jobs N          how many jobs (default 2000)
  --peer PROGRAM    gitlab-ci-local
  --serin PROGRAM   the binary to measure (default: `serin` beside this program)
";
const PUSHES: usize = 50;
const JOBS: usize = 2_000;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    if command.as_deref() == Some(once::ARGUMENT) {
        return once::main(arguments).map(|()| true);
    }
    if command.as_deref() == Some(canary::service::ARGUMENT) {
        return canary::service::main().map(|()| true);
    }
    let mut pushes = PUSHES;
    let mut plan = canary::Plan { lanes: 7, unchanged: 20, regressions: true, minutes: 12, rate: 40, only: None };
    let mut nodes = nodes::NODES;
    let mut gitlab_ci_local = None;
    let mut jobs = JOBS;
    let (mut serin, mut peer) = (None, None);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("`{flag}` needs a value"))?;
        match flag.as_str() {
            "--pushes" => pushes = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--gitlab-ci-local" => gitlab_ci_local = Some(PathBuf::from(value)),
            "--jobs" => jobs = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--cases" => match value.as_str() {
                "all" => {}
                "worse" => plan.unchanged = 0,
                "same" => plan.regressions = false,
                _ => bail!("`--cases` is `all`, `worse` or `same`, not `{value}`"),
            },
            "--only" => plan.only = Some(value),
            "--lanes" => plan.lanes = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--minutes" => plan.minutes = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--rate" => plan.rate = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--nodes" => nodes = value.parse().with_context(|| format!("`{value}` is no number"))?,
            "--peer" => peer = Some(PathBuf::from(value)),
            "--serin" => serin = Some(PathBuf::from(value)),
            _ => bail!("unknown flag `{flag}`\n\n{HELP}"),
        }
    }
    match command.as_deref() {
        Some("push") => {
            ensure!(pushes > 0, "`--pushes` must be at least 1");
            push::measure(&serin.map_or_else(beside, Ok)?, pushes)
        }
        Some("run") => local::measure(&serin.map_or_else(beside, Ok)?, gitlab_ci_local.as_deref()),
        Some("list") => listing::measure(&serin.map_or_else(beside, Ok)?, peer.as_deref(), jobs),
        Some("traps") => traps::measure(&serin.map_or_else(beside, Ok)?),
        Some("changes") => changes::measure(&serin.map_or_else(beside, Ok)?),
        Some("canary") => canary::measure(&serin.map_or_else(beside, Ok)?, &plan),
        Some("nodes") => nodes::measure(&serin.map_or_else(beside, Ok)?, nodes),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(true)
        }
        Some(other) => bail!("unknown measurement `{other}`\n\n{HELP}"),
    }
}

/// Returns the binary that cargo put beside this one.
fn beside() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("serin");
    ensure!(
        program.is_file(),
        "no `{}`: build it with the same profile first (`cargo build --release -p serin`), or name one by `--serin`",
        program.display()
    );
    Ok(program)
}
