//! Resource groups: one job at a time of a project and key, over all its pipelines.
//!
//! Invariant: a place is taken by at most one job, and is passed on in the order of asking.

use serin_model::JobId;

/// The jobs of one resource group, in the order of asking; the first holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The first is the holder, the others wait; a job with the attempt that asked.
    pub queue: Vec<(JobId, u32)>,
}

impl Group {
    /// The job that may run.
    #[must_use]
    pub fn holder(&self) -> Option<JobId> {
        self.queue.first().map(|(job, _)| *job)
    }

    /// Takes a job in for [`crate::Effect::RequestResource`]; gives it back where it is granted the place.
    ///
    /// Repeating it changes nothing and grants again, which [`crate::step`] refuses if it was heard before.
    pub fn request(&mut self, job: JobId, attempt: u32) -> Option<JobId> {
        if !self.queue.contains(&(job, attempt)) {
            self.queue.push((job, attempt));
        }
        self.holder().filter(|holder| *holder == job)
    }

    /// Takes a job out for [`crate::Effect::ReleaseResource`]; gives the job that is granted the place next.
    pub fn release(&mut self, job: JobId, attempt: u32) -> Option<JobId> {
        let held = self.queue.first() == Some(&(job, attempt));
        self.queue.retain(|entry| *entry != (job, attempt));
        self.holder().filter(|_| held)
    }
}
