//! `/projects/:project/jobs`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serin_engine::Event;
use serin_model::JobId;
use serin_objects::{ArtifactName, AttemptKey};
use serin_store::pipeline::{self as rows, Job};
use serin_store::project::Project;
use serin_wire::rest;
use tokio_util::io::ReaderStream;

use super::view;
use crate::App;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::pipeline::{self, record};
use crate::project;
use crate::runner::attempt_key;

/// The project and job of a path.
///
/// # Errors
/// Where one of them is unknown.
pub async fn find(app: &App, (name, id): (&str, i64)) -> Result<(Project, Job)> {
    let project = project::find(app, name).await?;
    let found = rows::job_get(&mut *app.store.read().await?, id).await?;
    let row = found.filter(|row| row.project_id == project.id);
    Ok((project, row.ok_or_else(|| Error::not_found(format!("job {id}")))?))
}

async fn shown(app: &App, (name, id): (&str, i64)) -> Result<Json<rest::Job>> {
    let (project, row) = find(app, (name, id)).await?;
    let pipeline = rows::pipeline_get(&mut *app.store.read().await?, row.pipeline_id).await?;
    let stages: Vec<String> = pipeline.map(|row| record::decode(&row.stages)).transpose()?.unwrap_or_default();
    Ok(Json(view::job(app, &project, &row, &stages)))
}

/// `GET /projects/:project/jobs/:job`
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Job>> {
    shown(&app, (&name, id)).await
}

/// `GET /projects/:project/jobs/:job/trace`
pub async fn trace(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Response> {
    let (_, row) = find(&app, (&name, id)).await?;
    let body = trace_body(&app, attempt_key(&row)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

/// The trace as it stands, streamed in pieces.
async fn trace_body(app: &Arc<App>, key: AttemptKey) -> Result<Body> {
    let end = app.objects.traces.state(key).await?.size;
    let app = Arc::clone(app);
    let pieces = futures_util::stream::try_unfold(0, move |from| {
        let app = Arc::clone(&app);
        async move {
            if from >= end {
                return Ok::<_, serin_objects::Error>(None);
            }
            let piece = app.objects.traces.read(key, from..end).await?;
            let next = if piece.is_empty() { end } else { from + piece.len() as u64 };
            Ok(Some((piece, next)))
        }
    });
    Ok(Body::from_stream(pieces))
}

/// `GET /projects/:project/jobs/:job/artifacts`
pub async fn artifacts(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Response> {
    let (_, row) = find(&app, (&name, id)).await?;
    let path = app.objects.artifacts.find(attempt_key(&row), &ArtifactName::Archive)?;
    let path = path.ok_or_else(|| Error::not_found(format!("artifacts of job {id}")))?;
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::open(path).await?));
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"artifacts.zip\""),
    ];
    Ok((headers, body).into_response())
}

async fn send(app: &Arc<App>, (name, id): (&str, i64), event: Event) -> Result<Json<rest::Job>> {
    let (_, row) = find(app, (name, id)).await?;
    pipeline::apply(app, row.pipeline_id, event).await?;
    shown(app, (name, id)).await
}

/// `POST /projects/:project/jobs/:job/play`
pub async fn play(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Job>> {
    send(&app, (&name, id), Event::Play { job: JobId(id) }).await
}

/// `POST /projects/:project/jobs/:job/retry`
pub async fn retry(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Job>> {
    send(&app, (&name, id), Event::Retry { job: JobId(id) }).await
}

/// `POST /projects/:project/jobs/:job/cancel`
pub async fn cancel(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Json<rest::Job>> {
    send(&app, (&name, id), Event::CancelJob { job: JobId(id) }).await
}
