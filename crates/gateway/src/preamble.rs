//! Reading a request's header off a fresh connection, within a time and a size, before pingora parses it.
//!
//! Refuses what two parsers could frame differently (RFC 9112, sections 2.2, 5, 6 and 11.2), so that no node ever sees a
//! request that the gateway did not.

use std::time::Duration;

use bytes::BytesMut;
use pingora_core::protocols::Stream;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a connection may stay without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a header may take from its first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest header, in bytes.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Most header fields.
const FIELDS_MAX: usize = 100;
/// Room made for a header at first, in bytes.
const BUFFER_BYTES: usize = 2 * 1024;

/// What came over the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Preamble {
    /// A whole header, and what of the body came with it.
    Request(BytesMut),
    /// Nothing more: closed, idle for too long, or the listener ends.
    End,
    /// Something to refuse.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(&'static str),
    TooLarge,
    TooSlow,
    Version,
}

impl Refusal {
    /// Gives the status line's code and reason.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Malformed(_) => "400 Bad Request",
            Self::TooSlow => "408 Request Timeout",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }

    /// Says what was wrong, for the client.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Malformed(reason) => reason,
            Self::TooSlow => "the request header took too long",
            Self::TooLarge => "the request header is too large",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        }
    }
}

/// Reads up to the end of a header; `stop` ends the wait for a request that has not begun.
pub(crate) async fn read(stream: &mut Stream, stop: &mut watch::Receiver<bool>) -> Preamble {
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
    let began = tokio::select! {
        biased;
        began = timeout(IDLE_TIMEOUT, stream.read_buf(&mut buffer)) => matches!(began, Ok(Ok(1..))),
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if !began {
        return Preamble::End;
    }
    timeout(HEADER_TIMEOUT, complete(stream, buffer)).await.unwrap_or(Preamble::Refused(Refusal::TooSlow))
}

async fn complete(stream: &mut Stream, mut buffer: BytesMut) -> Preamble {
    let mut scanned = 0;
    loop {
        skip_empty_lines(&mut buffer);
        match header_end(&buffer, scanned) {
            Ok(Some(end)) => return judged(buffer, end),
            Ok(None) if buffer.len() > HEADER_BYTES_MAX => return Preamble::Refused(Refusal::TooLarge),
            Ok(None) => scanned = buffer.len(),
            Err(refusal) => return Preamble::Refused(refusal),
        }
        buffer.reserve(BUFFER_BYTES);
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return Preamble::End;
        }
    }
}

fn judged(buffer: BytesMut, end: usize) -> Preamble {
    if end > HEADER_BYTES_MAX {
        return Preamble::Refused(Refusal::TooLarge);
    }
    match check(&buffer[..end]) {
        Ok(()) => Preamble::Request(buffer),
        Err(refusal) => Preamble::Refused(refusal),
    }
}

/// Drops empty lines before a request line (RFC 9112, 2.2).
fn skip_empty_lines(buffer: &mut BytesMut) {
    while buffer.starts_with(b"\r\n") {
        let _ = buffer.split_to(2);
    }
}

/// Finds the end of the header, past its empty line; `scanned` bytes were looked at before.
fn header_end(buffer: &[u8], scanned: usize) -> Result<Option<usize>, Refusal> {
    for at in scanned.saturating_sub(1)..buffer.len() {
        match buffer[at] {
            0 => return Err(Refusal::Malformed("a zero byte in the header")),
            b'\n' if at == 0 || buffer[at - 1] != b'\r' => return Err(Refusal::Malformed("a line without CR")),
            b'\n' if at >= 3 && buffer[at - 2] == b'\n' => return Ok(Some(at + 1)),
            _ => {}
        }
        if at > 0 && buffer[at - 1] == b'\r' && buffer[at] != b'\n' {
            return Err(Refusal::Malformed("a CR within a line"));
        }
    }
    Ok(None)
}

/// What of the header decides where the message ends and whom it is for.
#[derive(Default)]
struct Framing {
    lengths: usize,
    codings: usize,
    hosts: usize,
}

fn check(header: &[u8]) -> Result<(), Refusal> {
    let mut lines = header.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_11 = check_request_line(lines.next().unwrap_or_default())?;
    let mut framing = Framing::default();
    let mut fields = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(Refusal::TooLarge);
        }
        framing.field(line)?;
    }
    framing.check(is_11)
}

/// Says whether it is HTTP/1.1.
fn check_request_line(line: &[u8]) -> Result<bool, Refusal> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(Refusal::Malformed("the request line is not three words"));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::Malformed("the method is no token"));
    }
    if target.is_empty() || target.iter().any(u8::is_ascii_control) {
        return Err(Refusal::Malformed("the target is empty or has control characters"));
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        version if version.starts_with(b"HTTP/") => Err(Refusal::Version),
        _ => Err(Refusal::Malformed("the request line has no version")),
    }
}

impl Framing {
    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Refusal::Malformed("a field without a colon"))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Refusal::Malformed("a field name with blanks or other characters that names have not"));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
                return Err(Refusal::Malformed("Content-Length is not one number"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings += 1;
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Malformed("Transfer-Encoding is not `chunked` alone"));
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        }
        Ok(())
    }

    fn check(&self, is_11: bool) -> Result<(), Refusal> {
        let malformed = |reason| Err(Refusal::Malformed(reason));
        match (self.lengths, self.codings, self.hosts) {
            (1.., 1.., _) => malformed("both Content-Length and Transfer-Encoding"),
            (2.., ..) => malformed("Content-Length appears twice"),
            (_, 2.., _) => malformed("Transfer-Encoding appears twice"),
            (_, 1, _) if !is_11 => malformed("Transfer-Encoding in HTTP/1.0"),
            (.., 0) if is_11 => malformed("no Host"),
            (.., 2..) => malformed("Host appears twice"),
            _ => Ok(()),
        }
    }
}

/// Tells the characters of tokens (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(header: &str) -> Result<(), Refusal> {
        let end = header_end(header.as_bytes(), 0)?.expect("a whole header");
        check(&header.as_bytes()[..end])
    }

    #[test]
    fn ordinary_requests_pass() {
        for header in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "POST /x?y=%20z HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nhost:a\r\ntransfer-encoding: Chunked\r\n\r\n",
            "GET /caf\u{e9} HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n\r\n",
        ] {
            assert_eq!(verdict(header), Ok(()), "{header:?}");
        }
    }

    #[test]
    fn what_could_be_framed_in_two_ways_is_refused() {
        for rest in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length: 0x3",
            "Content-Length:",
            "Content-Length : 3",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding:\u{b}chunked",
            "Host: b",
            "X: a\r\n folded: b",
            "X: a\nContent-Length: 3",
            "X: a\rb",
            "X: a\0b",
            "no colon",
            ": nameless",
        ] {
            let header = format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}\r\n\r\n");
            assert!(matches!(verdict(&header), Err(Refusal::Malformed(_))), "{rest:?}");
        }
    }

    #[test]
    fn bad_request_lines_are_refused() {
        for line in [
            "GET /",
            "GET  / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET / HTTP/1.1 x",
            "GET /\u{7f} HTTP/1.1",
            " GET / HTTP/1.1",
        ] {
            assert!(matches!(verdict(&format!("{line}\r\nHost: a\r\n\r\n")), Err(Refusal::Malformed(_))), "{line:?}");
        }
        assert_eq!(verdict("PRI * HTTP/2.0\r\n\r\n"), Err(Refusal::Version));
        assert!(verdict("GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(verdict("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let header = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n\0";
        for split in 0..header.len() {
            let early = header_end(&header[..split], 0).unwrap();
            let end = early.or_else(|| header_end(header, split).unwrap());
            assert_eq!(end, Some(27), "split at {split}");
        }
    }

    #[test]
    fn too_many_fields_are_too_large() {
        let fields = "X: y\r\n".repeat(FIELDS_MAX + 1);
        assert_eq!(verdict(&format!("GET / HTTP/1.1\r\n{fields}\r\n")), Err(Refusal::TooLarge));
    }
}
