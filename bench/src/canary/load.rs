//! Steady requests to a gateway, at random distances, until this value ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::service::Random;

/// Connections of one load.
const CLIENTS: u64 = 4;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// What came of the requests.
#[derive(Default)]
pub struct Counts {
    /// Answered, whatever the status.
    pub answered: AtomicU64,
    /// Of them with 500 and above.
    pub errors: AtomicU64,
    /// Not answered.
    pub broken: AtomicU64,
}

/// A running load.
pub struct Load {
    /// What came of it so far.
    pub counts: Arc<Counts>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many requests a second on average to the gateway at `host:port`.
    pub fn start(address: &str, each_second: u64) -> Self {
        let (counts, is_over) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let pause_us = CLIENTS * 1_000_000 / each_second.max(1);
        let client = |number| {
            let (address, counts, is_over) = (address.to_owned(), Arc::clone(&counts), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut random = Random(((number + 1) * 0x9e37_79b9) ^ (super::clock_ms() << 20) | 1);
                let mut due = Instant::now();
                let mut stream = None;
                while !is_over.load(Ordering::Relaxed) {
                    due += Duration::from_micros(random.below(2 * pause_us));
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    match ask(&address, &mut stream) {
                        Ok(status) => {
                            counts.answered.fetch_add(1, Ordering::Relaxed);
                            counts.errors.fetch_add(u64::from(status >= 500), Ordering::Relaxed);
                        }
                        Err(_) => {
                            stream = None;
                            counts.broken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { counts, is_over, clients }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // It has nothing to say.
            let _ = client.join();
        }
    }
}

/// One request on a kept connection; the answer's status.
fn ask(address: &str, kept: &mut Option<BufReader<TcpStream>>) -> Result<u16> {
    let reader = match kept {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
            kept.insert(BufReader::new(stream))
        }
    };
    write!(reader.get_mut(), "GET /work HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let (mut status, mut length, mut line) = (0, 0_u64, String::new());
    loop {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the connection ended");
        let lower = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = lower.strip_prefix("http/1.1 ") {
            status = rest.get(..3).context("no status")?.parse()?;
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        } else if lower.is_empty() {
            break;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(status)
}
