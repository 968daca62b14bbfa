//! The terms of a release: who must agree, who wrote it, and when nothing is released.
//!
//! They are those of the version that runs together with those of the change: a change cannot loosen what it stands before.

use std::collections::BTreeSet;

use serin_model::service::{Branches, Release};
use serin_model::{CommitId, Timestamp};
use serin_rollout::{Freeze, Kind as RolloutKind, Rollout, Terms};
use serin_store::delivery as rows;
use serin_store::project as projects;

use super::state::{self, New};
use super::{calendar, service_config};
use crate::App;
use crate::clock::now;
use crate::error::{Error, Kind, Result};

/// Commits of a change whose authors are looked for.
const COMMITS_MAX: u32 = 1_000;
/// Rollouts in which the version that runs is looked for.
const ROLLOUTS_MAX: i64 = 1_000;

/// What runs in an environment.
struct Running {
    commit: CommitId,
    /// What its `serin.yml` says of releases; `None`: it cannot be read any more.
    release: Option<Release>,
}

/// The terms of a new rollout. A deployment to an environment that is released to would go round them, and is refused.
pub(super) async fn of(app: &App, new: &New, environment_id: i64) -> Result<Terms> {
    if new.kind == RolloutKind::Canary || new.back_by.is_some() {
        return Ok(Terms::default());
    }
    let rollouts = rows::rollout_list(&mut *app.store.read().await?, environment_id, ROLLOUTS_MAX).await?;
    let is_released_to = rollouts.iter().any(|row| row.kind == state::word(RolloutKind::Release));
    if new.kind == RolloutKind::Deploy && !is_released_to {
        return Ok(Terms::default());
    }
    let running = running(app, new.project_id, &rollouts).await?;
    let own = &new.config.release;
    let old = running.as_ref().and_then(|running| running.release.as_ref()).filter(|_| is_released_to);
    let mut terms = both(own, old);
    if new.kind == RolloutKind::Deploy {
        return allow_deploy(&new.environment, &terms).map(|()| Terms::default());
    }
    if terms.approvals > 0 {
        let since = running.map(|running| running.commit);
        terms.authors = authors(app, new, since.as_ref()).await?;
    }
    Ok(terms)
}

/// The window without releases that holds for a release.
pub(super) fn freeze(machine: &Rollout, at: Timestamp) -> Option<Freeze> {
    let is_release = machine.kind == RolloutKind::Release && !machine.is_over();
    is_release.then(|| calendar::freeze_at(&machine.settings.terms.freeze, at)).flatten()
}

fn both(own: &Release, old: Option<&Release>) -> Terms {
    let approvals = own.approvals.max(old.map_or(0, |old| old.approvals));
    let approvers = match old {
        Some(old) if old.approvals > 0 => old.approvers.clone(),
        _ => own.approvers.clone(),
    };
    let mut freeze = own.freeze.clone();
    freeze.extend(old.into_iter().flat_map(|old| &old.freeze).filter(|window| !own.freeze.contains(window)).cloned());
    Terms { approvals, approvers, authors: Vec::new(), freeze }
}

fn allow_deploy(environment: &str, terms: &Terms) -> Result<()> {
    let why = if terms.approvals > 0 {
        format!("releases to `{environment}` need {} approvals, and `deploy` would go round them", terms.approvals)
    } else {
        match calendar::freeze_at(&terms.freeze, now()) {
            Some(freeze) => format!("`{environment}` is frozen until {} by `{}`", freeze.ends, freeze.window),
            None => return Ok(()),
        }
    };
    Err(Error::conflict(why).hint("use `action: release`"))
}

/// The newest version that was deployed or released as a whole.
async fn running(app: &App, project_id: i64, rollouts: &[rows::Rollout]) -> Result<Option<Running>> {
    let whole = [RolloutKind::Deploy, RolloutKind::Release].map(state::word);
    let last = rollouts.iter().find(|row| row.phase == "succeeded" && whole.contains(&row.kind.as_str()));
    let Some(last) = last else { return Ok(None) };
    let commit = CommitId(last.commit_id.clone());
    let release = match service_config(app, project_id, &commit).await {
        Ok(config) => Some(config.release),
        // Written for a Serin that took what this one does not.
        Err(error) if error.kind == Kind::Invalid => None,
        Err(error) => return Err(error),
    };
    Ok(Some(Running { commit, release }))
}

/// Who wrote what is new since a commit: authors of merge requests, who pushed, and whose address stands in the commits.
async fn authors(app: &App, new: &New, since: Option<&CommitId>) -> Result<Vec<String>> {
    let repository = app.repository(new.project_id)?;
    let commits = repository.git.log(since, &CommitId(new.commit.clone()), COMMITS_MAX).await?;
    let Branches { develop, master } = &new.config.branches;
    let mut names = BTreeSet::new();
    let mut db = app.store.read().await?;
    for commit in &commits {
        let merged = rows::merge_of_commit(&mut db, new.project_id, &commit.id.0).await?;
        let is_release = |merge: &rows::Merge| merge.source_branch == *develop && merge.target_branch == *master;
        names.extend(merged.filter(|merge| !is_release(merge)).map(|merge| merge.author));
        names.extend(projects::pusher_list(&mut db, new.project_id, &commit.id.0).await?);
        if commit.parents.len() < 2 {
            for address in [&commit.author.email, &commit.committer.email] {
                names.extend(rows::account_list_of_address(&mut db, address).await?);
            }
        }
    }
    Ok(names.into_iter().collect())
}
