//! Volumes: named ones belong to a node and stay when its container goes; folders of the host only where they are allowed.

use super::container::Place;
use crate::Error;
use bollard::models::{Mount, MountType, VolumeCreateRequest};
use serin_model::service::Volume;
use std::collections::BTreeSet;

/// What the administrator allows containers to be given beyond their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Paths of the host that may be mounted, each exactly so.
    pub binds: BTreeSet<String>,
    /// Networks that may be joined.
    pub networks: BTreeSet<String>,
}

impl Policy {
    /// Refuses in words what is not allowed.
    ///
    /// # Errors
    /// The first volume or network that is not.
    pub fn check(&self, volumes: &[Volume], networks: &[String]) -> Result<(), String> {
        for volume in volumes {
            let source = &volume.source;
            if source.starts_with('/') && !self.binds.contains(source) {
                return Err(format!(
                    "`{source}` is a path of the host, which containers may not have; name a volume instead, such as \
                     `data:{}`, or have the administrator allow the path by `binds` under `[docker]` in `serin.toml`",
                    volume.target
                ));
            }
        }
        match networks.iter().find(|network| !self.networks.contains(*network)) {
            Some(network) => Err(format!(
                "network `{network}` may not be joined; the administrator allows it by `networks` under `[docker]` in \
                 `serin.toml`"
            )),
            None => Ok(()),
        }
    }
}

/// Makes a node's volumes where they are not there yet, and says how they are mounted.
pub(super) async fn mounts(place: &Place<'_>, volumes: &[Volume]) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::with_capacity(volumes.len());
    for volume in volumes {
        let is_bind = volume.source.starts_with('/');
        let source = if is_bind { volume.source.clone() } else { named(place, &volume.source).await? };
        mounts.push(Mount {
            typ: Some(if is_bind { MountType::BIND } else { MountType::VOLUME }),
            source: Some(source),
            target: Some(volume.target.clone()),
            read_only: Some(volume.read_only),
            ..Mount::default()
        });
    }
    Ok(mounts)
}

/// The engine's name of a node's volume.
async fn named(place: &Place<'_>, name: &str) -> Result<String, Error> {
    let Place { engine, instance, key } = place;
    let request = VolumeCreateRequest {
        name: Some(format!("serin-{instance}-{}-{}-{name}", key.environment, key.node.as_str())),
        labels: Some(place.labels()),
        ..VolumeCreateRequest::default()
    };
    let made = engine.api().create_volume(request).await.map_err(Error::docker("make a volume"))?;
    Ok(made.name)
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use serin_model::service::Volume;

    fn check(policy: &Policy, source: &str) -> Result<(), String> {
        let volume = Volume { source: source.to_owned(), target: "/data".to_owned(), read_only: false };
        policy.check(&[volume], &[])
    }

    #[test]
    fn paths_of_the_host_are_closed() {
        let policy = Policy { binds: ["/srv/shop".to_owned()].into(), networks: ["back".to_owned()].into() };
        for fine in ["data", "/srv/shop"] {
            assert_eq!(check(&policy, fine), Ok(()), "{fine}");
        }
        for wrong in ["/var/run/docker.sock", "/", "/srv", "/srv/shop/below", "/srv/shop/../x"] {
            assert!(check(&policy, wrong).is_err_and(|words| words.contains("path of the host")), "{wrong}");
        }
        assert_eq!(policy.check(&[], &["back".to_owned()]), Ok(()));
        for wrong in ["host", "bridge", "container:x"] {
            assert!(policy.check(&[], &[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
