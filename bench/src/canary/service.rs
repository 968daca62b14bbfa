//! The service whose versions are compared: a small HTTP server. The file `tuning` beside it says what a version is
//! like, a word and a number a line; what is not said is as in [`Tuning::default`].

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The first argument that makes this program the service.
pub const ARGUMENT: &str = "service";
/// Where it listens.
pub const PORT: u16 = 8080;
/// The file's name.
pub const TUNING: &str = "tuning";

/// Of a million requests, those that are slow.
const SLOW_PPM: u64 = 50_000;
/// Milliseconds that a quick request waits at most.
const QUICK_MS: u64 = 15;
/// What is written goes round in a file of that size, so that the disk does not fill.
const FILE_BYTES: u64 = 64 << 20;
/// Between two writes of what the requests left to be written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
const PAGE: usize = 4096;

/// What a version is like.
struct Tuning {
    /// Rounds of arithmetic that a request takes.
    cpu_rounds: u64,
    /// Milliseconds that a slow request waits at most.
    slow_ms: u64,
    /// Requests of a million that are answered with 500.
    errors_ppm: u64,
    /// Bytes that a request has written to disk.
    disk_bytes: u64,
    /// Bytes of an answer.
    body_bytes: u64,
    /// Requests of a million that log a WARN line.
    warn_ppm: u64,
    /// Memory in use from the start on.
    memory_bytes: u64,
    /// Parts of a million of it that are lost each minute.
    leak_ppm: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            cpu_rounds: 1_000_000,
            slow_ms: 100,
            errors_ppm: 1_000,
            disk_bytes: 4_096,
            body_bytes: 4_096,
            warn_ppm: 20_000,
            memory_bytes: 64 << 20,
            leak_ppm: 0,
        }
    }
}

impl Tuning {
    fn read(text: &str) -> Self {
        let mut tuning = Self::default();
        for (word, number) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Ok(number) = number.trim().parse() else { continue };
            match word {
                "cpu-rounds" => tuning.cpu_rounds = number,
                "slow-ms" => tuning.slow_ms = number,
                "errors-ppm" => tuning.errors_ppm = number,
                "disk-bytes" => tuning.disk_bytes = number,
                "body-bytes" => tuning.body_bytes = number,
                "warn-ppm" => tuning.warn_ppm = number,
                "leak-ppm" => tuning.leak_ppm = number,
                _ => {}
            }
        }
        tuning
    }
}

struct Service {
    tuning: Tuning,
    random: Mutex<Random>,
    to_write: AtomicU64,
}

/// Serves until it is killed.
pub fn main() -> Result<()> {
    let tuning = Tuning::read(&std::fs::read_to_string(TUNING).context("read `tuning`")?);
    let seed = (u64::from(std::process::id()) << 32) ^ crate::canary::clock_ms();
    let service: &'static Service =
        Box::leak(Box::new(Service { tuning, random: Mutex::new(Random(seed | 1)), to_write: AtomicU64::new(0) }));
    thread::spawn(|| service.hold_memory());
    thread::spawn(|| service.write_for_ever());
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    for stream in listener.incoming().flatten() {
        // A connection that breaks is the client's affair.
        thread::spawn(move || drop(service.serve(&stream)));
    }
    Ok(())
}

impl Service {
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let body = "x".repeat(usize::try_from(self.tuning.body_bytes)?);
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let mut line = String::new();
            while reader.read_line(&mut line)? > 2 {
                line.clear();
            }
            let (status, body) = match first.contains(" /healthz ") {
                true => ("200 OK", "ok"),
                false => (self.request(), body.as_str()),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            (&mut &*stream).write_all(answer.as_bytes())?;
        }
    }

    /// One request's work; its status.
    fn request(&self) -> &'static str {
        let [slow, wait, warn, error] = {
            let mut random = self.random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            [random.below(1_000_000), random.below(1_000), random.below(1_000_000), random.below(1_000_000)]
        };
        burn(self.tuning.cpu_rounds);
        let most = if slow < SLOW_PPM { self.tuning.slow_ms } else { QUICK_MS };
        // From 60 % of the most up to it.
        thread::sleep(Duration::from_micros(most * (600 + wait * 2 / 5)));
        self.to_write.fetch_add(self.tuning.disk_bytes, Ordering::Relaxed);
        if warn < self.tuning.warn_ppm {
            say(r#"{"level":"WARN","message":"a request took a detour"}"#);
        }
        if error < self.tuning.errors_ppm { "500 Internal Server Error" } else { "200 OK" }
    }

    /// Keeps memory, and more of it each second where the version leaks.
    fn hold_memory(&self) {
        let bytes = self.tuning.memory_bytes;
        let mut held = vec![touched(bytes)];
        let each_second = bytes * self.tuning.leak_ppm / 60 / 1_000_000;
        loop {
            thread::sleep(Duration::from_secs(1));
            if each_second > 0 {
                held.push(touched(each_second));
            }
            std::hint::black_box(&held);
        }
    }

    fn write_for_ever(&self) {
        loop {
            if let Err(error) = self.write() {
                say(&format!(r#"{{"level":"ERROR","message":"{error}"}}"#));
            }
            thread::sleep(WRITE_EVERY);
        }
    }

    /// Writes what is to be written through to the disk.
    fn write(&self) -> Result<()> {
        let mut file: File = OpenOptions::new().write(true).create(true).truncate(false).open("data")?;
        let mut at = 0;
        loop {
            thread::sleep(WRITE_EVERY);
            let bytes = self.to_write.swap(0, Ordering::Relaxed).min(FILE_BYTES / 2);
            if at + bytes > FILE_BYTES {
                at = 0;
            }
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&vec![1; usize::try_from(bytes)?])?;
            file.sync_data()?;
            at += bytes;
        }
    }
}

/// Memory that is really there.
fn touched(bytes: u64) -> Vec<u8> {
    let mut memory = vec![0; usize::try_from(bytes).unwrap_or(0)];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    memory
}

fn burn(rounds: u64) {
    let mut value = 1_u64;
    for _ in 0..rounds {
        value = std::hint::black_box(value.rotate_left(7) ^ 0x9e37_79b9_7f4a_7c15);
    }
}

fn say(line: &str) {
    // Where nobody reads, nobody misses it.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Numbers without a pattern (xorshift64*, Marsaglia 2003, Vigna 2016).
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }
}
