//! The runner's side of a job's guard.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, sleep_until};

use crate::guard::{Notice, Order, Spec};
use crate::request::{CancelToken, GuardCommand};
use crate::trace::Trace;

/// Milliseconds between SIGTERM and SIGKILL on cancel and time-out.
const TERMINATE_GRACE_MS: u32 = 5_000;
/// Time that the guard has beyond that before it is killed itself.
const GUARD_PATIENCE: Duration = Duration::from_secs(20);
/// Time in which the last output arrives after the guard's end.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of output that are read at once; with the pipe, all that is held of it.
const CHUNK_BYTES: usize = 64 << 10;
/// Marks every process of one script in its environment, should a job kill its guard.
pub(crate) const MARK: &str = "SERIN_JOB_MARK";
/// Rounds of looking for what a killed guard left behind.
const SWEEPS_MAX: usize = 50;

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this exit code.
    Exited(i32),
    /// Its time was over.
    TimedOut,
    /// On request.
    Canceled,
    /// It could not be run, or its guard was lost.
    Failed(String),
}

/// When a script is ended from outside.
pub(crate) struct Stop<'a> {
    pub(crate) deadline: Instant,
    pub(crate) cancel: &'a CancelToken,
}

/// Runs a script under a guard until nothing of it is left. If this future is dropped, the guard ends it all.
pub(crate) async fn run(guard: &GuardCommand, mut spec: Spec, stop: Stop<'_>, trace: &mut Trace<'_>) -> Ending {
    let mark = new_mark();
    spec.environment.push((MARK.into(), mark.clone().into()));
    let mut child = match start(guard) {
        Ok(child) => child,
        Err(error) => return Ending::Failed(format!("cannot start `{}`: {error}", guard.program.display())),
    };
    let (Some(input), Some(notices), Some(output)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Ending::Failed("the guard has no pipes".to_owned());
    };
    let control = async {
        let ending = control(&mut child, input, notices, (&spec, &stop)).await;
        if let Ending::Failed(_) = &ending {
            sweep(&mark).await;
        }
        ending
    };
    let ending = {
        let pump = pump(output, trace);
        tokio::pin!(pump, control);
        tokio::select! {
            ending = &mut control => {
                // Whoever still holds the pipe was not of this job, or cannot be killed.
                let _ = tokio::time::timeout(OUTPUT_PATIENCE, pump).await;
                ending
            }
            () = &mut pump => control.await,
        }
    };
    trace.settle().await;
    ending
}

fn start(guard: &GuardCommand) -> io::Result<Child> {
    Command::new(&guard.program)
        .args(&guard.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

async fn pump(mut output: impl AsyncRead + Unpin, trace: &mut Trace<'_>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        trace.write(&buffer[..length]).await;
    }
}

/// Tells the guard what to do, and listens to it until it ends.
async fn control(
    child: &mut Child,
    mut input: ChildStdin,
    notices: ChildStdout,
    (spec, stop): (&Spec, &Stop<'_>),
) -> Ending {
    let mut notices = BufReader::new(notices).lines();
    let mut ending: Option<Ending> = None;
    let mut patience = Instant::now() + Duration::from_secs(u64::from(u32::MAX));
    // A guard that reads nothing has ended, and says so below.
    let _ = input.write_all(&spec.to_bytes()).await;
    loop {
        let asked = tokio::select! {
            line = notices.next_line() => {
                let Ok(Some(line)) = line else { break };
                match Notice::parse(&line) {
                    Some(Notice::Ended(code)) => ending = ending.or(Some(Ending::Exited(code))),
                    Some(Notice::Error(text)) => ending = ending.or(Some(Ending::Failed(text))),
                    Some(Notice::Started) | None => {}
                }
                continue;
            }
            () = stop.cancel.cancelled(), if ending.is_none() => Ending::Canceled,
            () = sleep_until(stop.deadline), if ending.is_none() => Ending::TimedOut,
            () = sleep_until(patience) => break,
        };
        ending = Some(asked);
        patience = Instant::now() + Duration::from_millis(TERMINATE_GRACE_MS.into()) + GUARD_PATIENCE;
        let _ = input.write_all(&Order::Terminate { grace_ms: TERMINATE_GRACE_MS }.to_bytes()).await;
    }
    if tokio::time::timeout(OUTPUT_PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
        return Ending::Failed("the guard of the job did not end".to_owned());
    }
    ending.unwrap_or_else(|| Ending::Failed("the guard of the job was killed".to_owned()))
}

fn new_mark() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", std::process::id(), since.as_nanos(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Kills what bears the mark, until nothing does.
async fn sweep(mark: &str) {
    for _ in 0..SWEEPS_MAX {
        let mark = format!("{MARK}={mark}");
        let marked = tokio::task::spawn_blocking(move || marked(mark.as_bytes())).await.unwrap_or_default();
        if marked.is_empty() {
            return;
        }
        for pid in marked {
            let _ = kill(pid, Signal::SIGKILL);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|variable| variable == mark).then(|| Pid::from_raw(pid))
        })
        .collect()
}
