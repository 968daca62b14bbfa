//! `/projects/:project/environments`: nodes, the rollout, the judge's ticks, and what a person does to a rollout.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serin_store::delivery as rows;
use serin_wire::rest;

use crate::App;
use crate::auth::Caller;
use crate::delivery::{self, command, view};
use crate::error::Result;
use crate::project;

/// Log lines given at once.
const LOG_LINES_MAX: usize = 10_000;

/// Query of the judge's ticks.
#[derive(Deserialize)]
pub struct After {
    after: Option<i64>,
}

/// Query of a node's log.
#[derive(Deserialize)]
pub struct Lines {
    lines: Option<usize>,
}

/// `GET /projects/:project/environments`
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<rest::Environment>>> {
    let project = project::find(&app, &name).await?;
    let list = rows::environment_list(&mut *app.store.read().await?, Some(project.id)).await?;
    let mut shown = Vec::with_capacity(list.len());
    for row in &list {
        shown.push(view::environment(&app, row).await?);
    }
    Ok(Json(shown))
}

/// `GET /projects/:project/environments/:name`
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, environment)): Path<(String, String)>,
) -> Result<Json<rest::Environment>> {
    let project = project::find(&app, &name).await?;
    let row = view::find(&app, &project, &environment).await?;
    Ok(Json(view::environment(&app, &row).await?))
}

/// `POST /projects/:project/environments/:name/rollout`
pub async fn act(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path((name, environment)): Path<(String, String)>,
    Json(command): Json<rest::RolloutCommand>,
) -> Result<Json<rest::Environment>> {
    let project = project::find(&app, &name).await?;
    let row = view::find(&app, &project, &environment).await?;
    command::carry_out(&app, &row, (&command, &account)).await?;
    Ok(Json(view::environment(&app, &row).await?))
}

/// `GET /projects/:project/environments/:name/judge?after=TICK`
pub async fn judge(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, environment)): Path<(String, String)>,
    Query(after): Query<After>,
) -> Result<Json<Vec<rest::JudgeTick>>> {
    let project = project::find(&app, &name).await?;
    let row = view::find(&app, &project, &environment).await?;
    let rollout = rows::rollout_current(&mut *app.store.read().await?, row.id).await?;
    let Some(rollout) = rollout else { return Ok(Json(Vec::new())) };
    Ok(Json(view::judge_ticks(&app, &rollout, after.after.unwrap_or(-1)).await?))
}

/// `GET /projects/:project/environments/:name/nodes/:node/logs?lines=N`
pub async fn logs(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, environment, node)): Path<(String, String, String)>,
    Query(lines): Query<Lines>,
) -> Result<String> {
    let project = project::find(&app, &name).await?;
    let row = view::find(&app, &project, &environment).await?;
    let most = lines.lines.unwrap_or(200).min(LOG_LINES_MAX);
    Ok(delivery::node_logs(&app, &row, (&node, most)).await?.join("\n"))
}
