//! `serin run --watch`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::project;

/// Longest time that something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_change_starts_the_next_run_and_an_interrupt_ends_the_waiting() {
    let project = project("a: {script: 'cat file'}");
    project.write("file", "before\n");
    let log = project.above().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command: Command = project.command(&["run", "--watch"]);
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(Stdio::from(file)).spawn().unwrap();
    let until = |what: &str, times: usize| {
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read_to_string(&log).unwrap().matches(what).count() < times {
            let said = || std::fs::read_to_string(&log).unwrap();
            assert!(Instant::now() < deadline, "waited in vain for `{what}`: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("a | before", 1);
    until("waiting for a change", 1);
    project.write("file", "after\n");
    until("a | after", 1);
    until("waiting for a change", 2);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
