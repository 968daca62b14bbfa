//! `action: package`: makes a content-addressed release of the built tree. The same tree is packaged once.
//!
//! The built tree is the commit's files with the artifacts of the jobs before it laid over them.

use serin_model::CommitId;
use serin_objects::ArtifactName;
use serin_store::pipeline::{self as rows, Release};

use super::{Ending, Running};
use crate::clock::now;
use crate::error::Result;
use crate::pipeline::record;
use crate::runner::attempt_key;

/// Packages the pipeline's tree, or uses the release that there is.
pub async fn package(running: &Running) -> Result<Ending> {
    let (app, pipeline) = (&running.app, &running.pipeline);
    let known = rows::release_of_tree(&mut *app.store.read().await?, running.project.id, &pipeline.tree_id).await?;
    if let Some(known) = known {
        running.say(&format!("Tree {} is packaged already: {}", &pipeline.tree_id[..8], known.digest)).await?;
        return Ok(Ending::Done);
    }
    let commit = CommitId(pipeline.commit_id.clone());
    let config = crate::delivery::service_config(app, running.project.id, &commit).await?;
    let folder = app.settings.builds().join(format!("package-{}-{}", running.job.id, running.job.fence));
    if folder.exists() {
        tokio::fs::remove_dir_all(&folder).await?;
    }
    tokio::fs::create_dir_all(&folder).await?;
    let made = build(running, &folder, &commit).await;
    tokio::fs::remove_dir_all(&folder).await?;
    let digest = made?;
    let release = Release {
        id: 0,
        project_id: running.project.id,
        tree_id: pipeline.tree_id.clone(),
        digest: digest.0.clone(),
        commit_id: pipeline.commit_id.clone(),
        pipeline_id: pipeline.id,
        service: record::encode(&config.service)?,
        created_at: now().0,
    };
    let mut tx = app.store.begin().await?;
    rows::release_create(&mut tx, &release).await?;
    tx.commit().await?;
    running.say(&format!("Packaged as {digest}")).await?;
    Ok(Ending::Done)
}

async fn build(running: &Running, folder: &std::path::Path, commit: &CommitId) -> Result<serin_model::Digest> {
    let app = &running.app;
    app.repository(running.project.id)?.git.export(commit, folder).await?;
    let jobs = rows::job_list(&mut *app.store.read().await?, running.pipeline.id).await?;
    for job in jobs.iter().filter(|job| job.stage < running.job.stage) {
        let key = attempt_key(job);
        if app.objects.artifacts.find(key, &ArtifactName::Archive)?.is_none() {
            continue;
        }
        running.say(&format!("Adding the artifacts of {}", job.name)).await?;
        app.objects.artifacts.unpack(key, ArtifactName::Archive, folder.to_owned()).await?;
    }
    Ok(app.objects.releases.release_store(folder).await?)
}
