//! The node's log: captured, counted, bounded.

use super::level::{self, Level};
use crate::layout::NodeDir;
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
/// Bytes kept of one line.
const LINE_BYTES_MAX: usize = 16 * 1024;
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

struct Line<'a> {
    bytes: &'a [u8],
    is_cut: bool,
}

/// Puts lines together from chunks; what a line has beyond its limit is dropped.
#[derive(Default)]
struct Lines {
    open: Vec<u8>,
    is_cut: bool,
}

impl Lines {
    fn push(&mut self, mut chunk: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = chunk.split_at(end);
            self.extend(head);
            self.emit(&mut line);
            chunk = rest.get(1..).unwrap_or_default();
        }
        self.extend(chunk);
    }

    fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if !self.open.is_empty() {
            self.emit(&mut line);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.open.len();
        self.is_cut |= bytes.len() > room;
        self.open.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn emit(&mut self, line: &mut impl FnMut(Line<'_>)) {
        let bytes = self.open.strip_suffix(b"\r").unwrap_or(&self.open);
        line(Line { bytes, is_cut: self.is_cut });
        self.open.clear();
        self.is_cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, Lines};

    fn split(chunks: &[&[u8]]) -> Vec<(usize, bool)> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| seen.push((line.bytes.len(), line.is_cut)));
        }
        lines.finish(|line| seen.push((line.bytes.len(), line.is_cut)));
        seen
    }

    #[test]
    fn lines_come_out_whole_however_they_are_cut_into_chunks() {
        assert_eq!(split(&[b"a\nbb\r\n\nc"]), [(1, false), (2, false), (0, false), (1, false)]);
        assert_eq!(split(&[b"a", b"b", b"\n", b"c\n"]), [(2, false), (1, false)]);
        assert_eq!(split(&[b""]), []);
    }

    #[test]
    fn a_long_line_is_cut_and_counted_once() {
        let long = vec![b'x'; LINE_BYTES_MAX * 3];
        assert_eq!(split(&[&long, &long, b"\nb\n"]), [(LINE_BYTES_MAX, true), (1, false)]);
    }
}
