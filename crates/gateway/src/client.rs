//! The server's side of the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::time::timeout;

use crate::wire::{self, Request, Response};
use crate::{Applied, Error, Info, Routes, Stats, socket};

/// How long an answer may take, besides what the command itself waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Talks to the gateway of one folder; cheap to clone, one connection per command.
#[derive(Clone, Debug)]
pub struct Client {
    dir: PathBuf,
}

impl Client {
    /// Addresses the gateway of a folder, whether it runs or not.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Gives the gateway's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts a table in force: when this returns, it is on disk and every new request follows it.
    ///
    /// The revision in force may be sent again with the same content; that tries failed listeners again.
    ///
    /// # Errors
    /// [`Error::StaleRevision`], [`Error::InvalidRoutes`], [`Error::Gateway`] (not persisted, not in force), or the
    /// gateway is not reachable.
    pub async fn apply(&self, routes: &Routes) -> Result<Applied, Error> {
        match self.ask(&Request::Apply(routes.clone()), ANSWER_TIMEOUT).await? {
            Response::Applied(applied) => Ok(applied),
            other => unexpected(&other),
        }
    }

    /// Reads all counters.
    ///
    /// # Errors
    /// The gateway is not reachable.
    pub async fn stats(&self) -> Result<Stats, Error> {
        match self.ask(&Request::Stats, ANSWER_TIMEOUT).await? {
            Response::Stats(stats) => Ok(stats),
            other => unexpected(&other),
        }
    }

    /// Waits until no request is in flight on any generation of the node that takes no new ones; answers at once when
    /// the last one ends. `false`: some were left after the time-out.
    ///
    /// # Errors
    /// [`Error::NotDraining`] if the node has no generation without new requests but one with; else the gateway is not
    /// reachable.
    pub async fn wait_drained(&self, key: &str, node: &str, limit: Duration) -> Result<bool, Error> {
        let timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let request = Request::WaitDrained { key: key.to_owned(), node: node.to_owned(), timeout_ms };
        match self.ask(&request, limit.saturating_add(ANSWER_TIMEOUT)).await? {
            Response::Drained(drained) => Ok(drained),
            other => unexpected(&other),
        }
    }

    /// Asks who answers.
    ///
    /// # Errors
    /// The gateway is not reachable.
    pub async fn info(&self) -> Result<Info, Error> {
        match self.ask(&Request::Info, ANSWER_TIMEOUT).await? {
            Response::Info(info) => Ok(info),
            other => unexpected(&other),
        }
    }

    /// Asks the gateway to end: it stops listening and lets requests in flight finish.
    ///
    /// # Errors
    /// The gateway is not reachable.
    pub async fn shutdown(&self) -> Result<(), Error> {
        match self.ask(&Request::Shutdown, ANSWER_TIMEOUT).await? {
            Response::Stopping => Ok(()),
            other => unexpected(&other),
        }
    }

    async fn ask(&self, request: &Request, limit: Duration) -> Result<Response, Error> {
        timeout(limit, self.converse(request))
            .await
            .map_err(|_| self.unreachable(format!("no answer within {} s", limit.as_secs())))?
    }

    async fn converse(&self, request: &Request) -> Result<Response, Error> {
        let stream = socket::connect(&self.dir).await.map_err(|error| self.unreachable(error.to_string()))?;
        let mut stream = BufReader::new(stream);
        // A gateway that ends may still take the connection: what breaks then is its end, not the protocol.
        wire::write(&mut stream, request).await.map_err(|error| self.unreachable(error.to_string()))?;
        match wire::read(&mut stream).await? {
            Some(Response::Failed(failure)) => Err(failure.into()),
            Some(response) => Ok(response),
            None => Err(self.unreachable("it closed the connection".to_owned())),
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { dir: self.dir.clone(), reason }
    }
}

fn unexpected<T>(response: &Response) -> Result<T, Error> {
    Err(Error::Protocol { reason: format!("unexpected answer {response:?}") })
}
