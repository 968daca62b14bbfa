//! `/projects`: projects, protected branches, variables, notices, commits.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serin_store::project::{self as rows};
use serin_wire::rest;

use super::view;
use crate::App;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::project::{self, DEFAULT_BRANCH, NewProject};

/// Notices given at once.
const NOTICES_MAX: i64 = 200;

/// `GET /projects`
pub async fn list(State(app): State<Arc<App>>, Caller(_): Caller) -> Result<Json<Vec<rest::Project>>> {
    let projects = rows::project_list(&mut *app.store.read().await?).await?;
    Ok(Json(projects.iter().map(|row| view::project(&app, row)).collect()))
}

/// `POST /projects`
pub async fn create(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Json(body): Json<rest::NewProject>,
) -> Result<(StatusCode, Json<rest::Project>)> {
    project::admin_only(&account, "make projects")?;
    let (path, name) = match (body.path, body.name) {
        (Some(path), Some(name)) => (path, name),
        (Some(path), None) => (path.clone(), path),
        (None, Some(name)) => (name.to_lowercase().replace(' ', "-"), name),
        (None, None) => return Err(Error::invalid("a project needs a `path` or a `name`")),
    };
    let default_branch = body.default_branch.unwrap_or_else(|| DEFAULT_BRANCH.to_owned());
    let made = project::create(&app, NewProject { path, name, default_branch }).await?;
    Ok((StatusCode::CREATED, Json(view::project(&app, &made))))
}

/// `GET /projects/:project`
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
) -> Result<Json<rest::Project>> {
    Ok(Json(view::project(&app, &project::find(&app, &name).await?)))
}

/// `GET /projects/:project/protected_branches`
pub async fn protected(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<rest::ProtectedBranch>>> {
    let project = project::find(&app, &name).await?;
    let list = rows::protected_branch_list(&mut *app.store.read().await?, project.id).await?;
    let shown = list.into_iter().map(|row| rest::ProtectedBranch { name: row.name, push_allowed: row.push_allowed });
    Ok(Json(shown.collect()))
}

/// `POST /projects/:project/protected_branches`
pub async fn protect(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path(name): Path<String>,
    Json(body): Json<rest::ProtectedBranch>,
) -> Result<(StatusCode, Json<rest::ProtectedBranch>)> {
    project::admin_only(&account, "protect branches")?;
    let project = project::find(&app, &name).await?;
    let branch = rows::ProtectedBranch { name: body.name.clone(), push_allowed: body.push_allowed };
    let mut tx = app.store.begin().await?;
    rows::protected_branch_set(&mut tx, project.id, &branch).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(body)))
}

/// `DELETE /projects/:project/protected_branches/:branch`
pub async fn unprotect(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path((name, branch)): Path<(String, String)>,
) -> Result<StatusCode> {
    project::admin_only(&account, "end a branch's protection")?;
    let project = project::find(&app, &name).await?;
    let mut tx = app.store.begin().await?;
    let was_there = rows::protected_branch_delete(&mut tx, project.id, &branch).await?;
    tx.commit().await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Error::not_found(format!("protected branch `{branch}`"))) }
}

/// `GET /projects/:project/variables`; masked values stay hidden.
pub async fn variables(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<rest::Variable>>> {
    project::admin_only(&account, "read variables")?;
    let project = project::find(&app, &name).await?;
    let list = rows::project_variable_list(&mut *app.store.read().await?, project.id).await?;
    Ok(Json(list.into_iter().map(variable).collect()))
}

fn variable(row: rows::ProjectVariable) -> rest::Variable {
    rest::Variable {
        key: row.key,
        value: if row.masked { "[MASKED]".to_owned() } else { row.value },
        masked: row.masked,
        protected: row.protected,
        raw: row.raw,
        variable_type: if row.file { "file" } else { "env_var" }.to_owned(),
        environment_scope: row.environment_scope,
    }
}

/// `POST /projects/:project/variables`
pub async fn set_variable(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path(name): Path<String>,
    Json(body): Json<rest::Variable>,
) -> Result<(StatusCode, Json<rest::Variable>)> {
    project::admin_only(&account, "set variables")?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if body.key.is_empty() || body.key.len() > 255 || !body.key.bytes().all(good) {
        return Err(Error::invalid(format!("`{}` is no variable name", body.key)).hint("letters, digits and `_`"));
    }
    let project = project::find(&app, &name).await?;
    let row = rows::ProjectVariable {
        key: body.key.clone(),
        value: body.value.clone(),
        environment_scope: body.environment_scope.clone(),
        masked: body.masked,
        protected: body.protected,
        raw: body.raw,
        file: body.variable_type == "file",
    };
    let mut tx = app.store.begin().await?;
    rows::project_variable_set(&mut tx, project.id, &row).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(variable(row))))
}

/// `DELETE /projects/:project/variables/:key`, in every scope.
pub async fn delete_variable(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Path((name, key)): Path<(String, String)>,
) -> Result<StatusCode> {
    project::admin_only(&account, "delete variables")?;
    let project = project::find(&app, &name).await?;
    let mut tx = app.store.begin().await?;
    let was_there = rows::project_variable_delete(&mut tx, project.id, &key).await?;
    tx.commit().await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Error::not_found(format!("variable `{key}`"))) }
}

/// `GET /projects/:project/notices`, newest first.
pub async fn notices(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<rest::Notice>>> {
    let project = project::find(&app, &name).await?;
    let list = rows::notice_list(&mut *app.store.read().await?, project.id, NOTICES_MAX).await?;
    let shown = list.into_iter().map(|row| rest::Notice {
        id: row.id,
        at: row.at,
        kind: row.kind,
        message: row.message,
        link: row.link,
    });
    Ok(Json(shown.collect()))
}

/// `GET /projects/:project/repository/commits/:commit`
pub async fn commit(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, revision)): Path<(String, String)>,
) -> Result<Json<rest::Commit>> {
    let project = project::find(&app, &name).await?;
    let repository = app.repository(project.id)?;
    let found = repository.git.resolve(&revision).await?;
    let id = found.ok_or_else(|| Error::not_found(format!("commit `{revision}`")))?;
    let commit = repository.git.commit(&id).await?;
    let mark = rows::commit_mark_get(&mut *app.store.read().await?, project.id, &id.0).await?;
    let (mark, mark_note) = mark.unzip();
    Ok(Json(rest::Commit {
        id: id.0,
        title: commit.title,
        author_name: commit.author.name,
        created_at: view::time(commit.author.time_ms),
        mark,
        mark_note,
    }))
}

/// `POST /projects/:project/sonarqube`: SonarQube's webhook, which carries a signature in place of a token.
pub async fn sonarqube(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: axum::http::HeaderMap,
    body: axum::body::Bytes,
) -> Result<StatusCode> {
    let signature = headers.get("x-sonar-webhook-hmac-sha256").and_then(|value| value.to_str().ok());
    crate::quality::sonarqube::receive(&app, &name, (signature, &body)).await?;
    Ok(StatusCode::NO_CONTENT)
}
