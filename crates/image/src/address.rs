//! Where the engine listens, and connections to it for what the client library does not carry: builds and their sessions.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use crate::Error;

/// Where the engine of a machine listens, where `DOCKER_HOST` says nothing.
const SOCKET_DEFAULT: &str = "unix:///var/run/docker.sock";
const ATTEMPT: &str = "be reached";

/// A body of a request to the engine.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Address {
    /// What `DOCKER_HOST` names, else this machine's engine.
    pub(crate) fn of_environment() -> Result<Self, Error> {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let encrypted = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        let address = Self::parse(host.as_deref().unwrap_or(SOCKET_DEFAULT)).filter(|address| {
            // Nothing goes unencrypted where encryption is asked for.
            matches!(address, Self::Unix(_)) || !encrypted
        });
        address.ok_or_else(|| {
            Error::refused(format!(
                "images are built by an engine at `unix://…` or, without TLS, at `tcp://…`, and `DOCKER_HOST` is `{}`",
                host.unwrap_or_default()
            ))
        })
    }

    pub(crate) fn parse(host: &str) -> Option<Self> {
        if let Some(path) = host.strip_prefix("unix://") {
            return Some(Self::Unix(path.into()));
        }
        let authority = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://"))?.trim_end_matches('/');
        authority.contains(':').then(|| Self::Tcp(authority.to_owned()))
    }

    /// Opens a connection of its own, which may be upgraded.
    pub(crate) async fn open(&self) -> Result<SendRequest<Body>, Error> {
        let failed = |error: io::Error| Error::said(ATTEMPT, &error.to_string());
        match self {
            Self::Unix(path) => converse(TokioIo::new(UnixStream::connect(path).await.map_err(failed)?)).await,
            Self::Tcp(authority) => converse(TokioIo::new(TcpStream::connect(authority).await.map_err(failed)?)).await,
        }
    }
}

async fn converse<S: Read + Write + Unpin + Send + 'static>(stream: S) -> Result<SendRequest<Body>, Error> {
    let (sender, connection) = handshake(stream).await.map_err(|error| Error::said(ATTEMPT, &error.to_string()))?;
    tokio::spawn(async move {
        // Whoever asked learns it from the answer.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("unix:///run/d.sock"), Some(Address::Unix("/run/d.sock".into())));
        assert_eq!(Address::parse("tcp://127.0.0.1:2375"), Some(Address::Tcp("127.0.0.1:2375".into())));
        assert_eq!(Address::parse("http://127.0.0.1:2375/"), Some(Address::Tcp("127.0.0.1:2375".into())));
        assert_eq!(Address::parse("ssh://host"), None);
        assert_eq!(Address::parse("tcp://host"), None);
    }
}
