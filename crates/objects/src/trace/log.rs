//! One trace on disk: `.log`, its bytes, and `.index`, checkpoints.
//!
//! A checkpoint is an offset and the number of line ends before it, two 64-bit little-endian numbers. There is one each
//! [`CHECKPOINT_LINES`] lines and each [`CHECKPOINT_BYTES`] bytes, whichever comes first, so that finding a line reads at
//! most that much. The index is derived: what is missing or damaged at its end is made again from the bytes.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Appended, Lines, TRACE_READ_BYTES_MAX};
use crate::error::{At, Error};

const CHECKPOINT_LINES: u64 = 1_000;
const CHECKPOINT_BYTES: u64 = 256 << 10;
const RECORD_BYTES: u64 = 16;
const SCAN_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    offset: u64,
    /// Line ends before `offset`.
    lines: u64,
}

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Opened by the first append; a trace that is only looked at makes no file.
    files: Option<Files>,
    bytes_max: u64,
    end: Position,
    checkpoint: Position,
    checkpoints: u64,
}

#[derive(Debug)]
struct Files {
    log: File,
    index: File,
}

impl Log {
    pub(super) fn open(path: &Path, bytes_max: u64) -> Result<Self, Error> {
        let path = path.to_owned();
        let zero = Position::default();
        let mut log = Self { path, files: None, bytes_max, end: zero, checkpoint: zero, checkpoints: 0 };
        if with_ending(&log.path, "log").exists() {
            log.make()?;
            log.recover()?;
        }
        Ok(log)
    }

    pub(super) fn delete(path: &Path) -> Result<(), Error> {
        for ending in ["log", "index"] {
            let path = with_ending(path, ending);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("remove", &path),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.end.offset
    }

    pub(super) fn lines(&self) -> u64 {
        self.end.lines
    }

    /// Appends at `offset`, or at the end.
    pub(super) fn append(&mut self, offset: Option<u64>, bytes: &[u8]) -> Result<Appended, Error> {
        let size = self.size();
        if size > self.bytes_max {
            return Ok(Appended { size, cut: true });
        }
        let offset = offset.unwrap_or(size);
        if offset > size {
            return Err(Error::Gap { size, offset });
        }
        let known = usize::try_from(size - offset).unwrap_or(usize::MAX).min(bytes.len());
        let fresh = &bytes[known..];
        let room = usize::try_from(self.bytes_max - size).unwrap_or(usize::MAX);
        if fresh.len() <= room {
            self.write(fresh)?;
            return Ok(Appended { size: self.size(), cut: false });
        }
        self.write(&fresh[..room])?;
        self.write(notice(self.bytes_max).as_bytes())?;
        Ok(Appended { size: self.size(), cut: true })
    }

    pub(super) fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let start = range.start.min(self.size());
        let length = range.end.min(self.size()).saturating_sub(start);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(TRACE_READ_BYTES_MAX)];
        self.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }

    pub(super) fn read_lines(&self, first: u64, count: u64) -> Result<Lines, Error> {
        let offset = self.line_start(first)?;
        let most = TRACE_READ_BYTES_MAX as u64;
        let near = self.end_of_lines(offset, count, offset.saturating_add(most))?;
        Ok(Lines { first, offset, bytes: self.read(offset..near)? })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.make()?;
        let Some(files) = &self.files else { return Ok(()) };
        files.log.write_all_at(bytes, self.end.offset).at("write trace", &self.path)?;
        self.count(bytes)
    }

    /// Moves the end over `bytes`, which are on disk, and sets checkpoints.
    fn count(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let byte_room = self.checkpoint.offset + CHECKPOINT_BYTES - self.end.offset;
            let line_room = self.checkpoint.lines + CHECKPOINT_LINES - self.end.lines;
            let window = rest.len().min(usize::try_from(byte_room).unwrap_or(usize::MAX));
            let (used, lines) = count_lines(&rest[..window], line_room);
            self.end.offset += used as u64;
            self.end.lines += lines;
            rest = &rest[used..];
            if used as u64 == byte_room || lines == line_room {
                self.set_checkpoint()?;
            }
        }
        Ok(())
    }

    fn set_checkpoint(&mut self) -> Result<(), Error> {
        let mut record = [0; RECORD_BYTES as usize];
        record[..8].copy_from_slice(&self.end.offset.to_le_bytes());
        record[8..].copy_from_slice(&self.end.lines.to_le_bytes());
        if let Some(files) = &self.files {
            files
                .index
                .write_all_at(&record, self.checkpoints * RECORD_BYTES)
                .at("write index of trace", &self.path)?;
        }
        self.checkpoints += 1;
        self.checkpoint = self.end;
        Ok(())
    }

    /// Takes up the files after a restart.
    fn recover(&mut self) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        let size = files.log.metadata().at("look at trace", &self.path)?.len();
        self.checkpoints = files.index.metadata().at("look at trace", &self.path)?.len() / RECORD_BYTES;
        while self.checkpoints > 0 {
            let last = self.checkpoint_at(self.checkpoints - 1)?;
            if last.offset <= size {
                self.checkpoint = last;
                break;
            }
            self.checkpoints -= 1;
        }
        self.end = self.checkpoint;
        let mut buffer = vec![0; SCAN_BYTES];
        while self.end.offset < size {
            let length = usize::try_from(size - self.end.offset).unwrap_or(usize::MAX).min(SCAN_BYTES);
            self.read_exact_at(&mut buffer[..length], self.end.offset)?;
            self.count(&buffer[..length])?;
        }
        Ok(())
    }

    /// Where line `line` begins; behind the last line, the end.
    fn line_start(&self, line: u64) -> Result<u64, Error> {
        if line == 0 {
            return Ok(0);
        }
        // The last checkpoint with fewer than `line` line ends before it.
        let (mut low, mut high) = (0, self.checkpoints);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.checkpoint_at(middle)?.lines < line { low = middle + 1 } else { high = middle }
        }
        let from = if low == 0 { Position::default() } else { self.checkpoint_at(low - 1)? };
        self.end_of_lines(from.offset, line - from.lines, u64::MAX)
    }

    /// The place behind `count` line ends from `from` on, at most `most` or the end.
    fn end_of_lines(&self, from: u64, count: u64, most: u64) -> Result<u64, Error> {
        let most = most.min(self.size());
        let (mut offset, mut left) = (from, count);
        let mut buffer = vec![0; SCAN_BYTES];
        while left > 0 && offset < most {
            let length = usize::try_from(most - offset).unwrap_or(usize::MAX).min(SCAN_BYTES);
            self.read_exact_at(&mut buffer[..length], offset)?;
            let (used, lines) = count_lines(&buffer[..length], left);
            offset += used as u64;
            left -= lines;
        }
        Ok(offset)
    }

    fn checkpoint_at(&self, number: u64) -> Result<Position, Error> {
        let mut record = [0; RECORD_BYTES as usize];
        if let Some(files) = &self.files {
            files.index.read_exact_at(&mut record, number * RECORD_BYTES).at("read index of trace", &self.path)?;
        }
        let (mut offset, mut lines) = ([0; 8], [0; 8]);
        offset.copy_from_slice(&record[..8]);
        lines.copy_from_slice(&record[8..]);
        Ok(Position { offset: u64::from_le_bytes(offset), lines: u64::from_le_bytes(lines) })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        match &self.files {
            Some(files) => files.log.read_exact_at(buffer, offset).at("read trace", &self.path),
            None => Ok(()),
        }
    }

    fn make(&mut self) -> Result<(), Error> {
        if self.files.is_some() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).at("make folder", folder)?;
        }
        let open = |ending| {
            let path = with_ending(&self.path, ending);
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.open(&path).at("open trace", &path)
        };
        self.files = Some(Files { log: open("log")?, index: open("index")? });
        Ok(())
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().map(OsStr::to_owned).unwrap_or_default();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// Bytes up to and with the line end number `most`, or all; and how many line ends are in them.
fn count_lines(bytes: &[u8], most: u64) -> (usize, u64) {
    let mut lines = 0;
    for index in memchr::memchr_iter(b'\n', bytes) {
        lines += 1;
        if lines == most {
            return (index + 1, lines);
        }
    }
    (bytes.len(), lines)
}

fn notice(bytes_max: u64) -> String {
    format!("\n\x1b[31;1mThe trace is cut here: a trace holds at most {bytes_max} bytes.\x1b[0;m\n")
}
