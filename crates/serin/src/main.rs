//! The `serin` binary: the command line over everything else.
//!
//! Invariant: no command prints a stack trace; exit code 0 is success, 1 a failure that is explained, 2 a wrong call.

mod cli;
mod client;
mod command;
mod demo;
mod executor;
mod judge;
mod local;
mod terminal;
mod worktree;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // These run below other processes of Serin, before anything else is set up.
    match arguments.next().as_deref().and_then(|first| first.to_str()) {
        Some("node-supervisor") => return serin_platform::supervisor::main(arguments),
        Some("job-guard") => return serin_runner::guard::main(),
        _ => {}
    }
    let cli = cli::Cli::parse();
    match command::run(cli) {
        Ok(code) => code,
        Err(error) => {
            terminal::error(&error);
            ExitCode::from(1)
        }
    }
}
