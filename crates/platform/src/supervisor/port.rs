//! Finds a node's port, and tells whether it is the node that listens there.
//!
//! Ports are taken below the range that outgoing connections use, so that a service that is started again finds its
//! port free. A lock per port keeps the supervisors of one platform from choosing the same.

use super::proc::Process;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const PORT_FIRST: u16 = 15_000;
const PORT_END_DEFAULT: u16 = 32_768;
/// Ports that the range has to hold at least.
const RANGE_MIN: u16 = 1_000;
const TRIES_MAX: u16 = 500;

/// A port that no other supervisor of the platform takes while this is held.
pub(super) struct Port {
    pub(super) number: u16,
    _lock: Flock<File>,
}

impl Port {
    /// Whether nothing listens there.
    pub(super) fn is_free(&self) -> bool {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.number)).is_ok()
    }
}

/// Finds a free port; `seed` spreads the nodes over the range.
pub(super) fn find(locks: &Path, seed: impl Hash) -> io::Result<Port> {
    let end = end_of_range();
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    let count = end - PORT_FIRST;
    let start = u16::try_from(hasher.finish() % u64::from(count)).unwrap_or(0);
    let offsets = (0..TRIES_MAX.min(count)).map(|index| (u32::from(start) + u32::from(index)) % u32::from(count));
    for number in offsets.filter_map(|offset| Some(PORT_FIRST + u16::try_from(offset).ok()?)) {
        let path = locks.join(number.to_string());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
        let port = Port { number, _lock: lock };
        if port.is_free() {
            return Ok(port);
        }
    }
    Err(io::Error::other(format!("no free port among {TRIES_MAX} between {PORT_FIRST} and {end}")))
}

/// Where the range of outgoing connections begins, ip(7) `ip_local_port_range`.
fn end_of_range() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = text.split_ascii_whitespace().next().and_then(|word| word.parse::<u16>().ok());
    first.filter(|first| *first >= PORT_FIRST + RANGE_MIN).unwrap_or(PORT_END_DEFAULT)
}

/// Whether one of these processes listens on the port; yes where that cannot be told.
pub(super) fn is_held_by(number: u16, processes: &[Process]) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> =
        tables.iter().flat_map(|table| table.lines().filter_map(|line| listener_inode(line, number))).collect();
    inodes.is_empty() || processes.iter().any(|process| holds_socket(process.pid, &inodes))
}

/// The inode of a listening socket on that port, from a line of proc(5) `/proc/net/tcp`.
fn listener_inode(line: &str, number: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (u16::from_str_radix(port, 16).ok()? == number && state == LISTEN).then(|| format!("socket:[{inode}]"))
}

fn holds_socket(pid: i32, inodes: &[String]) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{Process, find, is_held_by, listener_inode};
    use std::net::TcpListener;

    #[test]
    fn a_taken_port_is_not_chosen_again() {
        let locks = tempfile::tempdir().unwrap();
        let first = find(locks.path(), "seed").unwrap();
        let second = find(locks.path(), "seed").unwrap();
        assert_ne!(first.number, second.number);
        let number = first.number;
        drop(first);
        let listener = TcpListener::bind(("127.0.0.1", number)).unwrap();
        assert_ne!(find(locks.path(), "seed").unwrap().number, number);
        drop(listener);
    }

    #[test]
    fn a_listener_is_told_from_a_stranger() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(is_held_by(port, &[own]));
        assert!(!is_held_by(port, &[]));
    }

    #[test]
    fn the_table_of_sockets_is_read() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
        assert_eq!(listener_inode(line, 8080), Some("socket:[4242]".to_owned()));
        assert_eq!(listener_inode(line, 8081), None);
        assert_eq!(listener_inode("sl local_address", 8080), None);
    }
}
