//! When time itself is the next event.

use crate::canary::grace_ms;
use crate::event::Verdict;
use crate::rollout::{Kind, Phase, Rollout};
use crate::slot::{Drain, Known, Slot, Traffic};
use serin_model::Timestamp;
use serin_model::service::Order;

impl Rollout {
    /// The point in time at which [`crate::Event::Wake`] will change something, if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let nodes = self.slots.iter().filter_map(|slot| self.slot_wake(slot)).min();
        let stuck = self.stuck.filter(|_| !self.stuck_told).map(|since| since.plus_ms(self.settings.start_timeout_ms));
        let waits = matches!(self.phase, Phase::AwaitingPool { .. });
        let thaw = self.freeze.as_ref().filter(|_| waits).map(|freeze| freeze.until);
        [nodes, self.phase_wake(), stuck, thaw].into_iter().flatten().min()
    }

    fn slot_wake(&self, slot: &Slot) -> Option<Timestamp> {
        if let Traffic::Draining(Drain { applied, .. }) = slot.traffic {
            return applied.map(|applied| applied.plus_ms(self.settings.drain_timeout_ms)).filter(|_| !self.is_over());
        }
        if self.waits_for_host() {
            return None;
        }
        let waited_for = match &self.phase {
            Phase::Deciding if self.kind != Kind::Canary => false,
            Phase::Detaching | Phase::Verifying | Phase::Stepping { .. } | Phase::Deciding => {
                slot.is_canary(&self.target) && slot.runs_goal()
            }
            Phase::Rolling { pool } => self.is_updated_in(slot, pool.as_ref()),
            Phase::Watching { pool, .. } => self.is_updated_in(slot, Some(pool)),
            Phase::Restoring(_) | Phase::Stopping(_) => slot.is_in_work(),
            _ => false,
        };
        if !waited_for || slot.health == Known::Healthy {
            return None;
        }
        let touched = slot.since >= self.created || matches!(self.phase, Phase::Restoring(_));
        let since = if touched { slot.since } else { slot.turned.max(self.created) };
        Some(since.plus_ms(self.settings.start_timeout_ms))
    }

    fn is_updated_in(&self, slot: &Slot, pool: Option<&serin_model::PoolName>) -> bool {
        slot.runs(&self.target) && slot.runs_goal() && pool.is_none_or(|pool| slot.pool == *pool)
    }

    fn phase_wake(&self) -> Option<Timestamp> {
        if self.pause.is_some() {
            return None;
        }
        let (since, for_ms, last) = match &self.phase {
            Phase::Stepping { step, since } => {
                let for_ms = self.settings.steps.get(*step).map_or(0, |step| step.for_ms);
                (since, for_ms, step + 1 >= self.settings.steps.len())
            }
            Phase::Watching { since, .. } => (since, self.settings.watch_ms, self.settings.order == Order::Automatic),
            _ => return None,
        };
        let verdict = self.watch.as_ref().and(self.judgement.as_ref()).map(|judgement| judgement.verdict);
        let held_ms = match verdict {
            Some(Verdict::Pass) => self.settings.tick_ms.min(for_ms),
            Some(Verdict::Inconclusive) => for_ms,
            _ => for_ms.saturating_add(grace_ms(self.settings.tick_ms, last)),
        };
        Some(since.plus_ms(held_ms))
    }
}
