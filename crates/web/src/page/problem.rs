//! What a person sees where something went wrong.

use askama::Template;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serin_server::error::{Error, Kind};

use crate::frame::{Frame, Tab};
use crate::icon;
use crate::reply;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "problem.html")]
struct Page {
    f: Frame,
    status: u16,
    heading: String,
    message: String,
    hint: Option<String>,
    request_id: String,
}

/// The page of a failure.
pub(crate) fn show(visit: &Visit, error: Error) -> Response {
    let t = visit.t();
    let status = error.kind.status();
    let (heading, message) = match error.kind {
        Kind::NotFound => (t.missing, format!("{} ({})", t.missing_text, error.message)),
        Kind::Unauthorized => (t.login, error.message),
        Kind::Forbidden => (t.forbidden, error.message),
        Kind::Invalid | Kind::Conflict => (t.not_done, error.message),
        Kind::Internal => {
            tracing::error!(request_id = visit.request_id, path = visit.here, error = error.message, "page failed");
            (t.server_failed, t.server_failed_text.to_owned())
        }
    };
    let page = Page {
        f: Frame::new(visit, heading),
        status: status.as_u16(),
        heading: heading.to_owned(),
        message,
        hint: error.hint,
        request_id: visit.request_id.clone(),
    };
    let mut response = reply::html(status, &page).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    if let Ok(id) = HeaderValue::from_str(&visit.request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}
