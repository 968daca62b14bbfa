//! The way back after a rollout has ended: the version before, deployed node by node.

use std::sync::Arc;

use serin_model::Digest;
use serin_rollout::{Kind, Outcome, Phase, Rollout};
use serin_store::delivery::{self as rows, Environment, Whole};

use super::state::{self, New};
use crate::App;
use crate::error::{Error, Result};
use crate::project;

/// Rollouts in which a version is looked for.
const ROLLOUTS_MAX: i64 = 1_000;

/// The version that the environment may go back to; `None`: there is none.
///
/// Versions that were left by going back are not offered again: twice back is two versions back. What has turned back by
/// itself is back already, and a release that was aborted half way goes back to what it was to replace.
pub(super) async fn before(app: &App, row: &rows::Rollout, machine: &Rollout) -> Result<Option<Whole>> {
    let Phase::Over(outcome) = &machine.phase else { return Ok(None) };
    // A canary that has ended took its nodes back already.
    if machine.kind == Kind::Canary {
        return Ok(None);
    }
    let mut stack = whole(app, row.environment_id).await?;
    let Some(newest) = stack.pop() else { return Ok(None) };
    if matches!(outcome, Outcome::Succeeded | Outcome::NothingToDo) {
        return Ok(stack.pop());
    }
    let is_back =
        machine.slots.iter().all(|slot| slot.assigned.as_ref().is_none_or(|digest| digest.0 == newest.digest));
    Ok((!is_back).then_some(newest))
}

/// The versions that ran here as a whole, each once, oldest first; what was gone back from is left out.
async fn whole(app: &App, environment_id: i64) -> Result<Vec<Whole>> {
    let rollouts = rows::rollout_whole_list(&mut *app.store.read().await?, environment_id, ROLLOUTS_MAX).await?;
    let mut stack: Vec<Whole> = Vec::new();
    for row in rollouts.into_iter().rev() {
        match stack.iter().position(|known| known.digest == row.digest) {
            Some(place) => stack.truncate(place + 1),
            None => stack.push(row),
        }
    }
    Ok(stack)
}

/// Begins to deploy the version before, in the environment as `serin.yml` last described it. `wanted` is the version that the
/// person saw: another one is refused.
pub(super) async fn begin(app: &Arc<App>, environment: &Environment, (by, wanted): (&str, Option<&str>)) -> Result<()> {
    let row = rows::rollout_current(&mut *app.store.read().await?, environment.id).await?;
    let row = row.ok_or_else(|| Error::conflict("nothing was ever deployed to this environment"))?;
    let machine = state::decode(&row)?;
    if !machine.is_over() {
        let words = format!("rollout {} of this environment is {}", row.id, machine.phase);
        return Err(Error::conflict(words).hint("roll that one back, or wait for its end"));
    }
    let target = before(app, &row, &machine).await?;
    let target = target.ok_or_else(|| Error::conflict("there is no version before to go back to"))?;
    if wanted.is_some_and(|wanted| wanted != target.digest) {
        let words = format!("`{}` is the version before", Digest(target.digest).short());
        return Err(Error::conflict(words).hint("look at it again, then roll back"));
    }
    let new = New {
        project_id: environment.project_id,
        pipeline_id: target.pipeline_id,
        environment: environment.name.clone(),
        kind: Kind::Deploy,
        digest: Digest(target.digest.clone()),
        commit: target.commit_id,
        config: state::config(environment)?,
        canary_nodes: None,
        back_by: Some(by.to_owned()),
    };
    state::begin(app, new).await?;
    let words = format!("{by} rolls `{}` back to `{}`", environment.name, Digest(target.digest).short());
    project::tell(app, environment.project_id, "warning", (&words, None)).await
}
