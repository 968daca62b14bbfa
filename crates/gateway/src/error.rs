//! What can go wrong between the server and the gateway.

use std::io;
use std::path::PathBuf;

/// A failure of the gateway or of the conversation with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or socket operation failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No gateway answers on the control socket.
    #[error("no gateway answers in `{}`: {reason}; start one with `serin gateway --dir`", dir.display())]
    Unreachable {
        /// The gateway's folder.
        dir: PathBuf,
        /// What happened.
        reason: String,
    },
    /// Another gateway holds the folder.
    #[error("another gateway already runs in `{}`; stop it first or use another folder", dir.display())]
    AlreadyRunning {
        /// The folder.
        dir: PathBuf,
    },
    /// The gateway process did not come up.
    #[error("the gateway did not start in `{}`: {reason}; its log is `gateway.log` there", dir.display())]
    NotStarted {
        /// The folder.
        dir: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The table is older than the one in force, or has its revision and other content.
    #[error("routes of revision {offered} are refused: revision {current} is in force; send a newer one")]
    StaleRevision {
        /// The revision that was offered.
        offered: u64,
        /// The revision in force.
        current: u64,
    },
    /// The table is not well-formed.
    #[error("routes are refused: {reason}")]
    InvalidRoutes {
        /// What is wrong.
        reason: String,
    },
    /// A drain was waited for on a node that still takes requests.
    #[error("node `{node}` of `{key}` still takes new requests; set its weight to 0 first")]
    NotDraining {
        /// The environment.
        key: String,
        /// The node.
        node: String,
    },
    /// The gateway could not carry out a command.
    #[error("the gateway failed: {message}")]
    Gateway {
        /// What it said.
        message: String,
    },
    /// A message on the control socket was not understood.
    #[error("control message not understood: {reason}; are server and gateway of the same version?")]
    Protocol {
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime could not be started.
    #[error("cannot start the gateway's runtime: {0}")]
    Runtime(#[source] io::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
