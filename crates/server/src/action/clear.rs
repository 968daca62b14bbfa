//! `action: clear`: merges one branch back into another on the server; a conflict becomes a merge request.

use serin_git::{Expected, Merge, NewCommit, Signature, Update};
use serin_model::CommitId;
use serin_store::account;

use super::{Ending, Running};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::merge_request::{self, NewMergeRequest};
use crate::refs::{self, HEADS};

/// How often a merge is made anew because the branch moved meanwhile.
const TRIES: usize = 5;

/// Merges `from` into `into`; the same again changes nothing.
pub async fn clear(running: &Running, from: &str, into: &str) -> Result<Ending> {
    let (app, project) = (&running.app, &running.project);
    let repository = app.repository(project.id)?;
    for _ in 0..TRIES {
        let _refs = repository.refs.lock().await;
        let source = resolve(&repository.git, from).await?;
        let target = resolve(&repository.git, into).await?;
        if repository.git.is_ancestor(&source, &target).await? {
            running.say(&format!("{into} holds all of {from} already")).await?;
            return Ok(Ending::Done);
        }
        let merged = if repository.git.is_ancestor(&target, &source).await? {
            source.clone()
        } else {
            match repository.git.merge(&target, &source).await? {
                Merge::Clean { tree } => commit(running, &tree, (&target, &source), (from, into)).await?,
                Merge::Conflicts { paths, .. } => {
                    drop(_refs);
                    return conflict(running, &paths, (from, into)).await;
                }
            }
        };
        if repository.git.update_ref(&format!("{HEADS}{into}"), &merged, Expected::At(target)).await? == Update::Updated
        {
            running.say(&format!("{into} is at {} now, with all of {from}", merged.short())).await?;
            refs::compare(app, project.id, Some(running.pipeline.account_id)).await?;
            return Ok(Ending::Done);
        }
    }
    Err(Error::conflict(format!("`{into}` moves too fast to merge `{from}` into it")))
}

async fn resolve(git: &serin_git::Repository, branch: &str) -> Result<CommitId> {
    let found = git.resolve(&format!("{HEADS}{branch}")).await?;
    found.ok_or_else(|| Error::invalid(format!("there is no branch `{branch}`")))
}

async fn commit(
    running: &Running,
    tree: &serin_model::TreeId,
    (target, source): (&CommitId, &CommitId),
    (from, into): (&str, &str),
) -> Result<CommitId> {
    let by = account::account_get(&mut *running.app.store.read().await?, running.pipeline.account_id).await?;
    let who = Signature {
        name: by.as_ref().map_or_else(|| "Serin".to_owned(), |by| by.name.clone()),
        email: by.map_or_else(|| "serin@localhost".to_owned(), |by| by.email),
        time_ms: now().0,
    };
    let message = format!("Merge branch '{from}' back into '{into}'\n");
    let repository = running.app.repository(running.project.id)?;
    let parents = vec![target.clone(), source.clone()];
    let commit = NewCommit { tree: tree.clone(), parents, message, author: who.clone(), committer: who };
    Ok(repository.git.commit_tree(&commit).await?)
}

async fn conflict(running: &Running, paths: &[String], (from, into): (&str, &str)) -> Result<Ending> {
    let description =
        format!("`{from}` does not merge back into `{into}` by itself. In conflict: {}", paths.join(", "));
    let new = NewMergeRequest {
        source_branch: from.to_owned(),
        target_branch: into.to_owned(),
        title: Some(format!("Merge {from} back into {into}")),
        description,
        merge_when_pipeline_succeeds: false,
        author_id: running.pipeline.account_id,
    };
    let request = merge_request::open(&running.app, &running.project, new).await?;
    let said = format!("{from} conflicts with {into} in {}: !{} is open for it", paths.join(", "), request.iid);
    running.say(&said).await?;
    let link = format!("/{}/-/merge_requests/{}", running.project.path, request.iid);
    crate::project::tell(&running.app, running.project.id, "warning", (&said, Some(link))).await?;
    Ok(Ending::Done)
}
