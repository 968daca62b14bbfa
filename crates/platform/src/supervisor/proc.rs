//! Processes as `/proc` shows them (proc(5)).

use crate::Usage;
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::fs;

/// Processes of one node that are looked at, further ones are not.
const PROCESSES_MAX: usize = 4096;

/// One process, as `/proc/PID/stat` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) zombie: bool,
    /// CPU time of ended children that were waited for, in clock ticks.
    pub(crate) children_ticks: u64,
    /// When it was started, in clock ticks since boot: tells it from a later process of the same number.
    pub(crate) start: u64,
}

impl Process {
    /// The process of that number, if there is one.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether this very process is still there.
    pub(crate) fn is_same(&self) -> bool {
        Self::of(self.pid).is_some_and(|process| process.start == self.start)
    }
}

/// Parses a `stat` line; the name in it may hold blanks and parentheses.
fn parse_stat(line: &str) -> Option<Process> {
    let (pid, _) = line.split_once(" (")?;
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        children_ticks: number(13)?.saturating_add(number(14)?),
        start: number(19)?,
    })
}

/// Every descendant of `root` without itself, parents before children.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut next = 0;
    let mut parent = root;
    loop {
        for pid in children(parent) {
            if found.len() < PROCESSES_MAX && !found.iter().any(|process| process.pid == pid) {
                found.extend(Process::of(pid));
            }
        }
        let Some(process) = found.get(next) else { return found };
        parent = process.pid;
        next += 1;
    }
}

/// The children of a process, over all of its threads.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Every process of the machine that `/proc` shows.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).collect()
}

/// CPU, memory and disk use of these processes together; the log's counters stay 0.
pub(crate) fn usage(processes: &[Process]) -> Usage {
    let mut usage = Usage::default();
    for process in processes.iter().filter(|process| !process.zombie) {
        usage.cpu_us += cpu_us(process);
        let (resident, private) = memory(process.pid);
        usage.memory_bytes += resident;
        usage.memory_private_bytes += private;
        let (read, written) = disk(process.pid);
        usage.disk_read_bytes += read;
        usage.disk_write_bytes += written;
    }
    usage
}

fn cpu_us(process: &Process) -> u64 {
    let clock = clock_getcpuclockid(Pid::from_raw(process.pid)).and_then(ClockId::now);
    let own = clock.map_or(0, |time| u64::try_from(time.num_microseconds()).unwrap_or(0));
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    own + process.children_ticks * 1_000_000 / ticks_per_second.unwrap_or(100).max(1)
}

/// Resident bytes, and those of them that are no pages of files.
fn memory(pid: i32) -> (u64, u64) {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/status")) else { return (0, 0) };
    let bytes = |name: &str| field(&text, name) * 1024;
    (bytes("VmRSS:"), bytes("RssAnon:") + bytes("RssShmem:"))
}

/// Bytes read from and written to disks.
fn disk(pid: i32) -> (u64, u64) {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/io")) else { return (0, 0) };
    (field(&text, "read_bytes:"), field(&text, "write_bytes:"))
}

/// The number behind a name at a line's start, 0 where there is none.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Process, descendants, field, parse_stat, usage};

    #[test]
    fn a_name_may_hold_parentheses_and_blanks() {
        let line = "42 (a) b (c) S 7 40 40 0 -1 0 1 2 3 4 50 60 5 6 20 0 9 0 777 1 2";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.parent, process.group), (42, 7, 40));
        assert_eq!((process.zombie, process.children_ticks, process.start), (false, 11, 777));
        assert_eq!(parse_stat("42 (cut"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmRSSX:\t1 kB\nVmRSS:\t  2048 kB\n";
        assert_eq!((field(text, "VmRSS:"), field(text, "RssAnon:")), (2048, 0));
    }

    #[test]
    fn this_process_is_seen() {
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.is_same());
        assert!(!Process { start: own.start + 1, ..own }.is_same());
        let used = usage(&[own]);
        assert!(used.cpu_us > 0 && used.memory_bytes > used.memory_private_bytes && used.memory_private_bytes > 0);
        assert!(!descendants(own.pid).iter().any(|process| process.pid == own.pid));
    }
}
