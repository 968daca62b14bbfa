//! Pipelines: lets the engine decide, keeps what it decided, and carries its effects out.

pub mod create;
pub mod predefined;
pub mod record;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_engine::{self as engine, Effect, Event};
use serin_model::{JobId, Status, Timestamp};
use serin_store::{Tx, outbox, pipeline as rows};
use tokio::sync::{Mutex, Notify};

use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::hub::Change;
use crate::outbox::Task;
use crate::queue::{Grant, Ticket};

/// A pipeline's state in memory, as its rows say.
#[derive(Debug)]
struct Held {
    project_id: i64,
    state: engine::Pipeline,
}

/// The pipelines under way, and when each wants to be looked at again.
#[derive(Debug, Default)]
pub struct Pipelines {
    held: Mutex<HashMap<i64, Held>>,
    wakes: std::sync::Mutex<BTreeMap<i64, Timestamp>>,
    alarm: Notify,
}

/// What one step changed.
struct Stepped {
    effects: Vec<Effect>,
    project_id: i64,
    pipeline_id: i64,
}

/// Applies an event to a pipeline: steps, keeps state and effects in one transaction, carries the effects out.
///
/// # Errors
/// Where the engine refuses the event, or the database fails; nothing has changed then.
pub async fn apply(app: &Arc<App>, pipeline_id: i64, event: Event) -> Result<()> {
    // Carried out under the same lock, so that the effects of two steps keep their order.
    let mut all = app.pipelines.held.lock().await;
    let stepped = step_and_keep(app, &mut all, (pipeline_id, event)).await?;
    carry_out(app, stepped);
    Ok(())
}

/// The job's state after the last step.
///
/// # Errors
/// Where the pipeline or the job is unknown.
pub async fn job_state(app: &Arc<App>, ticket: Ticket) -> Result<engine::Job> {
    let mut all = app.pipelines.held.lock().await;
    let held = load(app, &mut all, ticket.pipeline).await?;
    held.state.job(JobId(ticket.job)).cloned().ok_or_else(|| Error::not_found(format!("job {}", ticket.job)))
}

async fn step_and_keep(
    app: &Arc<App>,
    all: &mut HashMap<i64, Held>,
    (pipeline_id, event): (i64, Event),
) -> Result<Stepped> {
    load(app, all, pipeline_id).await?;
    // Out of the map until it is kept: after a failure the rows are the truth.
    let mut held = all.remove(&pipeline_id).ok_or_else(|| Error::not_found(format!("pipeline {pipeline_id}")))?;
    let effects = match engine::step(&mut held.state, event, now()) {
        Ok(effects) => effects,
        Err(refusal) => {
            all.insert(pipeline_id, held);
            return Err(Error::conflict(refusal.to_string()));
        }
    };
    let mut tx = app.store.begin().await?;
    keep(&mut tx, &held, &effects).await?;
    tx.commit().await?;
    let project_id = held.project_id;
    let wake = engine::next_wake(&held.state);
    app.pipelines.schedule(pipeline_id, wake);
    if wake.is_some() || !held.state.status.is_final() {
        all.insert(pipeline_id, held);
    }
    Ok(Stepped { effects, project_id, pipeline_id })
}

async fn load<'a>(app: &App, all: &'a mut HashMap<i64, Held>, pipeline_id: i64) -> Result<&'a mut Held> {
    if let Entry::Vacant(place) = all.entry(pipeline_id) {
        let mut db = app.store.read().await?;
        let row = rows::pipeline_get(&mut db, pipeline_id).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("pipeline {pipeline_id}")))?;
        let jobs = rows::job_list(&mut db, pipeline_id).await?;
        let state = record::restore(&row, &jobs)?;
        place.insert(Held { project_id: row.project_id, state });
    }
    all.get_mut(&pipeline_id).ok_or_else(|| Error::not_found(format!("pipeline {pipeline_id}")))
}

async fn keep(tx: &mut Tx, held: &Held, effects: &[Effect]) -> Result<()> {
    let id = held.state.id.0;
    for effect in effects {
        match effect {
            Effect::JobChanged { job } | Effect::LeaseMoved { job } => {
                if let Some(job) = held.state.job(*job) {
                    rows::job_save(tx, &record::changed_row(id, job)).await?;
                }
            }
            Effect::PipelineChanged { status } => {
                let at = now().0;
                let started = (*status == Status::Running).then_some(at);
                let finished = status.is_final().then_some(at);
                rows::pipeline_set_status(tx, id, status.as_str(), (started, finished)).await?;
            }
            Effect::PipelineFinished { .. } => {
                let task = Task::PipelineFinished { pipeline_id: id };
                outbox::outbox_add(tx, task.kind(), &task.payload()?, now().0).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn carry_out(app: &Arc<App>, stepped: Stepped) {
    let pipeline = stepped.pipeline_id;
    let mut changed = false;
    for effect in stepped.effects {
        match effect {
            Effect::Offer { job, .. } => app.queue.offer(Ticket { pipeline, job: job.0 }),
            Effect::StartAction { job, .. } => crate::action::start(app, Ticket { pipeline, job: job.0 }),
            Effect::StartTrigger { job, .. } => crate::downstream::start(app, Ticket { pipeline, job: job.0 }),
            Effect::Stop { job, fence } => app.holders.stop(job.0, fence),
            Effect::RequestResource { job, attempt, group } => {
                let ticket = Ticket { pipeline, job: job.0 };
                tell_holder(app, app.resources.request((stepped.project_id, group), ticket, attempt));
            }
            Effect::ReleaseResource { job, attempt, group } => {
                let ticket = Ticket { pipeline, job: job.0 };
                tell_holder(app, app.resources.release(&(stepped.project_id, group), ticket, attempt));
            }
            Effect::Retried { job, attempt, reason } => {
                tracing::info!(pipeline, %job, attempt, reason = reason.as_str(), "job is tried again");
            }
            Effect::JobChanged { job } => {
                changed = true;
                app.hub.tell(Change::Job(job.0));
            }
            Effect::PipelineChanged { .. } => changed = true,
            Effect::PipelineFinished { status } => {
                tracing::info!(pipeline, status = status.as_str(), "pipeline finished");
                app.outbox.wake();
            }
            Effect::WakeAt { .. } | Effect::LeaseMoved { .. } => {}
        }
    }
    if changed {
        app.hub.tell(Change::Pipeline(pipeline));
    }
}

fn tell_holder(app: &Arc<App>, grant: Option<Grant>) {
    if let Some(Grant { ticket, attempt }) = grant {
        spawn(app, ticket.pipeline, Event::ResourceGranted { job: JobId(ticket.job), attempt });
    }
}

/// Applies an event behind the caller's back; a refusal means that the pipeline has moved on, which is fine.
pub fn spawn(app: &Arc<App>, pipeline_id: i64, event: Event) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        if let Err(error) = apply(&app, pipeline_id, event).await {
            tracing::debug!(pipeline_id, %error, "event not applied");
        }
    });
}

impl Pipelines {
    fn schedule(&self, pipeline_id: i64, at: Option<Timestamp>) {
        let mut wakes = self.wakes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match at {
            Some(at) => wakes.insert(pipeline_id, at),
            None => wakes.remove(&pipeline_id),
        };
        self.alarm.notify_one();
    }

    fn due(&self, now: Timestamp) -> (Vec<i64>, Option<Timestamp>) {
        let wakes = self.wakes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = wakes.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        (due, wakes.values().min().copied())
    }
}

/// Sends `Tick` to the pipelines whose leases, delays or time-outs are due; never returns.
pub async fn watch_clock(app: Arc<App>) {
    loop {
        let (due, next) = app.pipelines.due(now());
        if due.is_empty() {
            let wait = next.map(|at| std::time::Duration::from_millis(at.since_ms(now()).max(1).unsigned_abs()));
            tokio::select! {
                () = app.pipelines.alarm.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or(std::time::Duration::from_secs(3600))) => {}
            }
            continue;
        }
        for id in due {
            app.pipelines.schedule(id, None);
            if let Err(error) = apply(&app, id, Event::Tick).await {
                tracing::warn!(pipeline = id, %error, "tick refused");
            }
        }
    }
}

/// Takes up every unfinished pipeline after a start: what the embedded runner held is lost, the rest goes on.
///
/// # Errors
/// Where the database fails.
pub async fn resume(app: &Arc<App>) -> Result<()> {
    let unfinished = rows::pipeline_unfinished(&mut *app.store.read().await?).await?;
    let mut found = Vec::new();
    for id in unfinished {
        match take_up(app, id).await {
            Ok((project_id, jobs)) => found.push((id, project_id, jobs)),
            Err(error) => tracing::error!(pipeline = id, %error, "pipeline cannot be taken up"),
        }
    }
    // Whoever holds a resource group comes first in its line; then the others ask in order.
    for waits in [false, true] {
        for (id, project_id, jobs) in &found {
            adopt_resources(app, (*id, *project_id), jobs, waits);
        }
    }
    for (id, _, jobs) in found {
        offer_again(app, id, &jobs);
        let never_begun = jobs.iter().all(|job| job.status == Status::Created);
        let event = if never_begun { Event::Created } else { Event::Tick };
        if let Err(error) = apply(app, id, event).await {
            tracing::error!(pipeline = id, %error, "pipeline does not go on");
        }
    }
    Ok(())
}

async fn take_up(app: &Arc<App>, pipeline_id: i64) -> Result<(i64, Vec<engine::Job>)> {
    let mut all = app.pipelines.held.lock().await;
    let held = load(app, &mut all, pipeline_id).await?;
    for job in &mut held.state.jobs {
        // Its holder was a part of the process that is gone.
        job.lease_until = job.lease_until.map(|_| Timestamp(0));
    }
    Ok((held.project_id, held.state.jobs.clone()))
}

fn adopt_resources(app: &Arc<App>, (pipeline, project_id): (i64, i64), jobs: &[engine::Job], waiting: bool) {
    for job in jobs.iter().filter(|job| job.occupies_resource()) {
        if (job.status == Status::WaitingForResource) != waiting {
            continue;
        }
        if let Some(group) = job.spec.resource_group.clone() {
            let ticket = Ticket { pipeline, job: job.id.0 };
            let granted = app.resources.request((project_id, group), ticket, job.attempt);
            if waiting {
                tell_holder(app, granted);
            }
        }
    }
}

fn offer_again(app: &Arc<App>, pipeline: i64, jobs: &[engine::Job]) {
    for job in jobs.iter().filter(|job| job.status == Status::Pending) {
        let ticket = Ticket { pipeline, job: job.id.0 };
        match job.spec.kind {
            engine::Kind::Script => app.queue.offer(ticket),
            engine::Kind::Action => crate::action::start(app, ticket),
            engine::Kind::Trigger => crate::downstream::start(app, ticket),
        }
    }
}
