//! The pages, one module each, and the way of a request to its page.

mod changes;
mod environment;
mod job;
mod login;
mod pipeline;
mod problem;
mod project;
mod projects;
mod quality;
mod release;
mod request;
mod row;
mod trend;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serin_server::error::{Error, Kind, Result};
use serin_server::{App, api, auth, git_http, project as projects_of};
use tower::ServiceExt;

use crate::address::{self, Address, Place, encode, is_local};
use crate::reply::{FLASH_COOKIE, redirect, redirect_with, set_cookie};
use crate::visit::{self, Visit, is_same_origin};

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 256 << 10;

/// What a form says.
pub(crate) type Fields = BTreeMap<String, String>;

/// Answers every request that no other route takes: pages, and Git below a project's address.
pub async fn page(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    if git_http::route(path).is_some() {
        return git(app, request).await;
    }
    if path == "/api" || path.starts_with("/api/") {
        return Error::not_found("endpoint").into_response();
    }
    let (parts, body) = request.into_parts();
    let visit = match Visit::new(Arc::clone(&app), &parts).await {
        Ok(visit) => visit,
        Err(error) => return problem::show(&Visit::anonymous(app, &parts), error),
    };
    let answer = match parts.method {
        Method::GET | Method::HEAD => get(&visit, parts.uri.path()).await,
        Method::POST => post(&visit, parts, body).await,
        _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
    };
    let mut response = answer.unwrap_or_else(|error| problem::show(&visit, error));
    if visit.flash.is_some() && !visit.fragment && response.status().is_success() && is_page(&response) {
        set_cookie(&mut response, FLASH_COOKIE, ("", 0));
    }
    response
}

fn is_page(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Git's own requests; their bodies may be compressed.
async fn git(app: Arc<App>, request: Request) -> Response {
    api::git().with_state(app).oneshot(request).await.into_response()
}

async fn get(visit: &Visit, path: &str) -> Result<Response> {
    let address = address::parse(path).ok_or_else(|| Error::not_found("page"))?;
    if address == Address::Login {
        return login::show(visit).await;
    }
    if visit.account.is_none() {
        return Ok(to_login(visit));
    }
    match address {
        Address::Projects => projects::list(visit).await,
        Address::NewProject => projects::new(visit),
        Address::Project(name, place) => get_of_project(visit, &name, place).await,
        Address::Login | Address::Logout | Address::Preferences => Ok(redirect("/")),
    }
}

fn to_login(visit: &Visit) -> Response {
    if visit.fragment {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match visit.here.as_str() {
        "/" => redirect("/login"),
        here => redirect(&format!("/login?to={}", encode(here))),
    }
}

async fn get_of_project(visit: &Visit, name: &str, place: Place) -> Result<Response> {
    let project = projects_of::find(&visit.app, name).await?;
    if project.path != name {
        return Err(Error::not_found(format!("project `{name}`")));
    }
    match place {
        Place::Overview => project::show(visit, &project).await,
        Place::Requests => request::list(visit, &project).await,
        Place::NewRequest => request::new(visit, &project).await,
        Place::Request(iid) => request::show(visit, &project, iid).await,
        Place::Changes(iid) => changes::show(visit, &project, iid).await,
        Place::Pipelines => pipeline::list(visit, &project).await,
        Place::Pipeline(id) => pipeline::show(visit, &project, id).await,
        Place::Job(id) => job::show(visit, &project, id).await,
        Place::Log(id) => job::log(visit, &project, id).await,
        Place::Raw(id) => job::raw(visit, &project, id).await,
        Place::Quality => trend::show(visit, &project).await,
        Place::Releases => release::list(visit, &project).await,
        Place::Release(digest) => release::show(visit, &project, &digest).await,
        Place::Statement(digest, kind) => release::statement(visit, &project, (&digest, kind)).await,
        Place::Environments => environment::list(visit, &project).await,
        Place::Environment(name) => environment::show(visit, &project, &name).await,
    }
}

async fn post(visit: &Visit, parts: Parts, body: Body) -> Result<Response> {
    if !is_same_origin(&parts.headers) {
        return Err(Error::new(Kind::Forbidden, visit.t().cross_site));
    }
    let address = address::parse(parts.uri.path()).ok_or_else(|| Error::not_found("page"))?;
    let headers = parts.headers.clone();
    let body = axum::body::to_bytes(body, FORM_BYTES_MAX).await;
    let body = body.map_err(|_| Error::invalid(format!("a form holds at most {FORM_BYTES_MAX} bytes")))?;
    let Form(fields) = Form::<Fields>::from_request(Request::from_parts(parts, Body::from(body)), &())
        .await
        .map_err(|error| Error::invalid(format!("the form cannot be read: {error}")))?;
    match address {
        Address::Login => return login::enter(visit, &fields).await,
        Address::Logout => return login::leave(visit, &headers).await,
        Address::Preferences => return Ok(prefer(&fields)),
        _ if visit.account.is_none() => return Ok(to_login(visit)),
        _ if !visit.may_write => return Err(auth::read_only()),
        Address::NewProject => return projects::create(visit, &fields).await,
        _ => {}
    }
    let Address::Project(name, place) = address else { return Err(Error::not_found("page")) };
    let project = projects_of::find(&visit.app, &name).await?;
    let result = match place {
        Place::NewRequest => request::create(visit, &project, &fields).await,
        Place::Request(iid) => request::act(visit, &project, (iid, &fields)).await,
        Place::Pipelines => pipeline::run(visit, &project, &fields).await,
        Place::Pipeline(id) => pipeline::act(visit, &project, (id, &fields)).await,
        Place::Job(id) => job::act(visit, &project, (id, &fields)).await,
        Place::Environment(name) => environment::act(visit, &project, (&name, &fields)).await,
        _ => return Err(Error::not_found("page")),
    };
    // What the state of things is against is said on the page itself.
    match result {
        Err(error) if matches!(error.kind, Kind::Conflict | Kind::Invalid) => {
            Ok(redirect_with(&visit.here, &error.to_string()))
        }
        result => result,
    }
}

/// Keeps language or colours, and goes back.
fn prefer(fields: &Fields) -> Response {
    /// A year.
    const LASTS_S: i64 = 365 * 24 * 3600;
    let mut response = redirect(local(fields));
    if let Some(language) = fields.get("lang").and_then(|tag| crate::text::Language::parse(tag)) {
        set_cookie(&mut response, visit::LANGUAGE_COOKIE, (language.tag(), LASTS_S));
    }
    if let Some(theme) = fields.get("theme") {
        set_cookie(&mut response, visit::THEME_COOKIE, (visit::theme(theme), LASTS_S));
    }
    response
}

/// Where a form wants to go next, on this site.
pub(crate) fn local(fields: &Fields) -> &str {
    fields.get("to").map(String::as_str).filter(|to| is_local(to)).unwrap_or("/")
}
