//! The guard: a small process between the runner and a job's shell, whose one duty is that nothing of the job is left.
//!
//! It is a child subreaper, so whatever the job starts, daemons included, stays below it. It ends all of it when the
//! shell has ended, when the runner asks for it, and when the runner is gone (its control pipe ends). Once nothing is left
//! it may be given another job.
//!
//! Standard input: [`Order`]s; the end of input means that the runner is gone, or has nothing more to do.
//! Standard output: [`Notice`]s, one a line. Standard error: what the job writes.

mod descendants;
mod events;
mod protocol;

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use events::{Event, Events};
pub(crate) use protocol::{Notice, Order, Spec};

/// Milliseconds that what a script left behind has to end by itself.
const LEFTOVER_GRACE_MS: u64 = 500;
/// Milliseconds in which the end of the last process is noticed where nothing was left behind.
const SETTLE_MS: u64 = 2;
/// Milliseconds that a job has to end by itself when the runner is gone.
const ORPHAN_GRACE_MS: u64 = 3_000;
/// Milliseconds after SIGKILL until the guard gives up on processes that cannot die.
const KILL_WAIT_MS: u64 = 10_000;
/// Milliseconds between two rounds of SIGKILL, for what was forked meanwhile.
const KILL_ROUND_MS: u64 = 10;

/// Runs the guard to its end; `serin` calls it for the hidden command `job-guard`.
#[must_use]
pub fn main() -> ExitCode {
    let result = Events::new().and_then(|mut events| {
        let result = serve(&mut events);
        if let Err(error) = &result {
            events.tell(&Notice::Error(error.to_string()));
        }
        result
    });
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Carries out one job after the other, until the runner is gone.
fn serve(events: &mut Events) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    // Fails where the guard leads its process group already, and then it has what a session would give.
    let _ = nix::unistd::setsid();
    while !events.is_runner_gone() {
        match events.next(None)? {
            Some(Event::Order(Order::Job(spec))) => {
                let shell = start(&spec)?;
                events.job_begins();
                carry_out(shell, events)?;
            }
            // What was asked for comes too late: nothing is left.
            Some(Event::Order(Order::Terminate { .. }) | Event::Ended { .. } | Event::NothingLeft) => {}
            Some(Event::RunnerGone) | None => return Ok(()),
        }
    }
    Ok(())
}

/// Waits for the shell, and sees to it that nothing is left.
fn carry_out(shell: Pid, events: &mut Events) -> io::Result<()> {
    if let Some(grace) = wait_for_shell(shell, events)? {
        end_all(grace, shell, events)?;
    }
    events.tell(&Notice::Free);
    Ok(())
}

/// Starts the shell in a process group of its own, deaf to nothing; its output is the guard's standard error.
fn start(spec: &Spec) -> io::Result<Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_open(0, "/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    actions.add_dup2(io::stderr().as_raw_fd(), io::stdout().as_raw_fd())?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_sigmask(&SigSet::empty())?;
    let program = c_string([spec.program.as_os_str()])?;
    let args = std::iter::once(spec.program.as_os_str()).chain(spec.args.iter().map(OsString::as_os_str));
    let args = args.map(|text| c_string([text])).collect::<io::Result<Vec<_>>>()?;
    let entries = spec.environment.iter().map(|(name, value)| c_string([name, OsStr::new("="), value]));
    let environment = entries.collect::<io::Result<Vec<_>>>()?;
    // The shell inherits it; the guard itself stands nowhere.
    std::env::set_current_dir(&spec.folder)?;
    let started = posix_spawn(program.as_c_str(), &actions, &attributes, &args, &environment);
    std::env::set_current_dir("/")?;
    Ok(started?)
}

fn c_string<'a>(parts: impl IntoIterator<Item = &'a OsStr>) -> io::Result<CString> {
    let mut bytes = Vec::new();
    parts.into_iter().for_each(|part| bytes.extend(part.as_bytes()));
    Ok(CString::new(bytes)?)
}

/// Waits until the shell ended or must end, and says how long its descendants have; `None`: nothing is left.
fn wait_for_shell(shell: Pid, events: &mut Events) -> io::Result<Option<Duration>> {
    loop {
        match events.next(None)? {
            Some(Event::Ended { pid, status }) if pid == shell => {
                events.tell(&Notice::Ended(status));
                return Ok(Some(Duration::from_millis(LEFTOVER_GRACE_MS)));
            }
            Some(Event::Ended { .. } | Event::Order(Order::Job(_))) => {}
            Some(Event::Order(Order::Terminate { grace_ms })) => {
                return Ok(Some(Duration::from_millis(grace_ms.into())));
            }
            Some(Event::RunnerGone) => return Ok(Some(Duration::from_millis(ORPHAN_GRACE_MS))),
            Some(Event::NothingLeft) | None => return Ok(None),
        }
    }
}

/// SIGTERM, `grace` to obey it, then SIGKILL until nothing is left.
fn end_all(grace: Duration, shell: Pid, events: &mut Events) -> io::Result<()> {
    if drained(Instant::now() + Duration::from_millis(SETTLE_MS), shell, events)? {
        return Ok(());
    }
    descendants::terminate_all()?;
    if drained(Instant::now() + grace, shell, events)? {
        return Ok(());
    }
    let give_up = Instant::now() + Duration::from_millis(KILL_WAIT_MS);
    while Instant::now() < give_up {
        descendants::kill_all()?;
        if drained(Instant::now() + Duration::from_millis(KILL_ROUND_MS), shell, events)? {
            return Ok(());
        }
    }
    Err(io::Error::other("processes of the job are left that cannot be killed"))
}

/// Whether nothing is left before `deadline`.
fn drained(mut deadline: Instant, shell: Pid, events: &mut Events) -> io::Result<bool> {
    loop {
        match events.next(Some(deadline))? {
            Some(Event::NothingLeft) => return Ok(true),
            Some(Event::Ended { pid, status }) if pid == shell => events.tell(&Notice::Ended(status)),
            Some(Event::Order(Order::Terminate { grace_ms })) => {
                deadline = deadline.min(Instant::now() + Duration::from_millis(grace_ms.into()));
            }
            Some(Event::Ended { .. } | Event::RunnerGone | Event::Order(Order::Job(_))) => {}
            None => return Ok(false),
        }
    }
}
