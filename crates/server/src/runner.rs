//! The embedded runner: takes jobs the moment they are ready, and hands them to an executor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serin_engine::{Event, Outcome};
use serin_model::limit::JOB_TIMEOUT_MS_DEFAULT;
use serin_model::plan::{self, Variable, Work};
use serin_model::{CommitId, FailureReason, JobId, Status};
use serin_objects::{ArtifactName, AttemptKey};
use serin_runner::{Afterwards, Dependency, GuardCommand, HostEnvironment, JobReport, JobRequest, Source, TraceSink};
use serin_store::pipeline as rows;
use serin_store::project as projects;
use tokio::sync::Semaphore;

use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::pipeline::{self, create, predefined, record};
use crate::queue::Ticket;

/// Milliseconds that a holder may be silent.
pub const LEASE_MS: i64 = 15_000;
/// Milliseconds between two signs of life.
const LEASE_RENEWAL: u64 = 5_000;
pub use serin_runner::CancelToken as Stopper;

/// Who carries out which job, and how to stop it.
#[derive(Debug, Default)]
pub struct Holders(Mutex<HashMap<(i64, u64), Stopper>>);

impl Holders {
    /// Notes a holder; the token tells it to stop.
    pub fn hold(&self, job: i64, fence: u64) -> Stopper {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((job, fence)).or_default().clone()
    }

    /// Forgets a holder.
    pub fn release(&self, job: i64, fence: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(job, fence));
    }

    /// Tells a holder to stop, if it is one of this server's.
    pub fn stop(&self, job: i64, fence: u64) {
        if let Some(stopper) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(job, fence)) {
            stopper.cancel();
        }
    }

    /// How many jobs are carried out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no job is carried out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Appends a line to a job's trace.
///
/// # Errors
/// Where the trace cannot be written.
pub async fn trace_line(app: &App, job: &rows::Job, line: &str) -> Result<()> {
    app.objects.traces.append_end(attempt_key(job), format!("{line}\n").into()).await?;
    Ok(())
}

/// What traces and artifacts of a job's present attempt are kept by.
#[must_use]
pub fn attempt_key(job: &rows::Job) -> AttemptKey {
    AttemptKey { job_id: JobId(job.id), attempt: u32::try_from(job.attempt).unwrap_or(u32::MAX) }
}

/// Takes jobs for ever, as many at a time as the settings say.
pub async fn work(app: Arc<App>) {
    let slots = Arc::new(Semaphore::new(app.settings.concurrent_jobs.max(1)));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let ticket = app.queue.take().await;
        let for_task = Arc::clone(&app);
        app.in_background(async move {
            if let Err(error) = run(&for_task, ticket).await {
                tracing::warn!(job = ticket.job, %error, "job not carried out");
            }
            drop(slot);
        });
    }
}

async fn run(app: &Arc<App>, ticket: Ticket) -> Result<()> {
    let lease_until = now().plus_ms(LEASE_MS);
    // Refused where it was cancelled meanwhile: nothing to do then.
    pipeline::apply(app, ticket.pipeline, Event::Claimed { job: JobId(ticket.job), lease_until }).await?;
    let state = pipeline::job_state(app, ticket).await?;
    let stop = app.holders.hold(ticket.job, state.fence);
    let row = rows::job_get(&mut *app.store.read().await?, ticket.job).await?;
    let row = row.ok_or_else(|| Error::not_found(format!("job {}", ticket.job)))?;
    let result = tokio::select! {
        report = carry_out(app, &row, &stop) => report,
        error = keep_lease(app, &row, &stop) => Err(error),
    };
    let ended = finish(app, &row, result).await;
    // Its checkout goes in the background; what is left of the folder goes now.
    if let Err(error) = tokio::fs::remove_dir_all(builds_dir(app, &row)).await {
        tracing::debug!(job = row.id, %error, "workspace not removed");
    }
    app.holders.release(ticket.job, state.fence);
    ended
}

async fn carry_out(app: &Arc<App>, row: &rows::Job, stop: &Stopper) -> Result<JobReport> {
    let request = request(app, row).await?;
    let sink = Trace { app: Arc::clone(app), key: attempt_key(row) };
    let report = serin_runner::run(request, &sink, stop.clone()).await;
    // Before the job counts as finished, so that a finished pipeline has all of its reports.
    crate::quality::keep(app, row, &builds_dir(app, row), &report.reports).await?;
    Ok(report)
}

/// Renews the lease; where that is refused the job is somebody else's, and is stopped here.
pub async fn keep_lease(app: &Arc<App>, row: &rows::Job, stop: &Stopper) -> Error {
    let fence = u64::try_from(row.fence).unwrap_or(0);
    loop {
        tokio::time::sleep(Duration::from_millis(LEASE_RENEWAL)).await;
        let event = Event::LeaseRenewed { job: JobId(row.id), fence, lease_until: now().plus_ms(LEASE_MS) };
        if let Err(error) = pipeline::apply(app, row.pipeline_id, event).await {
            stop.cancel();
            return error;
        }
    }
}

async fn finish(app: &Arc<App>, row: &rows::Job, result: Result<JobReport>) -> Result<()> {
    let (outcome, note) = match &result {
        Ok(report) => (outcome(report.outcome), None),
        Err(error) => {
            trace_line(app, row, &format!("\x1b[31;1mERROR: Job failed (system failure): {error}\x1b[0m")).await?;
            let failed = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
            (failed, Some(error.to_string()))
        }
    };
    if let Ok(report) = &result {
        if let Some(archive) = &report.artifacts {
            app.objects.artifacts.store(attempt_key(row), ArtifactName::Archive, archive.clone()).await?;
        }
        let dotenv = serde_json::to_string(&report.dotenv)?;
        let mut tx = app.store.begin().await?;
        rows::job_set_result(&mut tx, row.id, note.as_deref(), &dotenv, report.coverage).await?;
        tx.commit().await?;
    }
    let fence = u64::try_from(row.fence).unwrap_or(0);
    pipeline::apply(app, row.pipeline_id, Event::Finished { job: JobId(row.id), fence, outcome }).await
}

fn builds_dir(app: &App, row: &rows::Job) -> std::path::PathBuf {
    app.settings.builds().join(format!("job-{}-{}", row.id, row.fence))
}

fn outcome(outcome: serin_runner::Outcome) -> Outcome {
    match outcome {
        serin_runner::Outcome::Success => Outcome::Success,
        serin_runner::Outcome::Failed { reason, exit_code } => Outcome::Failed { reason, exit_code },
        serin_runner::Outcome::Canceled => Outcome::Canceled,
    }
}

async fn request(app: &Arc<App>, row: &rows::Job) -> Result<JobRequest> {
    let mut db = app.store.read().await?;
    let project = projects::project_get(&mut db, row.project_id).await?;
    let pipeline = rows::pipeline_get(&mut db, row.pipeline_id).await?;
    let jobs = rows::job_list(&mut db, row.pipeline_id).await?;
    drop(db);
    let (project, pipeline) =
        project.zip(pipeline).ok_or_else(|| Error::not_found(format!("pipeline of job {}", row.id)))?;
    let plan: plan::Job = record::decode(&row.plan)?;
    let sources = artifact_sources(&plan, row, &jobs);
    let (targets, of_targets) = match crate::delivery::targets(app, &pipeline).await? {
        Some(targets) => (targets.nodes.clone(), targets.variables(app, row.id).await?),
        None => Default::default(),
    };
    let variables = variables(app, (&project, &pipeline, row), (&plan, &sources), of_targets).await?;
    let Work::Script(script) = plan.work else {
        return Err(Error::invalid(format!("job `{}` has no script", row.name)));
    };
    let repository = app.repository(project.id)?;
    let git_dir = repository.git.path().to_owned();
    Ok(JobRequest {
        job_id: JobId(row.id),
        attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
        name: row.name.clone(),
        source: Source::LocalRepository {
            git_dir,
            commit: CommitId(pipeline.commit_id.clone()),
            ref_name: pipeline.ref_name.clone(),
        },
        builds_dir: builds_dir(app, row),
        afterwards: Afterwards::Remove,
        variables,
        script: *script,
        timeout_ms: plan.timeout_ms.unwrap_or(JOB_TIMEOUT_MS_DEFAULT),
        dependencies: dependencies(app, &sources),
        caches_dir: Some(caches_dir(app, &project, &pipeline).await?),
        guard: GuardCommand { program: app.settings.program.clone(), args: vec!["job-guard".into()] }.into(),
        host: HostEnvironment::of_this_process(),
        containers: app.containers.clone(),
        targets,
    })
}

/// The variables of a job that the server itself carries out, expanded, each name once.
///
/// # Errors
/// Where they refer to each other in a circle.
pub async fn action_variables(
    app: &App,
    (project, pipeline, row): (&projects::Project, &rows::Pipeline, &rows::Job),
) -> Result<Vec<Variable>> {
    let plan: plan::Job = record::decode(&row.plan)?;
    let jobs = rows::job_list(&mut *app.store.read().await?, row.pipeline_id).await?;
    let sources = artifact_sources(&plan, row, &jobs);
    let variables = variables(app, (project, pipeline, row), (&plan, &sources), Vec::new()).await?;
    Ok(serin_runner::environment::resolved(&variables))
}

/// Everything that the job's script sees in its environment, before the runner expands it.
async fn variables(
    app: &App,
    (project, pipeline, row): (&projects::Project, &rows::Pipeline, &rows::Job),
    (plan, sources): (&plan::Job, &[&rows::Job]),
    targets: Vec<Variable>,
) -> Result<Vec<Variable>> {
    let context = create::context_of(app, project, pipeline).await?;
    let mut late = predefined::job_variables(app, project, pipeline, row);
    late.extend(targets);
    let mut dotenv = Vec::new();
    for job in sources {
        let handed_on: Vec<(String, String)> = serde_json::from_str(&job.dotenv)?;
        dotenv.extend(handed_on.into_iter().map(|(key, value)| Variable::plain(key, value)));
    }
    let whole = record::shared_plan(pipeline)?;
    serin_lang::variables::of_job(&whole, plan, &context, &late, &dotenv)
        .map_err(|circle| Error::invalid(circle.to_string()))
}

/// Protected branches have caches of their own, so that nobody else's job can put something into theirs.
async fn caches_dir(app: &App, project: &projects::Project, pipeline: &rows::Pipeline) -> Result<std::path::PathBuf> {
    let protected = projects::protected_branch_list(&mut *app.store.read().await?, project.id).await?;
    let trusted =
        pipeline.source != "merge_request_event" && protected.iter().any(|branch| branch.name == pipeline.ref_name);
    let kind = if trusted { "protected" } else { "open" };
    Ok(app.settings.data.join("caches").join(format!("{}-{kind}", project.id)))
}

/// The jobs whose artifacts and variables a job gets (GitLab: `needs`, `dependencies`, else all earlier stages).
fn artifact_sources<'a>(plan: &plan::Job, row: &rows::Job, jobs: &'a [rows::Job]) -> Vec<&'a rows::Job> {
    let wanted = |job: &&rows::Job| {
        let listed = plan.dependencies.as_ref().is_none_or(|names| names.contains(&job.name));
        let reached = match &plan.needs {
            Some(needs) => needs.iter().any(|need| need.job == job.name && need.artifacts),
            None => job.stage < row.stage,
        };
        listed && reached && Status::parse(&job.status).is_some_and(Status::is_final)
    };
    jobs.iter().filter(wanted).collect()
}

fn dependencies(app: &App, sources: &[&rows::Job]) -> Vec<Dependency> {
    let archive = |job: &&rows::Job| {
        let archive = app.objects.artifacts.find(attempt_key(job), &ArtifactName::Archive).ok()??;
        Some(Dependency { job_id: JobId(job.id), name: job.name.clone(), archive })
    };
    sources.iter().filter_map(archive).collect()
}

/// Writes a job's output into the trace store.
struct Trace {
    app: Arc<App>,
    key: AttemptKey,
}

#[async_trait]
impl TraceSink for Trace {
    async fn append(&self, bytes: &[u8]) {
        if let Err(error) = self.app.objects.traces.append_end(self.key, Bytes::copy_from_slice(bytes)).await {
            tracing::error!(job = %self.key.job_id, %error, "trace cannot be written");
        }
    }
}
