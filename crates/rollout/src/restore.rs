//! Turning back and stopping.

use crate::effect::{Effect, Milestone, Tone};
use crate::entry::{Entry, names};
use crate::rollout::{Cause, Kind, Outcome, Phase};
use crate::slot::{Known, Slot, Traffic};
use crate::step::Turn;
use serin_model::{NodeName, Timestamp};

impl Turn {
    /// Takes the traffic off the new version and gives every node the version before.
    pub(crate) fn turn_back(&mut self, cause: Cause) {
        self.announce(&cause);
        let was_verified = self.rollout.phase == Phase::Held;
        let bad = matches!(cause, Cause::Failed { .. }) || was_verified;
        if bad && self.rollout.kind != Kind::Deploy {
            self.effects.push(Effect::MarkFailed { reason: cause.to_string() });
        }
        self.rollout.share_ppm = 0;
        self.rollout.slots.iter_mut().for_each(Slot::aim_back);
        self.rollout.phase = Phase::Restoring(cause);
    }

    /// Lets nodes in the middle of a change finish and keeps what is there.
    pub(crate) fn stop_here(&mut self, cause: Cause) {
        self.announce(&cause);
        self.rollout.slots.iter_mut().for_each(Slot::aim_here);
        self.rollout.phase = Phase::Stopping(cause);
    }

    fn announce(&mut self, cause: &Cause) {
        self.watch_end();
        self.rollout.pause = None;
        self.rollout.stuck = None;
        self.rollout.stuck_told = false;
        self.note(Entry::Turned(cause.clone()));
        let tone = if matches!(cause, Cause::Failed { .. }) { Tone::Bad } else { Tone::Info };
        self.tell(tone, format!("the rollout of `{}` {cause}", self.rollout.target.short()));
    }

    pub(crate) fn move_restoring(&mut self, cause: Cause) -> bool {
        self.give_up_overdue();
        let finished = self.rollout.slots.iter().all(is_finished);
        if finished {
            self.end_stopped(cause);
        }
        finished
    }

    pub(crate) fn move_stopping(&mut self, cause: Cause) -> bool {
        let reasons: Vec<Option<String>> = self.rollout.slots.iter().map(|slot| self.stop_failure_of(slot)).collect();
        let mut changed = false;
        for (slot, _) in self.rollout.slots.iter_mut().zip(reasons).filter(|(_, reason)| reason.is_some()) {
            slot.aim_back();
            changed |= !slot.runs_goal();
        }
        self.give_up_overdue();
        if changed || !self.rollout.slots.iter().all(is_finished) {
            return changed;
        }
        self.end_stopped(cause);
        true
    }

    /// Why a node that was still starting when a release was stopped must go back.
    fn stop_failure_of(&self, slot: &Slot) -> Option<String> {
        let starting = slot.traffic == Traffic::Out && slot.runs(&self.rollout.target) && slot.runs_goal();
        if starting { self.failure_of(slot) } else { None }
    }

    fn end_stopped(&mut self, cause: Cause) {
        let missing: Vec<NodeName> =
            self.rollout.slots.iter().filter(|slot| slot.given_up).map(|slot| slot.node.clone()).collect();
        if !missing.is_empty() {
            let text = format!("{} did not come back; the platform goes on trying", names(&missing));
            self.tell(Tone::Bad, text);
        }
        self.report(Milestone::Failed { reason: cause.to_string() });
        self.end(Outcome::Stopped(cause));
    }

    fn give_up_overdue(&mut self) {
        let (now, timeout_ms) = (self.now, self.rollout.settings.start_timeout_ms);
        for slot in self.rollout.slots.iter_mut().filter(|slot| is_overdue(slot, now, timeout_ms)) {
            slot.given_up = true;
        }
    }
}

fn is_overdue(slot: &Slot, now: Timestamp, timeout_ms: i64) -> bool {
    slot.is_in_work()
        && slot.traffic == Traffic::Out
        && slot.health != Known::Healthy
        && now.since_ms(slot.since) >= timeout_ms
}

/// Whether a slot is where it should be, however it is, or nobody waits for it any more.
fn is_finished(slot: &Slot) -> bool {
    slot.runs_goal() && (slot.is_seated() || slot.given_up)
}
