//! The control protocol: one JSON object a line each way over the Unix socket.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Applied, Error, Info, Routes, Stats};

/// Longest message, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Info,
    Apply(Routes),
    Stats,
    WaitDrained { key: String, node: String, timeout_ms: u64 },
    Shutdown,
}

/// What the gateway answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Info(Info),
    Applied(Applied),
    Stats(Stats),
    Drained(bool),
    Stopping,
    Failed(Failure),
}

/// A refused or failed command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    StaleRevision { offered: u64, current: u64 },
    InvalidRoutes { reason: String },
    NotDraining { key: String, node: String },
    Other { message: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::StaleRevision { offered, current } => Self::StaleRevision { offered, current },
            Error::InvalidRoutes { reason } => Self::InvalidRoutes { reason },
            Error::NotDraining { key, node } => Self::NotDraining { key, node },
            other => Self::Other { message: other.to_string() },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::StaleRevision { offered, current } => Self::StaleRevision { offered, current },
            Failure::InvalidRoutes { reason } => Self::InvalidRoutes { reason },
            Failure::NotDraining { key, node } => Self::NotDraining { key, node },
            Failure::Other { message } => Self::Gateway { message },
        }
    }
}

/// Reads one message; `None` at the end of the stream.
pub(crate) async fn read<M, R>(reader: &mut R) -> Result<Option<M>, Error>
where
    M: for<'de> Deserialize<'de>,
    R: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    match reader.take(MESSAGE_BYTES_MAX).read_until(b'\n', &mut line).await {
        // The other side is gone, which is an end like any other.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
        read => read.map_err(protocol)?,
    };
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(Error::Protocol { reason: "cut off or too long".to_owned() });
    }
    serde_json::from_slice(&line).map(Some).map_err(protocol)
}

/// Writes one message.
pub(crate) async fn write<M, W>(writer: &mut W, message: &M) -> Result<(), Error>
where
    M: Serialize,
    W: AsyncWrite + Unpin,
{
    let mut line = serde_json::to_vec(message).map_err(protocol)?;
    line.push(b'\n');
    writer.write_all(&line).await.map_err(protocol)
}

fn protocol(error: impl std::fmt::Display) -> Error {
    Error::Protocol { reason: error.to_string() }
}
