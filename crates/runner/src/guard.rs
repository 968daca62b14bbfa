//! The guard: a small process between the runner and a job's shell, whose one duty is that nothing of the job is left.
//!
//! It is a child subreaper, so whatever the job starts, daemons included, stays below it. It ends all of it when the
//! shell has ended, when the runner asks for it, and when the runner is gone (its control pipe ends). Once nothing is left
//! it may be given another job.
//!
//! Standard input: [`Order`]s; the end of input means that the runner is gone, or has nothing more to do.
//! Standard output: [`Notice`]s, one a line. Standard error: what the job writes.

mod descendants;
mod protocol;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

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
    match guard() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&Notice::Error(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

enum Event {
    Order(Order),
    RunnerGone,
    Ended { pid: Pid, status: i32 },
    NothingLeft,
}

fn guard() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    // Fails where the guard leads its process group already, and then it has what a session would give.
    let _ = nix::unistd::setsid();
    let deaf = Deaf::new()?;
    let (sender, events) = mpsc::channel();
    let (children, begun) = mpsc::channel();
    let reaper = sender.clone();
    thread::spawn(move || reap(&reaper, &begun));
    let gone = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&gone);
    thread::spawn(move || listen(&sender, &tells));
    loop {
        match events.recv() {
            Ok(Event::Order(Order::Job(spec))) => {
                let shell = deaf.except_while(|| start(&spec))?;
                // The reaper lives as long as this does.
                let _ = children.send(());
                carry_out(shell, &events)?;
                if gone.load(Ordering::Acquire) {
                    return Ok(());
                }
            }
            // What was asked for comes too late: nothing is left.
            Ok(Event::Order(Order::Terminate { .. }) | Event::Ended { .. } | Event::NothingLeft) => {}
            Ok(Event::RunnerGone) | Err(_) => return Ok(()),
        }
    }
}

/// Signals that do not end the guard; the threads that it starts are as deaf as itself.
struct Deaf {
    signals: SigSet,
    pending: SignalFd,
}

impl Deaf {
    fn new() -> io::Result<Self> {
        let signals: SigSet =
            [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE].into_iter().collect();
        signals.thread_block()?;
        Ok(Self { signals, pending: SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)? })
    }

    /// Starts something that must not be deaf, as it would inherit it.
    fn except_while<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        while let Ok(Some(_)) = self.pending.read_signal() {}
        self.signals.thread_unblock()?;
        let started = start();
        self.signals.thread_block()?;
        started
    }
}

/// Waits for the shell, and sees to it that nothing is left.
fn carry_out(shell: Pid, events: &Receiver<Event>) -> io::Result<()> {
    if let Some(grace) = wait_for_shell(shell, events) {
        end_all(grace, shell, events)?;
    }
    tell(&Notice::Free);
    Ok(())
}

/// Starts the shell in a process group of its own; its output is the guard's standard error.
fn start(spec: &Spec) -> io::Result<Pid> {
    let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let child = Command::new(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.folder)
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Waits until the shell ended or must end, and says how long its descendants have; `None`: nothing is left.
fn wait_for_shell(shell: Pid, events: &Receiver<Event>) -> Option<Duration> {
    loop {
        match events.recv() {
            Ok(Event::Ended { pid, status }) if pid == shell => {
                tell(&Notice::Ended(status));
                return Some(Duration::from_millis(LEFTOVER_GRACE_MS));
            }
            Ok(Event::Ended { .. } | Event::Order(Order::Job(_))) => {}
            Ok(Event::Order(Order::Terminate { grace_ms })) => return Some(Duration::from_millis(grace_ms.into())),
            Ok(Event::RunnerGone) => return Some(Duration::from_millis(ORPHAN_GRACE_MS)),
            Ok(Event::NothingLeft) | Err(_) => return None,
        }
    }
}

/// SIGTERM, `grace` to obey it, then SIGKILL until nothing is left.
fn end_all(grace: Duration, shell: Pid, events: &Receiver<Event>) -> io::Result<()> {
    if drained(Instant::now() + Duration::from_millis(SETTLE_MS), shell, events) {
        return Ok(());
    }
    descendants::terminate_all()?;
    if drained(Instant::now() + grace, shell, events) {
        return Ok(());
    }
    let give_up = Instant::now() + Duration::from_millis(KILL_WAIT_MS);
    while Instant::now() < give_up {
        descendants::kill_all()?;
        if drained(Instant::now() + Duration::from_millis(KILL_ROUND_MS), shell, events) {
            return Ok(());
        }
    }
    Err(io::Error::other("processes of the job are left that cannot be killed"))
}

/// Whether nothing is left before `deadline`.
fn drained(mut deadline: Instant, shell: Pid, events: &Receiver<Event>) -> bool {
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::NothingLeft) | Err(RecvTimeoutError::Disconnected) => return true,
            Ok(Event::Ended { pid, status }) if pid == shell => tell(&Notice::Ended(status)),
            Ok(Event::Order(Order::Terminate { grace_ms })) => {
                deadline = deadline.min(Instant::now() + Duration::from_millis(grace_ms.into()));
            }
            Ok(Event::Ended { .. } | Event::RunnerGone | Event::Order(Order::Job(_))) => {}
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// Reaps children until there are none, each time that there are some: as all orphans come to the subreaper, then
/// nothing of the job is left.
fn reap(events: &Sender<Event>, begun: &Receiver<()>) {
    while begun.recv().is_ok() {
        loop {
            let event = match waitpid(None, None) {
                Ok(WaitStatus::Exited(pid, code)) => Event::Ended { pid, status: code },
                Ok(WaitStatus::Signaled(pid, signal, _)) => Event::Ended { pid, status: 128 + signal as i32 },
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => Event::NothingLeft,
            };
            let last = matches!(event, Event::NothingLeft);
            if events.send(event).is_err() {
                return;
            }
            if last {
                break;
            }
        }
    }
}

fn listen(events: &Sender<Event>, gone: &AtomicBool) {
    let mut input = io::stdin().lock();
    while let Ok(order) = Order::read_from(&mut input) {
        if events.send(Event::Order(order)).is_err() {
            return;
        }
    }
    gone.store(true, Ordering::Release);
    let _ = events.send(Event::RunnerGone);
}

/// Tells the runner; a runner that is gone needs no notice.
fn tell(notice: &Notice) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{notice}").and_then(|()| output.flush());
}
