//! The connection to a Docker Engine.

use crate::Error;
use bollard::Docker;

/// A Docker Engine.
#[derive(Clone)]
pub struct Engine(Docker);

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the one of this machine.
    ///
    /// # Errors
    /// Where none answers; the message says how to get one.
    pub async fn connect() -> Result<Self, Error> {
        let docker = Docker::connect_with_defaults().map_err(Error::docker("be reached"))?;
        let docker = docker.negotiate_version().await.map_err(|error| Error::Docker {
            attempt: "be reached",
            reason: format!("{error}; install it (`apt-get install docker.io`), start `dockerd`, or set `DOCKER_HOST`"),
        })?;
        Ok(Self(docker))
    }

    pub(crate) fn api(&self) -> &Docker {
        &self.0
    }
}
