//! The real `git`, as a person without settings of their own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs `git` in a folder and returns what it said.
pub fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([("GIT_AUTHOR_NAME", "Bench"), ("GIT_AUTHOR_EMAIL", "bench@localhost")])
        .envs([("GIT_COMMITTER_NAME", "Bench"), ("GIT_COMMITTER_EMAIL", "bench@localhost")])
        .output()
        .context("start `git`")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`git {}` failed: {}", arguments[0], errors.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
