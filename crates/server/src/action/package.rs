//! `action: package`: makes a content-addressed release of the built tree. The same tree, built of the same inputs, is
//! packaged once.
//!
//! The built tree is the commit's files with the artifacts of the jobs before it laid over them. A service with a
//! Dockerfile gets an image of it as well. What is in a release and how it was made is said in two statements.

mod image;
mod statements;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ring::digest::{SHA256, digest};
use serin_model::service::Service;
use serin_model::{CommitId, Digest};
use serin_objects::ArtifactName;
use serin_store::pipeline as rows;
use serin_store::release::{self as releases, Release};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{Ending, Running};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::pipeline::record;
use crate::runner::attempt_key;
pub(crate) use image::REGISTRY;
use image::Wish;
pub use statements::{PROVENANCE, SBOM};

/// Lines that say the same of many things.
const LINES_MAX: usize = 50;

/// One packaging at a time of the same tree and inputs: the second one finds what the first one made.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

impl Turns {
    async fn take(&self, key: String) -> OwnedMutexGuard<()> {
        let turn = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, turn| turn.strong_count() > 0);
            let turn = all.get(&key).and_then(Weak::upgrade).unwrap_or_default();
            all.insert(key, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

/// Packages the pipeline's tree, or uses the release that there is.
pub async fn package(running: &Running) -> Result<Ending> {
    tokio::select! {
        done = carry_out(running) => done.map(|()| Ending::Done),
        // A build that nobody waits for ends.
        () = running.stop.cancelled() => Ok(Ending::Stopped),
    }
}

async fn carry_out(running: &Running) -> Result<()> {
    let (app, pipeline) = (&running.app, &running.pipeline);
    let commit = CommitId(pipeline.commit_id.clone());
    let config = crate::delivery::service_config(app, running.project.id, &commit).await?;
    let wish = match &config.service.image {
        Some(image) => Some(Wish::of(running, image).await?),
        None => None,
    };
    let inputs = wish.as_ref().map(Wish::inputs).unwrap_or_default();
    let key = (pipeline.tree_id.as_str(), inputs.as_str());
    let _turn = app.packaging.take(format!("{} {} {}", running.project.id, key.0, key.1)).await;
    let known = releases::release_of_tree(&mut *app.store.read().await?, running.project.id, key).await?;
    let is_new = known.is_none();
    let mut release = match known {
        Some(known) => known,
        None => made(running, (&commit, &config.service), &inputs).await?,
    };
    let before = release.image.clone();
    let started = now();
    if let Some(wish) = &wish {
        wish.provide(running, (&config.service.name, &mut release)).await?;
    }
    keep(running, &mut release, Use::Deployed).await?;
    statements::make(running, (&release, wish.as_ref()), started).await?;
    let digest = &release.digest;
    if is_new {
        running.say(&format!("Packaged as {digest}")).await?;
    } else {
        running.say(&format!("Tree {} is packaged already: {digest}", &pipeline.tree_id[..8])).await?;
    }
    match release.image {
        Some(image) if before.as_ref() != Some(&image) => running.say(&format!("Image {image}")).await,
        _ => Ok(()),
    }
}

/// Keeps the release; with `Use::Deployed`, also that this pipeline deploys it.
async fn keep(running: &Running, release: &mut Release, usage: Use) -> Result<()> {
    let mut tx = running.app.store.begin().await?;
    release.id = releases::release_create(&mut tx, release).await?;
    if usage == Use::Deployed {
        releases::release_set_pipeline(&mut tx, running.pipeline.id, release.id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What a release is kept for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is made, and not ready yet.
    Made,
    /// This pipeline deploys it.
    Deployed,
}

/// Stores the built tree; it is a release as soon as it is kept.
async fn made(running: &Running, (commit, service): (&CommitId, &Service), inputs: &str) -> Result<Release> {
    let pipeline = &running.pipeline;
    let folder = Folder::make(running, "tree").await?;
    fill(running, folder.path(), commit).await?;
    let content = running.app.objects.releases.release_store(folder.path()).await?;
    Ok(Release {
        id: 0,
        project_id: running.project.id,
        tree_id: pipeline.tree_id.clone(),
        inputs: inputs.to_owned(),
        digest: address(&content, inputs),
        content: content.0,
        commit_id: pipeline.commit_id.clone(),
        pipeline_id: pipeline.id,
        image: None,
        service: record::encode(service)?,
        created_at: now().0,
    })
}

/// The release's address: that of its files, and of its image's inputs where the files do not say all.
fn address(content: &Digest, inputs: &str) -> String {
    if inputs.is_empty() {
        return content.0.clone();
    }
    format!("sha256:{}", hex_of(format!("{content}\n{inputs}").as_bytes()))
}

fn hex_of(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn fill(running: &Running, tree: &Path, commit: &CommitId) -> Result<()> {
    let app = &running.app;
    let export = app.repository(running.project.id)?.git.export(commit, tree).await?;
    for link in export.left_out.iter().take(LINES_MAX) {
        running.say(&format!("Left out: link `{link}`, which leads out of the tree")).await?;
    }
    let jobs = rows::job_list(&mut *app.store.read().await?, running.pipeline.id).await?;
    for job in jobs.iter().filter(|job| job.stage < running.job.stage) {
        let key = attempt_key(job);
        if app.objects.artifacts.find(key, &ArtifactName::Archive)?.is_none() {
            continue;
        }
        running.say(&format!("Adding the artifacts of {}", job.name)).await?;
        app.objects.artifacts.unpack(key, ArtifactName::Archive, tree.to_owned()).await?;
    }
    Ok(())
}

/// A folder of this job's own, which goes with this value; what a killed server leaves goes at the next start.
struct Folder(PathBuf);

impl Folder {
    async fn make(running: &Running, name: &str) -> Result<Self> {
        let job = &running.job;
        let path = running.app.settings.builds().join(format!("package-{}-{}-{name}", job.id, job.fence));
        tokio::fs::create_dir_all(&path).await?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "folder not removed");
            }
        });
    }
}

impl From<serin_image::Error> for Error {
    fn from(error: serin_image::Error) -> Self {
        match error {
            serin_image::Error::Refused { reason } => Self::invalid(reason),
            other => Self::new(crate::error::Kind::Internal, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_files_where_they_say_all() {
        let content = Digest("sha256:00".to_owned());
        assert_eq!(address(&content, ""), "sha256:00");
        assert_ne!(address(&content, "a"), address(&content, "b"));
        assert_eq!(address(&content, "a").len(), 71);
    }

    #[tokio::test]
    async fn turns_are_taken_one_after_the_other() {
        let turns = Turns::default();
        let first = turns.take("a".into()).await;
        let other = turns.take("b".into()).await;
        let second = tokio::time::timeout(std::time::Duration::from_millis(20), turns.take("a".into())).await;
        assert!(second.is_err());
        drop((first, other));
        turns.take("a".into()).await;
        assert!(turns.0.lock().unwrap().len() <= 2);
    }
}
