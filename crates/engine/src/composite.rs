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

#[cfg(test)]
thread_local! {
    /// How many jobs this thread has looked at.
    pub(crate) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Mask {
    pub(crate) fn of(job: &Job) -> Self {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
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
        let skips = self.any(bit(Status::Skipped) | IGNORED);
        if skips { Some(Status::Skipped) } else { self.of_earlier() }
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

#[cfg(test)]
mod tests {
    use serin_model::Status;

    use super::{IGNORED, Mask, SUCCESS_LIKE, WARNED, bit};

    const KINDS: u32 = 13;
    const DONE: u16 = SUCCESS_LIKE | bit(Status::Failed) | bit(Status::Canceled) | bit(Status::Skipped);

    fn mask(words: &str) -> Mask {
        let bits = words.split_whitespace().map(|word| match word {
            "warned" => WARNED,
            "ignored" => IGNORED,
            word => bit(Status::parse(word).unwrap_or_else(|| panic!("unknown word `{word}`"))),
        });
        Mask(bits.fold(0, |mask, bit| mask | bit))
    }

    #[test]
    fn pipelines_status() {
        let cases = [
            ("", "skipped"),
            ("success", "success"),
            ("skipped", "skipped"),
            ("skipped ignored", "skipped"),
            ("warned", "success"),
            ("success skipped warned ignored", "success"),
            ("created", "created"),
            ("created warned ignored", "created"),
            ("created success", "running"),
            ("created skipped", "pending"),
            ("created pending", "pending"),
            ("created pending success", "running"),
            ("pending skipped", "pending"),
            ("canceled", "canceled"),
            ("canceled success skipped warned ignored", "canceled"),
            ("canceled failed", "failed"),
            ("failed success skipped ignored", "failed"),
            ("failed running", "running"),
            ("failed created", "running"),
            ("failed manual", "manual"),
            ("manual created success", "manual"),
            ("manual scheduled", "manual"),
            ("manual running", "running"),
            ("manual waiting_for_resource", "waiting_for_resource"),
            ("scheduled created", "scheduled"),
            ("canceling running pending", "canceling"),
        ];
        for (words, status) in cases {
            assert_eq!(mask(words).status().as_str(), status, "{words}");
        }
    }

    #[test]
    fn needs_as_the_job_sees_them() {
        let cases = [
            ("", Some("success")),
            ("success", Some("success")),
            ("success warned", Some("success")),
            ("success skipped", Some("skipped")),
            ("success ignored", Some("skipped")),
            ("running skipped", Some("skipped")),
            ("failed skipped", Some("skipped")),
            ("failed success", Some("failed")),
            ("canceled success", Some("canceled")),
            ("failed running", None),
            ("manual success", None),
            ("created", None),
        ];
        for (words, status) in cases {
            assert_eq!(mask(words).of_needs().map(Status::as_str), status, "{words}");
        }
    }

    #[test]
    fn every_mix_is_final_exactly_when_nothing_is_left_to_happen() {
        for bits in 1..1_u16 << KINDS {
            let done = bits & !(DONE | IGNORED) == 0;
            assert_eq!(Mask(bits).status().is_final(), done, "{bits:#b}");
            assert_eq!(Mask(bits).of_earlier().is_some(), done, "{bits:#b}");
            assert!(Mask(bits).of_needs().is_some() || !done, "{bits:#b}");
        }
    }
}
