//! What is seen of nodes and of the gateway.

use crate::entry::Entry;
use crate::rollout::{Kind, Rollout};
use crate::slot::{Known, Slot, Traffic};
use crate::step::Turn;
use serin_model::{NodeName, Timestamp};

/// Milliseconds after a host's return in which a node that ends counts as ended with its host: an engine that was killed
/// ends what it finds when it is back.
const HOST_GRACE_MS: i64 = 15_000;
/// Milliseconds that an observation may be late; one that seems older is taken for a clock that was set back.
const OBSERVATION_LATE_MS_MAX: i64 = 60_000;

impl Turn {
    pub(crate) fn routes_applied(&mut self, revision: u64) {
        let rollout = &mut self.rollout;
        if revision > rollout.revision {
            return;
        }
        rollout.applied = rollout.applied.max(revision);
        for slot in &mut rollout.slots {
            if let Traffic::Draining(drain) = &mut slot.traffic
                && drain.applied.is_none()
                && drain.revision <= rollout.applied
            {
                drain.applied = Some(self.now);
            }
        }
    }

    pub(crate) fn drained(&mut self, node: &NodeName, revision: u64) {
        if revision > self.rollout.revision {
            return;
        }
        self.routes_applied(revision);
        if let Some(slot) = self.rollout.slot_mut(node)
            && let Traffic::Draining(drain) = &slot.traffic
            && drain.revision <= revision
        {
            slot.traffic = Traffic::Out;
        }
    }

    pub(crate) fn node_healthy(&mut self, node: &NodeName, generation: u64, at: Timestamp) {
        let Some(slot) = self.observed(node, generation, at) else { return };
        let back = matches!(slot.health, Known::Lost | Known::Failed(_));
        slot.becomes(Known::Healthy, at);
        slot.given_up = false;
        if back {
            self.note(Entry::NodeBack(node.clone()));
        }
    }

    pub(crate) fn node_failed(&mut self, node: &NodeName, generation: u64, at: Timestamp, reason: String) {
        let Some(slot) = self.observed(node, generation, at) else { return };
        if matches!(slot.health, Known::Failed(_)) {
            return;
        }
        slot.becomes(Known::Failed(reason.clone()), at);
        self.note(Entry::NodeFailed { node: node.clone(), reason });
    }

    pub(crate) fn node_lost(&mut self, node: &NodeName, generation: u64, at: Timestamp) {
        let Some(slot) = self.observed(node, generation, at) else { return };
        if !matches!(slot.health, Known::Healthy | Known::Unknown) {
            return;
        }
        slot.becomes(Known::Lost, at);
        let is_back = self.rollout.host_back.is_some_and(|back| self.now.since_ms(back) <= HOST_GRACE_MS);
        self.note(Entry::NodeLost(node.clone()));
        if is_back {
            self.begin_anew(0);
        }
    }

    /// A host is back, after so long: nodes that were starting get that time, and in a deployment or release those that
    /// were lost with their host the time of a start. A canary's own nodes must be well at once.
    pub(crate) fn begin_anew(&mut self, held_ms: i64) {
        let Rollout { slots, created, kind, .. } = &mut self.rollout;
        for slot in slots.iter_mut().filter(|slot| slot.health != Known::Healthy) {
            let was_replaced = slot.since >= *created;
            match slot.health {
                Known::Lost if *kind != Kind::Canary => {
                    slot.turned = self.now;
                    if was_replaced {
                        slot.health = Known::Starting;
                        slot.since = self.now;
                    }
                }
                Known::Starting if was_replaced => slot.since = slot.since.plus_ms(held_ms),
                _ => {}
            }
        }
    }

    /// The slot that an observation is about, unless a newer one or another generation has made it void.
    fn observed(&mut self, node: &NodeName, generation: u64, at: Timestamp) -> Option<&mut Slot> {
        let slot = self.rollout.slot_mut(node)?;
        let age_ms = slot.seen.since_ms(at);
        let late = age_ms > 0 && age_ms <= OBSERVATION_LATE_MS_MAX;
        if slot.generation != generation || slot.assigned.is_none() || late {
            return None;
        }
        slot.seen = at;
        Some(slot)
    }

    /// Why a node that was given the target does not run it well.
    pub(crate) fn failure_of(&self, slot: &Slot) -> Option<String> {
        let timeout_ms = self.rollout.settings.start_timeout_ms;
        let node = &slot.node;
        let touched = slot.since >= self.rollout.created;
        let since = if touched { slot.since } else { slot.turned.max(self.rollout.created) };
        let overdue = self.now.since_ms(since) >= timeout_ms && !self.rollout.waits_for_host();
        match &slot.health {
            Known::Healthy => None,
            Known::Failed(reason) if touched => Some(format!("{node}: {reason}")),
            Known::Lost if touched => Some(format!("{node} no longer answers its health check")),
            Known::Failed(_) | Known::Lost | Known::Starting | Known::Unknown => {
                overdue.then(|| format!("{node} did not become healthy within {} s", timeout_ms / 1_000))
            }
        }
    }
}
