//! What happens to a pipeline, and what the server then has to do.

use serin_model::{FailureReason, JobId, Status, Timestamp};

/// Something that happened to a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The pipeline was made; its first jobs are found.
    Created,
    /// A runner, or the server for actions and triggers, takes a pending job; [`crate::Job::fence`] is its proof then.
    Claimed {
        /// The job.
        job: JobId,
        /// Until when its holder has to be heard from.
        lease_until: Timestamp,
    },
    /// The holder of a job is alive.
    LeaseRenewed {
        /// The job.
        job: JobId,
        /// The holder's fence.
        fence: u64,
        /// Until when it has to be heard from again.
        lease_until: Timestamp,
    },
    /// The holder of a job ended it.
    Finished {
        /// The job.
        job: JobId,
        /// The holder's fence.
        fence: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// The holder of a job was not heard from in time.
    LeaseExpired {
        /// The job.
        job: JobId,
    },
    /// The point in time of a delayed job has come.
    DelayElapsed {
        /// The job.
        job: JobId,
    },
    /// Time went by: every lease, delay and time-out that is due is dealt with.
    Tick,
    /// The job's resource group lets it run.
    ResourceGranted {
        /// The job.
        job: JobId,
        /// The attempt that asked.
        attempt: u32,
    },
    /// A person starts a manual job, or a delayed one before its time.
    Play {
        /// The job.
        job: JobId,
    },
    /// A person runs an ended job again.
    Retry {
        /// The job.
        job: JobId,
    },
    /// A person runs everything again that failed or was cancelled.
    RetryAll,
    /// A person stops one job.
    CancelJob {
        /// The job.
        job: JobId,
    },
    /// A person stops the pipeline.
    Cancel,
    /// A newer pipeline of the same ref was made; `workflow:auto_cancel` says what that means.
    Superseded,
}

/// How a job ended, by its holder's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Badly.
    Failed {
        /// Why.
        reason: FailureReason,
        /// The script's exit code, where there is one.
        exit_code: Option<i32>,
    },
    /// It was stopped.
    Canceled,
}

/// Something that the server has to do; repeating it for the same job, attempt and fence changes nothing further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Puts a script job into the runners' queue; key: job and attempt.
    Offer {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
    },
    /// Has the server claim and carry out a built-in action; key: job, attempt and fence.
    StartAction {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// The fence of the last holder, who is gone; 0: there was none.
        fence: u64,
    },
    /// Has the server claim the job and make its downstream pipeline; key: job, attempt and fence.
    StartTrigger {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// The fence of the last holder, who is gone; 0: there was none.
        fence: u64,
    },
    /// Tells the holder with that fence to stop; key: job and fence.
    Stop {
        /// The job.
        job: JobId,
        /// The holder's fence.
        fence: u64,
    },
    /// Puts the job into its resource group's queue; key: job and attempt.
    RequestResource {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// The group's key, unique in the project.
        group: String,
    },
    /// Takes the job out of its resource group, whether it held it or waited for it; key: job and attempt.
    ReleaseResource {
        /// The job.
        job: JobId,
        /// The attempt that asked for it.
        attempt: u32,
        /// The group's key.
        group: String,
    },
    /// Sends [`Event::DelayElapsed`] or [`Event::Tick`] at that time; [`crate::next_wake`] covers leases too.
    WakeAt {
        /// The delayed job.
        job: JobId,
        /// When.
        at: Timestamp,
    },
    /// An attempt failed and the job goes on with the next one.
    Retried {
        /// The job.
        job: JobId,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        reason: FailureReason,
    },
    /// The lease alone moved: the job's row is written, nobody is told.
    LeaseMoved {
        /// The job.
        job: JobId,
    },
    /// The job's row is written and its watchers are told; at most once a job and step.
    JobChanged {
        /// The job.
        job: JobId,
    },
    /// The pipeline's status changed: its row is written and its watchers are told.
    PipelineChanged {
        /// The new status.
        status: Status,
    },
    /// Nothing further happens without a person's retry or play.
    PipelineFinished {
        /// The final status.
        status: Status,
    },
}

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The pipeline has no such job.
    #[error("{attempted} job {job}: the pipeline has no such job")]
    UnknownJob {
        /// The id that was given.
        job: JobId,
        /// What was attempted.
        attempted: &'static str,
    },
    /// The sender lost the job: its lease ran out and the job went on without it.
    #[error("{attempted} job {job} with fence {given}: the fence is {current} now, so stop working on it")]
    StaleFence {
        /// The job.
        job: JobId,
        /// What was attempted.
        attempted: &'static str,
        /// The sender's fence.
        given: u64,
        /// The job's fence.
        current: u64,
    },
    /// What was asked for is about an attempt that is over.
    #[error("{attempted} job {job}, attempt {given}: it is at attempt {current}")]
    StaleAttempt {
        /// The job.
        job: JobId,
        /// What was attempted.
        attempted: &'static str,
        /// The attempt that was given.
        given: u32,
        /// The job's attempt.
        current: u32,
    },
    /// The job's status does not allow it.
    #[error("{attempted} job {job}: it is {status}")]
    WrongStatus {
        /// The job.
        job: JobId,
        /// What was attempted.
        attempted: &'static str,
        /// The job's status.
        status: Status,
    },
    /// The pipeline's status does not allow it.
    #[error("{attempted} pipeline: it is {status}")]
    PipelineOver {
        /// What was attempted.
        attempted: &'static str,
        /// The pipeline's status.
        status: Status,
    },
    /// The time has not come.
    #[error("{attempted} job {job}: not due yet")]
    NotDue {
        /// The job.
        job: JobId,
        /// What was attempted.
        attempted: &'static str,
    },
    /// How the jobs before it ended does not let it run.
    #[error("{attempted} job {job}: what comes before it is {before}; retry that first")]
    Blocked {
        /// The job.
        job: JobId,
        /// What was attempted.
        attempted: &'static str,
        /// The status of the jobs before it.
        before: Status,
    },
}
