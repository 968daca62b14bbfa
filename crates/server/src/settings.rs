//! What a server is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;

use serin_platform::{Host, Policy};
use serin_runner::ContainerSettings;

/// Settings of one server, after flags, environment and `serin.toml`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Where HTTP is served; port 0: a free one.
    pub listen: SocketAddr,
    /// The address that people and jobs use; `None`: made of the listener's.
    pub url: Option<String>,
    /// Jobs that the embedded runner carries out at the same time.
    pub concurrent_jobs: usize,
    /// Which executor jobs have, and what their containers may use.
    pub containers: ContainerSettings,
    /// Docker hosts and what nodes in containers may have.
    pub docker: DockerSettings,
    /// The `serin` program, started anew as gateway, node supervisor and job guard.
    pub program: PathBuf,
}

/// What the administrator says of Docker.
#[derive(Clone, Debug, Default)]
pub struct DockerSettings {
    /// Hosts beside the server's own engine.
    pub hosts: Vec<Host>,
    /// What containers may be given.
    pub policy: Policy,
}

impl Settings {
    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data.join("serin.db")
    }

    /// The folder of the repositories.
    #[must_use]
    pub fn repositories(&self) -> PathBuf {
        self.data.join("repositories")
    }

    /// The folder of traces, artifacts and releases.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.data.join("objects")
    }

    /// The folder of the jobs' workspaces.
    #[must_use]
    pub fn builds(&self) -> PathBuf {
        self.data.join("builds")
    }

    /// The folder of the nodes.
    #[must_use]
    pub fn nodes(&self) -> PathBuf {
        self.data.join("nodes")
    }

    /// The folder of the gateway.
    #[must_use]
    pub fn gateway(&self) -> PathBuf {
        self.data.join("gateway")
    }
}
