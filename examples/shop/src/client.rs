//! A small HTTP client for the tests: one connection, many requests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection to one node.
pub struct Client {
    host: String,
    reader: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Client {
    /// Connects to `http://HOST:PORT`.
    pub fn connect(url: &str) -> io::Result<Self> {
        let host = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            host,
            reader: BufReader::new(stream),
        })
    }

    /// GET.
    pub fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.ask("GET", target, "")
    }

    /// POST with a body.
    pub fn post(&mut self, target: &str, body: &str) -> io::Result<Answer> {
        self.ask("POST", target, body)
    }

    /// Sends these bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> io::Result<Answer> {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.send(request.as_bytes())?;
        self.receive()
    }

    /// Reads one answer.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no answer but `{first}`")))?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; BODY_BYTES_MAX.min(length)];
        self.reader.read_exact(&mut body)?;
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}
