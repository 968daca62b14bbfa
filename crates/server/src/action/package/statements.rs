//! What is said of a release: what is in it (`sbom`), and how it was made (`provenance`). Neither is signed.

use serde_json::json;
use serin_image::{Build, BuildTimes, Inventory, Subject, base_images, bill_of_materials, statement};
use serin_model::{Digest, Timestamp};
use serin_store::release::{self as releases, Release, Statement};

use super::image::Wish;
use crate::action::Running;
use crate::api::view::time;
use crate::clock::now;
use crate::error::{Error, Result};

/// The kind of a bill of materials.
pub const SBOM: &str = "sbom";
/// The kind of a provenance statement.
pub const PROVENANCE: &str = "provenance";

/// Makes both, where they are not there yet for this digest.
pub(super) async fn make(
    running: &Running,
    (release, wish): (&Release, Option<&Wish>),
    started: Timestamp,
) -> Result<()> {
    let app = &running.app;
    let about = (release.subject(), SBOM);
    if releases::statement_get(&mut *app.store.read().await?, release.id, about).await?.is_some() {
        return Ok(());
    }
    let subject = subject(running, (release, wish));
    let inventory = inventory(running, (release, wish)).await?;
    let count = inventory.components.len();
    running.say(&format!("Bill of materials: {}", plural(count, "component"))).await?;
    for what in &inventory.missing {
        running.say(&format!("Not in the bill: {what}")).await?;
    }
    let created = time(commit_time(running).await?);
    let bill = bill_of_materials(&subject, &inventory, &created);
    let provenance = statement(&subject, &build(running, (release, wish), started).await?);
    let mut tx = app.store.begin().await?;
    for (kind, body) in [(SBOM, bill), (PROVENANCE, provenance)] {
        let row = Statement {
            release_id: release.id,
            subject: release.subject().to_owned(),
            kind: kind.to_owned(),
            body,
            created_at: now().0,
        };
        releases::statement_put(&mut tx, &row).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

async fn commit_time(running: &Running) -> Result<i64> {
    let repository = running.app.repository(running.project.id)?;
    let commit = repository.git.commit(&serin_model::CommitId(running.pipeline.commit_id.clone())).await?;
    Ok(commit.author.time_ms)
}

fn subject(running: &Running, (release, wish): (&Release, Option<&Wish>)) -> Subject {
    let repository = release.image.as_ref().and_then(|image| Some(image.split_once('@')?.0.to_owned()));
    Subject {
        name: running.project.path.clone(),
        digest: release.subject().to_owned(),
        repository,
        is_image: wish.is_some(),
    }
}

/// What is in the image and in the files that it was built of.
async fn inventory(running: &Running, (release, wish): (&Release, Option<&Wish>)) -> Result<Inventory> {
    let files = files(running, release)?;
    let read = tokio::task::spawn_blocking(move || Inventory::of_tree(&files));
    let mut inventory = read.await.map_err(std::io::Error::other)??;
    if let (Some(wish), Some(image)) = (wish, &release.image) {
        match wish.builder.inventory(image).await {
            Ok(found) => inventory.add(found),
            // An image that cannot be read is released all the same, and the bill says that it was not.
            Err(error) => _ = inventory.missing.insert(format!("the image: {error}")),
        }
    }
    Ok(inventory)
}

fn files(running: &Running, release: &Release) -> Result<std::path::PathBuf> {
    let files = running.app.objects.releases.release_path(&Digest(release.content.clone()));
    files.ok_or_else(|| Error::conflict(format!("the files of release {} are gone", release.digest)))
}

async fn build(running: &Running, (release, wish): (&Release, Option<&Wish>), started: Timestamp) -> Result<Build> {
    let (app, pipeline) = (&running.app, &running.pipeline);
    let url = app.url();
    let project = format!("{url}/{}", running.project.path);
    let mut parameters = json!({ "release": release.digest });
    let mut bases = Vec::new();
    if let Some(wish) = wish {
        let image = &wish.image;
        let args: serde_json::Map<_, _> =
            image.args.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        parameters["image"] = json!({
            "dockerfile": image.dockerfile,
            "context": image.context,
            "target": image.target,
            "platform": image.platform,
            "args": args,
            "secrets": image.secrets.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            "builder": if wish.builder.has_buildkit() { "buildkit" } else { "classic" },
        });
        let context = serin_image::Context::find(&files(running, release)?, &image.context, &image.dockerfile)?;
        for name in base_images(context.text()) {
            if let Some(found) = wish.builder.find(&name).await? {
                let digest = found.digests.first().and_then(|digest| Some(digest.split_once('@')?.1.to_owned()));
                bases.push((name, digest.unwrap_or(found.id)));
            }
        }
    }
    Ok(Build {
        repository: project.clone(),
        ref_name: pipeline.ref_name.clone(),
        commit: pipeline.commit_id.clone(),
        tree: pipeline.tree_id.clone(),
        parameters,
        bases,
        builder: url.to_owned(),
        invocation: format!("{project}/-/jobs/{}", running.job.id),
        times: BuildTimes { started: time(started.0), finished: time(now().0) },
    })
}
