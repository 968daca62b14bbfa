//! Whose the files of a job are: its container's user must be able to write them, and this machine to remove them.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions};
use futures_util::StreamExt;

use super::container::{Log, Plan, Shared};
use super::engine::{Image, words};
use super::{PROJECT, Ready, Room, VARIABLES};

/// Bytes of an image's list of users or groups.
const LIST_BYTES_MAX: usize = 1 << 20;

/// The numbers of the user and group that `user` is in that image; `None`: root.
pub(super) async fn number(room: &Room, image: &Image, user: &str) -> Result<Option<(u32, u32)>, String> {
    let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    if matches!(user, "" | "0" | "root") {
        return Ok(None);
    }
    if let (Ok(user), Some(Ok(group))) = (user.parse(), group.map(str::parse)) {
        return Ok(Some((user, group)));
    }
    // A container that is never started: nothing of the image runs for this.
    let id = room.create(bare(room, image)).await?;
    let users = file(room, &id, "/etc/passwd").await;
    let groups = if group.is_some() { file(room, &id, "/etc/group").await } else { String::new() };
    room.engine.remove_container(&id).await;
    numbers((&users, &groups), user, group).map(|(user, group)| (user > 0).then_some((user, group)))
}

fn bare(room: &Room, image: &Image) -> Plan {
    Plan {
        image: image.id.clone(),
        entrypoint: Some(vec!["-".to_owned()]),
        command: None,
        environment: Vec::new(),
        user: Some("0:0".to_owned()),
        folder: Some("/".to_owned()),
        shared: Vec::new(),
        log: Log::Nothing,
        network: None,
        labels: room.labels(),
    }
}

/// A file of an image; empty where it has none, or one that is too long.
async fn file(room: &Room, container: &str, path: &str) -> String {
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let mut stream = Box::pin(room.engine.api().download_from_container(container, Some(options)));
    let mut archive = Vec::new();
    while let Some(Ok(bytes)) = stream.next().await {
        archive.extend_from_slice(&bytes);
        if archive.len() > LIST_BYTES_MAX {
            return String::new();
        }
    }
    let mut text = String::new();
    let mut archive = tar::Archive::new(archive.as_slice());
    let entry = archive.entries().ok().and_then(|mut entries| entries.next()?.ok());
    if let Some(entry) = entry {
        // What is no text names nobody.
        let _ = entry.take(LIST_BYTES_MAX as u64).read_to_string(&mut text);
    }
    text
}

/// Looks a user and group up in the texts of `passwd(5)` and `group(5)`.
fn numbers((users, groups): (&str, &str), user: &str, group: Option<&str>) -> Result<(u32, u32), String> {
    let field =
        |line: &str, number: usize| line.split(':').nth(number).and_then(|text| text.trim().parse::<u32>().ok());
    let named = |line: &&str| {
        line.split(':').next() == Some(user) || (user.parse::<u32>().is_ok() && field(line, 2) == user.parse().ok())
    };
    let line = users.lines().find(named);
    let id = user.parse().ok().or_else(|| line.and_then(|line| field(line, 2)));
    let id = id.ok_or_else(|| format!("the image has no user `{user}`"))?;
    let Some(group) = group else { return Ok((id, line.and_then(|line| field(line, 3)).unwrap_or(0))) };
    let line = groups.lines().find(|line| line.split(':').next() == Some(group));
    let group_id = group.parse().ok().or_else(|| line.and_then(|line| field(line, 2)));
    Ok((id, group_id.ok_or_else(|| format!("the image has no group `{group}`"))?))
}

/// Gives a folder and all in it to a user, without following links; where this process may not, everybody may write it.
/// Nothing of the job runs meanwhile.
pub(super) fn hand_over(folder: &Path, (user, group): (u32, u32)) -> io::Result<()> {
    let root = nix::unistd::geteuid().is_root();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata()?;
        if root && (metadata.uid(), metadata.gid()) != (user, group) {
            lchown(&path, Some(user), Some(group))?;
        }
        if !root && !metadata.is_symlink() {
            let mode = metadata.permissions().mode();
            let folder_or_program = metadata.is_dir() || mode & 0o100 != 0;
            let wanted = mode | 0o666 | if folder_or_program { 0o111 } else { 0 };
            if mode != wanted && metadata.uid() == nix::unistd::geteuid().as_raw() {
                std::fs::set_permissions(&path, PermissionsExt::from_mode(wanted & 0o7777))?;
            }
        }
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// Gives what the job made back to this process's user, who could not remove it otherwise; root can.
pub(super) async fn give_back(room: &Room, ready: &Ready) -> Result<(), String> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let mut plan = bare(room, &ready.image);
    plan.entrypoint = Some(vec!["chown".to_owned()]);
    plan.command = Some(["-R", &format!("{user}:{group}"), PROJECT, VARIABLES].map(str::to_owned).to_vec());
    plan.shared = vec![
        Shared::writable(&room.workspace.project, Path::new(PROJECT)),
        Shared::writable(&room.workspace.variables(), Path::new(VARIABLES)),
    ];
    let failed = |reason: &str| format!("the job's files may stay its container's: {reason}");
    let id = room.create(plan).await.map_err(|reason| failed(&reason))?;
    let api = room.engine.api();
    let done = match api.start_container(&id, None::<StartContainerOptions>).await {
        Ok(()) => Box::pin(api.wait_container(&id, None::<WaitContainerOptions>)).next().await.transpose().map(drop),
        Err(error) => Err(error),
    };
    room.engine.remove_container(&id).await;
    done.map_err(|error| failed(&words(&error)))
}

/// Lets Git work in a checkout that is another user's (git-config(1), `safe.directory`).
pub(super) fn git_trust(variables: &[String]) -> Vec<String> {
    let own = nix::unistd::geteuid().is_root();
    if own || variables.iter().any(|entry| entry.starts_with("GIT_CONFIG_COUNT=")) {
        return Vec::new();
    }
    ["GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbroken\n::\n";
    const GROUPS: &str = "root:x:0:\nstaff:x:50:app\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let find = |user, group| numbers((USERS, GROUPS), user, group);
        assert_eq!(find("app", None), Ok((1000, 1001)));
        assert_eq!(find("1000", None), Ok((1000, 1001)));
        assert_eq!(find("77", None), Ok((77, 0)));
        assert_eq!(find("app", Some("staff")), Ok((1000, 50)));
        assert_eq!(find("app", Some("7")), Ok((1000, 7)));
        assert!(find("nobody", None).unwrap_err().contains("no user `nobody`"));
        assert!(find("app", Some("wheel")).unwrap_err().contains("no group `wheel`"));
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        std::fs::write(&outside, "").unwrap();
        let project = folder.path().join("project");
        std::fs::create_dir(&project).unwrap();
        std::os::unix::fs::symlink(&outside, project.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", project.join("folder")).unwrap();
        let before = outside.symlink_metadata().unwrap();
        hand_over(&project, (before.uid() + 1, before.gid())).unwrap();
        let after = outside.symlink_metadata().unwrap();
        assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
    }
}
