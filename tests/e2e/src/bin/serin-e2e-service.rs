//! A tiny HTTP service for the tests to deploy. The file `service.txt` beside it says what it is like, a word a line:
//! `version NAME`, `slow-start MILLISECONDS`, `errors PERCENT`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

struct Service {
    version: String,
    slow_start: Duration,
    errors_percent: u64,
    started: Instant,
    answered: AtomicU64,
}

fn main() -> io::Result<()> {
    let text = fs::read_to_string("service.txt")?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("");
    let service: &'static Service = Box::leak(Box::new(Service {
        version: value("version").to_owned(),
        slow_start: Duration::from_millis(value("slow-start").parse().unwrap_or(0)),
        errors_percent: value("errors").parse().unwrap_or(0),
        started: Instant::now(),
        answered: AtomicU64::new(0),
    }));
    let port = env::var("PORT").map_err(io::Error::other)?;
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    for stream in listener.incoming() {
        let stream = stream?;
        // A connection that breaks is the client's affair.
        thread::spawn(move || drop(service.serve(&stream)));
    }
    Ok(())
}

impl Service {
    /// Answers requests without a body until the client goes.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let mut line = String::new();
            while reader.read_line(&mut line)? > 2 {
                line.clear();
            }
            let (status, body) = self.answer(first.split(' ').nth(1).unwrap_or("/"));
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
            (&mut &*stream).write_all(answer.as_bytes())?;
        }
    }

    fn answer(&self, path: &str) -> (&'static str, &str) {
        if path == "/healthz" {
            return match self.started.elapsed() < self.slow_start {
                true => ("503 Service Unavailable", "starting"),
                false => ("200 OK", "ok"),
            };
        }
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        // Spread evenly, so that a few requests show it.
        if number * self.errors_percent / 100 != (number + 1) * self.errors_percent / 100 {
            let _ = writeln!(io::stdout(), r#"{{"level":"ERROR","message":"request {number} failed"}}"#);
            return ("500 Internal Server Error", "failed");
        }
        ("200 OK", &self.version)
    }
}
