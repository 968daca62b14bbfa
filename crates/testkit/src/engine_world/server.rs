//! The server: steps pipelines, stores, carries effects out, does the work of actions and triggers, crashes.

use serin_engine::resource::Claim;
use serin_engine::{Effect, Event, Kind, Outcome, Pipeline, step};
use serin_model::plan::Plan;
use serin_model::{FailureReason, JobId, PipelineId, Status, Timestamp};

use super::disk::{Disk, Stored};
use super::witness::Witness;
use super::{LEASE_MS, Report, job_id, pipeline_index};
use crate::random::Random;

/// Whether things go wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They do.
    Storm,
    /// Everything works from here on.
    Calm,
}

/// What the sender of an event hears.
pub enum Answer {
    /// It happened; the fence that was given, after a claim.
    Done(u64),
    /// It was refused.
    Refused,
    /// The server crashed: it may have happened or not.
    Silence,
}

impl Answer {
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// A job in somebody's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub job: JobId,
    pub fence: u64,
}

/// The server, with what it has on disk and what it has in memory.
pub struct Server {
    pub disk: Disk,
    pub report: Report,
    pub weather: Weather,
    /// In memory: script jobs for runners.
    pub queue: Vec<JobId>,
    /// In memory: actions and triggers being carried out.
    own: Vec<Held>,
    witness: Witness,
    random: Random,
}

impl Server {
    pub fn new(random: Random) -> Self {
        Self {
            disk: Disk::default(),
            report: Report::default(),
            weather: Weather::Calm,
            queue: Vec::new(),
            own: Vec::new(),
            witness: Witness::default(),
            random,
        }
    }

    pub fn create(&mut self, index: usize, plan: &Plan, now: Timestamp) -> Result<(), String> {
        let ids: Vec<JobId> = (0..plan.jobs.len()).map(|job| job_id(index, job)).collect();
        let id = PipelineId(index as i64);
        let pipeline = Pipeline::from_plan(id, plan, &ids).map_err(|invalid| invalid.to_string())?;
        self.disk.pipelines.push(Stored {
            id,
            status: pipeline.status,
            stages: pipeline.stages,
            rows: pipeline.jobs,
            auto_cancel: pipeline.auto_cancel,
        });
        self.apply(index, Event::Created, now)?;
        Ok(())
    }

    /// Loads, steps and stores; may crash before or after storing.
    pub fn apply(&mut self, index: usize, event: Event, now: Timestamp) -> Result<Answer, String> {
        let before = self.disk.load(index)?;
        let mut pipeline = before.clone();
        let effects = match step(&mut pipeline, event, now) {
            Ok(effects) => effects,
            Err(_) if pipeline == before => return Ok(Answer::Refused),
            Err(refusal) => return Err(format!("refused, and yet changed: {refusal}")),
        };
        if self.crashes_now() {
            self.crash();
            return Ok(Answer::Silence);
        }
        self.disk.commit(index, &pipeline, effects)?;
        self.witness.see(event, &before, &pipeline).map_err(|broken| format!("{broken} ({event:?})"))?;
        self.witness.see_disk(&self.disk)?;
        self.count(event, &before, &pipeline);
        if self.crashes_now() {
            self.crash();
            return Ok(Answer::Silence);
        }
        let Event::Claimed { job, .. } = event else { return Ok(Answer::Done(0)) };
        Ok(Answer::Done(pipeline.job(job).map_or(0, |job| job.fence)))
    }

    fn count(&mut self, event: Event, before: &Pipeline, after: &Pipeline) {
        match event {
            Event::Claimed { .. } => self.report.claims += 1,
            Event::Finished { .. } => self.report.results += 1,
            Event::ResourceGranted { .. } => self.report.grants += 1,
            Event::LeaseExpired { .. } | Event::Tick => {
                let jobs = before.jobs.iter().zip(&after.jobs);
                self.report.lost += jobs.filter(|(old, new)| old.is_held() && !new.is_held()).count();
            }
            _ => {}
        }
    }

    fn crashes_now(&mut self) -> bool {
        self.weather == Weather::Storm && self.random.chance(3)
    }

    /// Loses the memory, and starts again: the queue is what the rows say.
    pub fn crash(&mut self) {
        self.report.crashes += 1;
        self.own.clear();
        let ready = self.disk.open_jobs().filter(|job| job.status == Status::Pending && job.spec.kind == Kind::Script);
        self.queue = ready.map(|job| job.id).collect();
    }

    /// Carries out the oldest effect; gives the holders that are to be told to stop.
    pub fn carry_out_next(&mut self, now: Timestamp) -> Result<Option<Held>, String> {
        let Some(effect) = self.disk.outbox.front().cloned() else { return Ok(None) };
        let crashes = self.report.crashes;
        let stop = self.carry_out(effect, now)?;
        if self.report.crashes > crashes {
            return Ok(None);
        }
        if self.crashes_now() {
            self.crash();
        } else {
            self.disk.outbox.pop_front();
        }
        Ok(stop)
    }

    fn carry_out(&mut self, effect: Effect, now: Timestamp) -> Result<Option<Held>, String> {
        match effect {
            Effect::Offer { job, .. } => self.queue.push(job),
            Effect::StartAction { job, .. } | Effect::StartTrigger { job, .. } => self.start(job, now)?,
            Effect::Stop { job, fence } => return self.stop(Held { job, fence }, now).map(Some),
            Effect::RequestResource { job, attempt, group } => {
                let granted = self.disk.groups.entry(group).or_default().request(Claim { job, attempt });
                self.grant(granted, now)?;
            }
            Effect::ReleaseResource { job, attempt, group } => {
                let granted = self.disk.groups.entry(group).or_default().release(Claim { job, attempt });
                self.grant(granted, now)?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn grant(&mut self, granted: Option<Claim>, now: Timestamp) -> Result<(), String> {
        let Some(Claim { job, attempt }) = granted else { return Ok(()) };
        self.apply(pipeline_index(job), Event::ResourceGranted { job, attempt }, now).map(drop)
    }

    fn start(&mut self, job: JobId, now: Timestamp) -> Result<(), String> {
        if let Answer::Done(fence) = self.claim(job, now)? {
            self.own.push(Held { job, fence });
        }
        Ok(())
    }

    pub fn claim(&mut self, job: JobId, now: Timestamp) -> Result<Answer, String> {
        self.apply(pipeline_index(job), Event::Claimed { job, lease_until: now.plus_ms(LEASE_MS) }, now)
    }

    pub fn renew(&mut self, held: Held, now: Timestamp) -> Result<Answer, String> {
        let event = Event::LeaseRenewed { job: held.job, fence: held.fence, lease_until: now.plus_ms(LEASE_MS) };
        self.apply(pipeline_index(held.job), event, now)
    }

    pub fn finish(&mut self, held: Held, outcome: Outcome, now: Timestamp) -> Result<Answer, String> {
        let event = Event::Finished { job: held.job, fence: held.fence, outcome };
        let answer = self.apply(pipeline_index(held.job), event, now)?;
        if let Answer::Refused = answer {
            self.report.refused_results += 1;
        }
        Ok(answer)
    }

    /// One of the actions and triggers goes on or ends.
    pub fn work(&mut self, now: Timestamp) -> Result<(), String> {
        let Some(held) = self.random.pick(&self.own).copied() else { return Ok(()) };
        if self.random.chance(50) {
            return self.renew(held, now).map(drop);
        }
        let reason = FailureReason::ActionFailed;
        let failed = self.random.chance(20);
        let outcome = if failed { Outcome::Failed { reason, exit_code: None } } else { Outcome::Success };
        self.end_own(held, outcome, now)
    }

    fn stop(&mut self, held: Held, now: Timestamp) -> Result<Held, String> {
        if self.own.contains(&held) {
            self.end_own(held, Outcome::Canceled, now)?;
        }
        Ok(held)
    }

    fn end_own(&mut self, held: Held, outcome: Outcome, now: Timestamp) -> Result<(), String> {
        self.finish(held, outcome, now)?;
        self.own.retain(|other| *other != held);
        Ok(())
    }
}
