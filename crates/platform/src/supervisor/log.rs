//! The node's log: captured, counted, bounded.

use crate::layout::NodeDir;
use crate::level::{self, Level};
use crate::lines::{Line, Lines};
use serin_model::service::LogFormat;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Bytes of `log` at which it becomes `log.1`: together a node's log stays below twice that and a chunk.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
const CUT: &[u8] = " … (line cut)".as_bytes();
/// Lines, and bytes of each, that a failure's reason quotes.
const LAST_LINES: usize = 10;
const LAST_LINE_BYTES: usize = 300;

/// Lines counted since the process was started.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) lines: AtomicU64,
    pub(super) warn: AtomicU64,
    pub(super) error: AtomicU64,
}

/// The log of a node over all of its processes.
#[derive(Clone)]
pub(super) struct Log {
    format: LogFormat,
    sink: Arc<Mutex<Sink>>,
}

struct Sink {
    dir: NodeDir,
    file: File,
    length: u64,
    last: VecDeque<String>,
}

impl Log {
    pub(super) fn open(dir: &NodeDir, format: LogFormat) -> io::Result<Self> {
        let file = append(dir)?;
        let length = file.metadata()?.len();
        let sink = Sink { dir: dir.clone(), file, length, last: VecDeque::new() };
        Ok(Self { format, sink: Arc::new(Mutex::new(sink)) })
    }

    /// Writes a line of the supervisor's own; counted nowhere.
    pub(super) fn remark(&self, text: &str) {
        self.with(|sink| sink.write(format!("-- {text} --\n").as_bytes()));
    }

    /// The last lines of the service, oldest first, each cut to a bounded length.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.with(|sink| sink.last.iter().cloned().collect())
    }

    /// Forgets the last lines, before another process is started.
    pub(super) fn forget(&self) {
        self.with(|sink| sink.last.clear());
    }

    /// Reads everything that a process writes, until the last holder of the pipe is gone.
    pub(super) async fn capture(self, reader: PipeReader, counts: Arc<Counts>) -> io::Result<()> {
        let mut reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let mut lines = Lines::default();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = reader.read(&mut chunk).await?;
            let mut out = Vec::with_capacity(count + 1);
            match chunk.get(..count) {
                Some(bytes) if count > 0 => lines.push(bytes, |line| self.take(line, &mut out, &counts)),
                _ => lines.finish(|line| self.take(line, &mut out, &counts)),
            }
            self.with(|sink| sink.write(&out));
            if count == 0 {
                return Ok(());
            }
        }
    }

    /// Counts one line and puts it where it will be written from.
    fn take(&self, line: Line<'_>, out: &mut Vec<u8>, counts: &Counts) {
        counts.lines.fetch_add(1, Ordering::Relaxed);
        match level::of(self.format, line.bytes) {
            Some(Level::Warn) => counts.warn.fetch_add(1, Ordering::Relaxed),
            Some(Level::Error) => counts.error.fetch_add(1, Ordering::Relaxed),
            Some(Level::Other) | None => 0,
        };
        self.with(|sink| sink.remember(line.bytes));
        out.extend_from_slice(line.bytes);
        if line.is_cut {
            out.extend_from_slice(CUT);
        }
        out.push(b'\n');
    }

    fn with<T>(&self, act: impl FnOnce(&mut Sink) -> T) -> T {
        act(&mut self.sink.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn append(dir: &NodeDir) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(dir.log())
}

impl Sink {
    /// Writes whole lines; a full disk loses lines and never stops the service.
    fn write(&mut self, bytes: &[u8]) {
        if self.length >= FILE_BYTES_MAX && self.rotate().is_err() {
            return;
        }
        if self.file.write_all(bytes).is_ok() {
            self.length += bytes.len() as u64;
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(self.dir.log(), self.dir.log_before())?;
        self.file = append(&self.dir)?;
        self.length = 0;
        Ok(())
    }

    fn remember(&mut self, line: &[u8]) {
        if self.last.len() >= LAST_LINES {
            self.last.pop_front();
        }
        let kept = line.get(..LAST_LINE_BYTES).unwrap_or(line);
        self.last.push_back(String::from_utf8_lossy(kept).into_owned());
    }
}
