//! A platform in a temporary folder, and how tests wait and ask.

use serin_model::service::{Health, LogFormat, Probe};
use serin_model::{Digest, NodeName};
use serin_platform::{
    Container, NodeKey, NodeSpec, NodeState, Observation, Platform, ProcessPlatform, SupervisorCommand,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const FIXTURE: &str = env!("CARGO_BIN_EXE_platform-fixture");
pub const ENVIRONMENT: &str = "1-test";
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub platform: ProcessPlatform,
    dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { platform: open(&dir.path().join("nodes")), dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("nodes")
    }

    /// Starts the fixture as node `a-1` and waits until it is healthy.
    pub async fn healthy(&self, mode: &str) -> Observation {
        self.platform.apply(&spec(mode, 1)).await.unwrap();
        wait(&self.platform, "a-1", is_healthy).await
    }

    /// The same folder seen by a fresh platform, as after the server's restart.
    pub fn restart(mut self) -> Self {
        let path = self.path();
        self.platform = open(&path);
        self
    }
}

/// Leaves no process behind, also where a test fails.
impl Drop for World {
    fn drop(&mut self) {
        let nodes = self.path().join("nodes").join(ENVIRONMENT);
        for node in std::fs::read_dir(nodes).into_iter().flatten().flatten() {
            let mark = format!("SERIN_NODE_DIR={}", node.path().display());
            for pid in pids_with(|pid| has_mark(pid, &mark) || has_argument(pid, &node.path())) {
                kill(pid, "KILL");
            }
        }
    }
}

pub fn open(path: &Path) -> ProcessPlatform {
    let supervisor = SupervisorCommand { program: FIXTURE.into(), args: vec!["node-supervisor".to_owned()] };
    ProcessPlatform::new(path.to_owned(), supervisor).unwrap()
}

pub fn key(node: &str) -> NodeKey {
    NodeKey { environment: ENVIRONMENT.to_owned(), node: NodeName(node.to_owned()) }
}

/// The fixture's service in that mode, as node `a-1`.
pub fn spec(mode: &str, generation: u64) -> NodeSpec {
    NodeSpec {
        key: key("a-1"),
        generation,
        digest: Digest(format!("sha256:{generation}")),
        release_dir: std::env::temp_dir(),
        image: None,
        port: None,
        command: vec![FIXTURE.to_owned(), "service".to_owned(), mode.to_owned()],
        variables: vec![("COLOUR".to_owned(), "blue".to_owned())],
        health: Health { probe: Probe::Http, path: "/healthz".to_owned(), timeout_ms: 20_000, interval_ms: 50 },
        logs: LogFormat::Json,
        stop_timeout_ms: 10_000,
        secrets: Vec::new(),
        container: Container::default(),
    }
}

pub fn is_healthy(seen: &Observation) -> bool {
    seen.state == NodeState::Healthy
}

/// Waits until the node is seen as wanted, woken by the platform's changes alone.
pub async fn wait(platform: &dyn Platform, node: &str, is_wanted: impl Fn(&Observation) -> bool) -> Observation {
    let mut changes = platform.changes();
    let deadline = Instant::now() + PATIENCE;
    loop {
        changes.borrow_and_update();
        let seen = find(platform, node).await;
        if let Some(seen) = seen.clone().filter(&is_wanted) {
            return seen;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::timeout(left, changes.changed()).await.unwrap_or_else(|_| panic!("never so: {seen:?}")).unwrap();
    }
}

/// Waits for what is no change of state, such as a counter.
pub async fn poll(platform: &dyn Platform, node: &str, is_wanted: impl Fn(&Observation) -> bool) -> Observation {
    poll_for(platform, node, PATIENCE, is_wanted).await
}

/// The same, for that long.
pub async fn poll_for(
    platform: &dyn Platform,
    node: &str,
    patience: Duration,
    is_wanted: impl Fn(&Observation) -> bool,
) -> Observation {
    let deadline = Instant::now() + patience;
    loop {
        let seen = find(platform, node).await.unwrap();
        if is_wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "never so: {seen:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn find(platform: &dyn Platform, node: &str) -> Option<Observation> {
    let seen = platform.observe(ENVIRONMENT).await.unwrap();
    seen.into_iter().find(|seen| seen.key.node.as_str() == node)
}

/// Asks the service; gives the answer's body, or nothing where it broke off.
pub async fn get(address: Option<SocketAddr>, path: &str) -> String {
    let path = path.to_owned();
    let ask = move || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address.unwrap())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    };
    tokio::task::spawn_blocking(ask).await.unwrap().unwrap_or_default()
}

pub fn kill(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
    assert!(status.is_ok());
}

/// Whether the process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until the process is gone.
pub async fn gone(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The parent of a process: a node's supervisor.
pub fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or("0");
    line.trim().parse().unwrap()
}

pub fn pids_with(is_wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id() && is_wanted(*pid)).collect()
}

fn has_mark(pid: u32, mark: &str) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
}

fn has_argument(pid: u32, path: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| argument == path.as_os_str().as_encoded_bytes())
}
