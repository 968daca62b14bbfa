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

/// What a job was before the step, as far as effects follow from it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Before {
    status: Status,
    attempt: u32,
    fence: u64,
    occupies: bool,
}

impl Before {
    fn of(job: &Job) -> Self {
        Self { status: job.status, attempt: job.attempt, fence: job.fence, occupies: job.occupies_resource() }
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
        let waits = job.spec.resource_group.is_some();
        job.status = if waits { Status::WaitingForResource } else { Status::Pending };
    }

    /// Ends a job for good.
    pub(crate) fn end(&mut self, index: usize, status: Status) {
        let now = self.now;
        let job = self.change(index);
        job.status = status;
        job.lease_until = None;
        job.scheduled_at = None;
        job.finished_at = Some(now);
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
    }

    /// Ends the step: what is to be done follows from how jobs and pipeline differ from before.
    pub(crate) fn into_effects(mut self) -> Vec<Effect> {
        self.changed.retain(|index, before| *before != Before::of(&self.pipeline.jobs[*index]));
        for (index, before) in &self.changed {
            let job = &self.pipeline.jobs[*index];
            self.effects.extend(resource_effects(*before, job).into_iter().flatten());
            self.effects.extend(hand_over(*before, job));
        }
        self.effects.extend(self.changed.keys().map(|index| Effect::JobChanged { job: self.pipeline.jobs[*index].id }));
        self.show_pipeline();
        self.effects
    }

    fn show_pipeline(&mut self) {
        let was = self.pipeline.status;
        let status = shown_after(was, composite(&self.pipeline.jobs));
        self.pipeline.status = status;
        if was != status {
            self.effects.push(Effect::PipelineChanged { status });
            if status.is_final() {
                self.effects.push(Effect::PipelineFinished { status });
            }
        }
    }
}

/// What the resource group hears: that an attempt is over, and that a new one asks.
fn resource_effects(before: Before, job: &Job) -> [Option<Effect>; 2] {
    let Some(group) = &job.spec.resource_group else { return [None, None] };
    let same = before.attempt == job.attempt;
    let released = before.occupies && !(same && job.occupies_resource());
    let requested = job.occupies_resource() && !same;
    [
        released.then(|| Effect::ReleaseResource { job: job.id, attempt: before.attempt, group: group.clone() }),
        requested.then(|| Effect::RequestResource { job: job.id, attempt: job.attempt, group: group.clone() }),
    ]
}

/// What has a ready job carried out, or a delayed one looked at again.
fn hand_over(before: Before, job: &Job) -> Option<Effect> {
    let (id, attempt, fence) = (job.id, job.attempt, job.fence);
    match (job.status, job.spec.kind) {
        (Status::Scheduled, _) if before.status != Status::Scheduled => {
            job.scheduled_at.map(|at| Effect::WakeAt { job: id, at })
        }
        (Status::Pending, Kind::Script) => Some(Effect::Offer { job: id, attempt }),
        (Status::Pending, Kind::Action) => Some(Effect::StartAction { job: id, attempt, fence }),
        (Status::Pending, Kind::Trigger) => Some(Effect::StartTrigger { job: id, attempt, fence }),
        _ => None,
    }
}

/// A pipeline that has run once is running again, not pending (GitLab, `Ci::Pipeline`, event `enqueue`).
fn shown_after(was: Status, composite: Status) -> Status {
    let has_run = matches!(was, Status::Running | Status::Success | Status::Failed | Status::Canceled);
    if composite == Status::Pending && has_run { Status::Running } else { composite }
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

#[cfg(test)]
mod tests;
