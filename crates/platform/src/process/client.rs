//! Talks to a node's supervisor.

use crate::layout::NodeDir;
use crate::protocol::{LINE_BYTES_MAX, Request, State, Status};
use crate::{Error, NodeKey};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What a supervisor gets beyond the service's own time-out to end.
const STOP_GRACE: Duration = Duration::from_secs(5);

impl Status {
    /// Whether the supervisor is about to end, so that it can carry out no further order.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.state, State::Stopping | State::Stopped)
    }
}

async fn ask(dir: &NodeDir, request: Request) -> io::Result<UnixStream> {
    let (_handle, path) = dir.socket()?;
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(&request).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(stream)
}

/// Asks for the status.
pub(super) async fn status(dir: &NodeDir) -> io::Result<Status> {
    let answer = async {
        let stream = ask(dir, Request::Status).await?;
        let mut line = String::new();
        BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
        serde_json::from_str(&line).map_err(io::Error::other)
    };
    timeout(ANSWER_TIMEOUT, answer).await?
}

/// Calls `changed` at each change of state, and once more when the supervisor is gone.
pub(super) async fn follow(dir: &NodeDir, changed: impl Fn() -> Option<()>) {
    let Ok(stream) = ask(dir, Request::Subscribe).await else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(count) if count > 0 => {}
            _ => break,
        }
        if changed().is_none() {
            return;
        }
    }
    changed();
}

/// Stops the node's service and supervisor; returns when both are gone, or at once where there is none.
pub(super) async fn stop(key: &NodeKey, dir: &NodeDir, stop_timeout_ms: i64) -> Result<(), Error> {
    let Ok(mut stream) = ask(dir, Request::Stop).await else { return Ok(()) };
    let service = Duration::from_millis(u64::try_from(stop_timeout_ms).unwrap_or(0));
    if timeout(service + STOP_GRACE, end_of(&mut stream)).await.is_ok() {
        return Ok(());
    }
    // The connection is open, so its listener's process is alive and the number is still its own.
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let killed = pid.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
    if killed && timeout(STOP_GRACE, end_of(&mut stream)).await.is_ok() {
        tracing::warn!(node = %key, "supervisor did not stop in time and was killed");
        return Ok(());
    }
    Err(Error::Supervisor { key: key.clone(), reason: "does not stop".to_owned() })
}

async fn end_of(stream: &mut UnixStream) {
    let mut buffer = [0; 1024];
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            return;
        }
    }
}
