//! Ends processes: those below a supervisor, and those that an earlier one left behind.

use super::proc::{Process, all, descendants};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Variable in the environment of every process of a node, by which leftovers are known: the node's folder.
pub(crate) const MARK: &str = "SERIN_NODE_DIR";
/// How often the processes are looked for again, as they may have forked meanwhile.
const ROUNDS_MAX: usize = 100;
const ROUND_PAUSE: Duration = Duration::from_millis(5);
const ENVIRON_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Sends a signal to this very process, if it is still there.
pub(super) fn signal(process: &Process, signal: Signal) {
    if process.is_same() {
        let _ = kill(Pid::from_raw(process.pid), signal);
    }
}

/// The living processes below this one.
pub(super) fn family() -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    descendants(own).into_iter().filter(|process| !process.zombie).collect()
}

/// Kills every process that carries the mark of the node's folder; returns when none is left or after a bounded time.
pub(crate) fn kill_marked(dir: &Path) {
    let mark = [MARK.as_bytes(), b"=", dir.as_os_str().as_bytes()].concat();
    for _ in 0..ROUNDS_MAX {
        let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let marked = |process: &Process| process.pid != own && !process.zombie && is_marked(process.pid, &mark);
        let found: Vec<Process> = all().into_iter().filter(marked).collect();
        if found.is_empty() {
            return;
        }
        for process in found {
            signal(&process, Signal::SIGKILL);
        }
        std::thread::sleep(ROUND_PAUSE);
    }
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.len() <= ENVIRON_BYTES_MAX && environ.split(|byte| *byte == 0).any(|entry| entry == mark)
}
