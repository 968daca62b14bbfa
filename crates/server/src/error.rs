//! The one error of the server: a kind, a sentence, and a hint.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What every function of the server returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it is; decides HTTP status and log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The caller has not proved who it is.
    Unauthorized,
    /// The caller may not do that.
    Forbidden,
    /// The request is wrong.
    Invalid,
    /// The request is right, and the state of things is against it.
    Conflict,
    /// Serin or its machine failed.
    Internal,
}

impl Kind {
    /// The HTTP status of that kind.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A failure, in words for the person or program that asked.
#[derive(Debug)]
pub struct Error {
    /// What kind.
    pub kind: Kind,
    /// What was attempted and why it failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// A failure of that kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Nothing of that name.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{what} not found"))
    }

    /// A wrong request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A request against the state of things.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// A failure of Serin or its machine, with all that caused it.
    pub fn internal(attempt: &str, source: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = attempt.to_owned();
        let mut cause = Some(source);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(Kind::Internal, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! internal_from {
    ($($source:ty => $attempt:literal;)*) => {$(
        impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self::internal($attempt, &source)
            }
        }
    )*};
}

internal_from! {
    serin_store::Error => "database";
    std::io::Error => "file system";
    serde_json::Error => "stored record";
    serin_git::Error => "repository";
    serin_objects::Error => "object store";
    serin_platform::Error => "node";
}

impl IntoResponse for Error {
    /// GitLab's error shape: `{"message": …}`, with `hint` beside it.
    fn into_response(self) -> Response {
        let message = if self.kind == Kind::Internal {
            tracing::error!(error = %self, "request failed");
            "internal error; the server's log says more".to_owned()
        } else {
            self.message
        };
        let status = self.kind.status();
        let mut body = json!({ "message": message });
        if let Some(hint) = self.hint {
            body["hint"] = hint.into();
        }
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = axum::http::HeaderValue::from_static("Basic realm=\"Serin\"");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
