//! What a container of this machine used, straight from the kernel's control groups: the engine reads the same files, for
//! many times the processor time.
//!
//! Disk is of the processes where the groups are of version 1: these count no write that the kernel carries out later, and
//! newer kernels count none at all there unless a limit is set.
//!
//! Source: kernel documentation, "Control Groups version 1" (cpuacct, memory, blkio), "Control Group v2", proc_pid_io(5).

use crate::Usage;
use std::fs;
use std::path::{Path, PathBuf};

/// Processes of a container whose disk use is looked at.
const PROCESSES_MAX: usize = 256;
/// Where the kernel's groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// The groups of one container's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// A folder for each controller.
    V1 { cpu: PathBuf, memory: PathBuf, disk: PathBuf },
    /// One folder.
    V2(PathBuf),
}

impl Groups {
    /// Finds the groups of a container by its process; `None` where that is no process of this machine.
    pub(super) fn find(id: &str, pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let groups = parse(&text, id, Path::new(ROOT))?;
        // Another machine's process of the same number would not be in a group of that name, and this machine's is.
        groups.usage().map(|_| groups)
    }

    /// Reads what was used so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::V1 { cpu, memory, disk } => {
                let stat = fs::read_to_string(memory.join("memory.stat")).ok()?;
                let of_processes = disk_of_processes(&read(cpu, "cgroup.procs"));
                let (disk_read_bytes, disk_write_bytes) =
                    of_processes.unwrap_or_else(|| disk_v1(&read(disk, "blkio.throttle.io_service_bytes_recursive")));
                Some(Usage {
                    cpu_us: number(&read(cpu, "cpuacct.usage"))? / 1000,
                    memory_bytes: number(&read(memory, "memory.usage_in_bytes"))?,
                    memory_private_bytes: field(&stat, "total_rss")? + field(&stat, "total_shmem").unwrap_or(0),
                    disk_read_bytes,
                    disk_write_bytes,
                    ..Usage::default()
                })
            }
            Self::V2(folder) => {
                let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
                let (disk_read_bytes, disk_write_bytes) = disk_v2(&read(folder, "io.stat"));
                Some(Usage {
                    cpu_us: field(&read(folder, "cpu.stat"), "usage_usec")?,
                    memory_bytes: number(&read(folder, "memory.current"))?,
                    memory_private_bytes: field(&stat, "anon")? + field(&stat, "shmem").unwrap_or(0),
                    disk_read_bytes,
                    disk_write_bytes,
                    ..Usage::default()
                })
            }
        }
    }
}

/// A file's text; empty where it cannot be read.
fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// Groups out of `/proc/PID/cgroup`; `None` where they are not the container's.
fn parse(text: &str, id: &str, root: &Path) -> Option<Groups> {
    let of = |controller: &str| {
        let mut lines = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (names, path) = rest.split_once(':')?;
            names.split(',').any(|name| name == controller).then_some((names, path))
        });
        let (names, path) = lines.find(|(_, path)| path.contains(id))?;
        let plain = path.split('/').all(|part| part != "..");
        plain.then(|| root.join(names).join(path.trim_start_matches('/')))
    };
    if let (Some(cpu), Some(memory), Some(disk)) = (of("cpuacct"), of("memory"), of("blkio")) {
        return Some(Groups::V1 { cpu, memory, disk });
    }
    of("").map(Groups::V2)
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of a line `NAME VALUE`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).and_then(number)
}

/// Bytes read and written by processes that run, and by their children that have ended; `None` where this user may not
/// see that.
fn disk_of_processes(pids: &str) -> Option<(u64, u64)> {
    let pids = pids.lines().take(PROCESSES_MAX).filter_map(|pid| pid.parse::<u32>().ok());
    let texts = pids.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/io")).ok());
    let bytes = texts.filter_map(|text| Some((field(&text, "read_bytes:")?, field(&text, "write_bytes:")?)));
    bytes.reduce(|(read, written), (more_read, more_written)| (read + more_read, written + more_written))
}

/// Bytes read and written, of lines `DEVICE Read BYTES`.
fn disk_v1(text: &str) -> (u64, u64) {
    let sum = |word: &str| {
        let values = text.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            (fields.next()? == word).then(|| fields.next().and_then(number)).flatten()
        });
        values.sum()
    };
    (sum("Read"), sum("Write"))
}

/// Bytes read and written, of lines `DEVICE rbytes=BYTES wbytes=BYTES …`.
fn disk_v2(text: &str) -> (u64, u64) {
    let sum = |word: &str| {
        text.split_whitespace().filter_map(|field| number(field.strip_prefix(word)?.strip_prefix('=')?)).sum()
    };
    (sum("rbytes"), sum("wbytes"))
}

#[cfg(test)]
mod tests {
    use super::{Groups, disk_of_processes, disk_v1, disk_v2, field, parse};
    use std::path::{Path, PathBuf};

    #[test]
    fn groups_of_both_versions() {
        let root = Path::new("/cg");
        let text = "9:blkio:/docker/abc\n7:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/x\n";
        let path = |path: &str| PathBuf::from(path);
        let (cpu, memory, disk) =
            (path("/cg/cpu,cpuacct/docker/abc"), path("/cg/memory/docker/abc"), path("/cg/blkio/docker/abc"));
        assert_eq!(parse(text, "abc", root), Some(Groups::V1 { cpu, memory, disk }));
        let text = "0::/system.slice/docker-abc.scope\n";
        assert_eq!(parse(text, "abc", root), Some(Groups::V2(path("/cg/system.slice/docker-abc.scope"))));
        for wrong in ["", "0::/user.slice\n", "0::/abc/../../etc\n"] {
            assert_eq!(parse(wrong, "abc", root), None, "{wrong}");
        }
    }

    #[test]
    fn written_bytes_of_a_process_are_seen() {
        let pid = std::process::id().to_string();
        let before = disk_of_processes(&pid).unwrap().1;
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::io::Write::write_all(&mut &file, &[1; 1 << 16]).unwrap();
        file.sync_all().unwrap();
        assert!(disk_of_processes(&pid).unwrap().1 >= before + (1 << 16));
        assert_eq!(disk_of_processes("0\nx\n"), None);
    }

    #[test]
    fn figures_of_both_versions() {
        assert_eq!(disk_v1("8:0 Read 10\n8:0 Write 4\n8:16 Read 1\n8:0 Total 14\nTotal 15\n"), (11, 4));
        assert_eq!(disk_v2("8:0 rbytes=10 wbytes=4 rios=1\n8:16 rbytes=1 wbytes=0\n"), (11, 4));
        assert_eq!(field("total_rss_huge 1\ntotal_rss 7\n", "total_rss"), Some(7));
    }
}
