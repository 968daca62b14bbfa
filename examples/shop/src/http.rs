//! HTTP/1.1 as far as the shop speaks it (RFC 9112): requests with Content-Length, keep-alive.

use std::io::{self, BufRead, Read, Write};

const LINE_BYTES_MAX: u64 = 8 * 1024;
const HEADERS_MAX: usize = 64;
/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: Vec<u8>,
    /// Whether the connection stays open for another request.
    pub keep_alive: bool,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub enum Fault {
    /// The other side closed the connection, or it broke.
    Closed,
    /// It is no request that is understood; to be answered with this status.
    Refused(u16),
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl Response {
    /// An answer for programs.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.into().into_bytes(),
        }
    }

    /// An answer for people.
    pub fn html(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "text/html; charset=utf-8",
            body: body.into().into_bytes(),
        }
    }

    /// Writes it in one piece.
    pub fn write(&self, out: &mut impl Write, keep_alive: bool) -> io::Result<()> {
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
            if keep_alive { "keep-alive" } else { "close" }
        )
        .into_bytes();
        bytes.extend_from_slice(&self.body);
        out.write_all(&bytes)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// Reads one request.
pub fn read_request(reader: &mut impl BufRead) -> Result<Request, Fault> {
    let first = line(reader)?.ok_or(Fault::Closed)?;
    let mut words = first.split(' ');
    let (method, target, version) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some(version), None) => (method, target, version),
        _ => return Err(Fault::Refused(400)),
    };
    if !target.starts_with('/') || !version.starts_with("HTTP/1.") {
        return Err(Fault::Refused(400));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = headers(reader)?;
    let mut body = vec![0; head.length];
    reader.read_exact(&mut body)?;
    Ok(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body,
        keep_alive: head.keep_alive.unwrap_or(version != "HTTP/1.0"),
    })
}

#[derive(Default)]
struct Head {
    length: usize,
    keep_alive: Option<bool>,
}

fn headers(reader: &mut impl BufRead) -> Result<Head, Fault> {
    let mut head = Head::default();
    for _ in 0..HEADERS_MAX {
        let line = line(reader)?.ok_or(Fault::Closed)?;
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line.split_once(':').ok_or(Fault::Refused(400))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.parse().map_err(|_| Fault::Refused(400))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Fault::Refused(411));
        } else if name.eq_ignore_ascii_case("connection") {
            head.keep_alive = Some(!value.eq_ignore_ascii_case("close"));
        }
        if head.length > BODY_BYTES_MAX {
            return Err(Fault::Refused(413));
        }
    }
    Err(Fault::Refused(400))
}

/// A line without its end; `None` at the connection's end.
fn line(reader: &mut impl BufRead) -> Result<Option<String>, Fault> {
    let mut bytes = Vec::new();
    reader
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(Fault::Refused(400));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Fault::Refused(400))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Request, Response, read_request};

    fn read(text: &str) -> Result<Request, Fault> {
        read_request(&mut text.as_bytes())
    }

    #[test]
    fn a_request_is_read() {
        let request =
            read("POST /a?b=c HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\nhi!").unwrap();
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.query.as_str()
            ),
            ("POST", "/a", "b=c")
        );
        assert_eq!(
            (request.body.as_slice(), request.keep_alive),
            (&b"hi"[..], true)
        );
    }

    #[test]
    fn connections_stay_open_as_asked() {
        assert!(
            !read("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
                .unwrap()
                .keep_alive
        );
        assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(
            read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                .unwrap()
                .keep_alive
        );
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let status = |text: &str| match read(text) {
            Err(Fault::Refused(status)) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status("GET /\r\n\r\n"), 400);
        assert_eq!(status("GET x HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
        assert_eq!(
            status("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
            413
        );
        assert_eq!(
            status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            411
        );
        assert_eq!(
            status(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000))),
            400
        );
    }

    #[test]
    fn a_cut_request_is_no_request() {
        for text in [
            "",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
        ] {
            assert!(matches!(read(text), Err(Fault::Closed)), "{text:?}");
        }
    }

    #[test]
    fn an_answer_is_written() {
        let mut out = Vec::new();
        Response::json(404, "{}").write(&mut out, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"));
        assert!(text.ends_with("Content-Length: 2\r\nConnection: close\r\n\r\n{}"));
    }
}
