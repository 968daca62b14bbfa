//! Moves nodes towards their goals: drain, replace, wait for health, give traffic back.

use crate::effect::Tone;
use crate::entry::Entry;
use crate::rollout::Phase;
use crate::slot::{Drain, Known, Seat, Slot, Traffic};
use crate::step::Turn;

impl Turn {
    /// Takes every change that is allowed now.
    pub(crate) fn move_nodes(&mut self) {
        if matches!(self.rollout.phase, Phase::Created | Phase::Over(crate::Outcome::Superseded { .. })) {
            return;
        }
        self.end_overdue_drains();
        self.replace_idle();
        self.seat();
        self.take_out();
    }

    fn end_overdue_drains(&mut self) {
        let (now, timeout_ms) = (self.now, self.rollout.settings.drain_timeout_ms);
        for slot in &mut self.rollout.slots {
            if let Traffic::Draining(Drain { applied: Some(applied), .. }) = slot.traffic
                && now.since_ms(applied) >= timeout_ms
            {
                slot.traffic = Traffic::Out;
            }
        }
    }

    /// Gives nodes without traffic the version of their goal.
    fn replace_idle(&mut self) {
        let mut entries = Vec::new();
        for slot in &mut self.rollout.slots {
            if slot.traffic == Traffic::Out && !slot.runs_goal() {
                replace(slot, self.now);
                entries.push(Entry::Replaced { node: slot.node.clone(), digest: slot.assigned.clone() });
            }
        }
        entries.into_iter().for_each(|entry| self.note(entry));
    }

    /// Gives nodes that run the version of their goal their part of the traffic.
    fn seat(&mut self) {
        let mut entries = Vec::new();
        for slot in &mut self.rollout.slots {
            if seat(slot) {
                entries.push(Entry::Serving(slot.node.clone()));
            }
        }
        entries.into_iter().for_each(|entry| self.note(entry));
    }

    /// Begins to drain as many nodes as the batch and the minimum of serving nodes allow.
    fn take_out(&mut self) {
        if self.rollout.pause.is_some() {
            return;
        }
        let mut free = self.batch().saturating_sub(self.in_work());
        while free > 0 {
            let Some(index) = self.next_to_take_out() else { return };
            let drain = Drain { since: self.now, revision: self.rollout.revision + 1, applied: None };
            let slot = &mut self.rollout.slots[index];
            let node = slot.node.clone();
            let served = slot.is_serving();
            slot.traffic = Traffic::Draining(drain);
            debug_assert!(!served || self.rollout.serving() >= self.rollout.minimum(), "{node} was needed");
            self.note(Entry::Draining(node));
            free -= 1;
        }
    }

    fn batch(&self) -> usize {
        match self.rollout.phase {
            Phase::Rolling { .. } => (self.rollout.settings.batch as usize).max(1),
            _ => usize::MAX,
        }
    }

    fn in_work(&self) -> usize {
        self.rollout.slots.iter().filter(|slot| slot.is_in_work()).count()
    }

    /// The next slot to drain: one that costs no serving node first, then one that may be spared.
    fn next_to_take_out(&self) -> Option<usize> {
        let slots = &self.rollout.slots;
        let idle = slots.iter().position(|slot| slot.must_leave() && !slot.is_serving());
        let spare = self.rollout.serving() > self.rollout.minimum();
        idle.or_else(|| slots.iter().position(|slot| slot.must_leave() && spare))
    }

    /// Remembers since when nothing moves by itself, and tells people once.
    pub(crate) fn watch_for_standstill(&mut self) {
        let Some(reason) = self.standstill() else {
            self.rollout.stuck = None;
            self.rollout.stuck_told = false;
            return;
        };
        let since = *self.rollout.stuck.get_or_insert(self.now);
        let patience_ms = self.rollout.settings.start_timeout_ms;
        if !self.rollout.stuck_told && self.now.since_ms(since) >= patience_ms {
            self.rollout.stuck_told = true;
            self.note(Entry::Stuck(reason.clone()));
            self.tell(Tone::Asks, format!("the rollout of `{}` cannot go on: {reason}", self.rollout.target.short()));
        }
    }

    fn standstill(&self) -> Option<String> {
        let rollout = &self.rollout;
        let moves = matches!(
            rollout.phase,
            Phase::Detaching | Phase::Rolling { .. } | Phase::Restoring(_) | Phase::Stopping(_)
        );
        if !moves || rollout.pause.is_some() {
            return None;
        }
        let unapplied = |slot: &Slot| matches!(slot.traffic, Traffic::Draining(Drain { applied: None, .. }));
        if let Some(slot) = rollout.slots.iter().find(|slot| unapplied(slot)) {
            return Some(format!("the gateway has not taken the routes that drain {}", slot.node));
        }
        let waiting = rollout.slots.iter().find(|slot| slot.must_leave())?;
        (self.in_work() == 0).then(|| {
            let (serving, minimum) = (rollout.serving(), rollout.minimum());
            format!(
                "taking {} out would leave {} of at least {minimum} serving",
                waiting.node,
                serving.saturating_sub(1)
            )
        })
    }
}

fn replace(slot: &mut Slot, now: serin_model::Timestamp) {
    slot.assigned.clone_from(&slot.goal.digest);
    slot.generation += 1;
    slot.health = if slot.assigned.is_some() { Known::Starting } else { Known::Unknown };
    slot.since = now;
    slot.given_up = false;
}

/// Seats a slot where it may be; says whether it began to serve.
fn seat(slot: &mut Slot) -> bool {
    let wanted = match slot.goal.seat {
        Seat::Out => return false,
        Seat::Share => Traffic::Share,
        Seat::Full => Traffic::Full,
    };
    let ready = match slot.traffic {
        Traffic::Out => slot.health == Known::Healthy,
        Traffic::Draining(_) | Traffic::Share => true,
        Traffic::Full => false,
    };
    if slot.assigned.is_none() || !slot.runs_goal() || !ready || slot.traffic == wanted {
        return false;
    }
    slot.traffic = wanted;
    true
}
