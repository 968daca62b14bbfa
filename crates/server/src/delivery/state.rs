//! An environment's rollout: read, stepped and kept in one transaction.

use std::sync::Arc;

use serin_model::service::{self, Config};
use serin_model::{Digest, NodeName, PoolName, RolloutId, Timestamp};
use serin_platform::Observation;
use serin_rollout::{
    self as rollout, Effect, Event, Ground, Outcome, Phase, Refusal, Rollout, Settings, Standing, Target, Tone,
};
use serin_store::delivery::{self as rows, Environment};
use serin_store::project::{self as projects, Notice};
use serin_store::release::{self as releases, Release};
use serin_store::{Tx, pipeline as pipelines};

use super::{departed, terms};
use crate::App;
use crate::clock::now;
use crate::error::{Error, Kind, Result};
use crate::hub::Change;
use crate::outbox::{self, Task};
use crate::pipeline::record;

/// An environment's key on platform and gateway.
#[must_use]
pub fn key(environment: &Environment) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = environment.name.chars().take(60).map(safe).collect();
    format!("{}-{name}", environment.id)
}

/// The machine out of its record.
///
/// # Errors
/// Where the record is damaged.
pub fn decode(row: &rows::Rollout) -> Result<Rollout> {
    record::decode(&row.state)
}

/// The environment's configuration as of its last deployment.
///
/// # Errors
/// Where the record is damaged.
pub fn config(environment: &Environment) -> Result<Config> {
    record::decode(&environment.config)
}

/// The part of the configuration that is about the environment itself.
///
/// # Errors
/// Where it says nothing of the environment.
pub fn part<'a>(config: &'a Config, name: &str) -> Result<&'a service::Environment> {
    config.environments.iter().find(|known| known.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.environments.iter().map(|known| known.name.as_str()).collect();
        Error::invalid(format!("`serin.yml` has no environment `{name}`"))
            .hint(format!("it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") }))
    })
}

/// What a new rollout shall bring.
pub struct New {
    /// The project.
    pub project_id: i64,
    /// The pipeline that asks.
    pub pipeline_id: i64,
    /// The environment's name.
    pub environment: String,
    /// What it is for.
    pub kind: rollout::Kind,
    /// The version.
    pub digest: Digest,
    /// The version's commit.
    pub commit: String,
    /// What `serin.yml` says at that commit.
    pub config: Config,
    /// Nodes to take out, where the job says so.
    pub canary_nodes: Option<u32>,
    /// Who wants an older version back; nothing holds that up.
    pub back_by: Option<String>,
}

/// Begins a rollout; its row. The current one gives way where it may.
///
/// # Errors
/// Where another one is under way, or the machine refuses.
pub async fn begin(app: &Arc<App>, new: New) -> Result<rows::Rollout> {
    let part = part(&new.config, &new.environment)?.clone();
    check_platform(app, &new, &part).await?;
    let environment = ensure(app, &new, &part).await?;
    let watched = app.delivery.watched(environment.id);
    let _step = watched.step.lock().await;
    let terms = terms::of(app, &new, environment.id).await?;
    let mut tx = app.store.begin().await?;
    let current = rows::rollout_current(&mut tx, environment.id).await?;
    if let Some(current) = &current
        && current.pipeline_id == new.pipeline_id
        && current.kind == word(new.kind)
        && new.back_by.is_none()
    {
        return Ok(current.clone());
    }
    let ground = match &current {
        Some(row) => decode(row)?.standing(),
        None => Ground::default(),
    };
    let mut settings = Settings::new(&new.config.service, &part, &new.config.canary, &new.config.release);
    settings.terms = terms;
    settings.canary_nodes = new.canary_nodes.unwrap_or(settings.canary_nodes);
    // Where the platform cannot be asked, new names stand for nodes that never ran, and it takes no outdated order.
    let observed = app.delivery.platform.observe(&key(&environment)).await.unwrap_or_default();
    let ground = Ground { nodes: nodes(&part, &ground, &observed), ..ground };
    let at = now();
    let mut row = first_row(&new, environment.id, at)?;
    row.id = take_place(&mut tx, current, &row).await?;
    let target = Target { id: RolloutId(row.id), kind: new.kind, digest: new.digest, settings };
    let mut machine = Rollout::new(target, ground, at).map_err(|refusal| Error::conflict(refusal.to_string()))?;
    if let Some(by) = new.back_by {
        machine.note_back(by, at);
    }
    let effects = stepped(&mut machine, Event::Start, at)?;
    keep(&mut tx, &mut row, &machine, &effects).await?;
    tx.commit().await?;
    after(app, &row, &effects);
    app.in_background(super::reconcile::run(Arc::clone(app), environment.id));
    Ok(row)
}

/// Says before anything moves that an environment's platform cannot run the version.
async fn check_platform(app: &App, new: &New, part: &service::Environment) -> Result<()> {
    let (release, service) = super::release(app, new.project_id, &new.digest).await?;
    super::spec::check(app, part, (&service, new.pipeline_id)).await?;
    match part.platform {
        service::Platform::Process => Ok(()),
        service::Platform::Docker => {
            if part.hosts.is_empty() {
                serin_platform::Engine::connect().await?;
            }
            if release.image.is_some() {
                return Ok(());
            }
            let name = &part.name;
            let wrong = format!("environment `{name}` runs containers, and release {} has no image", new.digest);
            Err(Error::invalid(wrong).hint("write `image: { dockerfile: Dockerfile }` under `service:` in `serin.yml`"))
        }
        service::Platform::Kubernetes => {
            Err(Error::invalid(format!("environment `{}`: `platform: kubernetes` is not carried yet", part.name)))
        }
    }
}

async fn ensure(app: &App, new: &New, part: &service::Environment) -> Result<Environment> {
    let mut environment = Environment {
        id: 0,
        project_id: new.project_id,
        name: part.name.clone(),
        config: record::encode(&new.config)?,
        listen: part.listen.clone(),
        routes_revision: 0,
        created_at: now().0,
    };
    let mut tx = app.store.begin().await?;
    environment.id = rows::environment_ensure(&mut tx, &environment).await?;
    tx.commit().await?;
    Ok(environment)
}

fn first_row(new: &New, environment_id: i64, at: Timestamp) -> Result<rows::Rollout> {
    Ok(rows::Rollout {
        id: 0,
        environment_id,
        project_id: new.project_id,
        pipeline_id: new.pipeline_id,
        kind: word(new.kind).to_owned(),
        digest: new.digest.0.clone(),
        commit_id: new.commit.clone(),
        phase: "created".to_owned(),
        state: String::new(),
        current: true,
        milestones: "[]".to_owned(),
        outcome: None,
        created_at: at.0,
        updated_at: at.0,
        finished_at: None,
    })
}

/// The environment's nodes: as they stand, with those that `serin.yml` adds and without those that it leaves out.
fn nodes(part: &service::Environment, standing: &Ground, observed: &[Observation]) -> Vec<Standing> {
    let mut list = Vec::new();
    for pool in &part.pools {
        for number in 1..=pool.nodes {
            let name = NodeName(format!("{}-{number}", pool.name));
            let known = standing.nodes.iter().find(|known| known.node == name).cloned();
            let pool = PoolName(pool.name.clone());
            list.push(known.unwrap_or_else(|| departed::standing(name, pool, observed)));
        }
    }
    list
}

/// Makes the new rollout's row; the one before gives way, or refuses.
async fn take_place(tx: &mut Tx, current: Option<rows::Rollout>, new: &rows::Rollout) -> Result<i64> {
    let Some(mut old) = current else { return Ok(rows::rollout_create(tx, new).await?) };
    let mut machine = decode(&old)?;
    if !machine.may_be_superseded() {
        let words = format!("rollout {} of this environment is {}", old.id, machine.phase);
        return Err(Error::conflict(words).hint("wait for its end, or abort it"));
    }
    old.current = false;
    rows::rollout_save(tx, &old).await?;
    let id = rows::rollout_create(tx, new).await?;
    if !machine.is_over() {
        let event = Event::Superseded { by: RolloutId(id) };
        let effects =
            rollout::step(&mut machine, event, now()).map_err(|refusal| Error::conflict(refusal.to_string()))?;
        keep(tx, &mut old, &machine, &effects).await?;
    }
    Ok(id)
}

/// Steps the environment's current rollout.
///
/// # Errors
/// Where there is none, the machine refuses, or the database fails; nothing has changed then.
pub async fn step(app: &Arc<App>, environment_id: i64, event: Event) -> Result<()> {
    let watched = app.delivery.watched(environment_id);
    let _step = watched.step.lock().await;
    let mut tx = app.store.begin().await?;
    let row = rows::rollout_current(&mut tx, environment_id).await?;
    let mut row = row.ok_or_else(|| Error::conflict("nothing was ever deployed to this environment"))?;
    let mut machine = decode(&row)?;
    let before = machine.clone();
    let effects = stepped(&mut machine, event, now())?;
    if effects.is_empty() && machine == before {
        return Ok(());
    }
    keep(&mut tx, &mut row, &machine, &effects).await?;
    tx.commit().await?;
    after(app, &row, &effects);
    Ok(())
}

/// Steps a rollout that knows which window without releases holds now.
fn stepped(machine: &mut Rollout, event: Event, at: Timestamp) -> Result<Vec<Effect>> {
    let freeze = terms::freeze(machine, at);
    let mut effects = Vec::new();
    for event in [Event::Freeze(freeze), event] {
        effects.extend(rollout::step(machine, event, at).map_err(|refusal| refused(&refusal))?);
    }
    Ok(effects)
}

fn refused(refusal: &Refusal) -> Error {
    let kind = match refusal {
        Refusal::OwnChange { .. } | Refusal::NoApprover { .. } => Kind::Forbidden,
        _ => Kind::Conflict,
    };
    Error::new(kind, refusal.to_string())
}

async fn keep(tx: &mut Tx, row: &mut rows::Rollout, machine: &Rollout, effects: &[Effect]) -> Result<()> {
    let at = now().0;
    row.phase = phase(&machine.phase).to_owned();
    row.state = record::encode(machine)?;
    row.updated_at = at;
    for effect in effects {
        match effect {
            Effect::Report(milestone) => {
                let mut all: Vec<serin_rollout::Milestone> = serde_json::from_str(&row.milestones)?;
                all.push(milestone.clone());
                row.milestones = serde_json::to_string(&all)?;
            }
            Effect::Notify { tone, text } => {
                let link = link(tx, row).await?;
                let notice = Notice { id: 0, at, kind: tone_word(*tone).to_owned(), message: text.clone(), link };
                projects::notice_create(tx, row.project_id, &notice).await?;
            }
            Effect::MarkVerified => {
                let note = format!("passed the canary of rollout {}", row.id);
                projects::commit_mark_set(tx, row.project_id, &row.commit_id, ("verified", &note), at).await?;
                outbox::add(tx, &Task::OpenRelease { rollout_id: row.id }).await?;
            }
            Effect::MarkFailed { reason } => {
                projects::commit_mark_set(tx, row.project_id, &row.commit_id, ("refused", reason), at).await?;
            }
            Effect::Over { outcome, .. } => {
                row.outcome = Some(outcome.to_string());
                row.finished_at = Some(at);
            }
            _ => {}
        }
    }
    rows::rollout_save(tx, row).await?;
    Ok(())
}

async fn link(tx: &mut Tx, row: &rows::Rollout) -> Result<Option<String>> {
    let environment = rows::environment_get(tx, row.environment_id).await?;
    let project = projects::project_get(tx, row.project_id).await?;
    let both = project.zip(environment);
    Ok(both.map(|(project, environment)| format!("/{}/-/environments/{}", project.path, environment.name)))
}

fn after(app: &Arc<App>, row: &rows::Rollout, effects: &[Effect]) {
    app.outbox.wake();
    app.delivery.wake(row.environment_id);
    app.hub.tell(Change::Environment(row.environment_id));
    for effect in effects {
        if let Effect::Notify { text, .. } = effect {
            tracing::info!(rollout = row.id, text, "notice");
            app.hub.tell(Change::Project(row.project_id));
        }
    }
}

/// The word for a kind, in database and API.
#[must_use]
pub fn word(kind: rollout::Kind) -> &'static str {
    match kind {
        rollout::Kind::Deploy => "deploy",
        rollout::Kind::Canary => "canary",
        rollout::Kind::Release => "release",
    }
}

/// The word for a phase, in database and API.
#[must_use]
pub fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Created => "created",
        Phase::Detaching => "detaching",
        Phase::Verifying => "verifying",
        Phase::Stepping { .. } => "canary",
        Phase::Deciding => "deciding",
        Phase::Held => "held",
        Phase::AwaitingPool { .. } => "awaiting_release",
        Phase::Rolling { .. } => "releasing",
        Phase::Watching { .. } => "watching",
        Phase::Restoring(_) => "restoring",
        Phase::Stopping(_) => "stopping",
        Phase::Over(Outcome::Succeeded | Outcome::NothingToDo) => "succeeded",
        Phase::Over(Outcome::Stopped(_)) => "failed",
        Phase::Over(Outcome::Superseded { .. }) => "superseded",
    }
}

fn tone_word(tone: Tone) -> &'static str {
    match tone {
        Tone::Info => "info",
        Tone::Good => "success",
        Tone::Bad => "failure",
        Tone::Asks => "warning",
    }
}

/// The release that a pipeline packaged.
///
/// # Errors
/// Where its tree was not packaged.
pub async fn packaged(app: &App, pipeline: &pipelines::Pipeline) -> Result<Release> {
    let mut db = app.store.read().await?;
    let found = match releases::release_of_pipeline(&mut db, pipeline.id).await? {
        Some(found) => Some(found),
        // Another pipeline may have packaged the same tree.
        None => releases::release_of_tree(&mut db, pipeline.project_id, (&pipeline.tree_id, "")).await?,
    };
    found.ok_or_else(|| {
        Error::new(Kind::Conflict, "this pipeline's tree is not packaged")
            .hint("put a job with `serin: { action: package }` before this one")
    })
}
