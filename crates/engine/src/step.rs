//! Takes one event: checks it, changes the jobs that it names, and lets [`crate::process`] find what follows.

use serin_model::plan::{OnJobFailure, OnNewCommit};
use serin_model::{FailureReason, JobId, Status, Timestamp};

use crate::process::Run;
use crate::{Effect, Event, Job, Kind, Outcome, Pipeline, Refusal, wake};

/// Attempts that follow a failure which is no fault of the job (runner lost, runner's own failure), without `retry:`.
pub const RUNNER_LOST_RETRIES_MAX: u32 = 2;

/// Takes an event at a time, changes the pipeline, and says what the server has to do, in order.
///
/// # Errors
/// Refuses what the state does not allow; the pipeline is unchanged then.
pub fn step(pipeline: &mut Pipeline, event: Event, now: Timestamp) -> Result<Vec<Effect>, Refusal> {
    let mut run = Run::new(pipeline, now);
    match event {
        Event::Created => {}
        Event::Claimed { job, lease_until } => run.claimed(job, lease_until)?,
        Event::LeaseRenewed { job, fence, lease_until } => run.lease_renewed((job, fence), lease_until)?,
        Event::Finished { job, fence, outcome } => run.finished((job, fence), outcome)?,
        Event::LeaseExpired { job } => run.lease_expired(job)?,
        Event::DelayElapsed { job } => run.delay_elapsed(job)?,
        Event::Tick => run.tick(),
        Event::ResourceGranted { job, attempt } => run.resource_granted(job, attempt)?,
        Event::Play { job } => run.play(job)?,
        Event::Retry { job } => run.retry(job)?,
        Event::RetryAll => run.retry_all()?,
        Event::CancelJob { job } => run.cancel_job(job)?,
        Event::Cancel => run.cancel_all()?,
        Event::Superseded => run.superseded(),
    }
    run.process();
    Ok(run.into_effects())
}

impl Run<'_> {
    fn claimed(&mut self, id: JobId, lease_until: Timestamp) -> Result<(), Refusal> {
        let index = self.find(id, "claiming", |job| job.status == Status::Pending)?;
        let now = self.now;
        let job = self.change(index);
        job.status = Status::Running;
        job.fence += 1;
        job.lease_until = Some(lease_until);
        job.started_at.get_or_insert(now);
        Ok(())
    }

    fn lease_renewed(&mut self, holder: (JobId, u64), lease_until: Timestamp) -> Result<(), Refusal> {
        let index = self.find_held(holder, "renewing the lease of")?;
        self.pipeline.jobs[index].lease_until = Some(lease_until);
        self.effects.push(Effect::LeaseMoved { job: holder.0 });
        Ok(())
    }

    fn finished(&mut self, holder: (JobId, u64), outcome: Outcome) -> Result<(), Refusal> {
        let index = self.find_held(holder, "finishing")?;
        let canceling = self.pipeline.jobs[index].status == Status::Canceling;
        match outcome {
            Outcome::Failed { exit_code, .. } if canceling => {
                self.change(index).exit_code = exit_code;
                self.end(index, Status::Canceled);
            }
            Outcome::Success if !canceling => self.succeed(index),
            Outcome::Success | Outcome::Canceled => self.end(index, Status::Canceled),
            Outcome::Failed { reason, exit_code } => self.fail(index, reason, exit_code),
        }
        Ok(())
    }

    fn lease_expired(&mut self, id: JobId) -> Result<(), Refusal> {
        let attempted = "expiring the lease of";
        let index = self.find(id, attempted, Job::is_held)?;
        if self.pipeline.jobs[index].lease_until.is_some_and(|until| until > self.now) {
            return Err(Refusal::NotDue { job: id, attempted });
        }
        self.lose(index);
        Ok(())
    }

    fn delay_elapsed(&mut self, id: JobId) -> Result<(), Refusal> {
        let attempted = "ending the delay of";
        let index = self.find(id, attempted, |job| job.status == Status::Scheduled)?;
        if self.pipeline.jobs[index].scheduled_at.is_some_and(|at| at > self.now) {
            return Err(Refusal::NotDue { job: id, attempted });
        }
        self.enqueue(index);
        Ok(())
    }

    fn tick(&mut self) {
        for index in 0..self.pipeline.jobs.len() {
            match wake::due(&self.pipeline.jobs[index], self.now) {
                None => {}
                Some(wake::Due::Delay) => self.enqueue(index),
                Some(wake::Due::Lease) => self.lose(index),
                Some(wake::Due::Stop) => {
                    self.stop(index);
                    self.end(index, Status::Canceled);
                }
                Some(wake::Due::Timeout) => {
                    self.stop(index);
                    self.fail(index, FailureReason::JobExecutionTimeout, None);
                }
            }
        }
    }

    fn resource_granted(&mut self, id: JobId, given: u32) -> Result<(), Refusal> {
        let attempted = "granting a resource to";
        let index = self.find(id, attempted, |job| job.status == Status::WaitingForResource)?;
        let current = self.pipeline.jobs[index].attempt;
        if given != current {
            return Err(Refusal::StaleAttempt { job: id, attempted, given, current });
        }
        self.change(index).status = Status::Pending;
        Ok(())
    }

    fn play(&mut self, id: JobId) -> Result<(), Refusal> {
        let index = self.find(id, "playing", Job::is_playable)?;
        self.change(index).retries = 0;
        self.enqueue(index);
        self.reset_skipped_after(index);
        Ok(())
    }

    fn retry(&mut self, id: JobId) -> Result<(), Refusal> {
        let attempted = "retrying";
        let index = self.find(id, attempted, Job::is_retryable)?;
        let before = self.status_before(index);
        if let Some(before) = before.filter(|before| !self.pipeline.jobs[index].runs_after(*before)) {
            return Err(Refusal::Blocked { job: id, attempted, before });
        }
        self.reset(index);
        if before.is_some() {
            self.enqueue(index);
        }
        self.reset_skipped_after(index);
        Ok(())
    }

    fn retry_all(&mut self) -> Result<(), Refusal> {
        let again = |job: &Job| matches!(job.status, Status::Failed | Status::Canceled);
        if !self.pipeline.jobs.iter().any(again) {
            return Err(Refusal::PipelineOver { attempted: "retrying the", status: self.pipeline.status });
        }
        for index in 0..self.pipeline.jobs.len() {
            let job = &self.pipeline.jobs[index];
            if again(job) || job.status == Status::Skipped {
                self.reset(index);
            }
        }
        Ok(())
    }

    fn cancel_job(&mut self, id: JobId) -> Result<(), Refusal> {
        let index = self.find(id, "cancelling", Job::is_cancelable)?;
        self.cancel(index);
        Ok(())
    }

    fn cancel_all(&mut self) -> Result<(), Refusal> {
        if self.pipeline.status.is_final() {
            return Err(Refusal::PipelineOver { attempted: "cancelling the", status: self.pipeline.status });
        }
        self.cancel_where(|_| true);
        Ok(())
    }

    fn superseded(&mut self) {
        if self.pipeline.status.is_final() {
            return;
        }
        let keeps = |job: &Job| job.fence > 0 && !job.spec.interruptible;
        match self.pipeline.auto_cancel.on_new_commit {
            OnNewCommit::Conservative if !self.pipeline.jobs.iter().any(keeps) => self.cancel_where(|_| true),
            OnNewCommit::Interruptible => self.cancel_where(|job| job.spec.interruptible),
            OnNewCommit::Conservative | OnNewCommit::None => {}
        }
    }

    fn cancel_where(&mut self, included: impl Fn(&Job) -> bool) {
        for index in 0..self.pipeline.jobs.len() {
            let job = &self.pipeline.jobs[index];
            if job.is_cancelable() && included(job) {
                self.cancel(index);
            }
        }
    }

    fn cancel(&mut self, index: usize) {
        if self.pipeline.jobs[index].status != Status::Running {
            self.end(index, Status::Canceled);
            return;
        }
        self.stop(index);
        let now = self.now;
        let job = self.change(index);
        job.status = Status::Canceling;
        job.cancel_requested_at = Some(now);
    }

    fn stop(&mut self, index: usize) {
        let job = &self.pipeline.jobs[index];
        self.effects.push(Effect::Stop { job: job.id, fence: job.fence });
    }

    fn succeed(&mut self, index: usize) {
        let job = self.change(index);
        job.exit_code = (job.spec.kind == Kind::Script).then_some(0);
        self.end(index, Status::Success);
    }

    /// Ends an attempt badly: the job is tried again, or has failed.
    fn fail(&mut self, index: usize, reason: FailureReason, exit_code: Option<i32>) {
        let job = self.change(index);
        job.failure = Some(reason);
        job.exit_code = exit_code;
        if job.retries < retries_max(job, reason, exit_code) {
            job.retries += 1;
            self.effects.push(Effect::Retried {
                job: self.pipeline.jobs[index].id,
                attempt: self.pipeline.jobs[index].attempt,
                reason,
            });
            self.enqueue(index);
            return;
        }
        job.allowed_to_fail = job.spec.allows_failure(exit_code);
        let counts = !job.allowed_to_fail;
        self.end(index, Status::Failed);
        if counts && self.pipeline.auto_cancel.on_job_failure == OnJobFailure::All {
            self.cancel_where(|_| true);
        }
    }

    /// The holder went silent. The server's own work goes on under a new fence; a script is another attempt.
    fn lose(&mut self, index: usize) {
        let job = &self.pipeline.jobs[index];
        if job.status == Status::Canceling {
            self.end(index, Status::Canceled);
        } else if job.spec.kind == Kind::Script {
            self.fail(index, FailureReason::RunnerLost, None);
        } else {
            let job = self.change(index);
            job.lease_until = None;
            job.status = Status::Pending;
        }
    }

    fn find(&self, id: JobId, attempted: &'static str, allows: impl Fn(&Job) -> bool) -> Result<usize, Refusal> {
        let index = self.pipeline.index_of(id).ok_or(Refusal::UnknownJob { job: id, attempted })?;
        let job = &self.pipeline.jobs[index];
        if allows(job) { Ok(index) } else { Err(Refusal::WrongStatus { job: id, attempted, status: job.status }) }
    }

    fn find_held(&self, (id, given): (JobId, u64), attempted: &'static str) -> Result<usize, Refusal> {
        let index = self.pipeline.index_of(id).ok_or(Refusal::UnknownJob { job: id, attempted })?;
        let job = &self.pipeline.jobs[index];
        if job.fence != given {
            return Err(Refusal::StaleFence { job: id, attempted, given, current: job.fence });
        }
        if !job.is_held() {
            return Err(Refusal::WrongStatus { job: id, attempted, status: job.status });
        }
        Ok(index)
    }
}

/// How many attempts may follow the first one after that failure (GitLab, `lib/gitlab/ci/build/auto_retry.rb`).
fn retries_max(job: &Job, reason: FailureReason, exit_code: Option<i32>) -> u32 {
    let retry = &job.spec.retry;
    let by_reason = retry.when.iter().any(|word| word == "always" || word == reason.as_str());
    let by_code = exit_code.is_some_and(|code| retry.exit_codes.contains(&code));
    let always = retry.when.is_empty() && retry.exit_codes.is_empty();
    let asked = if always || by_reason || by_code { retry.max } else { 0 };
    match reason {
        FailureReason::RunnerLost | FailureReason::RunnerSystemFailure => asked.max(RUNNER_LOST_RETRIES_MAX),
        _ => asked,
    }
}

#[cfg(test)]
mod tests;
