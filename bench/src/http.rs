//! A request to the server under measurement; as much of HTTP as that takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Where requests go, and in whose name.
#[derive(Clone, Debug)]
pub struct Client {
    /// `host:port`.
    pub address: String,
    /// A token.
    pub token: String,
}

impl Client {
    /// Asks for a JSON document.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.send("GET", path, "")
    }

    /// Sends a JSON document and returns the answer's.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send("POST", path, &body.to_string())
    }

    /// Asks for a page and returns its text.
    pub fn page(&self, path: &str) -> Result<String> {
        self.exchange("GET", path, "")
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let body = self.exchange(method, path, body)?;
        serde_json::from_str(&body).with_context(|| format!("{method} {path}: `{body}` is no JSON"))
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let Self { address, token } = self;
        let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nPRIVATE-TOKEN: {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| format!("read the answer to {method} {path}"))?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status.starts_with('2'), "{method} {path}: {status}: {body}");
        Ok(body.to_owned())
    }
}
