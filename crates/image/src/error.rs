//! What can go wrong with images.

use std::io;
use std::path::PathBuf;

/// Characters of somebody else's words that a message repeats.
const WORDS_MAX: usize = 2_000;

/// Why an image could not be built, pushed, pulled or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Docker Engine did not do what it was asked to.
    #[error("Docker Engine could not {attempt}: {reason}")]
    Engine {
        /// What was attempted.
        attempt: &'static str,
        /// Its answer.
        reason: String,
    },
    /// What is asked for is none, or cannot be done here.
    #[error("{reason}")]
    Refused {
        /// What is wrong and what would be right.
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
}

impl Error {
    pub(crate) fn engine(attempt: &'static str) -> impl Fn(bollard::errors::Error) -> Self {
        move |error| Self::said(attempt, &words(&error))
    }

    pub(crate) fn said(attempt: &'static str, reason: &str) -> Self {
        Self::Engine { attempt, reason: reason.trim().chars().take(WORDS_MAX).collect() }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }

    pub(crate) fn io(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { attempt, path, source }
    }
}

/// What the engine said.
pub(crate) fn words(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        bollard::errors::Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}
