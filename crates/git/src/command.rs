//! Child processes: how `git` is started, fed, read, bounded and ended.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use crate::error::{Error, Result};

/// The time that a call which reads or writes a few objects may take.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// The bytes of a plain call's answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How long an abandoned child may take to clean up after itself.
const END_TIME_MAX: Duration = Duration::from_secs(5);
const STDERR_BYTES_MAX: u64 = 16 << 10;

/// Configuration for every call; nothing else is read but the repository's own file, which Serin wrote.
const SETTINGS: &[&str] = &[
    "safe.directory=*",
    "protocol.allow=never",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.fsmonitor=false",
    "core.bigFileThreshold=16m",
    "core.quotePath=true",
    "diff.renameLimit=400",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=2",
    "pack.windowMemory=64m",
    "receive.autogc=false",
];

/// One call of `git`, not yet started.
pub(crate) struct Call {
    name: &'static str,
    command: Command,
    input: Vec<u8>,
    time_max: Duration,
}

/// What a finished call answered.
pub(crate) struct Answer {
    pub(crate) name: &'static str,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Call {
    /// A call on the repository at `path`: `git … --git-dir=<path> <name>`.
    pub(crate) fn new(path: &Path, name: &'static str) -> Self {
        let mut git_dir = OsString::from("--git-dir=");
        git_dir.push(path);
        Self::build(name, &[&git_dir], &[])
    }

    /// A call that finds its repository by an argument of its own, with more configuration.
    pub(crate) fn without_repository(name: &'static str, settings: &[String]) -> Self {
        Self::build(name, &[], settings)
    }

    fn build(name: &'static str, options: &[&OsStr], settings: &[String]) -> Self {
        let mut command = Command::new("git");
        clean_environment(&mut command);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        command.arg("--no-pager").arg("--literal-pathspecs").args(options).arg(name);
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { name, command, input: Vec::new(), time_max: CALL_TIME_MAX }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    pub(crate) fn time_max(mut self, max: Duration) -> Self {
        self.time_max = max;
        self
    }

    /// Starts the child with all three of its streams as pipes.
    pub(crate) fn start(mut self) -> Result<Process> {
        self.command.stdin(Stdio::piped());
        let child = self.command.spawn().map_err(|source| Error::Start { command: self.name, source })?;
        Ok(Process { name: self.name, child: Some(child) })
    }

    /// Runs the child to its end and hands back whatever it answered.
    pub(crate) async fn answer(mut self) -> Result<Answer> {
        let (name, time_max) = (self.name, self.time_max);
        let input = std::mem::take(&mut self.input);
        let mut process = self.start()?;
        let whole = async {
            let (stdin, stdout, stderr) = process.pipes()?;
            let (fed, stdout, stderr) =
                tokio::join!(feed(stdin, &input), read_capped(name, stdout, ANSWER_BYTES_MAX), read_head(stderr));
            let stdout = stdout?;
            let status = process.wait().await?;
            if status.success() {
                fed?;
            }
            Ok(Answer { name, status, stdout, stderr })
        };
        tokio::time::timeout(time_max, whole).await.map_err(|_| Error::TimedOut { command: name, limit: time_max })?
    }

    /// Runs the child to its end; an exit code other than 0 is an error.
    pub(crate) async fn output(self) -> Result<Vec<u8>> {
        let answer = self.answer().await?;
        if answer.status.success() { Ok(answer.stdout) } else { Err(answer.failure()) }
    }
}

impl Answer {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn failure(self) -> Error {
        let text = self.stderr.trim();
        let message = if text.is_empty() { self.status.to_string() } else { text.to_owned() };
        Error::Failed { command: self.name, message }
    }
}

/// A running child; its whole process group is ended where it is dropped before its end.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let pipes = self.child.as_mut().map(|child| (child.stdin.take(), child.stdout.take(), child.stderr.take()));
        match pipes {
            Some((Some(stdin), Some(stdout), Some(stderr))) => Ok((stdin, stdout, stderr)),
            _ => Err(Error::answer(self.name, b"no pipes")),
        }
    }

    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        let failed = Error::io(format!("wait for `git {}`", self.name));
        match &mut self.child {
            Some(child) => child.wait().await.map_err(failed),
            None => Err(failed(std::io::ErrorKind::NotFound.into())),
        }
    }
}

impl Drop for Process {
    /// Asks the group to end, so that `git` removes its lock files and half-written packs, and kills it where it lingers.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // The id is there only while the leader has not been reaped, so it cannot name another group.
        let Some(leader) = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return end(leader, Signal::SIGKILL);
        };
        end(leader, Signal::SIGTERM);
        runtime.spawn(async move {
            if tokio::time::timeout(END_TIME_MAX, child.wait()).await.is_err() {
                end(leader, Signal::SIGKILL);
            }
        });
    }
}

fn end(group: Pid, signal: Signal) {
    if let Err(error) = killpg(group, signal) {
        tracing::debug!(%group, %signal, %error, "process group is already gone");
    }
}

/// The first bytes of a child's standard error as text; the rest is read and dropped, so that it cannot block.
pub(crate) async fn read_head(mut stderr: ChildStderr) -> String {
    let mut head = Vec::new();
    let read = (&mut stderr).take(STDERR_BYTES_MAX).read_to_end(&mut head).await;
    if read.is_ok() {
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&head).into_owned()
}

pub(crate) async fn read_capped(name: &'static str, stdout: impl AsyncRead + Unpin, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = stdout.take(max.saturating_add(1)).read_to_end(&mut bytes).await;
    read.map_err(Error::io(format!("read from `git {name}`")))?;
    if bytes.len() as u64 > max {
        return Err(Error::TooLarge { what: format!("the answer of `git {name}`"), max, unit: "bytes" });
    }
    Ok(bytes)
}

async fn feed(mut stdin: ChildStdin, input: &[u8]) -> Result<()> {
    stdin.write_all(input).await.map_err(Error::io("write to git"))?;
    stdin.shutdown().await.map_err(Error::io("write to git"))
}

fn clean_environment(command: &mut Command) {
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs([
        ("HOME", "/nonexistent"),
        ("XDG_CONFIG_HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ADVICE", "0"),
    ]);
}
