//! The engine that builds images.

use bollard::errors::Error as DockerError;
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::Error;
use crate::address::Address;

/// The first version of the API whose engine may have BuildKit (Docker Engine API, version history, 1.39).
const BUILDKIT_SINCE: (u32, u32) = (1, 39);

/// Seconds that the engine has for an answer's beginning.
const ANSWER_SECONDS: u64 = 120;

/// A Docker Engine that builds images.
#[derive(Clone, Debug)]
pub struct Builder {
    api: Docker,
    address: Address,
    has_buildkit: bool,
}

/// An image of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its id, `sha256:…`.
    pub id: String,
    /// What registries know it as, `repository@sha256:…`.
    pub digests: Vec<String>,
}

impl Builder {
    /// Opens the engine that `DOCKER_HOST` names, or the one of this machine.
    ///
    /// # Errors
    /// Where none answers; the message says how to get one.
    pub async fn connect() -> Result<Self, Error> {
        Self::open(Address::of_environment()?).await
    }

    /// Opens the engine at `unix://…` or `tcp://…`.
    ///
    /// # Errors
    /// Where none answers, or the address is none.
    pub async fn at(host: &str) -> Result<Self, Error> {
        let address =
            Address::parse(host).ok_or_else(|| Error::refused(format!("`{host}` is no address of an engine")))?;
        Self::open(address).await
    }

    async fn open(address: Address) -> Result<Self, Error> {
        let hint = "install it (`apt-get install docker.io`), start `dockerd`, or set `DOCKER_HOST`";
        let refused = |error: DockerError| Error::said("be reached", &format!("{error}; {hint}"));
        let api = match &address {
            Address::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), ANSWER_SECONDS, API_DEFAULT_VERSION)
            }
            Address::Tcp(authority) => Docker::connect_with_http(authority, ANSWER_SECONDS, API_DEFAULT_VERSION),
        };
        let api = api.map_err(refused)?.negotiate_version().await.map_err(refused)?;
        let version = api.version().await.map_err(refused)?;
        let is_docker = version.components.iter().flatten().all(|component| !component.name.contains("Podman"));
        let is_linux = version.os.as_deref().is_none_or(|os| os == "linux");
        let is_new = version.api_version.as_deref().and_then(number).is_some_and(|number| number >= BUILDKIT_SINCE);
        Ok(Self { api, address, has_buildkit: is_docker && is_linux && is_new })
    }

    /// Whether builds are BuildKit's, which alone can keep secrets out of layers.
    #[must_use]
    pub fn has_buildkit(&self) -> bool {
        self.has_buildkit
    }

    pub(crate) fn api(&self) -> &Docker {
        &self.api
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The image of that id or name; `None` where it is not there.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn find(&self, image: &str) -> Result<Option<Found>, Error> {
        match self.api.inspect_image(image).await {
            Ok(found) => Ok(Some(Found {
                id: found.id.unwrap_or_else(|| image.to_owned()),
                digests: found.repo_digests.unwrap_or_default(),
            })),
            Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(Error::engine("look for an image")(error)),
        }
    }
}

fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{BUILDKIT_SINCE, number};

    #[test]
    fn versions_order_as_numbers() {
        assert!(number("1.41").unwrap() >= BUILDKIT_SINCE && number("1.9").unwrap() < BUILDKIT_SINCE);
        assert_eq!(number("new"), None);
    }
}
