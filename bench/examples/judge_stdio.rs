//! The judge alone on standard input and output, as `serin judge` runs it, quick to build.

use std::process::ExitCode;

#[path = "../../crates/serin/src/judge.rs"]
mod judge;

fn main() -> ExitCode {
    let explained = std::env::args().any(|a| a == "--explain");
    let detail = if explained { judge::Detail::Explained(Default::default()) } else { judge::Detail::Verdict };
    match judge::serve(std::io::stdin().lock(), std::io::stdout().lock(), detail) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
