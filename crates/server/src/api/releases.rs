//! `/projects/:project/releases`: what was packaged, what is in it, and how it was made.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serin_store::project::Project;
use serin_store::release::{self as rows, Release};
use serin_wire::rest;

use super::view::time;
use crate::App;
use crate::action::{PROVENANCE, SBOM};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::project;

/// Releases given at once.
const RELEASES_MAX: i64 = 100;
/// Digits that a digest is found by, at least.
const DIGITS_MIN: usize = 8;
/// Digits of a whole digest.
const DIGITS: usize = 64;

/// `GET /projects/:project/releases`
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<rest::Release>>> {
    let project = project::find(&app, &name).await?;
    let releases = rows::release_list(&mut *app.store.read().await?, project.id, RELEASES_MAX).await?;
    Ok(Json(releases.iter().map(|release| view(&app, &project, release)).collect()))
}

/// `GET /projects/:project/releases/:digest`
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Path((name, digest)): Path<(String, String)>,
) -> Result<Json<rest::Release>> {
    let project = project::find(&app, &name).await?;
    Ok(Json(view(&app, &project, &find(&app, &project, &digest).await?)))
}

/// `GET /projects/:project/releases/:digest/sbom`: CycloneDX.
pub async fn sbom(app: State<Arc<App>>, caller: Caller, path: Path<(String, String)>) -> Result<Response> {
    statement(app, caller, (path, SBOM)).await
}

/// `GET /projects/:project/releases/:digest/provenance`: in-toto, SLSA.
pub async fn provenance(app: State<Arc<App>>, caller: Caller, path: Path<(String, String)>) -> Result<Response> {
    statement(app, caller, (path, PROVENANCE)).await
}

async fn statement(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    (Path((name, digest)), kind): (Path<(String, String)>, &str),
) -> Result<Response> {
    let project = project::find(&app, &name).await?;
    let release = find(&app, &project, &digest).await?;
    Ok(file(kind, body(&app, &release, kind).await?))
}

/// A statement as a file to keep.
#[must_use]
pub fn file(kind: &str, body: String) -> Response {
    let (media, name) = if kind == SBOM {
        ("application/vnd.cyclonedx+json", "sbom.cdx.json")
    } else {
        ("application/vnd.in-toto+json", "provenance.intoto.json")
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, media.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response()
}

/// What is said of a release's image or files.
///
/// # Errors
/// Where nothing is: releases of earlier versions have no statements.
pub async fn body(app: &App, release: &Release, kind: &str) -> Result<String> {
    let about = (release.subject(), kind);
    let found = rows::statement_get(&mut *app.store.read().await?, release.id, about).await?;
    let found = found.ok_or_else(|| {
        Error::not_found(format!("{kind} of release {}", release.digest))
            .hint("the next pipeline that packages its tree makes it")
    })?;
    Ok(found.body)
}

/// The release of a digest, its own or its image's, or of the first digits of one.
///
/// # Errors
/// Where there is none, or more than one.
pub async fn find(app: &App, project: &Project, digest: &str) -> Result<Release> {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !is_hex || !(DIGITS_MIN..=DIGITS).contains(&digits.len()) {
        return Err(Error::invalid(format!("a release is named by {DIGITS_MIN} to {DIGITS} digits of its digest")));
    }
    let found = rows::release_find(&mut *app.store.read().await?, project.id, (digits, 2)).await?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::not_found(format!("release {digits}"))),
        _ => {
            let whole = found.iter().find(|release| release.digest.ends_with(digits) && digits.len() == DIGITS);
            whole.cloned().ok_or_else(|| Error::conflict(format!("more than one release begins with {digits}")))
        }
    }
}

/// A release as the API shows it.
#[must_use]
pub fn view(app: &App, project: &Project, release: &Release) -> rest::Release {
    rest::Release {
        digest: release.digest.clone(),
        image: release.image.clone(),
        subject: release.subject().to_owned(),
        sha: release.commit_id.clone(),
        tree: release.tree_id.clone(),
        pipeline_id: release.pipeline_id,
        created_at: time(release.created_at),
        web_url: format!("{}/{}/-/releases/{}", app.url(), project.path, digits(&release.digest)),
    }
}

/// The digits of a digest.
#[must_use]
pub fn digits(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
