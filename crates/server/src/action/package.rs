//! `action: package`: makes a content-addressed release of the built tree. The same tree is packaged once.
//!
//! The built tree is the commit's files with the artifacts of the jobs before it laid over them. A service with a
//! Dockerfile gets an image of it as well.

use std::path::{Component, Path, PathBuf};

use serin_model::service::Service;
use serin_model::{CommitId, Digest};
use serin_objects::ArtifactName;
use serin_platform::{Engine, ImageBuild};
use serin_store::pipeline::{self as rows, Release};

use super::{Ending, Running};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::pipeline::record;
use crate::runner::attempt_key;

/// Packages the pipeline's tree, or uses the release that there is.
pub async fn package(running: &Running) -> Result<Ending> {
    let (app, pipeline) = (&running.app, &running.pipeline);
    let known = rows::release_of_tree(&mut *app.store.read().await?, running.project.id, &pipeline.tree_id).await?;
    let commit = CommitId(pipeline.commit_id.clone());
    let config = crate::delivery::service_config(app, running.project.id, &commit).await?;
    if let Some(known) = known
        && (config.service.dockerfile.is_none() || has_image(&known).await?)
    {
        running.say(&format!("Tree {} is packaged already: {}", &pipeline.tree_id[..8], known.digest)).await?;
        return Ok(Ending::Done);
    }
    let folder = app.settings.builds().join(format!("package-{}-{}", running.job.id, running.job.fence));
    if folder.exists() {
        tokio::fs::remove_dir_all(&folder).await?;
    }
    tokio::fs::create_dir_all(&folder).await?;
    let made = build(running, &folder, (&commit, &config.service)).await;
    tokio::fs::remove_dir_all(&folder).await?;
    let (digest, image) = made?;
    let release = Release {
        id: 0,
        project_id: running.project.id,
        tree_id: pipeline.tree_id.clone(),
        digest: digest.0.clone(),
        commit_id: pipeline.commit_id.clone(),
        pipeline_id: pipeline.id,
        image: image.clone(),
        service: record::encode(&config.service)?,
        created_at: now().0,
    };
    let mut tx = app.store.begin().await?;
    rows::release_create(&mut tx, &release).await?;
    tx.commit().await?;
    running.say(&format!("Packaged as {digest}")).await?;
    if let Some(image) = image {
        running.say(&format!("Image {image}")).await?;
    }
    Ok(Ending::Done)
}

/// Whether the release's image is still there.
async fn has_image(release: &Release) -> Result<bool> {
    match &release.image {
        Some(image) => Ok(Engine::connect().await?.has_image(image).await?),
        None => Ok(false),
    }
}

async fn build(
    running: &Running,
    folder: &Path,
    (commit, service): (&CommitId, &Service),
) -> Result<(Digest, Option<String>)> {
    let app = &running.app;
    let tree = folder.join("tree");
    tokio::fs::create_dir_all(&tree).await?;
    app.repository(running.project.id)?.git.export(commit, &tree).await?;
    let jobs = rows::job_list(&mut *app.store.read().await?, running.pipeline.id).await?;
    for job in jobs.iter().filter(|job| job.stage < running.job.stage) {
        let key = attempt_key(job);
        if app.objects.artifacts.find(key, &ArtifactName::Archive)?.is_none() {
            continue;
        }
        running.say(&format!("Adding the artifacts of {}", job.name)).await?;
        app.objects.artifacts.unpack(key, ArtifactName::Archive, tree.clone()).await?;
    }
    let digest = app.objects.releases.release_store(&tree).await?;
    let image = match &service.dockerfile {
        Some(dockerfile) => Some(image(running, folder, (service, dockerfile)).await?),
        None => None,
    };
    Ok((digest, image))
}

/// Builds the image of the tree in `folder`; the engine leaves out what `.dockerignore` names.
async fn image(running: &Running, folder: &Path, (service, dockerfile): (&Service, &str)) -> Result<String> {
    let plain = Path::new(dockerfile).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || dockerfile.starts_with('-') {
        return Err(Error::invalid(format!("`service.image.dockerfile` is `{dockerfile}`, no path in the repository")));
    }
    if !folder.join("tree").join(dockerfile).is_file() {
        return Err(Error::invalid(format!("there is no `{dockerfile}`, which `service.image.dockerfile` names")));
    }
    let engine = Engine::connect().await?;
    let (tree, context) = (folder.join("tree"), folder.join("context.tar"));
    let packed = context.clone();
    tokio::task::spawn_blocking(move || pack(&tree, &packed)).await.map_err(std::io::Error::other)??;
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let build = ImageBuild {
        dockerfile: dockerfile.to_owned(),
        labels: labels(running),
        tag: format!("serin/{}:{}", tag(&service.name), &running.pipeline.tree_id[..12]),
    };
    let building = engine.build_image(&build, &context, move |line| {
        // The receiver lives as long as the build is awaited.
        let _ = sender.send(line);
    });
    let telling = async {
        while let Some(line) = lines.recv().await {
            running.say(&line).await?;
        }
        Ok::<(), Error>(())
    };
    let (built, told) = tokio::join!(building, telling);
    told?;
    Ok(built?)
}

fn pack(tree: &Path, target: &PathBuf) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(std::io::BufWriter::new(std::fs::File::create(target)?));
    archive.follow_symlinks(false);
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_dir_all(".", tree)?;
    archive.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(())
}

/// Annotations of the image (OCI image specification, "Pre-Defined Annotation Keys").
fn labels(running: &Running) -> Vec<(String, String)> {
    let oci = |key: &str, value: String| (format!("org.opencontainers.image.{key}"), value);
    let pipeline = &running.pipeline;
    vec![
        oci("revision", pipeline.commit_id.clone()),
        oci("source", format!("{}/{}", running.app.url(), running.project.path)),
        oci("title", running.project.path.clone()),
        ("serin.tree".to_owned(), pipeline.tree_id.clone()),
    ]
}

/// A service's name as an image's name may be written.
fn tag(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "service".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn image_names_are_plain() {
        assert_eq!(tag("Shop Front_2"), "shop-front-2");
        assert_eq!(tag("--商店--"), "service");
    }
}
