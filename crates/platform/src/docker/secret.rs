//! Secrets as files: put into a container before its first process starts, readable by its user alone.
//!
//! They are in no label, no environment, no inspection; they go with the container.

use super::Engine;
use crate::{Error, Secret};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, InspectContainerOptions, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt;
use std::io::Read;

/// The folder in the container, without the slash before it.
pub(super) const FOLDER: &str = "run/secrets";
/// Bytes read of a container's `/etc/passwd`.
const PASSWD_BYTES_MAX: usize = 1024 * 1024;

/// Puts secrets into a container that has not started.
pub(super) async fn put(engine: &Engine, id: &str, secrets: &[(String, Secret)]) -> Result<(), Error> {
    if secrets.is_empty() {
        return Ok(());
    }
    let attempt = "hand secrets to the node's container";
    let owner = owner(engine, id).await?;
    let archive = archive(secrets, owner).map_err(|error| Error::Docker { attempt, reason: error.to_string() })?;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let body = bollard::body_full(Bytes::from(archive));
    engine.api().upload_to_container(id, Some(options), body).await.map_err(Error::docker(attempt))
}

fn archive(secrets: &[(String, Secret)], (user, group): (u64, u64)) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: String, kind: tar::EntryType, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(user);
        header.set_gid(group);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes)
    };
    add(format!("{FOLDER}/"), tar::EntryType::Directory, 0o500, &[])?;
    for (name, secret) in secrets {
        add(format!("{FOLDER}/{name}"), tar::EntryType::Regular, 0o400, secret.0.as_bytes())?;
    }
    archive.into_inner()
}

/// User and group of the container's processes.
async fn owner(engine: &Engine, id: &str) -> Result<(u64, u64), Error> {
    let inspected = engine.api().inspect_container(id, None::<InspectContainerOptions>).await;
    let inspected = inspected.map_err(Error::docker("look at the node's container"))?;
    let user = inspected.config.and_then(|config| config.user).unwrap_or_default();
    let (user, group) = user.split_once(':').map_or((user.as_str(), None), |(user, group)| (user, Some(group)));
    let by_number = |text: &str| text.parse::<u64>().ok();
    if user.is_empty() {
        return Ok((0, 0));
    }
    let group = group.and_then(by_number);
    if let Some(user) = by_number(user) {
        return Ok((user, group.unwrap_or(0)));
    }
    let known = user_of(&passwd(engine, id).await, user);
    let (user, own_group) = known.ok_or_else(|| Error::Docker {
        attempt: "hand secrets to the node's container",
        reason: format!("its user `{user}` is not in its `/etc/passwd`; write the number in the Dockerfile's `USER`"),
    })?;
    Ok((user, group.unwrap_or(own_group)))
}

/// The container's `/etc/passwd`; empty where it has none.
async fn passwd(engine: &Engine, id: &str) -> String {
    let options = DownloadFromContainerOptionsBuilder::default().path("/etc/passwd").build();
    let mut parts = Box::pin(engine.api().download_from_container(id, Some(options)));
    let mut bytes = Vec::new();
    while let Some(Ok(part)) = parts.next().await {
        bytes.extend_from_slice(&part);
        if bytes.len() > PASSWD_BYTES_MAX {
            return String::new();
        }
    }
    let mut text = String::new();
    let mut archive = tar::Archive::new(bytes.as_slice());
    if let Some(Ok(mut file)) = archive.entries().ok().and_then(|mut entries| entries.next())
        && file.read_to_string(&mut text).is_err()
    {
        return String::new();
    }
    text
}

/// User and group of a name (passwd(5)).
fn user_of(passwd: &str, name: &str) -> Option<(u64, u64)> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
    Some((found.get(2)?.parse().ok()?, found.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::user_of;

    #[test]
    fn users_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nshop:x:999:998::/:/bin/false\nbroken:x\n";
        assert_eq!(user_of(passwd, "shop"), Some((999, 998)));
        assert_eq!(user_of(passwd, "broken"), None);
        assert_eq!(user_of(passwd, "nobody"), None);
    }
}
