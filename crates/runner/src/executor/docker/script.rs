//! One script in one container: started, listened to, ended.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, KillContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::container::Plan;
use super::engine::{Engine, words};
use super::{Room, Trouble, until};
use crate::process::{Ending, Stop};
use crate::trace::Trace;

/// Time between SIGTERM and SIGKILL on cancel and time-out.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);
/// The exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// What a container runs: the script, in bash where the image has one, else in sh.
pub(super) fn command(script: &str) -> Vec<String> {
    let launch = format!(
        "if command -v bash >/dev/null 2>&1; then exec bash --noprofile --norc {script}; else exec sh {script}; fi"
    );
    vec!["sh".to_owned(), "-c".to_owned(), launch]
}

/// Runs a script until nothing of it is left.
pub(super) async fn run(room: &Room, plan: Plan, stop: Stop<'_>, trace: &mut Trace<'_>) -> Ending {
    let id = match until(&stop, room.create(plan)).await {
        Ok(Ok(id)) => id,
        Ok(Err(reason)) => return Ending::Failed(format!("the job's container cannot be made: {reason}")),
        Err(trouble) => return ending_of(trouble),
    };
    let ending = carry_out(room, &id, &stop, trace).await;
    room.engine.remove_container(&id).await;
    trace.settle().await;
    ending
}

fn ending_of(trouble: Trouble) -> Ending {
    match trouble {
        Trouble::Canceled => Ending::Canceled,
        Trouble::TimedOut => Ending::TimedOut,
        Trouble::Missing(message) | Trouble::Failed(message) => Ending::Failed(message),
    }
}

async fn carry_out(room: &Room, id: &str, stop: &Stop<'_>, trace: &mut Trace<'_>) -> Ending {
    let api = room.engine.api();
    let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
    let attached = match until(stop, api.attach_container(id, Some(options))).await {
        Ok(Ok(attached)) => attached,
        Ok(Err(error)) => return Ending::Failed(format!("the container cannot be listened to: {}", words(&error))),
        Err(trouble) => return ending_of(trouble),
    };
    match until(stop, api.start_container(id, None::<StartContainerOptions>)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Ending::Failed(unstartable(&words(&error))),
        Err(trouble) => return ending_of(trouble),
    }
    let outcome = {
        let pump = async {
            pump(attached.output, room.limits.output_bytes, trace).await;
            exit_code(&room.engine, id).await
        };
        tokio::pin!(pump);
        listen(&room.engine, id, stop, pump).await
    };
    match outcome {
        Heard::Ended(Ok(code)) => {
            if code == KILLED && ran_out_of_memory(&room.engine, id).await {
                let limit = room.limits.memory_bytes >> 20;
                trace.warning(&format!("a process was killed: the job's container has {limit} MiB of memory")).await;
            }
            Ending::Exited(i32::try_from(code).unwrap_or(i32::MAX))
        }
        Heard::Ended(Err(reason)) => Ending::Failed(format!("the job's container was lost: {reason}")),
        Heard::Asked(ending) => ending,
    }
}

enum Heard {
    Ended(Result<i64, String>),
    Asked(Ending),
}

/// Listens until the container's end; asks it to end where the job is not wanted any more.
async fn listen(
    engine: &Engine,
    id: &str,
    stop: &Stop<'_>,
    mut pump: std::pin::Pin<&mut impl Future<Output = Result<i64, String>>>,
) -> Heard {
    let asked = tokio::select! {
        ended = &mut pump => return Heard::Ended(ended),
        () = stop.cancel.cancelled() => Ending::Canceled,
        () = sleep_until(stop.deadline) => Ending::TimedOut,
    };
    let patience = Instant::now() + TERMINATE_GRACE;
    let ending = async {
        terminate(engine, id).await;
        sleep_until(patience).await;
    };
    tokio::select! {
        _ = &mut pump => {}
        () = ending => {}
        () = sleep_until(patience) => {}
    }
    Heard::Asked(asked)
}

/// Asks every process of the container to end; the first one hears of it only where its script traps the signal.
async fn terminate(engine: &Engine, id: &str) {
    let options = KillContainerOptionsBuilder::default().signal("TERM").build();
    if let Err(error) = engine.api().kill_container(id, Some(options)).await {
        tracing::debug!(%error, "a container was not asked to end");
        return;
    }
    let exec = CreateExecOptions {
        cmd: Some(vec!["sh", "-c", "kill -TERM -1"]),
        user: Some("0"),
        ..CreateExecOptions::default()
    };
    let Ok(made) = engine.api().create_exec(id, exec).await else { return };
    let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
    // It has ended, or is killed in a moment.
    let _ = engine.api().start_exec(&made.id, Some(options)).await;
}

/// Passes the output on; from `bytes_max` on it is read and dropped.
async fn pump(
    mut output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    bytes_max: u64,
    trace: &mut Trace<'_>,
) {
    let mut left = bytes_max;
    while let Some(Ok(piece)) = output.next().await {
        let bytes = piece.into_bytes();
        if left == 0 {
            continue;
        }
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= taken as u64;
        trace.write(&bytes[..taken]).await;
        if left == 0 {
            trace.settle().await;
            trace.line("").await;
            trace.warning(&format!("the output is longer than {bytes_max} bytes; the rest is not kept")).await;
        }
    }
}

async fn exit_code(engine: &Engine, id: &str) -> Result<i64, String> {
    let mut waiting = Box::pin(engine.api().wait_container(id, None::<WaitContainerOptions>));
    match waiting.next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(words(&error)),
        None => Err("the engine gave no answer".to_owned()),
    }
}

async fn ran_out_of_memory(engine: &Engine, id: &str) -> bool {
    let found = engine.api().inspect_container(id, None).await;
    found.ok().and_then(|found| found.state?.oom_killed).unwrap_or(false)
}

/// Why a container did not start, in words that help.
fn unstartable(reason: &str) -> String {
    let no_shell = reason.contains("\"sh\": executable file not found");
    if no_shell {
        return "the image has no `sh`, which a job's script needs; name another image, or set `image:entrypoint`"
            .into();
    }
    format!("the job's container cannot be started: {reason}")
}
