//! Answers: pages with the headers that protect them, redirects, cookies.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serin_server::error::{Error, Result};

use crate::address::encode;

/// What a page may load and do: files of this site, and nothing inline.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// The cookie that carries one sentence to the next page.
pub(crate) const FLASH_COOKIE: &str = "serin_flash";
/// Bytes of that sentence.
const FLASH_BYTES_MAX: usize = 1_000;

/// A page.
///
/// # Errors
/// Where the template fails.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<Response> {
    let body = page.render().map_err(|error| Error::internal("page", &error))?;
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("cookie, accept-language"));
    protect(&mut response);
    Ok(response)
}

/// Adds the headers that protect whatever is shown in a browser.
pub(crate) fn protect(response: &mut Response) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Sends the browser on to a page of this site, by GET.
pub(crate) fn redirect(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    protect(&mut response);
    response
}

/// Sends the browser on with a sentence for the next page.
pub(crate) fn redirect_with(to: &str, sentence: &str) -> Response {
    let mut end = sentence.len().min(FLASH_BYTES_MAX);
    while !sentence.is_char_boundary(end) {
        end -= 1;
    }
    let mut response = redirect(to);
    set_cookie(&mut response, FLASH_COOKIE, (&encode(&sentence[..end]), 60));
    response
}

/// Sets a cookie that no script sees; `max_age_s` 0 removes it.
pub(crate) fn set_cookie(response: &mut Response, name: &str, (value, max_age_s): (&str, i64)) {
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
