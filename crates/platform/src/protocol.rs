//! What server and supervisor say to each other: one JSON line each way over the node's socket.
//!
//! A server may meet supervisors of an older or newer version of Serin: fields are only ever added, with defaults.

use crate::{NodeKey, NodeState, Observation, Usage};
use serde::{Deserialize, Serialize};
use serin_model::{Digest, Timestamp};
use std::net::{Ipv4Addr, SocketAddr};

/// Bytes of one line, either way.
pub(crate) const LINE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Answered with one status line.
    Status,
    /// Answered with a status line now and at each change of state.
    Subscribe,
    /// Stops the service, then the supervisor; the connection's end says that it is done.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Starting,
    Healthy,
    Unhealthy,
    Failed,
    Stopping,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) generation: u64,
    pub(crate) digest: String,
    pub(crate) port: Option<u16>,
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) pid: Option<u32>,
    pub(crate) since_ms: i64,
    #[serde(default)]
    pub(crate) restarts: u32,
    #[serde(default)]
    pub(crate) usage: UsageRecord,
    #[serde(default)]
    pub(crate) sampled_ms: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UsageRecord {
    pub(crate) cpu_us: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_private_bytes: u64,
    pub(crate) disk_read_bytes: u64,
    pub(crate) disk_write_bytes: u64,
    pub(crate) log_lines: u64,
    pub(crate) log_warn: u64,
    pub(crate) log_error: u64,
}

impl From<UsageRecord> for Usage {
    fn from(record: UsageRecord) -> Self {
        Self {
            cpu_us: record.cpu_us,
            memory_bytes: record.memory_bytes,
            memory_private_bytes: record.memory_private_bytes,
            disk_read_bytes: record.disk_read_bytes,
            disk_write_bytes: record.disk_write_bytes,
            log_lines: record.log_lines,
            log_warn: record.log_warn,
            log_error: record.log_error,
        }
    }
}

impl Status {
    /// The observation that this status is of the node `key`.
    pub(crate) fn observation(self, key: NodeKey) -> Observation {
        let state = match self.state {
            State::Starting => NodeState::Starting,
            State::Healthy => NodeState::Healthy,
            State::Unhealthy => NodeState::Unhealthy,
            State::Failed => NodeState::Failed(self.detail.clone().unwrap_or_default()),
            State::Stopping => NodeState::Stopping,
            State::Stopped => NodeState::Stopped,
        };
        Observation {
            key,
            generation: self.generation,
            digest: Digest(self.digest),
            host: None,
            address: self.port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            state,
            detail: self.detail,
            pid: self.pid,
            since: Timestamp(self.since_ms),
            restarts: self.restarts,
            usage: self.usage.into(),
            sampled_at: Timestamp(self.sampled_ms),
        }
    }
}
