//! The runner's side of a job's guard.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep, sleep_until};

use crate::guard::{Notice, Order, Spec};
use crate::guards::Guards;
use crate::request::CancelToken;
use crate::trace::Trace;

/// Milliseconds between SIGTERM and SIGKILL on cancel and time-out.
const TERMINATE_GRACE_MS: u32 = 5_000;
/// Time that the guard has beyond that before it is killed itself.
const GUARD_PATIENCE: Duration = Duration::from_secs(20);
/// Time in which the last output arrives after the guard's end.
pub(crate) const OUTPUT_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of output that are read at once; with the pipe, all that is held of it.
const CHUNK_BYTES: usize = 32 << 10;
/// Bytes of what is read at once after the job's end, which is nothing as a rule.
const REST_BYTES: usize = 4 << 10;
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
pub(crate) async fn run(guards: &Guards, mut spec: Spec, stop: Stop<'_>, trace: &mut Trace<'_>) -> Ending {
    let mark = new_mark();
    spec.environment.push((MARK.into(), mark.clone().into()));
    let mut guard = match guards.take() {
        Ok(guard) => guard,
        Err(message) => return Ending::Failed(message),
    };
    let over = CancelToken::new();
    let (ending, free) = {
        let pump = pump(&mut guard.output, trace, &over);
        let control = control((&mut guard.input, &mut guard.notices), spec, &stop);
        tokio::pin!(pump, control);
        tokio::select! {
            ended = &mut control => {
                if ended.1 {
                    over.cancel();
                    pump.await;
                } else {
                    // Whoever still holds the pipe was not of this job, or cannot be killed.
                    let _ = tokio::time::timeout(OUTPUT_PATIENCE, pump).await;
                }
                ended
            }
            () = &mut pump => control.await,
        }
    };
    let ending = match ending {
        Ending::Exited(_) if free => {
            guards.give_back(guard);
            ending
        }
        _ if free => ending,
        _ => guard.ended(ending).await,
    };
    if let Ending::Failed(_) = &ending {
        sweep(&mark).await;
    }
    trace.settle().await;
    ending
}

/// Passes the output on until its end, or until nobody is left who could write.
async fn pump(output: &mut pipe::Receiver, trace: &mut Trace<'_>, over: &CancelToken) {
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    loop {
        tokio::select! {
            read = output.read_buf(&mut buffer) => if !matches!(read, Ok(1..)) { return },
            () = over.cancelled() => break,
        }
        trace.write(&buffer).await;
        buffer.clear();
    }
    buffer.resize(REST_BYTES, 0);
    while let Ok(length @ 1..) = nix::unistd::read(&*output, &mut buffer) {
        trace.write(&buffer[..length]).await;
    }
}

/// Tells the guard what to do, and listens to it until it is free, or ends: how the script ended, and whether the guard
/// is free.
async fn control(
    (input, notices): (&mut ChildStdin, &mut Lines<BufReader<ChildStdout>>),
    spec: Spec,
    stop: &Stop<'_>,
) -> (Ending, bool) {
    let mut ending: Option<Ending> = None;
    let mut patience = Instant::now() + Duration::from_secs(u64::from(u32::MAX));
    // A guard that reads nothing has ended, and says so below.
    let _ = input.write_all(&Order::Job(spec).to_bytes()).await;
    let lost = || Ending::Failed("the guard of the job was killed".to_owned());
    loop {
        let asked = tokio::select! {
            line = notices.next_line() => {
                let Ok(Some(line)) = line else { break };
                match Notice::parse(&line) {
                    Some(Notice::Ended(code)) => ending = ending.or(Some(Ending::Exited(code))),
                    Some(Notice::Error(text)) => ending = ending.or(Some(Ending::Failed(text))),
                    Some(Notice::Free) => return (ending.unwrap_or_else(lost), true),
                    None => {}
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
    (ending.unwrap_or_else(lost), false)
}

/// A text that nobody else has.
pub(crate) fn new_mark() -> String {
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
