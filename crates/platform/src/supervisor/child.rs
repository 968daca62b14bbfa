//! Starts the service and ends it with all of its processes.

use super::EXEC;
use super::proc::Process;
use super::sweep::{self, MARK};
use crate::health::Check;
use crate::layout::{NodeDir, SpecRecord};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Time between two looks whether a stopping service's processes are gone.
const STOP_PAUSE: Duration = Duration::from_millis(10);
const KILL_TIMEOUT: Duration = Duration::from_secs(3);
/// The health command under way, whose end is awaited by [`probe`]; 0: none.
static PROBE: AtomicU32 = AtomicU32::new(0);
/// Variables that a node gets of the supervisor's environment.
const PASSED: [&str; 4] = ["PATH", "LANG", "LC_ALL", "TZ"];

/// Starts the service on `port`; its standard output and error come out of the pipe.
pub(super) fn start(dir: &NodeDir, spec: &SpecRecord, port: u16) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let mut command = command(dir, spec, (port, &spec.command));
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok((command.spawn()?, reader))
}

/// Runs a node's health command to its end; one that takes longer than `within` is killed.
pub(super) async fn probe(
    dir: &NodeDir,
    spec: &SpecRecord,
    (port, words): (u16, &[String]),
    within: Duration,
) -> Check {
    let name = words.first().map_or("", String::as_str);
    let mut command = command(dir, spec, (port, words));
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("`{name}` could not be started: {error}"))?;
    // Nothing else runs between start and note: one thread.
    PROBE.store(child.id().unwrap_or(0), Ordering::Relaxed);
    let ended = tokio::time::timeout(within, child.wait()).await;
    if ended.is_err() {
        let _ = child.start_kill();
        let _ = child.wait().await;
    }
    PROBE.store(0, Ordering::Relaxed);
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{name}` ended with {status}")),
        Ok(Err(error)) => Err(format!("the end of `{name}` could not be seen: {error}")),
        Err(_) => Err(format!("`{name}` did not end within {} s", within.as_secs())),
    }
}

/// A command in the node's folder, with the node's environment.
fn command(dir: &NodeDir, spec: &SpecRecord, (port, words): (u16, &[String])) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(&spec.supervisor_args).arg(EXEC).arg(std::process::id().to_string()).args(words);
    command.env_clear();
    for name in PASSED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(spec.variables.iter().map(|(name, value)| (name, value)));
    command.env("PORT", port.to_string()).env("HOME", dir.home()).env("TMPDIR", dir.tmp()).env(MARK, &dir.0);
    if dir.secrets().is_dir() {
        command.env("SERIN_SECRETS", dir.secrets());
    }
    command.current_dir(&spec.release_dir).stdin(Stdio::null());
    command
}

/// Turns this process into the service: `args` are the supervisor's number, the program and its arguments.
///
/// Runs between fork and exec of the service proper: a session of its own, and death with the supervisor.
pub(super) fn become_service(mut args: impl Iterator<Item = OsString>) -> io::Result<()> {
    let supervisor = args.next().and_then(|pid| pid.to_str()?.parse::<i32>().ok());
    let program = args.next().ok_or_else(|| io::Error::other("the service's program is missing"))?;
    nix::unistd::setsid()?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The supervisor may have died before that line.
    if supervisor != Some(getppid().as_raw()) {
        return Err(io::Error::other("the supervisor is gone"));
    }
    let error = std::process::Command::new(&program).args(args).exec();
    Err(io::Error::new(error.kind(), format!("could not start `{}`: {error}", program.display())))
}

/// Stops the service: SIGTERM to all of its processes, SIGKILL to what is left after `timeout`.
pub(super) async fn stop(child: Option<&mut Child>, timeout: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + timeout;
    terminate(child.as_ref().and_then(|child| child.id()));
    let mut status = None;
    if let Some(child) = child {
        status = tokio::time::timeout_at(deadline, child.wait()).await.ok().and_then(Result::ok);
        if status.is_none() {
            let _ = child.start_kill();
            kill_family();
            status = tokio::time::timeout(KILL_TIMEOUT, child.wait()).await.ok().and_then(Result::ok);
        }
    }
    let last = deadline.max(Instant::now()) + KILL_TIMEOUT;
    while Instant::now() < last && !remaining().is_empty() {
        if Instant::now() >= deadline {
            kill_family();
        }
        sleep(STOP_PAUSE).await;
    }
    status
}

/// Takes over the exit of processes that the service left to this one, except of the service itself.
pub(super) fn reap_orphans(service: Option<u32>) {
    let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let service = service.and_then(|pid| i32::try_from(pid).ok());
    for process in super::proc::descendants(own) {
        let is_probe = u32::try_from(process.pid).is_ok_and(|pid| pid == PROBE.load(Ordering::Relaxed));
        if process.zombie && process.parent == own && Some(process.pid) != service && !is_probe {
            let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// SIGTERM, once to each process: the service's group in one step, then those that left the group.
fn terminate(service: Option<u32>) {
    let family = sweep::family();
    // Not yet waited for, so the number is still the service's.
    let group = service.and_then(|pid| i32::try_from(pid).ok());
    if let Some(group) = group {
        let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
    }
    for process in family.iter().filter(|process| Some(process.group) != group) {
        sweep::signal(process, Signal::SIGTERM);
    }
}

fn kill_family() {
    for process in sweep::family() {
        sweep::signal(&process, Signal::SIGKILL);
    }
}

fn remaining() -> Vec<Process> {
    reap_orphans(None);
    sweep::family()
}
