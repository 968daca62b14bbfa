//! The connection to a Docker Engine: this machine's, or that of a host which the administrator named.

use super::ssh;
use crate::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// How long an engine may take to say its version.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer's first byte may take, in seconds.
const ANSWER_TIMEOUT_S: u64 = 120;

/// A host whose engine runs nodes, as the administrator wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What `serin.yml` calls it.
    pub name: String,
    /// `unix:///…`, `tcp://HOST:PORT` with TLS, or `ssh://[USER@]HOST[:PORT]`.
    pub url: String,
    /// What TLS needs.
    pub tls: Option<Tls>,
    /// Where the gateway reaches ports that are published on the host; `None`: the host of the URL.
    pub address: Option<String>,
    /// A configuration file for `ssh` in place of the user's.
    pub ssh_config: Option<PathBuf>,
}

/// Files of PEM for TLS, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates that may sign the engine's.
    pub ca: PathBuf,
    /// The server's own certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A Docker Engine.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    /// A client of its own for the question whether the engine is there: other requests do not keep it waiting.
    attendant: Docker,
    /// Where its containers' published ports are; `None`: containers are reached at their own addresses.
    published_at: Option<IpAddr>,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the one of this machine.
    ///
    /// # Errors
    /// Where none answers; the message says how to get one.
    pub async fn connect() -> Result<Self, Error> {
        let docker = Docker::connect_with_defaults().map_err(Error::docker("be reached"))?;
        let missing = |why: String| Error::Docker {
            attempt: "be reached",
            reason: format!("{why}; install it (`apt-get install docker.io`), start `dockerd`, or set `DOCKER_HOST`"),
        };
        let greeting = timeout(GREETING_TIMEOUT, docker.negotiate_version()).await;
        let docker = greeting.map_err(|_| missing("it gives no answer".to_owned()))?;
        let docker = docker.map_err(|error| missing(error.to_string()))?;
        Ok(Self { attendant: docker.clone(), docker, published_at: None })
    }

    /// Connects to a host's engine.
    ///
    /// # Errors
    /// Where it does not answer, or what was written down of it is wrong.
    pub async fn open(host: &Host) -> Result<Self, Error> {
        let docker = client(host)?;
        let greeting = timeout(GREETING_TIMEOUT, docker.negotiate_version()).await;
        let greeting = greeting.map_err(|_| unreachable(host, "it gives no answer"))?;
        let docker = greeting.map_err(|error| unreachable(host, &error.to_string()))?;
        let attendant = if host.url.starts_with("ssh://") { client(host)? } else { docker.clone() };
        Ok(Self { docker, attendant, published_at: published_at(host).await? })
    }

    pub(crate) fn api(&self) -> &Docker {
        &self.docker
    }

    /// Asks whether it is there.
    pub(super) async fn ping(&self) -> Result<(), bollard::errors::Error> {
        self.attendant.ping().await.map(drop)
    }

    /// Where ports are published, if they are.
    pub(super) fn published_at(&self) -> Option<IpAddr> {
        self.published_at
    }
}

fn unreachable(host: &Host, reason: &str) -> Error {
    Error::Docker { attempt: "be reached", reason: format!("host `{}`: {reason}", host.name) }
}

fn client(host: &Host) -> Result<Docker, Error> {
    let wrong = |error: bollard::errors::Error| unreachable(host, &error.to_string());
    let (scheme, rest) = host.url.split_once("://").unwrap_or(("", &host.url));
    match (scheme, &host.tls) {
        ("unix", _) => Docker::connect_with_unix(rest, ANSWER_TIMEOUT_S, API_DEFAULT_VERSION).map_err(wrong),
        ("tcp", Some(tls)) => {
            Docker::connect_with_ssl(rest, &tls.key, &tls.cert, &tls.ca, ANSWER_TIMEOUT_S, API_DEFAULT_VERSION)
                .map_err(wrong)
        }
        ("tcp", None) => {
            Err(unreachable(host, "`tcp://` needs `ca`, `cert` and `key`: who reaches an engine owns its host"))
        }
        ("ssh", _) => {
            let target = ssh::Target::parse(rest, host.ssh_config.clone());
            let target =
                target.ok_or_else(|| unreachable(host, "write `ssh://USER@HOST` or `ssh://USER@HOST:PORT`"))?;
            target.client(ANSWER_TIMEOUT_S).map_err(wrong)
        }
        _ => Err(unreachable(host, "its `url` begins with none of `unix://`, `tcp://` and `ssh://`")),
    }
}

/// The address of a host that is not this machine.
async fn published_at(host: &Host) -> Result<Option<IpAddr>, Error> {
    let (scheme, rest) = host.url.split_once("://").unwrap_or(("", &host.url));
    let name = match (&host.address, scheme) {
        (Some(address), _) => address.as_str(),
        (None, "unix") => return Ok(None),
        (None, _) => {
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            place.rsplit_once(':').map_or(place, |(name, _)| name)
        }
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let mut found = tokio::net::lookup_host((name, 0))
        .await
        .map_err(|error| unreachable(host, &format!("`{name}` has no address: {error}")))?;
    Ok(found.next().map(|address| address.ip()))
}
