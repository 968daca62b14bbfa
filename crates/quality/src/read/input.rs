//! The bytes of a report: bounded as a whole and for each token, with a count of lines for messages.

use std::io::{self, BufRead, Read};

use super::encoding::Utf8;

const BUFFER_BYTES: usize = 64 << 10;
/// Bytes between two steps of a parser: one text, one tag, one line.
pub(super) const TOKEN_BYTES_MAX: usize = 32 << 20;

/// Which limit ended a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {max} {unit}")]
pub(super) struct Limit {
    pub(super) max: u64,
    pub(super) unit: &'static str,
}

/// A bounded reader.
pub(super) struct Input<R> {
    source: Utf8<R>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    bytes_left: u64,
    bytes_max: u64,
    token_bytes: usize,
    lines: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, bytes_max: u64) -> Self {
        Self {
            source: Utf8::new(source),
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            bytes_left: bytes_max,
            bytes_max,
            token_bytes: 0,
            lines: 0,
        }
    }

    /// The line that was last handed out, from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// Begins a new token.
    pub(super) fn next_token(&mut self) {
        self.token_bytes = 0;
    }

    fn fill(&mut self) -> io::Result<()> {
        let read = loop {
            match self.source.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        (self.start, self.end) = (0, read);
        self.bytes_left = self
            .bytes_left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, Limit { max: self.bytes_max, unit: "bytes" }))?;
        Ok(())
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.fill()?;
        }
        if self.token_bytes > TOKEN_BYTES_MAX {
            let limit = Limit { max: TOKEN_BYTES_MAX as u64, unit: "bytes in one piece of text" };
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, limit));
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        let taken = &self.buffer[self.start..self.start + count];
        self.lines += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.start += count;
        self.token_bytes += count;
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // A parser that reads in blocks has its own bounds on tokens.
        self.next_token();
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The limit behind an error of a reader, if it was one.
pub(super) fn limit_of(error: &io::Error) -> Option<Limit> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Limit>()).copied()
}
