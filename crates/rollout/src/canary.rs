//! A canary's phases: detach, verify, step by step, decide, hold.

use crate::choose::choose;
use crate::effect::{Effect, Milestone, Tone};
use crate::entry::{Entry, names};
use crate::event::{Refusal, Verdict};
use crate::rollout::{Cause, Kind, Outcome, Phase};
use crate::slot::{Known, Seat, Slot, Traffic};
use crate::step::Turn;
use serin_model::{NodeName, Timestamp};

/// Ticks after the end of the last step in which the judge's last word may still come in.
pub(crate) const GRACE_TICKS: i64 = 2;

/// What the time and the judge make of a step.
pub(crate) enum Held {
    /// It goes on.
    On,
    /// Its time is over without a pass.
    TimeOver,
    /// The judge has passed it.
    Passed,
}

impl Turn {
    pub(crate) fn start_canary(&mut self) -> Result<(), Refusal> {
        let chosen = choose(&self.rollout)?;
        let target = self.rollout.target.clone();
        for (index, slot) in self.rollout.slots.iter_mut().enumerate() {
            if chosen.contains(&index) {
                slot.aim(&target, Seat::Out);
            } else {
                slot.aim_back();
            }
        }
        self.rollout.share_ppm = 0;
        self.rollout.phase = Phase::Detaching;
        self.note(Entry::Started);
        Ok(())
    }

    pub(crate) fn canary_requested(&mut self) {
        match self.rollout.phase.clone() {
            Phase::Created | Phase::Detaching | Phase::Verifying => self.rollout.canary_requested = true,
            Phase::Held => self.report(Milestone::CanaryPassed),
            Phase::Over(Outcome::NothingToDo) => self.report(Milestone::NothingToDo),
            Phase::Over(Outcome::Stopped(cause)) => self.report(Milestone::Failed { reason: cause.to_string() }),
            _ => {}
        }
    }

    pub(crate) fn verification_failed(&mut self, reason: String) {
        let before_held = matches!(
            self.rollout.phase,
            Phase::Detaching | Phase::Verifying | Phase::Stepping { .. } | Phase::Deciding
        );
        if self.rollout.kind == Kind::Canary && before_held {
            self.turn_back(Cause::Failed { reason: format!("the tests of the detached nodes failed: {reason}") });
        }
    }

    pub(crate) fn move_detaching(&mut self) -> bool {
        if self.turn_back_on_canary_failure() {
            return true;
        }
        let ready = |slot: &Slot| slot.runs_goal() && slot.traffic == Traffic::Out && slot.health == Known::Healthy;
        if !self.canary().all(ready) {
            return false;
        }
        let nodes = self.canary_names();
        self.note(Entry::Detached(nodes.clone()));
        self.report(Milestone::Detached { nodes });
        self.rollout.phase = Phase::Verifying;
        true
    }

    pub(crate) fn move_verifying(&mut self) -> bool {
        if self.turn_back_on_canary_failure() {
            return true;
        }
        if !self.rollout.canary_requested || self.rollout.pause.is_some() {
            return false;
        }
        let target = self.rollout.target.clone();
        for slot in &mut self.rollout.slots {
            if slot.is_canary(&target) {
                slot.goal.seat = Seat::Share;
            }
        }
        let horizon_ms = self.rollout.settings.canary_ms();
        self.watch_begin(self.canary_names(), self.baseline(), horizon_ms);
        self.enter_step(0);
        true
    }

    pub(crate) fn move_stepping(&mut self, step: usize, since: Timestamp) -> bool {
        if self.turn_back_on_canary_failure() || self.turn_back_on_verdict() {
            return true;
        }
        let for_ms = self.rollout.settings.steps.get(step).map_or(0, |step| step.for_ms);
        let last = step + 1 >= self.rollout.settings.steps.len();
        match self.held(since, for_ms, last) {
            Held::On => return false,
            Held::Passed if last => self.pass(),
            Held::TimeOver if last => self.ask("the canary's time is over and the judge could not tell"),
            Held::Passed | Held::TimeOver => self.enter_step(step + 1),
        }
        true
    }

    pub(crate) fn move_deciding(&mut self) -> bool {
        (self.rollout.kind == Kind::Canary && self.turn_back_on_canary_failure()) || self.turn_back_on_verdict()
    }

    /// What the time and the judge make of a phase that began at `since` and may last `for_ms`.
    pub(crate) fn held(&self, since: Timestamp, for_ms: i64, last: bool) -> Held {
        if self.rollout.pause.is_some() {
            return Held::On;
        }
        let (held_ms, tick_ms) = (self.now.since_ms(since), self.rollout.settings.tick_ms);
        match self.judged().map(|judgement| judgement.verdict) {
            Some(Verdict::Pass) if held_ms >= tick_ms.min(for_ms) => Held::Passed,
            Some(Verdict::Inconclusive) if held_ms >= for_ms => Held::TimeOver,
            _ if held_ms >= for_ms.saturating_add(grace_ms(tick_ms, last)) => Held::TimeOver,
            _ => Held::On,
        }
    }

    fn enter_step(&mut self, step: usize) {
        let share_ppm = self.rollout.settings.steps.get(step).map_or(0, |step| step.traffic_ppm);
        self.rollout.share_ppm = share_ppm;
        self.rollout.share_nodes = u32::try_from(self.canary().count()).unwrap_or(u32::MAX);
        self.rollout.phase = Phase::Stepping { step, since: self.now };
        self.note(Entry::Step { step: step + 1, share_ppm });
    }

    /// The canary passed, by the judge or by a person.
    pub(crate) fn pass(&mut self) {
        self.watch_end();
        self.rollout.phase = Phase::Held;
        self.note(Entry::Passed);
        self.effects.push(Effect::MarkVerified);
        self.report(Milestone::CanaryPassed);
        let (target, nodes) = (self.rollout.target.short().to_owned(), names(&self.canary_names()));
        self.tell(Tone::Good, format!("the canary of `{target}` on {nodes} passed"));
    }

    /// Waits for a person's word.
    pub(crate) fn ask(&mut self, reason: &str) {
        let said = self.judged().map(|judgement| judgement.sentence.clone());
        let text = said.map_or_else(|| reason.to_owned(), |said| format!("{reason}: {said}"));
        self.rollout.phase = Phase::Deciding;
        self.note(Entry::Undecided(text.clone()));
        self.tell(Tone::Asks, format!("{text}; accept or roll back"));
    }

    fn turn_back_on_canary_failure(&mut self) -> bool {
        let failure = self.canary().find_map(|slot| self.canary_failure_of(slot));
        let Some(reason) = failure else { return false };
        self.turn_back(Cause::Failed { reason });
        true
    }

    /// A canary node must be well at once, except while it starts.
    fn canary_failure_of(&self, slot: &Slot) -> Option<String> {
        if !slot.runs_goal() {
            return None;
        }
        match &slot.health {
            Known::Failed(reason) => Some(format!("{}: {reason}", slot.node)),
            Known::Lost => Some(format!("{} no longer answers its health check", slot.node)),
            Known::Healthy | Known::Starting | Known::Unknown => self.failure_of(slot),
        }
    }

    /// Turns back where the running comparison failed.
    pub(crate) fn turn_back_on_verdict(&mut self) -> bool {
        let judged = self.judged().filter(|judgement| judgement.verdict == Verdict::Fail);
        let Some(reason) = judged.map(|judgement| judgement.sentence.clone()) else { return false };
        self.turn_back(Cause::Failed { reason });
        true
    }

    fn canary(&self) -> impl Iterator<Item = &Slot> {
        self.rollout.slots.iter().filter(|slot| slot.is_canary(&self.rollout.target))
    }

    fn canary_names(&self) -> Vec<NodeName> {
        self.canary().map(|slot| slot.node.clone()).collect()
    }

    /// Nodes on the version before, with full traffic.
    fn baseline(&self) -> Vec<NodeName> {
        let slots = self.rollout.slots.iter();
        let old =
            slots.filter(|slot| slot.traffic == Traffic::Full && slot.is_usable() && slot.assigned == slot.before);
        old.filter(|slot| !slot.runs(&self.rollout.target)).map(|slot| slot.node.clone()).collect()
    }
}

/// Milliseconds that the judge's last word is waited for.
pub(crate) fn grace_ms(tick_ms: i64, last: bool) -> i64 {
    if last { tick_ms.saturating_mul(GRACE_TICKS) } else { 0 }
}
