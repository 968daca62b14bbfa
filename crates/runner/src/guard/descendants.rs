//! Everything below this process, found by walking `/proc`.

use std::collections::{HashMap, HashSet};
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Rounds in which everything is stopped before it is killed, so that a fork bomb cannot run ahead.
const STOP_ROUNDS_MAX: usize = 32;

/// Asks every descendant to end, stopped ones as well.
pub(super) fn terminate_all() -> io::Result<()> {
    for pid in descendants()? {
        let _ = kill(pid, Signal::SIGTERM);
        let _ = kill(pid, Signal::SIGCONT);
    }
    Ok(())
}

/// Kills every descendant; each is stopped first, until no new one appears.
pub(super) fn kill_all() -> io::Result<()> {
    let mut stopped = HashSet::new();
    for _ in 0..STOP_ROUNDS_MAX {
        let mut grown = false;
        for pid in descendants()? {
            if stopped.insert(pid) {
                let _ = kill(pid, Signal::SIGSTOP);
                grown = true;
            }
        }
        if !grown {
            break;
        }
    }
    for pid in stopped {
        let _ = kill(pid, Signal::SIGKILL);
    }
    Ok(())
}

/// All processes whose chain of parents leads to this one.
fn descendants() -> io::Result<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends meanwhile has no file any more.
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent_of(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![nix::unistd::getpid().as_raw()];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            open.push(child);
        }
    }
    Ok(found)
}

/// The fourth field of `/proc/PID/stat`; the second, a name in parentheses, may hold anything (proc_pid_stat(5)).
fn parent_of(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_skipped() {
        assert_eq!(parent_of(b"12 (a) S 9 (x) R 7 12 12 0"), Some(7));
        assert_eq!(parent_of(b"12 (sh) S 1 12"), Some(1));
        assert_eq!(parent_of(b"junk"), None);
    }
}
