//! The guard as a program of its own, for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    serin_runner::guard::main()
}
