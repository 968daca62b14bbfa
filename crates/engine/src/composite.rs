//! The status of many jobs taken together (GitLab, `lib/gitlab/ci/status/composite.rb`).

use serin_model::Status;

use crate::Job;

/// A set of job statuses, where failures that do not count are statuses of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask(u16);

const WARNED: u16 = 1 << 11;
const IGNORED: u16 = 1 << 12;

const fn bit(status: Status) -> u16 {
    1 << status as u16
}

const SUCCESS_LIKE: u16 = bit(Status::Success) | WARNED;
const DONE: u16 = SUCCESS_LIKE | bit(Status::Failed) | bit(Status::Canceled) | bit(Status::Skipped);

impl Mask {
    pub(crate) fn of(job: &Job) -> Self {
        Self(match job.status {
            Status::Failed | Status::Canceled if job.allowed_to_fail => WARNED,
            Status::Manual if job.allowed_to_fail => IGNORED,
            status => bit(status),
        })
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn only(self, of: u16) -> bool {
        self.0 & !of == 0
    }

    fn any(self, of: u16) -> bool {
        self.0 & of != 0
    }

    /// The status of needed jobs, as the job that needs them sees it; `None`: it has to wait.
    pub(crate) fn of_needs(self) -> Option<Status> {
        if self.any(bit(Status::Skipped) | IGNORED) {
            return Some(Status::Skipped);
        }
        if self.only(DONE) { self.of_earlier() } else { None }
    }

    /// The status of all earlier stages, as a job of a later one sees it; `None`: it has to wait.
    pub(crate) fn of_earlier(self) -> Option<Status> {
        if self == Self::default() {
            return Some(Status::Success);
        }
        Some(self.status()).filter(|status| status.is_final())
    }

    /// The status that the pipeline or stage shows.
    pub(crate) fn status(self) -> Status {
        let quiet = SUCCESS_LIKE | IGNORED | bit(Status::Skipped);
        let waiting = bit(Status::Pending) | bit(Status::Created);
        let skipped = bit(Status::Skipped) | IGNORED;
        if self.only(skipped) {
            Status::Skipped
        } else if self.only(quiet) {
            Status::Success
        } else if self.only(bit(Status::Created) | WARNED | IGNORED) {
            Status::Created
        } else if self.any(bit(Status::Canceling)) {
            Status::Canceling
        } else if self.only(quiet | bit(Status::Canceled)) {
            Status::Canceled
        } else if self.only(waiting | skipped | WARNED) {
            Status::Pending
        } else {
            self.status_of_mixed()
        }
    }

    fn status_of_mixed(self) -> Status {
        if self.any(bit(Status::Running) | bit(Status::Pending)) {
            return Status::Running;
        }
        [Status::WaitingForResource, Status::Manual, Status::Scheduled]
            .into_iter()
            .find(|status| self.any(bit(*status)))
            .unwrap_or(if self.any(bit(Status::Created)) { Status::Running } else { Status::Failed })
    }
}

/// The status of jobs taken together, as their pipeline or stage shows it; of no jobs: skipped.
pub fn composite<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Status {
    jobs.into_iter().fold(Mask::default(), |mask, job| mask.with(Mask::of(job))).status()
}
