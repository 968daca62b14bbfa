//! Sees everything that is stored, and says what must never happen.

use std::collections::{BTreeMap, BTreeSet};

use serin_engine::{Event, Job, Pipeline, RUNNER_LOST_RETRIES_MAX};
use serin_model::{JobId, Status};

use super::disk::Disk;

/// What was seen so far.
#[derive(Default)]
pub struct Witness {
    granted: BTreeSet<(JobId, u64)>,
    accepted: BTreeSet<(JobId, u64)>,
    ended: BTreeSet<(JobId, u32)>,
}

impl Witness {
    /// Looks at a step that was stored.
    pub fn see(&mut self, event: Event, before: &Pipeline, after: &Pipeline) -> Result<(), String> {
        self.see_event(event, after)?;
        for (old, new) in before.jobs.iter().zip(&after.jobs) {
            self.see_job(old, new)?;
        }
        Ok(())
    }

    fn see_event(&mut self, event: Event, after: &Pipeline) -> Result<(), String> {
        match event {
            Event::Claimed { job, .. } => {
                let fence = after.job(job).map_or(0, |job| job.fence);
                first_time(self.granted.insert((job, fence)), "a fence was given out twice", (job, fence))
            }
            Event::Finished { job, fence, .. } => {
                first_time(self.granted.contains(&(job, fence)), "a fence that nobody got was heard", (job, fence))?;
                first_time(self.accepted.insert((job, fence)), "a result was accepted twice", (job, fence))
            }
            _ => Ok(()),
        }
    }

    fn see_job(&mut self, old: &Job, new: &Job) -> Result<(), String> {
        let ran = matches!(old.status, Status::Running | Status::Canceling);
        if ran && new.status.is_final() {
            first_time(self.ended.insert((old.id, old.attempt)), "an attempt ended twice", (old.id, old.fence))?;
        }
        if new.status == Status::Running && old.status != Status::Running && old.status != Status::Pending {
            return Err(format!("job {} was {} and is running", old.id, old.status));
        }
        if new.retries > new.spec.retry.max.max(RUNNER_LOST_RETRIES_MAX) {
            return Err(format!("job {} was retried {} times without being asked", new.id, new.retries));
        }
        Ok(())
    }

    /// Looks at everything that is stored.
    pub fn see_disk(&self, disk: &Disk) -> Result<(), String> {
        let mut holders: BTreeMap<&str, JobId> = BTreeMap::new();
        for job in disk.pipelines.iter().flat_map(|stored| &stored.rows) {
            let holds = matches!(job.status, Status::Pending | Status::Running | Status::Canceling);
            let Some(group) = job.spec.resource_group.as_deref().filter(|_| holds) else { continue };
            if let Some(other) = holders.insert(group, job.id) {
                return Err(format!("jobs {other} and {} both hold resource group `{group}`", job.id));
            }
        }
        Ok(())
    }
}

fn first_time(holds: bool, broken: &str, (job, fence): (JobId, u64)) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{broken}: job {job}, fence {fence}")) }
}
