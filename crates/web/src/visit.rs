//! A visit: who asks, in which language and colours, from where.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serin_server::error::{Error, Kind, Result};
use serin_server::{App, auth};
use serin_store::account::Account;

use crate::address::decode;
use crate::reply::FLASH_COOKIE;
use crate::text::{Language, Text};

/// The cookie with the chosen language.
pub(crate) const LANGUAGE_COOKIE: &str = "lang";
/// The cookie with the chosen colours.
pub(crate) const THEME_COOKIE: &str = "theme";

/// One request for a page.
pub(crate) struct Visit {
    /// The server.
    pub(crate) app: Arc<App>,
    /// Who asks.
    pub(crate) account: Option<Account>,
    /// Whether what proves it allows this request.
    pub(crate) may_write: bool,
    /// In which language.
    pub(crate) language: Language,
    /// `light`, `dark`, `system`.
    pub(crate) theme: &'static str,
    /// Path and query, without what asks for a part.
    pub(crate) here: String,
    /// The query.
    pub(crate) query: BTreeMap<String, String>,
    /// Whether the main part alone is wanted.
    pub(crate) fragment: bool,
    /// What the page before has to say.
    pub(crate) flash: Option<String>,
    /// The request's number, for people and the log.
    pub(crate) request_id: String,
}

impl Visit {
    /// Reads a request's head.
    ///
    /// # Errors
    /// Where the database fails.
    pub(crate) async fn new(app: Arc<App>, parts: &Parts) -> Result<Self> {
        let headers = &parts.headers;
        let proven = auth::account_of(&app, headers).await?;
        let mut visit = Self::anonymous(app, parts);
        visit.may_write = proven.as_ref().is_some_and(|proven| auth::may(proven, &parts.method, parts.uri.path()));
        visit.account = proven.map(|proven| proven.account);
        Ok(visit)
    }

    /// A visit of somebody unknown.
    pub(crate) fn anonymous(app: Arc<App>, parts: &Parts) -> Self {
        let headers = &parts.headers;
        let mut query =
            Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri).map(|Query(q)| q).unwrap_or_default();
        let fragment = query.remove("fragment").is_some();
        let path = parts.uri.path();
        let here = match parts.uri.query().filter(|_| !fragment) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(|tag| Language::parse(&tag));
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        Self {
            app,
            account: None,
            may_write: false,
            language: chosen.unwrap_or_else(|| Language::accepted(accepted)),
            theme: theme(cookie(headers, THEME_COOKIE).as_deref().unwrap_or("")),
            here,
            query,
            fragment,
            flash: cookie(headers, FLASH_COOKIE).and_then(|text| decode(&text)).filter(|text| !text.is_empty()),
            request_id: request_id(),
        }
    }

    /// The strings of its language.
    pub(crate) fn t(&self) -> &'static Text {
        self.language.text()
    }

    /// Who asks; a page is asked for by nobody else.
    ///
    /// # Errors
    /// Where nobody is logged in.
    pub(crate) fn account(&self) -> Result<&Account> {
        self.account.as_ref().ok_or_else(|| Error::new(Kind::Unauthorized, "nobody is logged in"))
    }
}

/// The known theme of that word.
pub(crate) fn theme(word: &str) -> &'static str {
    match word {
        "light" => "light",
        "dark" => "dark",
        _ => "system",
    }
}

/// A cookie's value.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// Whether a request that changes something was sent by a page of this site: other sites may make a browser send
/// forms, and the browser says so (Fetch Metadata; the Origin header where that is missing).
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let authority = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some() && authority == text("host")
}

fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let started = serin_server::clock::now().0;
    format!("{:x}-{number:x}", started & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{cookie, is_same_origin};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn forms_come_from_here() {
        assert!(is_same_origin(&headers(&[("sec-fetch-site", "same-origin")])));
        assert!(is_same_origin(&headers(&[("origin", "http://localhost:80"), ("host", "localhost:80")])));
        assert!(!is_same_origin(&headers(&[("sec-fetch-site", "same-site"), ("origin", "http://a"), ("host", "a")])));
        assert!(!is_same_origin(&headers(&[("sec-fetch-site", "none")])));
        assert!(!is_same_origin(&headers(&[("origin", "null"), ("host", "a")])));
        assert!(!is_same_origin(&headers(&[("origin", "http://evil"), ("host", "a")])));
        assert!(!is_same_origin(&headers(&[("host", "a")])));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let headers = headers(&[("cookie", "xlang=1; lang=zh-CN;theme=dark")]);
        assert_eq!(cookie(&headers, "lang").as_deref(), Some("zh-CN"));
        assert_eq!(cookie(&headers, "theme").as_deref(), Some("dark"));
        assert_eq!(cookie(&headers, "ang"), None);
    }
}
