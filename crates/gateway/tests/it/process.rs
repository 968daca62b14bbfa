//! The gateway as a child process: this test binary, started anew.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serin_gateway::{Applied, Client, EnvironmentRoutes, GatewayCommand, NodeRoute, NodeState, Routes, Stats};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::node::Node;

/// Longest wait for anything in these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The environment of most tests.
pub const KEY: &str = "shop/production";

/// Not a test of its own: with `-- --dir DIR` this is the gateway's process.
#[test]
fn gateway_process() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--dir").skip(1);
    if let Some(dir) = arguments.next() {
        serin_gateway::run(Path::new(&dir)).unwrap();
    }
}

pub fn command() -> GatewayCommand {
    let arguments = ["process::gateway_process", "--exact", "--nocapture", "--test-threads=1", "--"];
    GatewayCommand { program: std::env::current_exe().unwrap(), arguments: arguments.map(str::to_owned).to_vec() }
}

/// A gateway in a folder of its own; killed when dropped.
pub struct Gateway {
    pub client: Client,
    pub dir: PathBuf,
    _tempdir: TempDir,
    pid: i32,
}

impl Gateway {
    pub async fn start() -> Self {
        let tempdir = tempfile::tempdir().unwrap();
        let dir = tempdir.path().join("gateway");
        Self::start_in(tempdir, dir).await
    }

    pub async fn start_in(tempdir: TempDir, dir: PathBuf) -> Self {
        let client = serin_gateway::ensure_running(&command(), &dir).await.unwrap();
        let pid = pid_of(&client).await;
        Self { client, dir, _tempdir: tempdir, pid }
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap();
    }

    /// Kills it, waits for the end and starts it again.
    pub async fn crash_and_restart(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_gone().await;
        self.client = serin_gateway::ensure_running(&command(), &self.dir).await.unwrap();
        self.pid = pid_of(&self.client).await;
    }

    pub async fn wait_gone(&self) {
        let client = self.client.clone();
        until("the gateway is gone", async || client.info().await.is_err()).await;
    }

    /// Serves one environment; gives its address.
    pub async fn serve(&self, revision: u64, nodes: Vec<NodeRoute>) -> SocketAddr {
        self.apply(routes(revision, nodes)).await.listens[KEY]
    }

    pub async fn apply(&self, routes: Routes) -> Applied {
        let applied = self.client.apply(&routes).await.unwrap();
        assert_eq!(applied.failures, []);
        applied
    }

    /// Waits until nothing is in flight and gives the counters.
    pub async fn settled(&self) -> Stats {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.client.stats().await.unwrap();
            let busy =
                stats.environments.iter().flat_map(|environment| &environment.nodes).any(|node| node.in_flight > 0);
            if !busy {
                return stats;
            }
            assert!(Instant::now() < deadline, "still in flight: {stats:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
    }
}

async fn pid_of(client: &Client) -> i32 {
    i32::try_from(client.info().await.unwrap().pid).unwrap()
}

pub fn routes(revision: u64, nodes: Vec<NodeRoute>) -> Routes {
    let environment = EnvironmentRoutes { key: KEY.to_owned(), nodes, ..EnvironmentRoutes::default() };
    Routes { revision, environments: vec![environment] }
}

pub fn route(node: &Node, weight_ppm: u32) -> NodeRoute {
    NodeRoute {
        node: node.name.clone(),
        generation: 1,
        address: Some(node.address),
        weight_ppm,
        state: NodeState::Serving,
        canary: false,
    }
}

pub fn draining(node: &Node) -> NodeRoute {
    NodeRoute { state: NodeState::Draining, ..route(node, 1_000) }
}

/// Polls until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
