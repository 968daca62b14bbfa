//! Built-in actions (`serin:`): jobs that the server carries out itself, so that they survive its restart.

mod clear;
mod package;

pub(crate) use package::REGISTRY;
pub use package::{PROVENANCE, SBOM, Turns};

use std::sync::Arc;

use serin_engine::{Event, Outcome};
use serin_model::plan::{self, Work};
use serin_model::{FailureReason, JobId};
use serin_store::pipeline as rows;
use serin_store::project::{self as projects, Project};

use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::pipeline::{self, record};
use crate::queue::Ticket;
use crate::runner::{LEASE_MS, Stopper, keep_lease};

/// An action under way: its job, and where it writes what people read.
pub struct Running {
    /// The server.
    pub app: Arc<App>,
    /// The project.
    pub project: Project,
    /// The pipeline.
    pub pipeline: rows::Pipeline,
    /// The job.
    pub job: rows::Job,
    /// What it is to do.
    pub action: plan::Action,
    /// Whether it is asked to stop.
    pub stop: Stopper,
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Done,
    /// It was stopped.
    Stopped,
}

impl Running {
    /// Writes a line into the job's trace.
    ///
    /// # Errors
    /// Where the trace cannot be written.
    pub async fn say(&self, line: &str) -> Result<()> {
        crate::runner::trace_line(&self.app, &self.job, line).await
    }
}

/// Claims an action's job and carries it out.
pub fn start(app: &Arc<App>, ticket: Ticket) {
    let for_task = Arc::clone(app);
    app.in_background(async move {
        if let Err(error) = claim_and_run(&for_task, ticket).await {
            tracing::warn!(job = ticket.job, %error, "action not carried out");
        }
    });
}

/// Claims a job that the server itself carries out; the token says when it is to stop.
///
/// # Errors
/// Where somebody else holds it, or it was cancelled meanwhile.
pub(crate) async fn claim(app: &Arc<App>, ticket: Ticket) -> Result<(rows::Job, Stopper)> {
    let lease_until = now().plus_ms(LEASE_MS);
    pipeline::apply(app, ticket.pipeline, Event::Claimed { job: JobId(ticket.job), lease_until }).await?;
    let state = pipeline::job_state(app, ticket).await?;
    let stop = app.holders.hold(ticket.job, state.fence);
    let row = rows::job_get(&mut *app.store.read().await?, ticket.job).await?;
    Ok((row.ok_or_else(|| Error::not_found(format!("job {}", ticket.job)))?, stop))
}

async fn claim_and_run(app: &Arc<App>, ticket: Ticket) -> Result<()> {
    let (job, stop) = claim(app, ticket).await?;
    let plan: plan::Job = record::decode(&job.plan)?;
    let Work::Action(action) = plan.work else {
        return Err(Error::invalid(format!("job `{}` is no action", job.name)));
    };
    let (project, pipeline) = belongings(app, &job).await?;
    let running = Running { app: Arc::clone(app), project, pipeline, job, action, stop };
    let result = tokio::select! {
        result = carry_out(&running) => result,
        error = keep_lease(app, &running.job, &running.stop) => Err(error),
    };
    let (outcome, note) = match result {
        Ok(Ending::Done) => (Outcome::Success, None),
        Ok(Ending::Stopped) => (Outcome::Canceled, None),
        Err(error) => {
            let outcome = Outcome::Failed { reason: FailureReason::ActionFailed, exit_code: None };
            (outcome, Some(error.to_string()))
        }
    };
    let last = note
        .as_ref()
        .map_or_else(|| "\x1b[32;1mDone\x1b[0m".to_owned(), |note| format!("\x1b[31;1mERROR: {note}\x1b[0m"));
    running.say(&last).await?;
    finish(app, ticket, &running.job, (outcome, note.as_deref())).await
}

/// The project and the pipeline of a job.
///
/// # Errors
/// Where one is missing.
pub(crate) async fn belongings(app: &App, job: &rows::Job) -> Result<(Project, rows::Pipeline)> {
    let mut db = app.store.read().await?;
    let project = projects::project_get(&mut db, job.project_id).await?;
    let pipeline = rows::pipeline_get(&mut db, job.pipeline_id).await?;
    project.zip(pipeline).ok_or_else(|| Error::not_found(format!("pipeline of job {}", job.id)))
}

/// Ends a job that the server itself carried out.
///
/// # Errors
/// Where it is no longer held by this call.
pub(crate) async fn finish(
    app: &Arc<App>,
    ticket: Ticket,
    job: &rows::Job,
    end: (Outcome, Option<&str>),
) -> Result<()> {
    let mut tx = app.store.begin().await?;
    rows::job_set_result(&mut tx, job.id, end.1, "[]", None).await?;
    tx.commit().await?;
    let fence = u64::try_from(job.fence).unwrap_or(0);
    app.holders.release(ticket.job, fence);
    let event = Event::Finished { job: JobId(ticket.job), fence, outcome: end.0 };
    pipeline::apply(app, ticket.pipeline, event).await
}

async fn carry_out(running: &Running) -> Result<Ending> {
    running.say(&format!("\x1b[0KRunning \x1b[1mserin: {}\x1b[0m", running.action.as_str())).await?;
    match &running.action {
        plan::Action::Package => package::package(running).await,
        plan::Action::Clear { from, into } => clear::clear(running, from, into).await,
        plan::Action::Deploy { .. }
        | plan::Action::Detach { .. }
        | plan::Action::Canary { .. }
        | plan::Action::Release { .. } => crate::delivery::carry_out(running).await,
    }
}
