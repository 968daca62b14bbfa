//! The actions deploy, detach, canary and release: they begin a rollout, or move it on, and wait for what it reports.

use serin_model::plan::Action;
use serin_rollout::{Event, Kind, Milestone};
use serin_store::delivery as rows;

use super::state::{self, New};
use crate::action::{Ending, Running};
use crate::error::{Error, Result};
use crate::hub::Change;

/// Carries such an action out; the same again goes on where it was.
pub async fn carry_out(running: &Running) -> Result<Ending> {
    let rollout = match &running.action {
        Action::Deploy { environment } => begin(running, environment, (Kind::Deploy, None)).await?,
        Action::Detach { environment, nodes } => begin(running, environment, (Kind::Canary, *nodes)).await?,
        Action::Release { environment } => begin(running, environment, (Kind::Release, None)).await?,
        Action::Canary { environment } => request_canary(running, environment).await?,
        other => return Err(Error::invalid(format!("`{}` is no action of delivery", other.as_str()))),
    };
    wait(running, rollout.id).await
}

async fn begin(running: &Running, environment: &str, (kind, nodes): (Kind, Option<u32>)) -> Result<rows::Rollout> {
    let release = state::packaged(&running.app, &running.pipeline).await?;
    let commit = serin_model::CommitId(running.pipeline.commit_id.clone());
    let config = super::service_config(&running.app, running.project.id, &commit).await?;
    let digest = serin_model::Digest(release.digest);
    running.say(&format!("{} {} to {environment}", verb(kind), digest.short())).await?;
    let new = New {
        project_id: running.project.id,
        pipeline_id: running.pipeline.id,
        environment: environment.to_owned(),
        kind,
        digest,
        commit: running.pipeline.commit_id.clone(),
        config,
        canary_nodes: nodes,
        back_by: None,
    };
    state::begin(&running.app, new).await
}

fn verb(kind: Kind) -> &'static str {
    match kind {
        Kind::Deploy => "Deploying",
        Kind::Canary => "Taking nodes out and bringing",
        Kind::Release => "Releasing",
    }
}

async fn request_canary(running: &Running, environment: &str) -> Result<rows::Rollout> {
    let mut db = running.app.store.read().await?;
    let rollouts = rows::rollout_of_pipeline(&mut db, running.pipeline.id).await?;
    let row = rollouts.into_iter().rev().find(|row| row.kind == state::word(Kind::Canary));
    let row = row.ok_or_else(|| {
        Error::conflict(format!("no nodes of `{environment}` were taken out by this pipeline"))
            .hint("put a job with `serin: { action: detach }` before this one")
    })?;
    drop(db);
    if row.current && row.finished_at.is_none() {
        state::step(&running.app, row.environment_id, Event::CanaryRequested).await?;
    }
    Ok(row)
}

/// Waits until the rollout reports what this action is for, and tells its timeline meanwhile.
async fn wait(running: &Running, rollout_id: i64) -> Result<Ending> {
    let mut changes = running.app.hub.listen();
    let mut told = 0;
    loop {
        let row = rows::rollout_get(&mut *running.app.store.read().await?, rollout_id).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("rollout {rollout_id}")))?;
        let machine = state::decode(&row)?;
        let lines = super::view::timeline(&machine);
        for entry in lines.iter().skip(told) {
            running.say(&entry.message).await?;
        }
        told = told.max(lines.len());
        let milestones: Vec<Milestone> = serde_json::from_str(&row.milestones)?;
        for milestone in &milestones {
            match milestone {
                Milestone::Failed { reason } => return Err(Error::conflict(reason.clone())),
                Milestone::NothingToDo => return Ok(Ending::Done),
                other if ends(&running.action, other) => return Ok(Ending::Done),
                _ => {}
            }
        }
        if !row.current {
            return Err(Error::conflict("another rollout took its place"));
        }
        tokio::select! {
            () = running.stop.cancelled() => return stopped(running, row.environment_id).await,
            () = changed(&mut changes, row.environment_id) => {}
        }
    }
}

async fn changed(changes: &mut tokio::sync::broadcast::Receiver<Change>, environment_id: i64) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match changes.recv().await {
            Ok(Change::Environment(id)) if id == environment_id => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn ends(action: &Action, milestone: &Milestone) -> bool {
    matches!(
        (action, milestone),
        (Action::Deploy { .. }, Milestone::Deployed)
            | (Action::Detach { .. }, Milestone::Detached { .. })
            | (Action::Canary { .. }, Milestone::CanaryPassed)
            | (Action::Release { .. }, Milestone::Released)
    )
}

async fn stopped(running: &Running, environment_id: i64) -> Result<Ending> {
    let event = Event::Abort { by: "the pipeline".into(), reason: format!("job {} was cancelled", running.job.name) };
    if let Err(error) = state::step(&running.app, environment_id, event).await {
        running.say(&format!("The rollout goes on: {error}")).await?;
    }
    Ok(Ending::Stopped)
}
