//! One pipeline of a run: the root, or a child.

use std::path::PathBuf;

use anyhow::Result;
use serin_engine as engine;
use serin_lang::{Compilation, Context};
use serin_model::plan::{AllowFailure, Job, Plan, When, Work};
use serin_model::{JobId, PipelineId, Status};
use serin_runner::CancelToken;

/// A job of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Index of its pipeline.
    pub pipeline: usize,
    /// Index of the job in the plan.
    pub job: usize,
}

/// A pipeline, its state, and what its jobs left.
#[derive(Debug)]
pub struct Pipeline {
    /// What was planned.
    pub plan: Plan,
    /// What it was created with.
    pub context: Context,
    /// Where it stands.
    pub state: engine::Pipeline,
    /// What its jobs left, in the plan's order.
    pub records: Vec<Record>,
    /// The trigger job that made it.
    pub parent: Option<Ticket>,
    /// Number of its first job.
    first_id: i64,
}

/// What a job left, beyond what the engine knows.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The logs of its attempts.
    pub logs: Vec<PathBuf>,
    /// The archive of `artifacts:paths`.
    pub archive: Option<PathBuf>,
    /// The archives of `artifacts:reports`, by kind.
    pub reports: Vec<(String, PathBuf)>,
    /// Variables of its dotenv reports.
    pub dotenv: Vec<(String, String)>,
    /// What `coverage` found.
    pub coverage: Option<f64>,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// Why it did not run, or failed, in words.
    pub note: Option<String>,
    /// How many jobs of the run started before it.
    pub order: Option<usize>,
    /// Tells its runner to stop.
    pub stop: CancelToken,
    /// The pipeline that it made.
    pub child: Option<usize>,
    /// Where it worked.
    pub workspace: Option<PathBuf>,
    /// The digest of all that it depends on, where that is looked at.
    pub fingerprint: Option<String>,
    /// The earlier run whose result this is.
    pub taken: Option<u64>,
}

impl Pipeline {
    /// The state of a compiled pipeline, whose jobs are numbered from `first_id` on.
    pub fn new(compilation: Compilation, context: Context, (number, first_id): (usize, i64)) -> Result<Self> {
        let plan = compilation.plan.unwrap_or_default();
        let ids: Vec<JobId> = (first_id..).take(plan.jobs.len()).map(JobId).collect();
        let adapted = Plan { jobs: plan.jobs.iter().map(here).collect(), ..plan.clone() };
        let state = engine::Pipeline::from_plan(PipelineId(i64::try_from(number)? + 1), &adapted, &ids)?;
        let records = plan.jobs.iter().map(|job| Record { note: needs_server(job), ..Record::default() }).collect();
        Ok(Self { plan, context, state, records, parent: None, first_id })
    }

    /// The index of a job by its number.
    #[must_use]
    pub fn index_of(&self, id: JobId) -> Option<usize> {
        let index = usize::try_from(id.0 - self.first_id).ok()?;
        (index < self.plan.jobs.len()).then_some(index)
    }

    /// Whether it is over as far as this run is concerned: nothing runs, and nothing will by itself.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let moves = |job: &engine::Job| {
            matches!(
                job.status,
                Status::Pending | Status::Running | Status::Canceling | Status::WaitingForResource | Status::Scheduled
            )
        };
        !self.state.jobs.iter().any(moves)
    }
}

/// A job that only a server can carry out is like a manual job that nobody starts: what needs it is skipped, what comes
/// in a later stage goes on.
fn here(job: &Job) -> Job {
    match needs_server(job) {
        Some(_) => Job { when: When::Manual, allow_failure: AllowFailure::Yes, ..job.clone() },
        None => job.clone(),
    }
}

/// Why a job cannot be carried out without a server.
#[must_use]
pub fn needs_server(job: &Job) -> Option<String> {
    match &job.work {
        Work::Script(_) => None,
        Work::Action(action) => Some(format!("`serin: {}` is carried out by a server", action.as_str())),
        Work::Trigger(trigger) => {
            let project = trigger.project.as_ref()?;
            Some(format!("it starts a pipeline of the project `{project}`, which needs a server"))
        }
    }
}
