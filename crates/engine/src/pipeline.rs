//! The state: a pipeline and its jobs.

use serin_model::plan::{self, AutoCancel, Plan};
use serin_model::{FailureReason, JobId, PipelineId, Status, Timestamp};

use crate::topology::Topology;
use crate::{Invalid, Spec, composite};

/// One pipeline's state; [`crate::step`] alone changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Its number.
    pub id: PipelineId,
    /// The composite of its jobs' statuses, as of the last step; once it has run it is not pending again.
    pub status: Status,
    /// The names of its stages, in order.
    pub stages: Vec<String>,
    /// Its jobs, in the plan's order; neither order nor number ever changes.
    pub jobs: Vec<Job>,
    /// What a newer pipeline of the same ref, or a failing job, does to it.
    pub auto_cancel: AutoCancel,
    topology: Topology,
}

/// One job's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number, the same over all attempts.
    pub id: JobId,
    /// Its name, unique in the pipeline.
    pub name: String,
    /// Index into [`Pipeline::stages`].
    pub stage: usize,
    /// Where it stands.
    pub status: Status,
    /// How often it was enqueued; 0: never yet.
    pub attempt: u32,
    /// How many of the attempts were started without being asked since a person last asked for one.
    pub retries: u32,
    /// How often it was handed to a runner or the server; the latest holder's proof of ownership.
    pub fence: u64,
    /// Until when its holder has to be heard from; `None`: nobody holds it.
    pub lease_until: Option<Timestamp>,
    /// Why its latest attempt failed.
    pub failure: Option<FailureReason>,
    /// How its latest attempt's script ended.
    pub exit_code: Option<i32>,
    /// Whether its failure, as it is or would be without an exit code, is a warning only.
    pub allowed_to_fail: bool,
    /// When a delayed job runs.
    pub scheduled_at: Option<Timestamp>,
    /// When its latest attempt became ready.
    pub enqueued_at: Option<Timestamp>,
    /// When its latest attempt was first handed over.
    pub started_at: Option<Timestamp>,
    /// When it ended; `None` where it was skipped.
    pub finished_at: Option<Timestamp>,
    /// When its holder was asked to stop.
    pub cancel_requested_at: Option<Timestamp>,
    /// What was planned.
    pub spec: Spec,
}

impl Job {
    /// A job that nothing has happened to.
    #[must_use]
    pub fn new(id: JobId, planned: &plan::Job, spec: Spec) -> Self {
        Self {
            id,
            name: planned.name.clone(),
            stage: planned.stage,
            status: Status::Created,
            attempt: 0,
            retries: 0,
            fence: 0,
            lease_until: None,
            failure: None,
            exit_code: None,
            allowed_to_fail: spec.allows_any_failure(),
            scheduled_at: None,
            enqueued_at: None,
            started_at: None,
            finished_at: None,
            cancel_requested_at: None,
            spec,
        }
    }

    /// Whether a runner or the server holds it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.status, Status::Running | Status::Canceling)
    }

    /// Whether [`crate::Event::Play`] is accepted.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        matches!(self.status, Status::Manual | Status::Scheduled)
    }

    /// Whether [`crate::Event::Retry`] is accepted, as far as the job alone decides it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.status, Status::Success | Status::Failed | Status::Canceled)
    }

    /// Whether [`crate::Event::CancelJob`] is accepted.
    #[must_use]
    pub fn is_cancelable(&self) -> bool {
        !self.status.is_final() && self.status != Status::Canceling
    }

    /// Whether it holds its resource group's place or waits for it.
    #[must_use]
    pub fn occupies_resource(&self) -> bool {
        let occupies = self.is_held() || matches!(self.status, Status::Pending | Status::WaitingForResource);
        occupies && self.spec.resource_group.is_some()
    }
}

impl Pipeline {
    /// Makes the state of a new pipeline; `ids` holds one number for each of the plan's jobs, in its order.
    ///
    /// # Errors
    /// Fails where the plan contradicts itself.
    pub fn from_plan(id: PipelineId, plan: &Plan, ids: &[JobId]) -> Result<Self, Invalid> {
        if ids.len() != plan.jobs.len() {
            return Err(Invalid::IdCount { jobs: plan.jobs.len(), ids: ids.len() });
        }
        let specs = Spec::resolve(&plan.jobs)?;
        let jobs = ids.iter().zip(&plan.jobs).zip(specs).map(|((id, job), spec)| Job::new(*id, job, spec)).collect();
        Self::restore(id, Status::Created, plan.stages.clone(), jobs, plan.auto_cancel)
    }

    /// Makes the state of a stored pipeline; `jobs` are in the plan's order.
    ///
    /// # Errors
    /// Fails on a stage or need out of range, a need in a later stage, needs in a circle, and an id given twice.
    pub fn restore(
        id: PipelineId,
        status: Status,
        stages: Vec<String>,
        jobs: Vec<Job>,
        auto_cancel: AutoCancel,
    ) -> Result<Self, Invalid> {
        let topology = Topology::of(stages.len(), &jobs)?;
        Ok(Self { id, status, stages, jobs, auto_cancel, topology })
    }

    /// The job of that number.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.index_of(id).map(|index| &self.jobs[index])
    }

    /// The status of a stage: the composite of its jobs.
    #[must_use]
    pub fn stage_status(&self, stage: usize) -> Status {
        composite(self.jobs.iter().filter(|job| job.stage == stage))
    }

    pub(crate) fn index_of(&self, id: JobId) -> Option<usize> {
        self.topology.index_of(id)
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }
}
