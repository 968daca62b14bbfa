//! Branches and tags: what moved since Serin last looked, and what follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_model::CommitId;
use serin_store::project::{self as rows, Project};
use serin_store::{account, outbox as outbox_rows};

use crate::error::{Error, Kind, Result};
use crate::hub::Change;
use crate::outbox::{self, Task};
use crate::pipeline::create::{self, NewPipeline, Source};
use crate::{App, merge_request};

/// The folder of branches.
pub const HEADS: &str = "refs/heads/";
/// The folder of tags.
pub const TAGS: &str = "refs/tags/";

/// Compares every repository with what the database says of it: what happened while no server ran.
///
/// # Errors
/// Where the database fails; a damaged repository is logged and left out.
pub async fn compare_all(app: &Arc<App>) -> Result<()> {
    let projects = rows::project_list(&mut *app.store.read().await?).await?;
    for project in projects {
        if let Err(error) = compare(app, project.id, None).await {
            tracing::error!(project = project.path, %error, "repository cannot be compared");
        }
    }
    Ok(())
}

/// Compares a repository's refs with the ones last seen and keeps a task for each that moved. The caller holds the
/// repository's lock, or is the start of the server.
///
/// # Errors
/// Where repository or database fail.
pub async fn compare(app: &Arc<App>, project_id: i64, account_id: Option<i64>) -> Result<()> {
    let repository = app.repository(project_id)?;
    let actual: BTreeMap<String, CommitId> = repository.git.refs().await?.into_iter().filter(watched).collect();
    let mut tx = app.store.begin().await?;
    let seen: BTreeMap<String, String> = rows::ref_list(&mut tx, project_id).await?.into_iter().collect();
    let author = match account_id {
        Some(id) => id,
        None => account::account_first_admin(&mut tx).await?.map_or(0, |admin| admin.id),
    };
    let names: std::collections::BTreeSet<&String> = actual.keys().chain(seen.keys()).collect();
    let mut moved = false;
    for name in names {
        let (old, new) = (seen.get(name), actual.get(name).map(|commit| &commit.0));
        if old == new {
            continue;
        }
        moved = true;
        rows::ref_set(&mut tx, project_id, name, new.map(String::as_str)).await?;
        let note = match new {
            Some(commit) => rows::push_note_take(&mut tx, project_id, (name, commit)).await?,
            None => None,
        };
        // A branch that begins where another one stands brings nothing in.
        if let (Some(commit), Some(note)) = (new.filter(|commit| !seen.values().any(|known| known == *commit)), &note) {
            rows::push_add(&mut tx, project_id, commit, note.account_id).await?;
        }
        let task = Task::RefChanged {
            project_id,
            name: name.clone(),
            old: old.cloned(),
            new: new.cloned(),
            account_id: note.as_ref().map_or(author, |note| note.account_id),
            options: note.map(|note| serde_json::from_str(&note.options)).transpose()?.unwrap_or_default(),
        };
        outbox::add(&mut tx, &task).await?;
    }
    tx.commit().await?;
    if moved {
        app.outbox.wake();
        app.hub.tell(Change::Project(project_id));
    }
    Ok(())
}

fn watched((name, _): &(String, CommitId)) -> bool {
    name.starts_with(HEADS) || name.starts_with(TAGS)
}

/// What follows from a moved ref: merge requests of its branch, and a pipeline.
///
/// # Errors
/// Where repository or database fail.
pub async fn changed(app: &Arc<App>, task_id: i64, task: Task) -> Result<()> {
    let Task::RefChanged { project_id, name, old, new, account_id, options } = task else {
        return Err(Error::new(Kind::Internal, "a task of another kind"));
    };
    let project = rows::project_get(&mut *app.store.read().await?, project_id).await?;
    let Some(project) = project else {
        return finish(app, task_id).await;
    };
    if let (Some(branch), Some(new)) = (name.strip_prefix(HEADS), &new) {
        merge_request::branch_moved(app, &project, branch, (new, account_id, &options)).await?;
    }
    if let Some(new) = &new
        && wants_pipeline(app, &project, (old.as_deref(), new), &options).await?
    {
        let source = match name.strip_prefix(TAGS) {
            Some(tag) => Source::Tag(tag.to_owned()),
            None => Source::Branch { name: name.trim_start_matches(HEADS).to_owned(), before: old.clone() },
        };
        let commit = CommitId(new.clone());
        let cause = format!("ref:{task_id}");
        create::create(app, NewPipeline { project, cause, source, commit, account_id, upstream: None }).await?;
    }
    finish(app, task_id).await
}

async fn finish(app: &App, task_id: i64) -> Result<()> {
    let mut tx = app.store.begin().await?;
    outbox_rows::outbox_done(&mut tx, task_id).await?;
    tx.commit().await?;
    Ok(())
}

async fn wants_pipeline(app: &App, project: &Project, moved: (Option<&str>, &str), options: &[String]) -> Result<bool> {
    if options.iter().any(|option| option == "ci.skip") {
        return Ok(false);
    }
    let repository = app.repository(project.id)?;
    let new = repository.git.commit(&CommitId(moved.1.to_owned())).await?;
    if ["[ci skip]", "[skip ci]"].iter().any(|mark| new.message.to_ascii_lowercase().contains(mark)) {
        return Ok(false);
    }
    // A merge back that changes no file has nothing to build.
    let Some(old) = moved.0 else { return Ok(true) };
    let old = repository.git.commit(&CommitId(old.to_owned())).await?;
    Ok(!(old.tree == new.tree && new.parents.len() > 1))
}
