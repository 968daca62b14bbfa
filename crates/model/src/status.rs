//! Statuses of jobs and pipelines, with GitLab's words.

use std::fmt;

/// A job's or a pipeline's status (GitLab, `Ci::HasStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Status {
    /// Made, and not yet looked at.
    Created,
    /// Ready, and held back by its resource group.
    WaitingForResource,
    /// Ready, and waiting for a runner.
    Pending,
    /// A runner or the server carries it out.
    Running,
    /// Ended well.
    Success,
    /// Ended badly.
    Failed,
    /// Asked to stop, and still running.
    Canceling,
    /// Stopped on request.
    Canceled,
    /// Never ran, because of what came before it.
    Skipped,
    /// Waits for a person.
    Manual,
    /// Waits for a point in time.
    Scheduled,
}

impl Status {
    /// Every status, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::WaitingForResource,
        Self::Pending,
        Self::Running,
        Self::Success,
        Self::Failed,
        Self::Canceling,
        Self::Canceled,
        Self::Skipped,
        Self::Manual,
        Self::Scheduled,
    ];

    /// GitLab's word for it, as in its REST API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
        }
    }

    /// The status of that word, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing further happens without a person's retry.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled | Self::Skipped)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a job failed, with GitLab's words where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FailureReason {
    /// The script ended with another exit code than 0.
    ScriptFailure,
    /// It ran longer than its time-out.
    JobExecutionTimeout,
    /// The runner could not carry it out (workspace, artifacts, shell missing).
    RunnerSystemFailure,
    /// The runner went silent and its lease ran out.
    RunnerLost,
    /// An artifact that it needs is gone.
    MissingDependency,
    /// A built-in action (`serin:`) said no.
    ActionFailed,
    /// A downstream pipeline could not be made or did not succeed.
    DownstreamFailure,
}

impl FailureReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 7] = [
        Self::ScriptFailure,
        Self::JobExecutionTimeout,
        Self::RunnerSystemFailure,
        Self::RunnerLost,
        Self::MissingDependency,
        Self::ActionFailed,
        Self::DownstreamFailure,
    ];

    /// The word for it in API and `retry:when`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScriptFailure => "script_failure",
            Self::JobExecutionTimeout => "job_execution_timeout",
            Self::RunnerSystemFailure => "runner_system_failure",
            Self::RunnerLost => "stuck_or_timeout_failure",
            Self::MissingDependency => "missing_dependency_failure",
            Self::ActionFailed => "action_failure",
            Self::DownstreamFailure => "downstream_pipeline_creation_failed",
        }
    }

    /// The reason of that word, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureReason, Status};

    #[test]
    fn words_parse_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Status::parse("done"), None);
    }
}
