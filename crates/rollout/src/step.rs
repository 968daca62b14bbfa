//! One step: an event in, effects out.

use crate::effect::{Assignment, Effect, Milestone, Tone};
use crate::entry::Entry;
use crate::event::{Event, Refusal, Verdict};
use crate::rollout::{Judgement, Kind, Outcome, Phase, Rollout, Watch};
use serin_model::{NodeName, RolloutId, Timestamp};

/// Lets an event happen to a rollout.
///
/// # Errors
///
/// Refuses what a person cannot do now, and a start that the environment does not allow; nothing is changed then.
pub fn step(rollout: &mut Rollout, event: Event, now: Timestamp) -> Result<Vec<Effect>, Refusal> {
    let mut turn = Turn { rollout: rollout.clone(), now, effects: Vec::new() };
    turn.take(event)?;
    turn.move_nodes();
    while turn.move_phase() {
        turn.move_nodes();
    }
    turn.watch_for_standstill();
    turn.publish(rollout);
    *rollout = turn.rollout;
    Ok(turn.effects)
}

/// A step in the making.
pub(crate) struct Turn {
    pub(crate) rollout: Rollout,
    pub(crate) now: Timestamp,
    pub(crate) effects: Vec<Effect>,
}

impl Turn {
    fn take(&mut self, event: Event) -> Result<(), Refusal> {
        match event {
            Event::Start => self.start()?,
            Event::RoutesApplied { revision } => self.routes_applied(revision),
            Event::Drained { node, revision } => self.drained(&node, revision),
            Event::NodeHealthy { node, generation, at } => self.node_healthy(&node, generation, at),
            Event::NodeFailed { node, generation, at, reason } => self.node_failed(&node, generation, at, reason),
            Event::NodeLost { node, generation, at } => self.node_lost(&node, generation, at),
            Event::CanaryRequested => self.canary_requested(),
            Event::VerificationFailed { reason } => self.verification_failed(reason),
            Event::Verdict { watch, tick, verdict, sentence } => {
                self.verdict(watch, Judgement { verdict, tick, sentence });
            }
            Event::Wake => {}
            Event::ReleasePool { pool, by } => self.release_pool(&pool, by)?,
            Event::Pause { by } => self.pause(by)?,
            Event::Resume { by } => self.resume(by)?,
            Event::HostLost { by } => self.host_lost(by),
            Event::HostBack { by } => self.host_back(by),
            Event::Accept { watch, by } => self.accept(watch, by)?,
            Event::Abort { by, reason } => self.abort(by, reason)?,
            Event::RollBack { by } => self.roll_back(by)?,
            Event::Superseded { by } => self.superseded(by),
            Event::Approve { by, digest } => self.approve(by, digest)?,
            Event::Override { by, reason } => self.override_terms(by, reason)?,
            Event::Freeze(freeze) => self.freeze(freeze),
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Refusal> {
        if self.rollout.phase != Phase::Created {
            return Ok(());
        }
        if self.is_nothing_to_do() {
            self.report(Milestone::NothingToDo);
            if self.rollout.kind == Kind::Canary {
                self.effects.push(Effect::MarkVerified);
            }
            self.end(Outcome::NothingToDo);
            return Ok(());
        }
        match self.rollout.kind {
            Kind::Deploy => self.start_deploy(),
            Kind::Canary => self.start_canary()?,
            Kind::Release => self.start_release(),
        }
        Ok(())
    }

    fn is_nothing_to_do(&self) -> bool {
        let target = &self.rollout.target;
        self.rollout.slots.iter().all(|slot| {
            slot.runs(target) && slot.before.as_ref() == Some(target) && slot.traffic == crate::Traffic::Full
        })
    }

    /// Moves on to the next phase where the present one is done; says whether it did.
    fn move_phase(&mut self) -> bool {
        match self.rollout.phase.clone() {
            Phase::Detaching => self.move_detaching(),
            Phase::Verifying => self.move_verifying(),
            Phase::Stepping { step, since } => self.move_stepping(step, since),
            Phase::Deciding => self.move_deciding(),
            Phase::Rolling { pool } => self.move_rolling(pool),
            Phase::Watching { pool, since } => self.move_watching(&pool, since),
            Phase::Restoring(cause) => self.move_restoring(cause),
            Phase::Stopping(cause) => self.move_stopping(cause),
            Phase::AwaitingPool { pool } => self.move_awaiting(pool),
            Phase::Created | Phase::Held | Phase::Over(_) => false,
        }
    }

    fn verdict(&mut self, watch: u32, judgement: Judgement) {
        let current = self.rollout.watch.as_ref().is_some_and(|current| current.number == watch);
        let latest = self.rollout.judgement.as_ref();
        let newer = latest.is_none_or(|latest| judgement.tick > latest.tick);
        let failed = latest.is_some_and(|latest| latest.verdict == Verdict::Fail);
        if !current || failed || !(newer || judgement.verdict == Verdict::Fail) {
            return;
        }
        if latest.map(|latest| latest.verdict) != Some(judgement.verdict) && judgement.verdict != Verdict::Continue {
            let entry = Entry::Verdict { verdict: judgement.verdict, sentence: judgement.sentence.clone() };
            self.rollout.note(self.now, entry);
        }
        self.rollout.judgement = Some(judgement);
    }

    fn superseded(&mut self, by: RolloutId) {
        if self.rollout.is_over() {
            return;
        }
        if self.rollout.phase != Phase::Held {
            self.report(Milestone::Failed { reason: format!("superseded by rollout {by}") });
        }
        self.end(Outcome::Superseded { by });
    }

    /// The judge's verdict on the comparison that runs.
    pub(crate) fn judged(&self) -> Option<&Judgement> {
        self.rollout.watch.as_ref().and(self.rollout.judgement.as_ref())
    }

    pub(crate) fn watch_begin(&mut self, canary: Vec<NodeName>, baseline: Vec<NodeName>, horizon_ms: i64) {
        self.watch_end();
        self.rollout.watches += 1;
        let watch = Watch { number: self.rollout.watches, canary, baseline, since: self.now, horizon_ms };
        self.rollout.judgement = None;
        self.rollout.watch = Some(watch.clone());
        self.effects.push(Effect::JudgeStart(watch));
    }

    pub(crate) fn watch_end(&mut self) {
        if let Some(watch) = self.rollout.watch.take() {
            self.effects.push(Effect::JudgeStop { watch: watch.number });
        }
    }

    pub(crate) fn report(&mut self, milestone: Milestone) {
        self.effects.push(Effect::Report(milestone));
    }

    pub(crate) fn tell(&mut self, tone: Tone, text: String) {
        self.effects.push(Effect::Notify { tone, text });
    }

    pub(crate) fn note(&mut self, entry: Entry) {
        self.rollout.note(self.now, entry);
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.watch_end();
        self.rollout.pause = None;
        self.note(Entry::Over(outcome.clone()));
        self.rollout.phase = Phase::Over(outcome.clone());
        let nodes = self.rollout.slots.iter().map(|slot| Assignment {
            node: slot.node.clone(),
            digest: slot.assigned.clone(),
            generation: slot.generation,
        });
        let nodes = nodes.collect();
        self.effects.push(Effect::Over { outcome, nodes });
    }

    /// Says what changed in the desired world, and gives new routes their revision.
    fn publish(&mut self, before: &Rollout) {
        if self.rollout.desired_nodes() != before.desired_nodes() {
            self.effects.push(Effect::Nodes);
        }
        if self.rollout.desired_routes() != before.desired_routes() {
            self.rollout.revision += 1;
            self.effects.push(Effect::Routes { revision: self.rollout.revision });
        }
        debug_assert!(self.is_share_approved(), "share {} in {}", self.rollout.share_ppm, self.rollout.phase);
    }

    fn is_share_approved(&self) -> bool {
        let rollout = &self.rollout;
        match rollout.phase {
            Phase::Stepping { step, .. } => {
                rollout.settings.steps.get(step).is_some_and(|step| rollout.share_ppm <= step.traffic_ppm)
            }
            Phase::Detaching | Phase::Verifying | Phase::Restoring(_) => rollout.share_ppm == 0,
            _ => true,
        }
    }
}
