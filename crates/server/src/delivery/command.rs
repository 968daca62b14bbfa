//! What people ask of a rollout, by API, command line and pages.

use std::sync::Arc;

use serin_model::{Digest, PoolName};
use serin_rollout::Event;
use serin_store::account::Account;
use serin_store::delivery::{self as rows, Environment};
use serin_wire::rest::RolloutCommand;

use super::{back, state};
use crate::App;
use crate::error::{Error, Result};
use crate::project::admin_only;

/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 1_000;

/// Does what a person asks of the environment's rollout.
///
/// # Errors
/// Where the person may not, the rollout refuses, or the request lacks something.
pub async fn carry_out(
    app: &Arc<App>,
    environment: &Environment,
    (command, account): (&RolloutCommand, &Account),
) -> Result<()> {
    // Who names a version wants that one, and never the way back of a way back that has begun meanwhile.
    if command.action == "roll_back" && (command.digest.is_some() || is_over(app, environment).await?) {
        return back::begin(app, environment, (&account.username, command.digest.as_deref())).await;
    }
    state::step(app, environment.id, event(command, account)?).await
}

async fn is_over(app: &App, environment: &Environment) -> Result<bool> {
    let row = rows::rollout_current(&mut *app.store.read().await?, environment.id).await?;
    row.map_or(Ok(false), |row| Ok(state::decode(&row)?.is_over()))
}

fn event(command: &RolloutCommand, account: &Account) -> Result<Event> {
    let by = account.username.clone();
    Ok(match command.action.as_str() {
        "release" => {
            let pool = command.pool.clone().ok_or_else(|| Error::invalid("`release` needs a `pool`"))?;
            Event::ReleasePool { pool: PoolName(pool), by }
        }
        "pause" => Event::Pause { by },
        "resume" => Event::Resume { by },
        "accept" => {
            let watch = command.watch.ok_or_else(|| Error::invalid("`accept` needs the `watch` that it accepts"))?;
            Event::Accept { watch, by }
        }
        "abort" => Event::Abort { by, reason: reason(command)? },
        "roll_back" => Event::RollBack { by },
        "approve" => {
            let digest = command.digest.clone().ok_or_else(|| {
                Error::invalid("`approve` needs the `digest` of what is approved")
                    .hint("the rollout's, as the environment says it")
            })?;
            Event::Approve { by, digest: Digest(digest) }
        }
        "override" => {
            admin_only(account, "override the terms of a release")?;
            let reason = reason(command)?;
            if reason.is_empty() {
                return Err(Error::invalid("`override` needs a `reason`; it is kept and told to the project"));
            }
            Event::Override { by, reason }
        }
        other => {
            return Err(Error::invalid(format!("`{other}` is nothing that can be done to a rollout"))
                .hint("release, pause, resume, accept, abort, roll_back, approve or override"));
        }
    })
}

fn reason(command: &RolloutCommand) -> Result<String> {
    let reason = command.reason.as_deref().unwrap_or_default();
    let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let reason = reason.trim();
    if reason.len() > REASON_BYTES_MAX {
        return Err(Error::invalid(format!("a reason has at most {REASON_BYTES_MAX} bytes")));
    }
    Ok(reason.to_owned())
}
