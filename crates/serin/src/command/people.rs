//! Accounts and their tokens, and a person's word for a release.

use anyhow::{Result, bail};
use serin_wire::rest;

use super::remote::{client, get, send, show};
use crate::cli::people::{Approve, Override, Token, User};
use crate::client::part;
use crate::terminal::{DIM, styled};

/// Accounts.
pub async fn user(command: User) -> Result<()> {
    match command {
        User::Create { username, email, name, admin, server } => {
            let body = rest::NewUser { username, name, email, password: None, admin };
            let made: rest::User = client(&server).post("/users", &body).await?;
            show(server.format, &made, || vec![user_line(&made)])
        }
        User::List { server } => {
            let all: Vec<rest::User> = client(&server).get("/users").await?;
            show(server.format, &all, || all.iter().map(user_line).collect())
        }
    }
}

fn user_line(user: &rest::User) -> String {
    let admin = if user.is_admin { styled(DIM, "administrator") } else { String::new() };
    format!("{:<20} {:<28} {admin}", user.username, user.name).trim_end().to_owned()
}

/// Tokens.
pub async fn token(command: Token) -> Result<()> {
    let Token::Create { username, name, read_only, days, server } = command;
    let scope = if read_only { "read_api" } else { "api" };
    let body = rest::NewToken { name, scopes: vec![scope.to_owned()], expires_in_days: days };
    let path = format!("/users/{}/personal_access_tokens", part(&username));
    let made: rest::Token = client(&server).post(&path, &body).await?;
    show(server.format, &made, || vec![made.token.clone()])
}

/// Agrees to the release that the environment shows, or to the version that is named.
pub async fn approve(command: Approve) -> Result<()> {
    let digest = match command.digest {
        Some(digest) => digest,
        None => match get(&command.of, &command.name).await?.rollout {
            Some(rollout) => rollout.digest,
            None => bail!("nothing was ever deployed to `{}`", command.name),
        },
    };
    let body = rest::RolloutCommand { action: "approve".to_owned(), digest: Some(digest), ..Default::default() };
    send(&command.of, &command.name, body).await
}

/// Lets a release go on against its terms.
pub async fn override_terms(command: Override) -> Result<()> {
    let body =
        rest::RolloutCommand { action: "override".to_owned(), reason: Some(command.reason), ..Default::default() };
    send(&command.of, &command.name, body).await
}

/// What a release needs besides a click, as people read it.
pub fn terms_lines(terms: &rest::ReleaseTerms) -> Vec<String> {
    let mut lines = Vec::new();
    if terms.approvals_required > 0 {
        let by =
            if terms.approved_by.is_empty() { String::new() } else { format!(": {}", terms.approved_by.join(", ")) };
        let given = terms.approved_by.len();
        lines.push(format!("  approvals: {given} of {}{by}", terms.approvals_required));
        if terms.approvals_left > 0 && !terms.approvers.is_empty() {
            lines.push(format!("  may approve: {}", terms.approvers.join(", ")));
        }
        if terms.approvals_left > 0 && !terms.authors.is_empty() {
            lines.push(format!("  wrote the change, and may not approve it: {}", terms.authors.join(", ")));
        }
    }
    lines.extend(terms.frozen.iter().map(|frozen| format!("  frozen until {} by `{}`", frozen.ends, frozen.window)));
    lines.extend(terms.overridden.iter().map(|word| format!("  terms overridden by {}: {}", word.by, word.reason)));
    lines
}
