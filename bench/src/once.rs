//! One run of a program, measured by a process of its own, so that its largest memory is that of no other.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// From start to end.
    pub wall: Duration,
    /// Of all cores, in user and kernel.
    pub cpu: Duration,
    /// Largest resident memory.
    pub memory_bytes: u64,
    /// How it ended.
    pub exit_code: i32,
}

/// The first argument that makes this program run another one and print what it took.
pub const ARGUMENT: &str = "measure-once";

/// Runs a program in a folder and measures it.
pub fn run(folder: &Path, program: &Path, arguments: &[&str]) -> Result<Run> {
    let output = Command::new(std::env::current_exe()?)
        .arg(ARGUMENT)
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let value: Value = serde_json::from_slice(&output.stdout)?;
    let number = |key: &str| value[key].as_u64().with_context(|| format!("no `{key}`"));
    Ok(Run {
        wall: Duration::from_micros(number("wall_us")?),
        cpu: Duration::from_micros(number("cpu_us")?),
        memory_bytes: number("memory_bytes")?,
        exit_code: i32::try_from(value["exit_code"].as_i64().unwrap_or(-1))?,
    })
}

/// The other side: runs the program of the arguments, with its output thrown away.
pub fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let program = arguments.next().context("no program")?;
    let started = Instant::now();
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().with_context(|| format!("cannot start `{program}`"))?;
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let answer = json!({
        "wall_us": u64::try_from(wall.as_micros())?,
        "cpu_us": cpu_us,
        "memory_bytes": usage.max_rss() * 1024,
        "exit_code": status.code(),
    });
    println!("{answer}");
    Ok(())
}
