//! The supervisor of one node: a small process of its own session that starts, watches and measures the service.
//!
//! Invariants: one supervisor a node, by a file lock; the service dies with its supervisor (PDEATHSIG) and what it left
//! behind is swept by the next one; the service's environment holds nothing of the server's; one thread.

mod child;
mod control;
mod life;
mod log;
mod port;
mod proc;
pub(crate) mod sweep;

use crate::Error;
use crate::layout::{NodeDir, SpecRecord};
use nix::fcntl::{Flock, FlockArg};
use serin_model::Timestamp;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a new supervisor waits for the one before it to have ended.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// First argument by which the supervisor starts itself in the service's place.
const EXEC: &str = "exec";

/// Runs a supervisor; `args` are the arguments behind those of [`crate::SupervisorCommand::args`].
///
/// Makes its own single-threaded tokio runtime: to be called outside any. Writes `ready` to standard output once it
/// has taken the node over; reasons for not doing so go to standard error.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let result = match args.next() {
        Some(word) if word == EXEC => child::become_service(args),
        Some(dir) => supervise(NodeDir(PathBuf::from(dir))),
        None => Err(io::Error::other("a node's folder is missing; the server starts supervisors itself")),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::FAILURE
}

/// The time now.
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

fn supervise(dir: NodeDir) -> io::Result<()> {
    // Fails only where this process leads a group already, which is as good.
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    let _lock = lock(&dir)?;
    let spec = dir.read_spec().map_err(io::Error::other)?;
    let spec = spec.ok_or_else(|| io::Error::other("the node has no specification"))?;
    sweep::kill_marked(&dir.0);
    prepare(&dir, &spec).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(life::run(dir, spec))
}

/// Takes the node's lock, for as long as the file stays open.
fn lock(dir: &NodeDir) -> io::Result<Flock<File>> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.lock())?;
    let mut waited = Duration::ZERO;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, errno)) if waited >= LOCK_TIMEOUT => {
                return Err(io::Error::other(format!("the node has another supervisor ({errno})")));
            }
            Err((back, _)) => file = back,
        }
        std::thread::sleep(LOCK_PAUSE);
        waited += LOCK_PAUSE;
    }
}

/// Gives the service empty folders of its own and removes what an earlier supervisor left.
fn prepare(dir: &NodeDir, spec: &SpecRecord) -> Result<(), Error> {
    for old in [dir.home(), dir.tmp()] {
        match std::fs::remove_dir_all(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("empty", old)(error)),
            _ => crate::layout::create_private(&old)?,
        }
    }
    for old in [dir.ended(), dir.0.join("control.sock")] {
        match std::fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", old)(error)),
            _ => {}
        }
    }
    crate::layout::create_private(&spec.ports_dir)
}
