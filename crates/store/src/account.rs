//! People and what they prove themselves with.

use sqlx::FromRow;

use crate::{Connection, Result};

/// A person or a bot.
#[derive(Clone, Debug, FromRow)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// Its name at login.
    pub username: String,
    /// Its name for people.
    pub name: String,
    /// Its address, used in commits that the server makes for it.
    pub email: String,
    /// Argon2 hash, where it has a password.
    pub password_hash: Option<String>,
    /// Whether it may do everything.
    pub admin: bool,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// What a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// API and Git.
    Token,
    /// A browser's cookie.
    Session,
    /// A link that logs in once.
    Login,
}

impl CredentialKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Login => "login",
        }
    }
}

/// What a credential lets its bearer do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All that its account may.
    #[default]
    Api,
    /// Reading alone.
    ReadApi,
}

impl Scope {
    /// The word used on every wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::ReadApi => "read_api",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Api, Self::ReadApi].into_iter().find(|scope| scope.as_str() == word)
    }
}

/// An account that a credential stands for.
#[derive(Clone, Debug, FromRow)]
pub struct Proven {
    /// The account.
    #[sqlx(flatten)]
    pub account: Account,
    /// The credential's scope.
    #[sqlx(try_from = "String")]
    pub scope: Scope,
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(word: String) -> std::result::Result<Self, String> {
        Self::parse(&word).ok_or_else(|| format!("`{word}` is no scope"))
    }
}

/// A secret's hash and its terms.
#[derive(Clone, Debug)]
pub struct NewCredential<'a> {
    /// Whose it is.
    pub account_id: i64,
    /// What it is for.
    pub kind: CredentialKind,
    /// What its owner calls it.
    pub name: &'a str,
    /// What it lets its bearer do.
    pub scope: Scope,
    /// SHA-256 of the secret, in hexadecimal.
    pub secret_hash: &'a str,
    /// Now, in milliseconds since 1970.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: Option<i64>,
}

/// Makes an account.
pub async fn account_create(db: &mut Connection, account: &Account) -> Result<i64> {
    sqlx::query_scalar(
        "insert into account (username, name, email, password_hash, admin, created_at)
         values ($1, $2, $3, $4, $5, $6) returning id",
    )
    .bind(&account.username)
    .bind(&account.name)
    .bind(&account.email)
    .bind(&account.password_hash)
    .bind(account.admin)
    .bind(account.created_at)
    .fetch_one(db)
    .await
}

/// The account of that number.
pub async fn account_get(db: &mut Connection, id: i64) -> Result<Option<Account>> {
    sqlx::query_as("select * from account where id = $1").bind(id).fetch_optional(db).await
}

/// The account of that login name.
pub async fn account_by_username(db: &mut Connection, username: &str) -> Result<Option<Account>> {
    sqlx::query_as("select * from account where username = $1").bind(username).fetch_optional(db).await
}

/// All accounts by login name.
pub async fn account_list(db: &mut Connection) -> Result<Vec<Account>> {
    sqlx::query_as("select * from account order by username").fetch_all(db).await
}

/// The first administrator, on whose behalf the server acts.
pub async fn account_first_admin(db: &mut Connection) -> Result<Option<Account>> {
    sqlx::query_as("select * from account where admin = 1 order by id limit 1").fetch_optional(db).await
}

/// Keeps a credential.
pub async fn credential_create(db: &mut Connection, credential: &NewCredential<'_>) -> Result<()> {
    sqlx::query(
        "insert into credential (account_id, kind, name, secret_hash, created_at, expires_at, scope)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(credential.account_id)
    .bind(credential.kind.as_str())
    .bind(credential.name)
    .bind(credential.secret_hash)
    .bind(credential.created_at)
    .bind(credential.expires_at)
    .bind(credential.scope.as_str())
    .execute(db)
    .await?;
    Ok(())
}

/// Whose valid credential that is.
pub async fn credential_account(
    db: &mut Connection,
    kind: CredentialKind,
    secret_hash: &str,
    now: i64,
) -> Result<Option<Proven>> {
    sqlx::query_as(
        "select account.*, scope from credential join account on account.id = credential.account_id
         where secret_hash = $1 and kind = $2 and (expires_at is null or expires_at > $3)",
    )
    .bind(secret_hash)
    .bind(kind.as_str())
    .bind(now)
    .fetch_optional(db)
    .await
}

/// Ends a credential; says whether there was one.
pub async fn credential_delete(db: &mut Connection, kind: CredentialKind, secret_hash: &str) -> Result<bool> {
    let done = sqlx::query("delete from credential where secret_hash = $1 and kind = $2")
        .bind(secret_hash)
        .bind(kind.as_str())
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}
