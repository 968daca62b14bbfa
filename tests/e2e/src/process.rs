//! Processes, as `/proc` shows them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Every process whose command line, environment or folder names something below `folder`.
#[must_use]
pub fn below(folder: &Path) -> BTreeSet<u32> {
    let name = folder.as_os_str().as_bytes();
    let own = std::process::id();
    all().filter(|pid| *pid != own && mentions(*pid, name)).collect()
}

/// Every process with this word in its environment, whatever else it did to hide.
#[must_use]
pub fn marked(word: &str) -> BTreeSet<u32> {
    let own = std::process::id();
    all().filter(|pid| *pid != own && contains(&file(*pid, "environ"), word.as_bytes())).collect()
}

/// Every process below `folder` whose first argument ends with `program`.
#[must_use]
pub fn running(folder: &Path, program: &str) -> BTreeSet<u32> {
    let runs = |pid: &u32| {
        let line = file(*pid, "cmdline");
        line.split(|byte| *byte == 0).next().is_some_and(|first| first.ends_with(program.as_bytes()))
    };
    below(folder).into_iter().filter(runs).collect()
}

/// The children of these processes.
#[must_use]
pub fn children(parents: &BTreeSet<u32>) -> BTreeSet<u32> {
    all().filter(|pid| parent(*pid).is_some_and(|parent| parents.contains(&parent))).collect()
}

/// The parents of these processes.
#[must_use]
pub fn parents(children: &BTreeSet<u32>) -> BTreeSet<u32> {
    children.iter().filter_map(|pid| parent(*pid)).collect()
}

/// The fourth field of `/proc/PID/stat`; the second, a name in parentheses, may hold anything (proc_pid_stat(5)).
fn parent(pid: u32) -> Option<u32> {
    let stat = file(pid, "stat");
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether the process is there and no zombie.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let stat = file(pid, "stat");
    let after_name = stat.iter().rposition(|byte| *byte == b')').map(|at| &stat[at + 1..]);
    after_name.is_some_and(|rest| !rest.starts_with(b" Z"))
}

/// Sends SIGKILL.
///
/// # Errors
/// Where `kill` cannot be started.
pub fn kill(pid: u32) -> Result<()> {
    // It may have ended meanwhile.
    let kill = Command::new("/bin/kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
    kill.context("start `kill`")?;
    Ok(())
}

/// The most memory that a process ever had resident, in bytes (`VmHWM`, proc_pid_status(5)).
///
/// # Errors
/// Where the process is gone.
pub fn resident_bytes_max(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no `VmHWM`")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| is_alive(*pid))
}

fn mentions(pid: u32, name: &[u8]) -> bool {
    let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    contains(&file(pid, "cmdline"), name)
        || contains(&file(pid, "environ"), name)
        || folder.as_os_str().as_bytes().starts_with(name)
}

/// A file of the process; empty where it ended meanwhile.
fn file(pid: u32, name: &str) -> Vec<u8> {
    fs::read(Path::new("/proc").join(pid.to_string()).join(OsStr::new(name))).unwrap_or_default()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
