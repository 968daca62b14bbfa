//! Waiting until the work tree changes.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::Result;
use serin_objects::digest::Sha256;

use crate::worktree::Project;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the work tree looks like: names, sizes and times of its files.
pub fn look(project: &Project) -> Result<String> {
    let mut state = Sha256::default();
    for path in project.listing()? {
        let Ok(metadata) = project.root().join(&path).symlink_metadata() else { continue };
        let (size, seconds, nanoseconds) = (metadata.size(), metadata.mtime(), metadata.mtime_nsec());
        let line = format!("{path}\0{size} {seconds} {nanoseconds} {:o} {}\n", metadata.mode(), metadata.ino());
        state.update(line.as_bytes());
    }
    Ok(state.finish_hex())
}

/// Waits until the work tree is another one than `seen`, and has come to rest.
pub async fn change(project: &Project, seen: &str) -> Result<()> {
    let mut last = look(project)?;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = look(project)?;
        if now != seen && now == last {
            return Ok(());
        }
        last = now;
    }
}
