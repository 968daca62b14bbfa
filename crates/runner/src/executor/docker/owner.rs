//! Who a container belongs to: a process of a machine, told so that it can be known later whether it is gone.

use std::os::unix::fs::MetadataExt;

/// A process that owns containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The machine, and what numbers of processes mean there.
    machine: String,
    /// The machine's latest start.
    boot: String,
    pid: u32,
    /// When the process began, in ticks since the machine's start: numbers of processes are used again.
    began: u64,
}

impl Owner {
    /// This very process.
    pub(super) fn this_process() -> Self {
        let pid = std::process::id();
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let host = nix::unistd::gethostname().unwrap_or_default();
        let space = std::fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino());
        Self {
            machine: format!("{}.{}.{space}", plain(&host.to_string_lossy()), plain(&read("/etc/machine-id"))),
            boot: plain(&read("/proc/sys/kernel/random/boot_id")),
            pid,
            began: began(pid).unwrap_or_default(),
        }
    }

    /// The text of a label.
    pub(super) fn label(&self) -> String {
        format!("{} {} {} {}", self.machine, self.boot, self.pid, self.began)
    }

    /// Whether the process of a label is surely gone; `self` is one of this machine.
    pub(super) fn outlived(&self, label: &str) -> bool {
        let Some(other) = Self::parse(label) else { return false };
        if other.machine != self.machine {
            return false;
        }
        other.boot != self.boot || began(other.pid) != Some(other.began)
    }

    fn parse(label: &str) -> Option<Self> {
        let mut words = label.split(' ');
        let owner = Self {
            machine: words.next()?.to_owned(),
            boot: words.next()?.to_owned(),
            pid: words.next()?.parse().ok()?,
            began: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(owner)
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')).collect()
}

/// The 22nd field of `/proc/PID/stat`; the second, a name in parentheses, may hold anything (proc_pid_stat(5)).
fn began(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace();
    // One that only waits to be reaped is gone.
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_gone_is_outlived() {
        let me = Owner::this_process();
        assert!(me.began > 0);
        assert_eq!(Owner::parse(&me.label()), Some(me.clone()));
        assert!(!me.outlived(&me.label()), "this process lives");
        let reused = Owner { began: me.began + 1, ..me.clone() };
        let dead = Owner { pid: u32::MAX, ..me.clone() };
        let before = Owner { boot: "other".to_owned(), ..me.clone() };
        assert!([reused, dead.clone(), before].iter().all(|other| me.outlived(&other.label())));
        let elsewhere = Owner { machine: "other".to_owned(), ..dead };
        assert!(!me.outlived(&elsewhere.label()), "nobody here knows of another machine's processes");
        assert!(!me.outlived("junk") && !me.outlived(""));
    }
}
