//! Serin's chores: `cargo xtask setup`, `cargo xtask test`, `cargo xtask tidy`.
//!
//! Invariants: builds in seconds (no dependency beyond `anyhow` and `serde_json`), never skips a step in silence, ends
//! with a code other than 0 when anything failed, changes nothing in the checkout.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program of the developers")]

mod engine;
mod metadata;
mod setup;
mod step;
mod test;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
chores of Serin's developers

usage: cargo xtask <command>

commands:
  setup            install what the tests need and this machine lacks (Debian, Ubuntu)
  test [ARGS…]     setup, tidy, formatting, lints and every test; ARGS go to the test runner
  tidy             layers, file sizes, stub markers, documents

environment:
  CARGO_TARGET_DIR   where builds go (default: target/)
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let root = root()?;
    match command.as_deref() {
        Some("setup") => setup::run(root).map(|()| ExitCode::SUCCESS),
        Some("test") => test::run(root, &rest),
        Some("tidy") => tidy::run(root),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("unknown command `{other}`; `cargo xtask help` lists the commands"),
    }
}

/// Returns the checkout's root folder.
fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder of xtask has no parent")
}
