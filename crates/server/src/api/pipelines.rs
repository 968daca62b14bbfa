//! `/projects/:project/pipelines`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serin_engine::Event;
use serin_store::pipeline::{self as rows, Pipeline};
use serin_store::project::Project;
use serin_wire::rest;

use super::view;
use crate::App;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::pipeline::create::{self, NewPipeline, Source};
use crate::refs::HEADS;
use crate::{pipeline, project, secret};

/// Pipelines given at once.
const LIST_MAX: i64 = 100;

/// Query of `POST /projects/:project/pipeline`.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(rename = "ref")]
    ref_name: Option<String>,
}

/// The project and pipeline of a path.
///
/// # Errors
/// Where one of them is unknown.
pub async fn find(app: &App, (name, id): (&str, i64)) -> Result<(Project, Pipeline)> {
    let project = project::find(app, name).await?;
    let found = rows::pipeline_get(&mut *app.store.read().await?, id).await?;
    let row = found.filter(|row| row.project_id == project.id);
    Ok((project, row.ok_or_else(|| Error::not_found(format!("pipeline #{id}")))?))
}

/// `GET /projects/:project/pipelines`
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<rest::Pipeline>>> {
    let project = project::find(&app, &name).await?;
    let list = rows::pipeline_list(&mut *app.store.read().await?, project.id, LIST_MAX).await?;
    Ok(Json(list.iter().map(|row| view::pipeline(&app, &project, row)).collect()))
}

/// `POST /projects/:project/pipeline?ref=BRANCH`
pub async fn create(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<(StatusCode, Json<rest::Pipeline>)> {
    let project = project::find(&app, &name).await?;
    let branch = wanted.ref_name.unwrap_or_else(|| project.default_branch.clone());
    let repository = app.repository(project.id)?;
    let commit = repository.git.resolve(&format!("{HEADS}{branch}")).await?;
    let commit = commit.ok_or_else(|| Error::invalid(format!("there is no branch `{branch}`")))?;
    let cause = format!("web:{}", secret::hash(&secret::generate()?));
    let new =
        NewPipeline { project, cause, source: Source::Web { branch }, commit, account_id: account.id, upstream: None };
    let id = create::create(&app, new).await?;
    let id = id.ok_or_else(|| Error::conflict("no job of the file runs for this branch when started by hand"))?;
    let (project, row) = find(&app, (&name, id)).await?;
    Ok((StatusCode::CREATED, Json(view::pipeline(&app, &project, &row))))
}

/// `GET /projects/:project/pipelines/:pipeline`
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Pipeline>> {
    let (project, row) = find(&app, (&name, id)).await?;
    Ok(Json(view::pipeline(&app, &project, &row)))
}

/// `GET /projects/:project/pipelines/:pipeline/jobs`
pub async fn jobs(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<Vec<rest::Job>>> {
    let (project, row) = find(&app, (&name, id)).await?;
    Ok(Json(view::jobs(&app, &project, &row).await?))
}

/// `GET /projects/:project/pipelines/:pipeline/bridges`
pub async fn bridges(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<Vec<rest::Job>>> {
    let (project, row) = find(&app, (&name, id)).await?;
    Ok(Json(view::bridges(&app, &project, &row).await?))
}

/// `POST /projects/:project/pipelines/:pipeline/cancel`
pub async fn cancel(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Pipeline>> {
    find(&app, (&name, id)).await?;
    pipeline::apply(&app, id, Event::Cancel).await?;
    let (project, row) = find(&app, (&name, id)).await?;
    Ok(Json(view::pipeline(&app, &project, &row)))
}

/// `POST /projects/:project/pipelines/:pipeline/retry`
pub async fn retry(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Pipeline>> {
    find(&app, (&name, id)).await?;
    pipeline::apply(&app, id, Event::RetryAll).await?;
    let (project, row) = find(&app, (&name, id)).await?;
    Ok(Json(view::pipeline(&app, &project, &row)))
}
