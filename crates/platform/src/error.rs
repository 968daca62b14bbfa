//! What can go wrong at a platform's boundary.

use crate::NodeKey;
use std::io;
use std::path::PathBuf;

/// Why a platform could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is no safe folder name.
    #[error("`{name}` is no name for {what}; use up to 100 letters, digits, `-`, `_` and `.`, not first")]
    Name {
        /// What it would name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A specification that no node can run.
    #[error("node `{key}` cannot be run: {reason}")]
    Spec {
        /// Which node.
        key: NodeKey,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A generation older than the one that runs.
    #[error("node `{key}` is at generation {current} already, {generation} came too late")]
    Outdated {
        /// Which node.
        key: NodeKey,
        /// The one asked for.
        generation: u64,
        /// The one there is.
        current: u64,
    },
    /// No such node.
    #[error("there is no node `{key}`")]
    Unknown {
        /// Which node.
        key: NodeKey,
    },
    /// The node's supervisor did not start or did not answer as it should.
    #[error("supervisor of node `{key}` {reason}")]
    Supervisor {
        /// Which node.
        key: NodeKey,
        /// What it did.
        reason: String,
    },
    /// Docker Engine did not do what it was asked to.
    #[error("Docker Engine could not {attempt}: {reason}")]
    Docker {
        /// What was attempted.
        attempt: &'static str,
        /// Its answer.
        reason: String,
    },
    /// A file or folder.
    #[error("could not {attempt} `{}`: {source}", path.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Used outside a tokio runtime.
    #[error("a platform needs a tokio runtime to watch its nodes")]
    Runtime,
}

impl Error {
    pub(crate) fn docker(attempt: &'static str) -> impl FnOnce(bollard::errors::Error) -> Self {
        move |error| Self::Docker { attempt, reason: error.to_string() }
    }

    pub(crate) fn io(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { attempt, path, source }
    }
}
