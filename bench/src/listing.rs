//! Listing a pipeline of many jobs, against gitlab-ci-local.

mod file;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::once::{self, Run};
use crate::statistics::quantile;

/// How many times faster than the peer it must be.
const RATIO_MIN: f64 = 50.0;
/// Longest listing.
const TIME_MAX: Duration = Duration::from_millis(40);
/// Largest resident memory.
const MEMORY_BYTES_MAX: u64 = 50_000_000;
/// Runs of Serin; the peer runs once.
const RUNS: usize = 20;

/// Measures and prints; says whether the bounds hold.
pub fn measure(serin: &Path, peer: Option<&Path>, jobs: usize) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("serin-bench-").tempdir()?;
    repository(folder.path(), file::text(jobs))?;
    let list = || once::run(folder.path(), serin, &["list", "--format", "json"]);
    list()?;
    let runs = (0..RUNS).map(|_| list()).collect::<Result<Vec<Run>>>()?;
    ensure!(runs.iter().all(|run| run.exit_code == 0), "`serin list` failed");
    let of = |value: fn(&Run) -> Duration| quantile(&runs.iter().map(value).collect::<Vec<_>>(), 0.5);
    let (wall, cpu) = (of(|run| run.wall), of(|run| run.cpu));
    let memory = runs.iter().map(|run| run.memory_bytes).max().unwrap_or(0);
    println!("{jobs} jobs               wall        CPU        memory");
    row("serin list", wall, cpu, memory);
    let mut holds = cpu <= TIME_MAX && memory <= MEMORY_BYTES_MAX;
    if let Some(peer) = peer {
        let run = once::run(folder.path(), peer, &["--list-json"])?;
        ensure!(run.exit_code == 0, "the peer failed");
        row("gitlab-ci-local", run.wall, run.cpu, run.memory_bytes);
        let ratio = |theirs: Duration, ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
        let (wall, cpu) = (ratio(run.wall, wall), ratio(run.cpu, cpu));
        println!("times faster        {wall:6.0}     {cpu:6.0}");
        holds &= wall >= RATIO_MIN && cpu >= RATIO_MIN;
    }
    Ok(holds)
}

fn row(name: &str, wall: Duration, cpu: Duration, memory: u64) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{name:16} {:9.1} ms {:7.1} ms {:7.1} MB", ms(wall), ms(cpu), memory as f64 / 1e6);
}

/// A repository of one commit with that pipeline file.
pub fn repository(folder: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(folder.join(".gitlab-ci.yml"), text)?;
    let identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"];
    for arguments in [
        &["init", "--quiet", "-b", "main"][..],
        &["remote", "add", "origin", "https://gitlab.example/team/shop.git"],
        &["add", "--all"],
        &["commit", "--quiet", "--message", "pipeline"],
    ] {
        let status = Command::new("git").args(identity).args(arguments).current_dir(folder).status()?;
        ensure!(status.success(), "git {arguments:?} failed");
    }
    Ok(())
}
