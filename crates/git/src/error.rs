//! What can fail between Serin and a repository.

use std::{io, path::PathBuf, time::Duration};

/// The result of work on a repository.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked for is malformed; asking again changes nothing.
    Request,
    /// What was asked for is not there.
    Missing,
    /// What was asked for is over a limit.
    Limit,
    /// The machine, the repository or `git` failed.
    Internal,
}

/// A failure of work on a repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `git` executable did not start.
    #[error("cannot start `git {command}`: is git 2.38 or later installed and on PATH?")]
    Start {
        /// The subcommand.
        command: &'static str,
        /// Why it did not start.
        source: io::Error,
    },
    /// A child ended with an error.
    #[error("`git {command}` failed: {message}")]
    Failed {
        /// The subcommand.
        command: &'static str,
        /// The first lines of its standard error.
        message: String,
    },
    /// A child took too long and was ended.
    #[error("`git {command}` took longer than {limit:?}")]
    TimedOut {
        /// The subcommand.
        command: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// A child answered something that is not understood.
    #[error("`git {command}` answered something unexpected: {answer}")]
    Answer {
        /// The subcommand.
        command: &'static str,
        /// The beginning of the answer.
        answer: String,
    },
    /// Something is over its limit.
    #[error("{what} is over the limit of {max} {unit}")]
    TooLarge {
        /// What is over its limit.
        what: String,
        /// The limit.
        max: u64,
        /// The limit's unit.
        unit: &'static str,
    },
    /// A file or pipe failed.
    #[error("cannot {what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A client sent something that is not the protocol.
    #[error("malformed push request: {0}")]
    Protocol(String),
    /// A ref name is not acceptable.
    #[error("ref name `{name}` {why}")]
    RefName {
        /// The beginning of the name, printable.
        name: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// An id is not 40 hexadecimal digits.
    #[error("`{0}` is not an object id: 40 hexadecimal digits are needed")]
    Id(String),
    /// A path inside a tree is not acceptable.
    #[error("`{0}` is not a path inside the repository")]
    Path(String),
    /// An object is not in the repository.
    #[error("{what} `{id}` is not in the repository")]
    Missing {
        /// What kind of object was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A folder holds no repository.
    #[error("`{}` holds no bare Git repository", .0.display())]
    NoRepository(PathBuf),
}

impl Error {
    /// Tells whose fault the failure is, for a status code and a log level.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Protocol(_) | Self::RefName { .. } | Self::Id(_) | Self::Path(_) => ErrorKind::Request,
            Self::Missing { .. } | Self::NoRepository(_) => ErrorKind::Missing,
            Self::TooLarge { .. } => ErrorKind::Limit,
            Self::Start { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Answer { .. }
            | Self::Io { .. } => ErrorKind::Internal,
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn answer(command: &'static str, bytes: &[u8]) -> Self {
        Self::Answer { command, answer: printable(bytes) }
    }
}

/// The beginning of hostile bytes, fit for a message: at most 100 characters, control characters escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(400)];
    let mut text: String = String::from_utf8_lossy(head).chars().take(100).flat_map(escape).collect();
    if bytes.len() > head.len() || text.len() < head.len() {
        text.push('…');
    }
    text
}

fn escape(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}
