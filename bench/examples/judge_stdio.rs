//! The judge alone on standard input and output, as `serin judge` runs it, quick to build.

use std::process::ExitCode;

#[allow(dead_code, reason = "the command line uses more of it")]
#[path = "../../crates/serin/src/judge.rs"]
mod judge;

fn main() -> ExitCode {
    let detail = match std::env::args().nth(1).as_deref() {
        Some("--explain") => judge::Detail::Explained(Default::default()),
        Some("--estimates") => judge::Detail::Estimates,
        _ => judge::Detail::Verdict,
    };
    match judge::serve(std::io::stdin().lock(), std::io::stdout().lock(), detail) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
