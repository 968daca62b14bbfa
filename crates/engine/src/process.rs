//! One step at work: records what changes, and finds what follows for jobs that nothing has happened to yet.

use std::collections::BTreeMap;

use serin_model::plan::When;
use serin_model::{Status, Timestamp};

use crate::composite::Mask;
use crate::{Effect, Job, Kind, Pipeline, composite};

/// A step being carried out.
pub(crate) struct Run<'a> {
    pub(crate) pipeline: &'a mut Pipeline,
    pub(crate) now: Timestamp,
    pub(crate) effects: Vec<Effect>,
    changed: BTreeMap<usize, Before>,
}

/// What a job was before the step, as far as its watchers can tell.
#[derive(PartialEq, Eq)]
struct Before {
    status: Status,
    attempt: u32,
    fence: u64,
}

impl Before {
    fn of(job: &Job) -> Self {
        Self { status: job.status, attempt: job.attempt, fence: job.fence }
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(pipeline: &'a mut Pipeline, now: Timestamp) -> Self {
        Self { pipeline, now, effects: Vec::new(), changed: BTreeMap::new() }
    }

    /// Borrows a job in order to change it.
    pub(crate) fn change(&mut self, index: usize) -> &mut Job {
        let job = &mut self.pipeline.jobs[index];
        self.changed.entry(index).or_insert_with(|| Before::of(job));
        job
    }

    /// Makes a job ready: a new attempt.
    pub(crate) fn enqueue(&mut self, index: usize) {
        let now = self.now;
        let job = self.change(index);
        job.clear_attempt();
        job.attempt += 1;
        job.enqueued_at = Some(now);
        let Some(group) = job.spec.resource_group.clone() else {
            self.offer(index);
            return;
        };
        job.status = Status::WaitingForResource;
        let (id, attempt) = (job.id, job.attempt);
        self.effects.push(Effect::RequestResource { job: id, attempt, group });
    }

    /// Has a ready job carried out.
    pub(crate) fn offer(&mut self, index: usize) {
        let job = self.change(index);
        job.status = Status::Pending;
        let (id, attempt, fence) = (job.id, job.attempt, job.fence);
        let effect = match job.spec.kind {
            Kind::Script => Effect::Offer { job: id, attempt },
            Kind::Action => Effect::StartAction { job: id, attempt, fence },
            Kind::Trigger => Effect::StartTrigger { job: id, attempt, fence },
        };
        self.effects.push(effect);
    }

    /// Ends a job for good.
    pub(crate) fn end(&mut self, index: usize, status: Status) {
        self.release(index);
        let now = self.now;
        let job = self.change(index);
        job.status = status;
        job.lease_until = None;
        job.scheduled_at = None;
        job.finished_at = Some(now);
    }

    /// Leaves the resource group, if the job is in it.
    pub(crate) fn release(&mut self, index: usize) {
        let job = &self.pipeline.jobs[index];
        if let (true, Some(group)) = (job.occupies_resource(), &job.spec.resource_group) {
            let effect = Effect::ReleaseResource { job: job.id, attempt: job.attempt, group: group.clone() };
            self.effects.push(effect);
        }
    }

    /// Takes a job back to where nothing had happened to it, but for its counts.
    pub(crate) fn reset(&mut self, index: usize) {
        let job = self.change(index);
        job.clear_attempt();
        job.status = Status::Created;
        job.retries = 0;
        job.enqueued_at = None;
    }

    /// Takes the skipped jobs back that may run now that this one runs (GitLab, `reset_skipped_jobs_service.rb`).
    pub(crate) fn reset_skipped_after(&mut self, index: usize) {
        let stage = self.pipeline.jobs[index].stage;
        let mut reached = vec![false; self.pipeline.jobs.len()];
        let mut open = vec![index];
        while let Some(next) = open.pop() {
            for &dependent in self.pipeline.topology().dependents(next) {
                if !std::mem::replace(&mut reached[dependent], true) {
                    open.push(dependent);
                }
            }
        }
        for (candidate, reached) in reached.into_iter().enumerate() {
            let job = &self.pipeline.jobs[candidate];
            if job.status == Status::Skipped && (reached || job.stage > stage) {
                self.reset(candidate);
            }
        }
    }

    /// The status of what comes before a job; `None`: it has not ended.
    pub(crate) fn status_before(&self, index: usize) -> Option<Status> {
        let job = &self.pipeline.jobs[index];
        match &job.spec.needs {
            Some(needs) => self.mask_of(needs).of_needs(),
            None => {
                let earlier = self.pipeline.jobs.iter().filter(|other| other.stage < job.stage);
                earlier.fold(Mask::default(), |mask, other| mask.with(Mask::of(other))).of_earlier()
            }
        }
    }

    /// Decides about every job that waits for others, in an order in which one pass suffices.
    pub(crate) fn process(&mut self) {
        let (mut stage, mut earlier, mut current) = (0, Mask::default(), Mask::default());
        for position in 0..self.pipeline.jobs.len() {
            let index = self.pipeline.topology().order()[position];
            let job = &self.pipeline.jobs[index];
            if job.stage != stage {
                (stage, earlier) = (job.stage, earlier.with(current));
            }
            if job.status == Status::Created {
                let before = match &job.spec.needs {
                    Some(needs) => self.mask_of(needs).of_needs(),
                    None => earlier.of_earlier(),
                };
                if let Some(before) = before {
                    self.decide(index, before);
                }
            }
            current = current.with(Mask::of(&self.pipeline.jobs[index]));
        }
    }

    fn mask_of(&self, needs: &[usize]) -> Mask {
        needs.iter().fold(Mask::default(), |mask, need| mask.with(Mask::of(&self.pipeline.jobs[*need])))
    }

    fn decide(&mut self, index: usize, before: Status) {
        let job = &self.pipeline.jobs[index];
        if !job.runs_after(before) {
            self.change(index).status = Status::Skipped;
            return;
        }
        match job.spec.when {
            When::Manual => self.change(index).status = Status::Manual,
            When::Delayed { start_in_ms } => self.schedule(index, start_in_ms),
            When::OnSuccess | When::OnFailure | When::Always => self.enqueue(index),
        }
    }

    fn schedule(&mut self, index: usize, start_in_ms: i64) {
        let at = self.now.plus_ms(start_in_ms);
        let job = self.change(index);
        job.status = Status::Scheduled;
        job.scheduled_at = Some(at);
        let id = job.id;
        self.effects.push(Effect::WakeAt { job: id, at });
    }

    /// Ends the step: tells of the jobs that differ from before, and of the pipeline.
    pub(crate) fn into_effects(mut self) -> Vec<Effect> {
        for (index, before) in std::mem::take(&mut self.changed) {
            let job = &self.pipeline.jobs[index];
            if before != Before::of(job) {
                self.effects.push(Effect::JobChanged { job: job.id });
            }
        }
        let status = composite(&self.pipeline.jobs);
        let was = std::mem::replace(&mut self.pipeline.status, status);
        if was != status {
            self.effects.push(Effect::PipelineChanged { status });
            if status.is_final() {
                self.effects.push(Effect::PipelineFinished { status });
            }
        }
        self.effects
    }
}

impl Job {
    /// Whether it runs, given how what comes before it ended (GitLab, `process_build_service.rb`).
    pub(crate) fn runs_after(&self, before: Status) -> bool {
        match self.spec.when {
            When::OnSuccess | When::Manual | When::Delayed { .. } => {
                before == Status::Success || (before == Status::Skipped && self.spec.needs.is_none())
            }
            When::OnFailure => before == Status::Failed,
            When::Always => matches!(before, Status::Success | Status::Failed | Status::Skipped),
        }
    }

    fn clear_attempt(&mut self) {
        self.allowed_to_fail = self.spec.allows_any_failure();
        self.lease_until = None;
        self.failure = None;
        self.exit_code = None;
        self.scheduled_at = None;
        self.started_at = None;
        self.finished_at = None;
        self.cancel_requested_at = None;
    }
}
