//! Merge requests: their merged result, what blocks them, and the merge.
//!
//! The merged result is made before anybody asks for the merge, kept as `refs/merge-requests/N/merge`, and is what the
//! pipeline builds. The merge then moves the target branch to exactly that commit: what was tested is what is merged.

use std::sync::Arc;

use serin_git::{Expected, Merge, NewCommit, Signature, Update};
use serin_model::{CommitId, Status};
use serin_store::account::{self, Account};
use serin_store::merge_request::{self as rows, MergeRequest};
use serin_store::pipeline::{self as pipelines, Pipeline};
use serin_store::project::{self as projects, Project};
use serin_store::{delivery, outbox as outbox_rows};

use crate::app::ProjectRepository;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::hub::Change;
use crate::outbox::{self, Task};
use crate::pipeline::create::{self, NewPipeline, Source};
use crate::refs::HEADS;
use crate::{App, project, quality, refs};

/// Bytes of a title that are kept.
const TITLE_BYTES_MAX: usize = 255;
/// Merged changes that a release merge request lists.
const RELEASE_CHANGES_MAX: u32 = 100;

/// What a new merge request is to be.
#[derive(Clone, Debug)]
pub struct NewMergeRequest {
    /// The branch to merge.
    pub source_branch: String,
    /// The branch merged into.
    pub target_branch: String,
    /// Its title; `None`: the head commit's.
    pub title: Option<String>,
    /// Its description, Markdown.
    pub description: String,
    /// Whether it is merged when its pipeline succeeds.
    pub merge_when_pipeline_succeeds: bool,
    /// Who opens it.
    pub author_id: i64,
}

/// The full name of one of a merge request's own refs, `head` or `merge`.
#[must_use]
pub fn ref_name(iid: i64, which: &str) -> String {
    format!("refs/merge-requests/{iid}/{which}")
}

/// Opens a merge request, or gives the one that is open for the same branches.
///
/// # Errors
/// Where a branch is missing or both are the same.
pub async fn open(app: &Arc<App>, project: &Project, new: NewMergeRequest) -> Result<MergeRequest> {
    let repository = app.repository(project.id)?;
    let head = branch_commit(&repository, &new.source_branch).await?;
    let target = branch_commit(&repository, &new.target_branch).await?;
    if new.source_branch == new.target_branch {
        return Err(Error::invalid(format!("`{}` cannot be merged into itself", new.source_branch)));
    }
    let title = match new.title.filter(|title| !title.trim().is_empty()) {
        Some(title) => title,
        None => repository.git.commit(&head).await?.title,
    };
    let at = now().0;
    let mut request = MergeRequest {
        id: 0,
        project_id: project.id,
        iid: 0,
        title: clip(title.trim(), TITLE_BYTES_MAX),
        description: new.description,
        source_branch: new.source_branch,
        target_branch: new.target_branch,
        state: "opened".into(),
        author_id: new.author_id,
        head_commit: head.0,
        target_commit: target.0,
        merge_status: "checking".into(),
        conflicts: "[]".into(),
        merge_when_pipeline_succeeds: new.merge_when_pipeline_succeeds,
        merge_commit: None,
        merged_by: None,
        created_at: at,
        updated_at: at,
        merged_at: None,
    };
    let mut tx = app.store.begin().await?;
    let open = rows::merge_request_open_of_branch(&mut tx, project.id, &request.source_branch).await?;
    if let Some(known) = open.into_iter().find(|known| same_branches(known, &request)) {
        return Ok(known);
    }
    (request.id, request.iid) = rows::merge_request_create(&mut tx, &request).await?;
    let task = Task::MergeRequestMoved { merge_request_id: request.id, account_id: new.author_id, pipeline: true };
    outbox::add(&mut tx, &task).await?;
    tx.commit().await?;
    app.outbox.wake();
    app.hub.tell(Change::MergeRequest(request.id));
    app.hub.tell(Change::Project(project.id));
    Ok(request)
}

fn same_branches(one: &MergeRequest, other: &MergeRequest) -> bool {
    one.source_branch == other.source_branch && one.target_branch == other.target_branch
}

fn clip(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

async fn branch_commit(repository: &ProjectRepository, branch: &str) -> Result<CommitId> {
    let found = repository.git.resolve(&format!("{HEADS}{branch}")).await?;
    found.ok_or_else(|| Error::invalid(format!("there is no branch `{branch}`")).hint("push it first"))
}

/// A branch moved: push options are obeyed, and the open merge requests of the branch follow.
///
/// # Errors
/// Where repository or database fail.
pub async fn branch_moved(
    app: &Arc<App>,
    project: &Project,
    branch: &str,
    (_commit, account_id, options): (&str, i64, &[String]),
) -> Result<()> {
    if options.iter().any(|option| option == "merge_request.create")
        && let Err(error) = open_by_push(app, project, branch, (account_id, options)).await
    {
        let said = format!("The push of {branch} asked for a merge request, but {error}");
        project::tell(app, project.id, "warning", (&said, None)).await?;
    }
    let mut tx = app.store.begin().await?;
    for mut request in rows::merge_request_open_of_branch(&mut tx, project.id, branch).await? {
        let is_source = request.source_branch == branch;
        if is_source && options.iter().any(|option| option == "merge_request.merge_when_pipeline_succeeds") {
            request.merge_when_pipeline_succeeds = true;
            rows::merge_request_save(&mut tx, &request).await?;
        }
        let task = Task::MergeRequestMoved { merge_request_id: request.id, account_id, pipeline: is_source };
        outbox::add(&mut tx, &task).await?;
    }
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

async fn open_by_push(
    app: &Arc<App>,
    project: &Project,
    branch: &str,
    (author_id, options): (i64, &[String]),
) -> Result<()> {
    let value = |key: &str| {
        let found = options.iter().find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let new = NewMergeRequest {
        source_branch: branch.to_owned(),
        target_branch: value("merge_request.target").unwrap_or_else(|| project.default_branch.clone()),
        title: value("merge_request.title"),
        description: value("merge_request.description").unwrap_or_default(),
        merge_when_pipeline_succeeds: options.iter().any(|o| o == "merge_request.merge_when_pipeline_succeeds"),
        author_id,
    };
    open(app, project, new).await?;
    Ok(())
}

/// Makes the merged result anew, and a pipeline for it where one is wanted.
///
/// # Errors
/// Where repository or database fail.
pub async fn moved(
    app: &Arc<App>,
    task_id: i64,
    merge_request_id: i64,
    (account_id, pipeline): (i64, bool),
) -> Result<()> {
    let request = rows::merge_request_get(&mut *app.store.read().await?, merge_request_id).await?;
    if let Some(mut request) = request.filter(|request| request.state == "opened") {
        let merged = refresh(app, &mut request).await?;
        if let (Some(commit), true) = (merged, pipeline) {
            start_pipeline(app, &request, (commit, account_id)).await?;
        }
        app.hub.tell(Change::MergeRequest(request.id));
    }
    let mut tx = app.store.begin().await?;
    outbox_rows::outbox_done(&mut tx, task_id).await?;
    tx.commit().await?;
    Ok(())
}

async fn start_pipeline(
    app: &Arc<App>,
    request: &MergeRequest,
    (commit, account_id): (CommitId, i64),
) -> Result<Option<i64>> {
    let project = projects::project_get(&mut *app.store.read().await?, request.project_id).await?;
    let Some(project) = project else { return Ok(None) };
    // The same head on the same target is built once, however often it is looked at.
    let cause = format!("merge_request:{}:{}:{}", request.id, request.head_commit, request.target_commit);
    let source = Source::MergeRequest(Box::new(request.clone()));
    create::create(app, NewPipeline { project, cause, source, commit, account_id, upstream: None }).await
}

/// Brings a merge request up to its branches: head, target, conflicts, merged result. Gives the merged commit.
async fn refresh(app: &Arc<App>, request: &mut MergeRequest) -> Result<Option<CommitId>> {
    let repository = app.repository(request.project_id)?;
    let _refs = repository.refs.lock().await;
    let head = repository.git.resolve(&format!("{HEADS}{}", request.source_branch)).await?;
    let target = repository.git.resolve(&format!("{HEADS}{}", request.target_branch)).await?;
    let (Some(head), Some(target)) = (head, target) else {
        request.merge_status = "cannot_be_merged".into();
        save(app, request).await?;
        return Ok(None);
    };
    request.head_commit = head.0.clone();
    request.target_commit = target.0.clone();
    if head != target && repository.git.is_ancestor(&head, &target).await? {
        settle(request, (target, None));
        save(app, request).await?;
        return Ok(None);
    }
    repository.git.update_ref(&ref_name(request.iid, "head"), &head, Expected::Any).await?;
    let commit = match repository.git.merge(&target, &head).await? {
        Merge::Clean { tree } => {
            let commit = merge_commit(app, &repository, request, &tree).await?;
            repository.git.update_ref(&ref_name(request.iid, "merge"), &commit, Expected::Any).await?;
            request.merge_status = "can_be_merged".into();
            request.conflicts = "[]".into();
            Some(commit)
        }
        Merge::Conflicts { paths, .. } => {
            request.merge_status = "cannot_be_merged".into();
            request.conflicts = serde_json::to_string(&paths)?;
            None
        }
    };
    save(app, request).await?;
    Ok(commit)
}

async fn merge_commit(
    app: &App,
    repository: &ProjectRepository,
    request: &MergeRequest,
    tree: &serin_model::TreeId,
) -> Result<CommitId> {
    let parents = [CommitId(request.target_commit.clone()), CommitId(request.head_commit.clone())];
    if let Some(known) = repository.git.resolve(&ref_name(request.iid, "merge")).await? {
        let commit = repository.git.commit(&known).await?;
        if commit.parents == parents && commit.tree == *tree {
            return Ok(known);
        }
    }
    let mut db = app.store.read().await?;
    let author = account::account_get(&mut db, request.author_id).await?;
    let project = projects::project_get(&mut db, request.project_id).await?;
    let who = Signature {
        name: author.as_ref().map_or_else(|| "Serin".to_owned(), |author| author.name.clone()),
        email: author.map_or_else(|| "serin@localhost".to_owned(), |author| author.email),
        time_ms: now().0,
    };
    let message = format!(
        "Merge branch '{}' into '{}'\n\n{}\n\nSee merge request {}!{}\n",
        request.source_branch,
        request.target_branch,
        request.title,
        project.map_or_else(String::new, |project| project.path),
        request.iid
    );
    let commit =
        NewCommit { tree: tree.clone(), parents: parents.to_vec(), message, author: who.clone(), committer: who };
    Ok(repository.git.commit_tree(&commit).await?)
}

async fn save(app: &App, request: &mut MergeRequest) -> Result<()> {
    request.updated_at = now().0;
    let mut tx = app.store.begin().await?;
    rows::merge_request_save(&mut tx, request).await?;
    tx.commit().await?;
    Ok(())
}

fn settle(request: &mut MergeRequest, (commit, by): (CommitId, Option<i64>)) {
    request.state = "merged".into();
    request.merge_commit = Some(commit.0);
    request.merged_by = by;
    request.merged_at = Some(now().0);
}

/// Why a merge request cannot be merged right now; empty: it can.
///
/// # Errors
/// Where the database fails.
pub async fn blockers(app: &App, request: &MergeRequest) -> Result<Vec<String>> {
    if request.state != "opened" {
        return Ok(vec![format!("it is {}", request.state)]);
    }
    let mut why = Vec::new();
    match request.merge_status.as_str() {
        "can_be_merged" => {}
        "checking" => why.push("its merged result is still being made".to_owned()),
        _ => {
            let paths: Vec<String> = serde_json::from_str(&request.conflicts).unwrap_or_default();
            let where_ = if paths.is_empty() { String::new() } else { format!(" in {}", paths.join(", ")) };
            let (source, target) = (&request.source_branch, &request.target_branch);
            why.push(format!("it conflicts with {target}{where_}: merge {target} into {source} and push"));
        }
    }
    let mut db = app.store.read().await?;
    let newest = pipelines::pipeline_of_merge_request(&mut db, request.id).await?.into_iter().next();
    if let Some(pipeline) = &newest {
        why.extend(pipeline_blocker(&mut db, request, pipeline).await?);
    }
    drop(db);
    why.extend(quality::blockers(app, request, newest.as_ref()).await?);
    Ok(why)
}

async fn pipeline_blocker(
    db: &mut serin_store::Connection,
    request: &MergeRequest,
    pipeline: &Pipeline,
) -> Result<Option<String>> {
    let number = pipeline.id;
    if pipeline.head_commit.as_deref() != Some(&request.head_commit) {
        return Ok(Some(format!("pipeline #{number} ran for an older commit of {}", request.source_branch)));
    }
    if pipeline.problem.is_some() {
        return Ok(Some(format!("pipeline #{number} could not be made: its configuration has errors")));
    }
    if pipeline.status != Status::Success.as_str() {
        let jobs = pipelines::job_list(db, pipeline.id).await?;
        let failed: Vec<&str> = jobs
            .iter()
            .filter(|job| job.status == Status::Failed.as_str() && !job.allowed_to_fail)
            .map(|job| job.name.as_str())
            .collect();
        return Ok(Some(match failed.as_slice() {
            [] => format!("pipeline #{number} is {}", pipeline.status.replace('_', " ")),
            failed => format!("pipeline #{number} failed in {}", failed.join(", ")),
        }));
    }
    if pipeline.target_commit.as_deref() != Some(&request.target_commit) {
        return Ok(Some(format!(
            "pipeline #{number} is outdated: {} has moved since; run a new pipeline",
            request.target_branch
        )));
    }
    Ok(None)
}

/// Merges, if nothing blocks it: the target branch moves to the tested merge commit.
///
/// # Errors
/// Where something blocks it; the message lists every reason.
pub async fn merge(app: &Arc<App>, request: &mut MergeRequest, by: &Account) -> Result<()> {
    refresh(app, request).await?;
    let why = blockers(app, request).await?;
    if !why.is_empty() {
        return Err(Error::conflict(format!("!{} cannot be merged: {}", request.iid, why.join("; "))));
    }
    let repository = app.repository(request.project_id)?;
    let refs_lock = repository.refs.lock().await;
    let merged = repository.git.resolve(&ref_name(request.iid, "merge")).await?;
    let merged = merged.ok_or_else(|| Error::conflict(format!("!{} has no merged result", request.iid)))?;
    let target = format!("{HEADS}{}", request.target_branch);
    let expected = CommitId(request.target_commit.clone());
    match repository.git.update_ref(&target, &merged, Expected::At(expected)).await? {
        Update::Updated => {}
        Update::Raced => {
            return Err(Error::conflict(format!("{} moved in this moment", request.target_branch)).hint("try again"));
        }
    }
    settle(request, (merged, Some(by.id)));
    save(app, request).await?;
    refs::compare(app, request.project_id, Some(by.id)).await?;
    drop(refs_lock);
    app.hub.tell(Change::MergeRequest(request.id));
    Ok(())
}

/// Asks for the merge as soon as the pipeline succeeds; merges at once where nothing blocks it.
///
/// # Errors
/// Where the database fails.
pub async fn merge_when_ready(app: &Arc<App>, request: &mut MergeRequest, by: &Account) -> Result<()> {
    request.merge_when_pipeline_succeeds = true;
    save(app, request).await?;
    if blockers(app, request).await?.is_empty() {
        merge(app, request, by).await?;
    }
    app.hub.tell(Change::MergeRequest(request.id));
    Ok(())
}

/// Makes a new pipeline on a fresh merged result.
///
/// # Errors
/// Where there are conflicts, or repository or database fail.
pub async fn run_pipeline(app: &Arc<App>, request: &mut MergeRequest, by: &Account) -> Result<Option<i64>> {
    let commit = refresh(app, request).await?;
    let commit = commit.ok_or_else(|| {
        Error::conflict(format!("!{} has no merged result: {}", request.iid, request.merge_status.replace('_', " ")))
    })?;
    start_pipeline(app, request, (commit, by.id)).await
}

/// A pipeline is finished: a merge request that waits for it is merged, or gets a fresh one where its target moved.
///
/// # Errors
/// Where repository or database fail.
pub async fn pipeline_finished(app: &Arc<App>, task_id: i64, pipeline_id: i64) -> Result<()> {
    if let Some((mut request, pipeline)) = waiting_request(app, pipeline_id).await? {
        // Who looks at it first need not wait for the reports to be compared.
        if let Err(error) = quality::of_pipeline(app, &pipeline).await {
            tracing::error!(pipeline = pipeline.id, %error, "quality gate cannot be judged");
        }
        let by = account::account_get(&mut *app.store.read().await?, pipeline.account_id).await?;
        if let Some(by) = by
            && pipeline.status == Status::Success.as_str()
            && request.merge_when_pipeline_succeeds
        {
            refresh(app, &mut request).await?;
            let outdated = pipeline.target_commit.as_deref() != Some(&request.target_commit);
            let result = match outdated {
                true => run_pipeline(app, &mut request, &by).await.map(|_| ()),
                false => merge(app, &mut request, &by).await,
            };
            if let Err(error) = result {
                let said = format!("!{} waits for its merge: {error}", request.iid);
                project::tell(app, request.project_id, "warning", (&said, None)).await?;
            }
        }
        app.hub.tell(Change::MergeRequest(request.id));
    }
    let mut tx = app.store.begin().await?;
    outbox_rows::outbox_done(&mut tx, task_id).await?;
    tx.commit().await?;
    Ok(())
}

async fn waiting_request(app: &App, pipeline_id: i64) -> Result<Option<(MergeRequest, Pipeline)>> {
    let mut db = app.store.read().await?;
    let Some(pipeline) = pipelines::pipeline_get(&mut db, pipeline_id).await? else { return Ok(None) };
    let Some(id) = pipeline.merge_request_id else { return Ok(None) };
    let request = rows::merge_request_get(&mut db, id).await?;
    Ok(request.filter(|request| request.state == "opened").map(|request| (request, pipeline)))
}

/// A canary passed: the merge request from develop to master is opened, with the list of merged changes.
///
/// # Errors
/// Where repository or database fail.
pub async fn open_release(app: &Arc<App>, task_id: i64, rollout_id: i64) -> Result<()> {
    let mut db = app.store.read().await?;
    let rollout = delivery::rollout_get(&mut db, rollout_id).await?;
    if let Some(rollout) = rollout
        && let Some(project) = projects::project_get(&mut db, rollout.project_id).await?
        && let Some(pipeline) = pipelines::pipeline_get(&mut db, rollout.pipeline_id).await?
    {
        drop(db);
        let config = crate::delivery::service_config(app, project.id, &CommitId(rollout.commit_id.clone())).await?;
        let (develop, master) = (config.branches.develop, config.branches.master);
        let repository = app.repository(project.id)?;
        if branch_commit(&repository, &master).await.is_ok() && develop != master {
            let description = change_list(&repository, (&master, &rollout.commit_id)).await?;
            let new = NewMergeRequest {
                source_branch: develop.clone(),
                target_branch: master,
                title: Some(format!("Release {}", &rollout.commit_id[..8.min(rollout.commit_id.len())])),
                description,
                merge_when_pipeline_succeeds: false,
                author_id: pipeline.account_id,
            };
            let request = open(app, &project, new).await?;
            let link = format!("/{}/-/merge_requests/{}", project.path, request.iid);
            let said = format!("{develop} is verified: release merge request !{} is open", request.iid);
            project::tell(app, project.id, "success", (&said, Some(link))).await?;
        }
    }
    let mut tx = app.store.begin().await?;
    outbox_rows::outbox_done(&mut tx, task_id).await?;
    tx.commit().await?;
    Ok(())
}

async fn change_list(repository: &ProjectRepository, (master, verified): (&str, &str)) -> Result<String> {
    let base = branch_commit(repository, master).await?;
    let commits = repository.git.log(Some(&base), &CommitId(verified.to_owned()), RELEASE_CHANGES_MAX).await?;
    let mut lines = vec!["Changes since the last release:".to_owned(), String::new()];
    lines.extend(
        commits
            .iter()
            .filter(|commit| commit.parents.len() < 2)
            .map(|commit| format!("- {} ({}, {})", commit.title, commit.id.short(), commit.author.name)),
    );
    Ok(lines.join("\n"))
}
