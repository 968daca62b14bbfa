//! Answers over the node's socket.

use super::log::Counts;
use super::{now, proc, sweep};
use crate::Usage;
use crate::layout::NodeDir;
use crate::protocol::{LINE_BYTES_MAX, Request, Status, UsageRecord};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

/// Connections at a time; further ones wait.
const CONNECTIONS_MAX: usize = 64;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections share with the node's life.
pub(super) struct Shared {
    /// The state; each change goes to subscribers. Its usage is filled in when it is asked for.
    pub(super) status: watch::Sender<Status>,
    /// Asks the node's life to stop.
    pub(super) stop: mpsc::Sender<()>,
    /// What the service's present process was seen to use.
    pub(super) meter: Mutex<Meter>,
}

/// Counters of the present process; they never go back while it lives.
#[derive(Default)]
pub(super) struct Meter {
    pub(super) counts: Arc<Counts>,
    pub(super) used: UsageRecord,
}

impl Shared {
    /// The status as it is now, with fresh usage.
    pub(super) fn status_now(&self) -> Status {
        let mut status = self.status.borrow().clone();
        status.usage = self.usage(status.pid.is_some());
        status.sampled_ms = now().0;
        status
    }

    fn usage(&self, is_running: bool) -> UsageRecord {
        let seen = if is_running { proc::usage(&sweep::family()) } else { Usage::default() };
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let before = meter.used;
        meter.used = UsageRecord {
            cpu_us: seen.cpu_us.max(before.cpu_us),
            memory_bytes: seen.memory_bytes,
            memory_private_bytes: seen.memory_private_bytes,
            disk_read_bytes: seen.disk_read_bytes.max(before.disk_read_bytes),
            disk_write_bytes: seen.disk_write_bytes.max(before.disk_write_bytes),
            log_lines: meter.counts.lines.load(Ordering::Relaxed),
            log_warn: meter.counts.warn.load(Ordering::Relaxed),
            log_error: meter.counts.error.load(Ordering::Relaxed),
        };
        meter.used
    }
}

/// Opens the socket.
pub(super) fn listen(dir: &NodeDir) -> io::Result<UnixListener> {
    let (_handle, path) = dir.socket()?;
    UnixListener::bind(path)
}

/// Answers connections for as long as the process lives.
pub(super) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _permit = permit;
                    // The other side went away: its own affair.
                    let _ = answer(stream, &shared).await;
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    match timeout(REQUEST_TIMEOUT, request(&mut stream)).await?? {
        Request::Status => send(&mut stream, &shared.status_now()).await,
        Request::Subscribe => follow(stream, shared).await,
        Request::Stop => {
            let _ = shared.stop.try_send(());
            // Stays open until this process ends: that is the answer.
            std::future::pending().await
        }
    }
}

async fn request(stream: &mut UnixStream) -> io::Result<Request> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    serde_json::from_str(&line).map_err(io::Error::other)
}

async fn follow(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let mut changes = shared.status.subscribe();
    changes.mark_changed();
    let mut byte = [0; 1];
    loop {
        tokio::select! {
            changed = changes.changed() => {
                changed.map_err(io::Error::other)?;
                changes.mark_unchanged();
                send(&mut stream, &shared.status_now()).await?;
            }
            // A subscriber says nothing further: this is its end.
            _ = stream.read(&mut byte) => return Ok(()),
        }
    }
}

async fn send(stream: &mut UnixStream, status: &Status) -> io::Result<()> {
    let mut line = serde_json::to_vec(status).map_err(io::Error::other)?;
    line.push(b'\n');
    timeout(REQUEST_TIMEOUT, stream.write_all(&line)).await?
}
