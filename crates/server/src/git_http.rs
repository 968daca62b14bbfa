//! Git over smart HTTP: `/PATH.git/info/refs`, `git-upload-pack`, `git-receive-pack`.
//!
//! Protocol: gitprotocol-http(5). The `git` executable does the work; Serin decides who may do what.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serin_git::{Push, ReceivePolicy, Refusal, Service};
use serin_store::account::Account;
use serin_store::project::{self as rows, Project, ProtectedBranch, PushNote};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::auth::Caller;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::refs::HEADS;
use crate::{App, project, refs};

/// Query of `info/refs`.
#[derive(Deserialize)]
pub struct Wanted {
    service: Option<String>,
}

/// What a path below a repository's address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `GET info/refs?service=…`
    Advertise,
    /// `POST git-upload-pack`
    UploadPack,
    /// `POST git-receive-pack`
    ReceivePack,
}

/// Splits `/team/shop.git/info/refs` into project and operation.
#[must_use]
pub fn route(path: &str) -> Option<(&str, Operation)> {
    let path = path.strip_prefix('/')?;
    let operations = [
        (".git/info/refs", Operation::Advertise),
        (".git/git-upload-pack", Operation::UploadPack),
        (".git/git-receive-pack", Operation::ReceivePack),
    ];
    operations.into_iter().find_map(|(suffix, operation)| Some((path.strip_suffix(suffix)?, operation)))
}

/// Serves a Git request; what is none is answered with 404.
///
/// # Errors
/// Where the project is unknown, or Git fails.
pub async fn serve(
    State(app): State<Arc<App>>,
    Caller(account): Caller,
    Query(wanted): Query<Wanted>,
    request: Request,
) -> Result<Response> {
    let path = request.uri().path().to_owned();
    let (name, operation) = route(&path).ok_or_else(|| Error::not_found("page"))?;
    let project = project::find(&app, name).await?;
    let protocol = request.headers().get("git-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned);
    match operation {
        Operation::Advertise => advertise(&app, &project, wanted.service.as_deref(), protocol.as_deref()).await,
        Operation::UploadPack => upload_pack(&app, &project, protocol.as_deref(), request).await,
        Operation::ReceivePack => receive_pack(&app, &account, &project, request).await,
    }
}

async fn advertise(app: &App, project: &Project, service: Option<&str>, protocol: Option<&str>) -> Result<Response> {
    let service = service
        .and_then(Service::parse)
        .ok_or_else(|| Error::invalid("only Git's smart protocol is served").hint("use git 2.0 or later"))?;
    let body = app.repository(project.id)?.git.advertise(service, protocol).await?;
    Ok(answer(&format!("application/x-{}-advertisement", service.name()), Body::from(body)))
}

async fn upload_pack(app: &App, project: &Project, protocol: Option<&str>, request: Request) -> Result<Response> {
    let repository = app.repository(project.id)?;
    let body = request_body(request);
    let output = repository.git.upload_pack(protocol, body)?;
    Ok(answer("application/x-git-upload-pack-result", Body::from_stream(ReaderStream::new(output))))
}

async fn receive_pack(app: &Arc<App>, account: &Account, project: &Project, request: Request) -> Result<Response> {
    let mut body = request_body(request);
    let push = serin_git::read_push(&mut body).await.map_err(|error| Error::invalid(error.to_string()))?;
    let content_type = "application/x-git-receive-pack-result";
    let protected = rows::protected_branch_list(&mut *app.store.read().await?, project.id).await?;
    let refused = refusals(&push, &protected);
    if !refused.is_empty() {
        serin_git::drain(body).await;
        return Ok(answer(content_type, Body::from(serin_git::rejection(&push, &refused, &[]))));
    }
    let policy = ReceivePolicy {
        fast_forward_only: protected.iter().map(|branch| format!("{HEADS}{}", branch.name)).collect(),
        ..ReceivePolicy::default()
    };
    // A slow client holds nobody up: the pack is on disk before the refs are locked.
    let pack = app.repository(project.id)?.git.spool(body, policy.pack_bytes_max).await?;
    let (app, account, project) = (Arc::clone(app), account.clone(), project.clone());
    // A client that goes away ends the request, and not what follows from its push.
    let taken = tokio::spawn(async move { take(&app, (&account, &project), (push, pack, policy)).await });
    let body = taken.await.map_err(|error| Error::internal("take the push", &error))??;
    Ok(answer(content_type, Body::from(body)))
}

async fn take(
    app: &Arc<App>,
    (account, project): (&Account, &Project),
    (push, pack, policy): (Push, serin_git::Pack, ReceivePolicy),
) -> Result<Vec<u8>> {
    let repository = app.repository(project.id)?;
    let _refs = repository.refs.lock().await;
    note(app, account, project, &push).await?;
    let received = repository.git.receive(&push, pack, &policy).await;
    // Whatever the outcome: the refs say what happened.
    refs::compare(app, project.id, Some(account.id)).await?;
    let received = received?;
    let moved = received.outcomes.iter().all(|outcome| outcome.refused.is_none());
    let messages = if moved { messages(app, project, &push) } else { Vec::new() };
    Ok(received.finish(&messages))
}

/// Notes who pushes with which options, so that a crash right after the push loses neither.
async fn note(app: &App, account: &Account, project: &Project, push: &Push) -> Result<()> {
    let note = PushNote { account_id: account.id, options: serde_json::to_string(&push.options)? };
    let mut tx = app.store.begin().await?;
    for command in &push.commands {
        if let Some(new) = &command.new {
            rows::push_note_set(&mut tx, project.id, (&command.name, &new.0), &note, now().0).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// What the server says to the person who pushes, after the push went through.
fn messages(app: &App, project: &Project, push: &Push) -> Vec<String> {
    let creates = push.options.iter().any(|option| option == "merge_request.create");
    let branches = push.commands.iter().filter(|command| command.new.is_some());
    let branch = branches.filter_map(|command| command.name.strip_prefix(HEADS)).next();
    match branch {
        Some(_) if creates => vec![format!("Merge request: {}/{}/-/merge_requests", app.url(), project.path)],
        Some(branch) if branch != project.default_branch => vec![
            format!("To open a merge request for {branch}, push with"),
            "  git push -o merge_request.create -o merge_request.target=BRANCH".to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// Which refs may not be pushed, and why.
fn refusals(push: &Push, protected: &[ProtectedBranch]) -> Vec<Refusal> {
    let mut refused = push.unacceptable();
    for command in &push.commands {
        let why = protection(&command.name, command.new.is_none(), protected);
        refused.extend(why.map(|reason| Refusal { name: command.name.clone(), reason }));
    }
    refused
}

fn protection(name: &str, deletes: bool, protected: &[ProtectedBranch]) -> Option<String> {
    let branch = protected.iter().find(|branch| name.strip_prefix(HEADS) == Some(branch.name.as_str()))?;
    if deletes {
        return Some("protected branch: it cannot be deleted".to_owned());
    }
    (!branch.push_allowed).then(|| "protected branch: open a merge request".to_owned())
}

fn request_body(request: Request) -> impl tokio::io::AsyncRead + Send + Unpin + 'static {
    let stream = request.into_body().into_data_stream().map_err(std::io::Error::other);
    StreamReader::new(Box::pin(stream))
}

fn answer(content_type: &str, body: Body) -> Response {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    (StatusCode::OK, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::{Operation, route};

    #[test]
    fn addresses() {
        assert_eq!(route("/team/shop.git/info/refs"), Some(("team/shop", Operation::Advertise)));
        assert_eq!(route("/shop.git/git-receive-pack"), Some(("shop", Operation::ReceivePack)));
        assert_eq!(route("/shop/info/refs"), None);
        assert_eq!(route("/shop.git/config"), None);
    }
}
