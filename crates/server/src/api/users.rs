//! `/users`: accounts, and tokens for them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serin_store::account::{self as rows, Account, Scope};
use serin_wire::rest;

use super::view;
use crate::App;
use crate::auth::{self, Caller, Terms};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::project::admin_only;
use crate::secret;

/// Bytes of a login name.
const USERNAME_BYTES_MAX: usize = 100;
/// Bytes of a name, an address or a token's name.
const TEXT_BYTES_MAX: usize = 255;
/// Days that a token may last.
const TOKEN_DAYS_MAX: i64 = 3_650;
/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// `GET /users`
pub async fn list(State(app): State<Arc<App>>, Caller(_): Caller) -> Result<Json<Vec<rest::User>>> {
    let accounts = rows::account_list(&mut *app.store.read().await?).await?;
    Ok(Json(accounts.into_iter().map(user).collect()))
}

fn user(account: Account) -> rest::User {
    rest::User {
        id: account.id,
        username: account.username,
        name: account.name,
        is_admin: account.admin,
        created_at: view::time(account.created_at),
    }
}

/// `POST /users`
pub async fn create(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    Json(body): Json<rest::NewUser>,
) -> Result<(StatusCode, Json<rest::User>)> {
    admin_only(&caller, "make accounts")?;
    check_username(&body.username)?;
    let name = body.name.unwrap_or_else(|| body.username.clone());
    for text in [&name, &body.email] {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains(char::is_control) {
            return Err(Error::invalid(format!("an account has a name and an `email` of 1 to {TEXT_BYTES_MAX} bytes")));
        }
    }
    let password_hash = match body.password {
        Some(password) => {
            let hashed = tokio::task::spawn_blocking(move || secret::password_hash(&password)).await;
            Some(hashed.map_err(|error| Error::internal("hash a password", &error))??)
        }
        None => None,
    };
    let (username, email, admin) = (body.username, body.email, body.admin);
    let mut account = Account { id: 0, username, name, email, password_hash, admin, created_at: now().0 };
    let mut tx = app.store.begin().await?;
    if rows::account_by_username(&mut tx, &account.username).await?.is_some() {
        return Err(Error::conflict(format!("there is an account `{}` already", account.username)));
    }
    account.id = rows::account_create(&mut tx, &account).await?;
    tx.commit().await?;
    tracing::info!(by = caller.username, account = account.username, admin, "account made");
    Ok((StatusCode::CREATED, Json(user(account))))
}

/// `POST /users/:user/personal_access_tokens`, for oneself or by an administrator.
pub async fn create_token(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Json(body): Json<rest::NewToken>,
) -> Result<(StatusCode, Json<rest::Token>)> {
    let mut db = app.store.read().await?;
    let found = match name.parse::<i64>() {
        Ok(id) => rows::account_get(&mut db, id).await?,
        Err(_) => rows::account_by_username(&mut db, &name).await?,
    };
    drop(db);
    if found.as_ref().is_none_or(|account| account.id != caller.id) {
        admin_only(&caller, "make tokens for others")?;
    }
    let owner = found.ok_or_else(|| Error::not_found(format!("account `{name}`")))?;
    if body.name.is_empty() || body.name.len() > TEXT_BYTES_MAX || body.name.contains(char::is_control) {
        return Err(Error::invalid(format!("a token has a name of 1 to {TEXT_BYTES_MAX} bytes")));
    }
    let scope = scope(&body.scopes)?;
    let days = body.expires_in_days;
    if days.is_some_and(|days| !(1..=TOKEN_DAYS_MAX).contains(&days)) {
        return Err(Error::invalid(format!("a token lasts 1 to {TOKEN_DAYS_MAX} days")));
    }
    let terms = Terms { name: &body.name, scope, lasts_ms: days.map(|days| days * DAY_MS) };
    let token = auth::token_create(&app, owner.id, terms).await?;
    tracing::info!(by = caller.username, account = owner.username, scope = scope.as_str(), "token made");
    let made = rest::Token { user: owner.username, name: body.name, scopes: vec![scope.as_str().to_owned()], token };
    Ok((StatusCode::CREATED, Json(made)))
}

/// The widest of the scopes; none at all is refused, as an unknown one is.
fn scope(words: &[String]) -> Result<Scope> {
    let wrong = |word: &str| Error::invalid(format!("`{word}` is no scope")).hint("api or read_api");
    let scopes: Vec<Scope> =
        words.iter().map(|word| Scope::parse(word).ok_or_else(|| wrong(word))).collect::<Result<_>>()?;
    match scopes.as_slice() {
        [] => Err(Error::invalid("a token needs `scopes`").hint("[\"api\"] or [\"read_api\"]")),
        scopes if scopes.contains(&Scope::Api) => Ok(Scope::Api),
        _ => Ok(Scope::ReadApi),
    }
}

fn check_username(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let numeric = name.bytes().all(|byte| byte.is_ascii_digit());
    if numeric || name.len() > USERNAME_BYTES_MAX || name.starts_with(['-', '.']) || !name.bytes().all(plain) {
        return Err(Error::invalid(format!("`{name}` is no login name"))
            .hint("letters, digits, `-`, `_` and `.`; not digits alone"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_username, scope};
    use serin_store::account::Scope;

    #[test]
    fn login_names() {
        for good in ["dana", "a.b_c-d", "4x"] {
            assert!(check_username(good).is_ok(), "{good}");
        }
        for bad in ["", "12", "-x", ".x", "a b", "a\nb", "é", "a:b", &"x".repeat(101)] {
            assert!(check_username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_are_named() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(scope(&words(&["read_api"])).unwrap(), Scope::ReadApi);
        assert_eq!(scope(&words(&["read_api", "api"])).unwrap(), Scope::Api);
        assert!(scope(&words(&[])).is_err() && scope(&words(&["read_api", "root"])).is_err());
    }
}
