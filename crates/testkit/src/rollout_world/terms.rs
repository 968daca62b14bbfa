//! The terms of releases: windows that come and go, people who agree, and what must hold of them.

use super::World;
use crate::random::Random;
use serin_model::Timestamp;
use serin_rollout::{Entry, Freeze, Rollout, Terms};

/// Windows without releases, again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    frozen_ms: i64,
    free_ms: i64,
}

impl Calendar {
    pub(super) fn draw(random: &mut Random) -> Option<Self> {
        let mut part = || 5_000 + random.below(40_000) as i64;
        let calendar = Self { frozen_ms: part(), free_ms: part() };
        random.chance(30).then_some(calendar)
    }

    fn at(self, now: Timestamp) -> Option<Freeze> {
        let whole = self.frozen_ms + self.free_ms;
        let begun = now.0 - now.0.rem_euclid(whole);
        let until = Timestamp(begun + self.frozen_ms);
        (now < until).then(|| Freeze { window: String::from("again and again"), until, ends: until.0.to_string() })
    }
}

pub(super) fn terms(random: &mut Random) -> Terms {
    let approvals = if random.chance(30) { random.below(3) as u32 } else { 0 };
    Terms { approvals, authors: vec![String::from("eve")], ..Terms::default() }
}

impl World {
    pub(super) fn frozen(&self) -> Option<Freeze> {
        self.calendar.and_then(|calendar| calendar.at(self.now))
    }

    /// No pool begins against the terms.
    pub(super) fn check_terms(&self, next: &Rollout) -> Result<(), String> {
        let begun = |rollout: &Rollout| {
            let is_begin = |entry: &&(Timestamp, Entry)| matches!(entry.1, Entry::PoolBegun { .. });
            rollout.history.iter().filter(is_begin).count()
        };
        let same = next.id == self.rollout.id;
        if begun(next) <= if same { begun(&self.rollout) } else { 0 } || next.overridden.is_some() {
            return Ok(());
        }
        if let Some(freeze) = self.frozen() {
            return Err(format!("a pool began in a window that ends at {}", freeze.ends));
        }
        let counted = next.approvals.iter().filter(|approval| approval.by != "eve").count();
        if counted < next.settings.terms.approvals as usize {
            return Err(format!("a pool began with {counted} approvals"));
        }
        Ok(())
    }
}
