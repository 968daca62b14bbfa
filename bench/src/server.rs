//! The server under measurement: a process of its own on a fresh data folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::Client;

/// How long memory must not grow to count as at rest.
const REST: Duration = Duration::from_secs(2);
/// How long rest is waited for.
const REST_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A running server; killed when dropped.
pub struct Server {
    /// Asks it.
    pub client: Client,
    child: Child,
}

impl Server {
    /// Starts a server on the folder `data`; its log goes to a file beside it.
    pub fn start(program: &Path, data: &Path) -> Result<Self> {
        let log = data.with_extension("log");
        let mut child = Command::new(program)
            .args(["serve", "--format", "json", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env_remove("SERIN_URL")
            .env_remove("SERIN_JOBS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("start `{}`", program.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Ok(told) = serde_json::from_str::<Value>(&line) else {
            let _ = child.kill();
            bail!("the server did not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
        };
        let text =
            |key: &str| told[key].as_str().map(str::to_owned).with_context(|| format!("the server told no {key}"));
        let address = text("url")?.trim_start_matches("http://").to_owned();
        Ok(Self { client: Client { address, token: text("token")? }, child })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory in bytes, once it has not grown for a while.
    pub fn resident_at_rest(&self) -> Result<u64> {
        let deadline = Instant::now() + REST_TIME_MAX;
        let (mut most, mut since) = (self.resident()?, Instant::now());
        while since.elapsed() < REST && Instant::now() < deadline {
            thread::sleep(LOOK);
            let now = self.resident()?;
            if now > most {
                (most, since) = (now, Instant::now());
            }
        }
        self.resident()
    }

    /// Returns the resident memory in bytes (`VmRSS`, proc(5)).
    fn resident(&self) -> Result<u64> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("read the server's status")?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.context("no `VmRSS` in the server's status")?.trim().parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; no environment was made, so there are no nodes and no gateway.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
