//! The REST API, version 4: GitLab's paths and shapes for what Serin has, and Serin's own beside them.

mod environments;
mod jobs;
mod merge_requests;
mod pipelines;
mod projects;
pub mod releases;
mod users;
pub mod view;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::json;
use tower::ServiceBuilder;
use tower_http::decompression::RequestDecompressionLayer;

use crate::auth::Caller;
use crate::{App, git_http};

/// Bytes of a request's body, Git aside.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The routes of API and Git; pages are laid over them by the caller.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .nest("/api/v4", version_4().layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .merge(git())
}

/// Git's routes, whatever their path: a client may compress what it sends.
pub fn git() -> Router<Arc<App>> {
    let inflate = ServiceBuilder::new()
        .layer(RequestDecompressionLayer::new())
        .map_request(|request: axum::http::Request<_>| request.map(axum::body::Body::new));
    Router::new().fallback(git_http::serve).layer(inflate)
}

fn version_4() -> Router<Arc<App>> {
    Router::new()
        .route("/version", get(version))
        .route("/user", get(user))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{user}/personal_access_tokens", post(users::create_token))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/{project}", get(projects::show))
        .route("/projects/{project}/protected_branches", get(projects::protected).post(projects::protect))
        .route("/projects/{project}/variables", get(projects::variables).post(projects::set_variable))
        .route("/projects/{project}/protected_branches/{branch}", delete(projects::unprotect))
        .route("/projects/{project}/variables/{key}", delete(projects::delete_variable))
        .route("/projects/{project}/notices", get(projects::notices))
        .route("/projects/{project}/repository/commits/{commit}", get(projects::commit))
        .route("/projects/{project}/merge_requests", get(merge_requests::list).post(merge_requests::create))
        .route("/projects/{project}/merge_requests/{iid}", get(merge_requests::show))
        .route("/projects/{project}/merge_requests/{iid}/changes", get(merge_requests::changes))
        .route("/projects/{project}/merge_requests/{iid}/merge", put(merge_requests::accept))
        .route(
            "/projects/{project}/merge_requests/{iid}/pipelines",
            get(merge_requests::pipelines).post(merge_requests::run_pipeline),
        )
        .route("/projects/{project}/merge_requests/{iid}/quality", get(merge_requests::quality))
        .route("/projects/{project}/merge_requests/{iid}/quality/override", post(merge_requests::override_quality))
        .route("/projects/{project}/sonarqube", post(projects::sonarqube))
        .route("/projects/{project}/pipeline", post(pipelines::create))
        .route("/projects/{project}/pipelines", get(pipelines::list))
        .route("/projects/{project}/pipelines/{pipeline}", get(pipelines::show))
        .route("/projects/{project}/pipelines/{pipeline}/jobs", get(pipelines::jobs))
        .route("/projects/{project}/pipelines/{pipeline}/bridges", get(pipelines::bridges))
        .route("/projects/{project}/pipelines/{pipeline}/cancel", post(pipelines::cancel))
        .route("/projects/{project}/pipelines/{pipeline}/retry", post(pipelines::retry))
        .route("/projects/{project}/jobs/{job}", get(jobs::show))
        .route("/projects/{project}/jobs/{job}/trace", get(jobs::trace))
        .route("/projects/{project}/jobs/{job}/artifacts", get(jobs::artifacts))
        .route("/projects/{project}/jobs/{job}/play", post(jobs::play))
        .route("/projects/{project}/jobs/{job}/retry", post(jobs::retry))
        .route("/projects/{project}/jobs/{job}/cancel", post(jobs::cancel))
        .route("/projects/{project}/releases", get(releases::list))
        .route("/projects/{project}/releases/{digest}", get(releases::show))
        .route("/projects/{project}/releases/{digest}/sbom", get(releases::sbom))
        .route("/projects/{project}/releases/{digest}/provenance", get(releases::provenance))
        .route("/projects/{project}/environments", get(environments::list))
        .route("/projects/{project}/environments/{name}", get(environments::show))
        .route("/projects/{project}/environments/{name}/rollout", post(environments::act))
        .route("/projects/{project}/environments/{name}/judge", get(environments::judge))
        .route("/projects/{project}/environments/{name}/nodes/{node}/logs", get(environments::logs))
}

async fn version(Caller(_): Caller) -> Json<serde_json::Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "revision": "serin" }))
}

async fn user(Caller(account): Caller) -> Json<serde_json::Value> {
    let (id, username, name) = (account.id, account.username, account.name);
    Json(json!({ "id": id, "username": username, "name": name, "is_admin": account.admin }))
}

async fn metrics(State(app): State<Arc<App>>) -> crate::Result<impl IntoResponse> {
    let text = crate::metrics::render(&app).await?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
