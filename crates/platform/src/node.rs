//! A node as its platform is told of it and as it is seen.

use crate::Error;
use async_trait::async_trait;
use serin_model::service::{Health, Limits, LogFormat, Restart, Volume};
use serin_model::{Digest, NodeName, Timestamp};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::watch;

/// Names a node on its platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// The environment's key, unique on the server, such as `3-production`; letters, digits, `-`, `_` and `.`.
    pub environment: String,
    /// The node's name in it; same letters.
    pub node: NodeName,
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.environment, self.node)
    }
}

/// What a node has to run.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Which node.
    pub key: NodeKey,
    /// Number of this order; a higher one replaces, the same one changes nothing.
    pub generation: u64,
    /// The release that it runs.
    pub digest: Digest,
    /// Folder of the unpacked release: the command's working folder.
    pub release_dir: PathBuf,
    /// The image that a container platform runs: a name, or `sha256:…` of one that is there; processes need none.
    pub image: Option<String>,
    /// The port that the service listens at in its container; a process is given one.
    pub port: Option<u16>,
    /// Program and arguments; in a container, empty: what the image says.
    pub command: Vec<String>,
    /// Further environment; `PORT`, `HOME`, `TMPDIR` and `SERIN_NODE_DIR` are the platform's.
    pub variables: Vec<(String, String)>,
    /// How its health is asked.
    pub health: Health,
    /// How WARN and ERROR lines are told.
    pub logs: LogFormat,
    /// Milliseconds from SIGTERM to SIGKILL.
    pub stop_timeout_ms: i64,
    /// What it finds as files, by name, in the folder that `SERIN_SECRETS` names; never shown.
    pub secrets: Vec<(String, Secret)>,
    /// What only containers heed.
    pub container: Container,
}

/// A value that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How a container is confined and what it is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Name of the host whose engine runs it; `None`: the server's own.
    pub host: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// What it keeps over generations.
    pub volumes: Vec<Volume>,
    /// Names of the networks that it is in.
    pub networks: Vec<String>,
    /// When it is started again.
    pub restart: Restart,
}

/// Where a node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Started, and not yet healthy for the first time in this generation.
    Starting,
    /// Answers its health check.
    Healthy,
    /// Was healthy in this generation and is not now: checks fail, or it crashed and is being restarted.
    Unhealthy,
    /// Never became healthy and was given up; holds the reason with its last log lines.
    Failed(String),
    /// Asked to stop and still running.
    Stopping,
    /// Stopped on request.
    Stopped,
    /// Vanished without having been asked to; to be applied again.
    Lost,
}

impl NodeState {
    /// The word for it in pages and in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Failed(_) => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}

/// What a node used: counters since its process was started, a restart begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in microseconds, of all its processes.
    pub cpu_us: u64,
    /// Resident memory in bytes now, pages of files included.
    pub memory_bytes: u64,
    /// Anonymous and shared memory in bytes now, pages of files excluded: the one that a leak moves.
    pub memory_private_bytes: u64,
    /// Bytes read from disks.
    pub disk_read_bytes: u64,
    /// Bytes written to disks.
    pub disk_write_bytes: u64,
    /// Log lines.
    pub log_lines: u64,
    /// Log lines of level WARN.
    pub log_warn: u64,
    /// Log lines of level ERROR or above.
    pub log_error: u64,
}

impl Usage {
    /// CPU time in whole milliseconds.
    #[must_use]
    pub fn cpu_ms(&self) -> u64 {
        self.cpu_us / 1000
    }
}

/// A node as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Which node.
    pub key: NodeKey,
    /// The order that it carries out.
    pub generation: u64,
    /// The release that it runs.
    pub digest: Digest,
    /// The host that it runs on; `None`: this machine.
    pub host: Option<String>,
    /// Where it serves; known as soon as it was started.
    pub address: Option<SocketAddr>,
    /// Where it is in its life.
    pub state: NodeState,
    /// What went wrong last (failed check, crash), also where the state is healthy again.
    pub detail: Option<String>,
    /// The service's process.
    pub pid: Option<u32>,
    /// When it came into this state.
    pub since: Timestamp,
    /// How often its process was started again in this generation.
    pub restarts: u32,
    /// What it used.
    pub usage: Usage,
    /// When the usage was read.
    pub sampled_at: Timestamp,
}

/// Runs nodes.
#[async_trait]
pub trait Platform: Send + Sync {
    /// Makes the node run `spec`; returns when the order is taken over and the older generation is gone, not when the
    /// node is healthy.
    ///
    /// The same generation again changes nothing, except that a lost or stopped node is started again.
    ///
    /// # Errors
    /// [`Error::Outdated`] where a newer generation is there already; others where the node could not be started.
    async fn apply(&self, spec: &NodeSpec) -> Result<(), Error>;

    /// Stops the node and forgets it, its log included; a node that is not there is no error.
    ///
    /// # Errors
    /// Where it could not be stopped.
    async fn remove(&self, key: &NodeKey) -> Result<(), Error>;

    /// Sees every node of an environment, in the order of names.
    ///
    /// # Errors
    /// Where the platform itself cannot be asked; a node that cannot be asked is [`NodeState::Lost`].
    async fn observe(&self, environment: &str) -> Result<Vec<Observation>, Error>;

    /// Reads the last lines of a node's log, oldest first; works for failed and lost nodes as well.
    ///
    /// # Errors
    /// Where there is no such node.
    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error>;

    /// Wakes whenever some node's state changed; the number only says that there was a change.
    fn changes(&self) -> watch::Receiver<u64>;

    /// What keeps orders for nodes of that host from being carried out, in words; `None` is the server's own.
    fn trouble(&self, _host: Option<&str>) -> Option<String> {
        None
    }

    /// Why nodes of that host may be running unseen, in words: it was not reached yet since this platform began.
    fn unseen(&self, _host: Option<&str>) -> Option<String> {
        None
    }
}
