//! Logging in, by name and password or by a link that works once, and out.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serin_server::auth::{self, SESSION_COOKIE, SESSION_MS};
use serin_server::error::Result;
use serin_store::account::Proven;

use super::{Fields, local};
use crate::address::is_local;
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::reply::{html, redirect, set_cookie};
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    f: Frame,
    to: String,
    username: String,
    problem: Option<&'static str>,
}

impl Page {
    fn new(visit: &Visit, to: &str, problem: Option<&'static str>) -> Self {
        let mut f = Frame::new(visit, visit.t().login);
        f.here = "/login".to_owned();
        Self { f, to: to.to_owned(), username: String::new(), problem }
    }
}

/// The form; with a login link the session itself.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn show(visit: &Visit) -> Result<Response> {
    let to = visit.query.get("to").map(String::as_str).filter(|to| is_local(to)).unwrap_or("/");
    let Some(link) = visit.query.get("link") else {
        return html(StatusCode::OK, &Page::new(visit, to, None));
    };
    match auth::login_link_use(&visit.app, link).await? {
        Some(proven) => begin(visit, &proven, to).await,
        None => html(StatusCode::FORBIDDEN, &Page::new(visit, to, Some(visit.t().login_link_used))),
    }
}

/// Takes the form.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn enter(visit: &Visit, fields: &Fields) -> Result<Response> {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let username = field("username").trim();
    let proven = auth::by_password(&visit.app, username, field("password")).await?;
    // A token is a password of its owner alone.
    match proven.filter(|proven| proven.account.username == username) {
        Some(proven) => begin(visit, &proven, local(fields)).await,
        None => {
            let mut page = Page::new(visit, local(fields), Some(visit.t().login_failed));
            page.username = username.to_owned();
            html(StatusCode::FORBIDDEN, &page)
        }
    }
}

async fn begin(visit: &Visit, proven: &Proven, to: &str) -> Result<Response> {
    let session = auth::session_create(&visit.app, proven).await?;
    let mut response = redirect(to);
    set_cookie(&mut response, SESSION_COOKIE, (&session, SESSION_MS / 1000));
    Ok(response)
}

/// Ends the session.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn leave(visit: &Visit, headers: &HeaderMap) -> Result<Response> {
    auth::session_end(&visit.app, headers).await?;
    let mut response = redirect("/login");
    set_cookie(&mut response, SESSION_COOKIE, ("", 0));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::Page;
    use crate::frame::tests::frame;

    #[test]
    fn what_was_typed_stays_text() {
        let page = Page {
            f: frame(),
            to: "/\"><script>".into(),
            username: "\"><script>alert(1)</script>".into(),
            problem: None,
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
    }
}
