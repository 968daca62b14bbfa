//! Who calls: by token, session cookie, or password.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serin_store::account::{self, Account, CredentialKind, NewCredential, Proven, Scope};

use crate::App;
use crate::clock::now;
use crate::error::{Error, Kind, Result};
use crate::secret;

/// The session cookie's name.
pub const SESSION_COOKIE: &str = "serin_session";
/// Milliseconds that a session lasts: 14 days.
pub const SESSION_MS: i64 = 14 * 24 * 3600 * 1000;
/// Milliseconds that a one-time login link lasts: 24 h.
const LOGIN_LINK_MS: i64 = 24 * 3600 * 1000;

/// The account on whose behalf a request is made; without one the request is refused with 401.
#[derive(Clone, Debug)]
pub struct Caller(pub Account);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        match account_of(app, &parts.headers).await? {
            Some(_) if is_forged(parts) => {
                Err(Error::new(Kind::Forbidden, "another site sent this request with your session"))
            }
            Some(proven) if !may(&proven, &parts.method, parts.uri.path()) => Err(read_only()),
            Some(proven) => Ok(Self(proven.account)),
            None => Err(Error::new(Kind::Unauthorized, "no valid token, session or password given")
                .hint("send a token in the header `PRIVATE-TOKEN`, or log in")),
        }
    }
}

/// What a new credential is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// What it lets its bearer do.
    pub scope: Scope,
    /// Milliseconds that it lasts; `None`: for ever.
    pub lasts_ms: Option<i64>,
}

/// Whether a browser sent a write with the session cookie alone on behalf of another site (Fetch Metadata).
fn is_forged(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let by_cookie = header_text(headers, "private-token").is_none() && !headers.contains_key(header::AUTHORIZATION);
    let site = header_text(headers, "sec-fetch-site");
    by_cookie && !parts.method.is_safe() && !matches!(site, Some("same-origin" | "none"))
}

/// Whether a credential's scope allows a request. Fetching from Git is reading, although it posts.
#[must_use]
pub fn may(proven: &Proven, method: &Method, path: &str) -> bool {
    proven.scope == Scope::Api || method.is_safe() || path.ends_with(".git/git-upload-pack")
}

/// The refusal of a request that changes something, by a credential that only reads.
#[must_use]
pub fn read_only() -> Error {
    Error::new(Kind::Forbidden, "this token has the scope `read_api`, which changes nothing")
        .hint("use a token with the scope `api`")
}

/// Whose request that is, if it proves it.
///
/// # Errors
/// Where the database fails.
pub async fn account_of(app: &App, headers: &HeaderMap) -> Result<Option<Proven>> {
    if let Some(token) = header_text(headers, "private-token").or_else(|| bearer(headers)) {
        return credential(app, CredentialKind::Token, token).await;
    }
    if let Some((username, password)) = basic(headers) {
        return by_password(app, &username, &password).await;
    }
    match session(headers) {
        Some(session) => credential(app, CredentialKind::Session, session).await,
        None => Ok(None),
    }
}

/// The account that a login name and a password or token prove.
///
/// # Errors
/// Where the database fails.
pub async fn by_password(app: &App, username: &str, password: &str) -> Result<Option<Proven>> {
    if password.starts_with(secret::TOKEN_PREFIX) {
        return credential(app, CredentialKind::Token, password).await;
    }
    let found = account::account_by_username(&mut *app.store.read().await?, username).await?;
    let Some((account, kept)) = found.and_then(|account| account.password_hash.clone().map(|hash| (account, hash)))
    else {
        return Ok(None);
    };
    let password = password.to_owned();
    let fits = tokio::task::spawn_blocking(move || secret::password_fits(&password, &kept)).await.unwrap_or(false);
    Ok(fits.then_some(Proven { account, scope: Scope::Api }))
}

/// Makes a session and gives its secret, for the cookie.
///
/// # Errors
/// Where the database fails.
pub async fn session_create(app: &App, proven: &Proven) -> Result<String> {
    let terms = Terms { name: "session", scope: proven.scope, lasts_ms: Some(SESSION_MS) };
    issue(app, proven.account.id, CredentialKind::Session, terms).await
}

/// Ends the session of these headers.
///
/// # Errors
/// Where the database fails.
pub async fn session_end(app: &App, headers: &HeaderMap) -> Result<()> {
    if let Some(session) = session(headers) {
        let mut tx = app.store.begin().await?;
        account::credential_delete(&mut tx, CredentialKind::Session, &secret::hash(session)).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Makes a token for API and Git.
///
/// # Errors
/// Where the database fails.
pub async fn token_create(app: &App, account_id: i64, terms: Terms<'_>) -> Result<String> {
    issue(app, account_id, CredentialKind::Token, terms).await
}

/// Makes a link's secret that logs in once.
///
/// # Errors
/// Where the database fails.
pub async fn login_link_create(app: &App, account_id: i64) -> Result<String> {
    let terms = Terms { name: "login link", lasts_ms: Some(LOGIN_LINK_MS), ..Terms::default() };
    issue(app, account_id, CredentialKind::Login, terms).await
}

/// Uses a login link up; the account that it stands for.
///
/// # Errors
/// Where the database fails.
pub async fn login_link_use(app: &App, link: &str) -> Result<Option<Proven>> {
    let hash = secret::hash(link);
    let mut tx = app.store.begin().await?;
    let found = account::credential_account(&mut tx, CredentialKind::Login, &hash, now().0).await?;
    account::credential_delete(&mut tx, CredentialKind::Login, &hash).await?;
    tx.commit().await?;
    Ok(found)
}

async fn issue(app: &App, account_id: i64, kind: CredentialKind, terms: Terms<'_>) -> Result<String> {
    let made = secret::generate()?;
    let now = now();
    let credential = NewCredential {
        account_id,
        kind,
        name: terms.name,
        scope: terms.scope,
        secret_hash: &secret::hash(&made),
        created_at: now.0,
        expires_at: terms.lasts_ms.map(|ms| now.plus_ms(ms).0),
    };
    let mut tx = app.store.begin().await?;
    account::credential_create(&mut tx, &credential).await?;
    tx.commit().await?;
    Ok(made)
}

async fn credential(app: &App, kind: CredentialKind, given: &str) -> Result<Option<Proven>> {
    let mut db = app.store.read().await?;
    Ok(account::credential_account(&mut db, kind, &secret::hash(given), now().0).await?)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    header_text(headers, header::AUTHORIZATION.as_str())?.strip_prefix("Bearer ")
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = header_text(headers, header::AUTHORIZATION.as_str())?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == SESSION_COOKIE).then_some(value))
}
