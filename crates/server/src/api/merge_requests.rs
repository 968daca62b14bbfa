//! `/projects/:project/merge_requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use serin_model::CommitId;
use serin_store::merge_request::{self as rows, MergeRequest};
use serin_store::pipeline as pipelines;
use serin_store::project::Project;
use serin_wire::quality::{NewOverride, Quality};
use serin_wire::rest;

use super::view;
use crate::App;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::merge_request::{self, NewMergeRequest};
use crate::project;

/// Merge requests given at once.
const LIST_MAX: i64 = 100;

/// Query of the list.
#[derive(Deserialize)]
pub struct Wanted {
    state: Option<String>,
}

/// The project and merge request of a path.
///
/// # Errors
/// Where one of them is unknown.
pub async fn find(app: &App, (name, iid): (&str, i64)) -> Result<(Project, MergeRequest)> {
    let project = project::find(app, name).await?;
    let found = rows::merge_request_by_iid(&mut *app.store.read().await?, project.id, iid).await?;
    let request = found.ok_or_else(|| Error::not_found(format!("merge request !{iid}")))?;
    Ok((project, request))
}

/// `GET /projects/:project/merge_requests`
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<rest::MergeRequest>>> {
    let project = project::find(&app, &name).await?;
    let state = wanted.state.as_deref().unwrap_or("all");
    let list = rows::merge_request_list(&mut *app.store.read().await?, project.id, state, LIST_MAX).await?;
    let mut shown = Vec::with_capacity(list.len());
    for row in &list {
        shown.push(view::merge_request(&app, &project, row).await?);
    }
    Ok(Json(shown))
}

/// `POST /projects/:project/merge_requests`
pub async fn create(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path(name): Path<String>,
    Json(body): Json<rest::NewMergeRequest>,
) -> Result<(StatusCode, Json<rest::MergeRequest>)> {
    let project = project::find(&app, &name).await?;
    let new = NewMergeRequest {
        source_branch: body.source_branch,
        target_branch: body.target_branch,
        title: body.title,
        description: body.description.unwrap_or_default(),
        merge_when_pipeline_succeeds: false,
        author_id: account.id,
    };
    let made = merge_request::open(&app, &project, new).await?;
    Ok((StatusCode::CREATED, Json(view::merge_request(&app, &project, &made).await?)))
}

/// `GET /projects/:project/merge_requests/:iid`
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, iid)): Path<(String, i64)>,
) -> Result<Json<rest::MergeRequest>> {
    let (project, request) = find(&app, (&name, iid)).await?;
    Ok(Json(view::merge_request(&app, &project, &request).await?))
}

/// `GET /projects/:project/merge_requests/:iid/changes`
pub async fn changes(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, iid)): Path<(String, i64)>,
) -> Result<Json<Value>> {
    let (project, request) = find(&app, (&name, iid)).await?;
    let repository = app.repository(project.id)?;
    let (base, head) = diff_ends(&repository.git, &request).await?;
    let files = repository.git.changed_files(&base, &head).await?;
    let changes: Vec<Value> = files.iter().map(|path| json!({ "new_path": path })).collect();
    Ok(Json(json!({ "iid": request.iid, "diff_refs": { "base_sha": base.0, "head_sha": head.0 }, "changes": changes })))
}

/// The commits between which a merge request's changes lie.
///
/// # Errors
/// Where the repository fails.
pub async fn diff_ends(git: &serin_git::Repository, request: &MergeRequest) -> Result<(CommitId, CommitId)> {
    let head = CommitId(request.head_commit.clone());
    let target = CommitId(request.target_commit.clone());
    if request.state == "merged"
        && let Some(merged) = &request.merge_commit
    {
        let merged = git.commit(&CommitId(merged.clone())).await?;
        if let Some(before) = merged.parents.first() {
            let base = git.merge_base(before, &head).await?;
            return Ok((base.unwrap_or_else(|| before.clone()), head));
        }
    }
    let base = git.merge_base(&target, &head).await?;
    Ok((base.unwrap_or(target), head))
}

/// `PUT /projects/:project/merge_requests/:iid/merge`
pub async fn accept(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path((name, iid)): Path<(String, i64)>,
    body: Option<Json<rest::Accept>>,
) -> Result<Json<rest::MergeRequest>> {
    let (project, mut request) = find(&app, (&name, iid)).await?;
    match body.is_some_and(|Json(body)| body.merge_when_pipeline_succeeds) {
        true => merge_request::merge_when_ready(&app, &mut request, &account).await?,
        false => merge_request::merge(&app, &mut request, &account).await?,
    }
    Ok(Json(view::merge_request(&app, &project, &request).await?))
}

/// `GET /projects/:project/merge_requests/:iid/pipelines`
pub async fn pipelines(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, iid)): Path<(String, i64)>,
) -> Result<Json<Vec<rest::Pipeline>>> {
    let (project, request) = find(&app, (&name, iid)).await?;
    let list = pipelines::pipeline_of_merge_request(&mut *app.store.read().await?, request.id).await?;
    Ok(Json(list.iter().map(|row| view::pipeline(&app, &project, row)).collect()))
}

/// `POST /projects/:project/merge_requests/:iid/pipelines`
pub async fn run_pipeline(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path((name, iid)): Path<(String, i64)>,
) -> Result<(StatusCode, Json<rest::Pipeline>)> {
    let (project, mut request) = find(&app, (&name, iid)).await?;
    merge_request::run_pipeline(&app, &mut request, &account).await?;
    let newest = pipelines::pipeline_of_merge_request(&mut *app.store.read().await?, request.id).await?;
    let newest = newest.into_iter().next().ok_or_else(|| Error::conflict("the file wants no pipeline here"))?;
    Ok((StatusCode::CREATED, Json(view::pipeline(&app, &project, &newest))))
}

/// `GET /projects/:project/merge_requests/:iid/quality`
pub async fn quality(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, iid)): Path<(String, i64)>,
) -> Result<Json<Quality>> {
    let (_, request) = find(&app, (&name, iid)).await?;
    Ok(Json(crate::quality::shown_of(&app, &request).await?))
}

/// `POST /projects/:project/merge_requests/:iid/quality/override`
pub async fn override_quality(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path((name, iid)): Path<(String, i64)>,
    Json(body): Json<NewOverride>,
) -> Result<(StatusCode, Json<Quality>)> {
    let (_, request) = find(&app, (&name, iid)).await?;
    crate::quality::let_pass(&app, &request, (&account, &body.reason)).await?;
    Ok((StatusCode::CREATED, Json(crate::quality::shown_of(&app, &request).await?)))
}
