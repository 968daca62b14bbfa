//! Deploying to all nodes, and releasing pool by pool.

use crate::canary::Held;
use crate::effect::{Milestone, Tone};
use crate::entry::Entry;
use crate::rollout::{Cause, Kind, Outcome, Phase};
use crate::slot::{Seat, Slot, Traffic};
use crate::step::Turn;
use serin_model::service::Order;
use serin_model::{NodeName, PoolName, Timestamp};

impl Turn {
    pub(crate) fn start_deploy(&mut self) {
        let target = self.rollout.target.clone();
        self.rollout.slots.iter_mut().for_each(|slot| slot.aim(&target, Seat::Full));
        self.note(Entry::Started);
        self.rollout.phase = Phase::Rolling { pool: None };
    }

    pub(crate) fn start_release(&mut self) {
        self.note(Entry::Started);
        self.tell_terms();
        self.next_pool();
    }

    /// Turns to the next pool that is not yet released, or ends.
    pub(crate) fn next_pool(&mut self) {
        self.watch_end();
        let pools = self.rollout.pools();
        let Some(pool) = pools.into_iter().find(|pool| !self.rollout.released.contains(pool)).cloned() else {
            return self.succeed(Milestone::Released);
        };
        match self.rollout.settings.order {
            Order::Automatic if self.rollout.is_free() => self.begin_pool(pool, None),
            _ => self.rollout.phase = Phase::AwaitingPool { pool },
        }
    }

    pub(crate) fn begin_pool(&mut self, pool: PoolName, by: Option<String>) {
        debug_assert!(self.rollout.is_free(), "pool {pool} begins against the terms");
        let target = self.rollout.target.clone();
        for slot in self.rollout.slots.iter_mut().filter(|slot| slot.pool == pool) {
            slot.aim(&target, Seat::Full);
        }
        self.note(Entry::PoolBegun { pool: pool.clone(), by });
        self.rollout.phase = Phase::Rolling { pool: Some(pool) };
    }

    pub(crate) fn move_rolling(&mut self, pool: Option<PoolName>) -> bool {
        if self.turn_back_on_pool_failure(pool.as_ref()) {
            return true;
        }
        if !in_pool(&self.rollout.slots, pool.as_ref()).all(Slot::is_settled) {
            return false;
        }
        match pool {
            None => self.succeed(Milestone::Deployed),
            Some(pool) => self.pool_done(pool),
        }
        true
    }

    fn pool_done(&mut self, pool: PoolName) {
        self.rollout.released.push(pool.clone());
        self.note(Entry::PoolReleased(pool.clone()));
        self.report(Milestone::PoolReleased { pool: pool.clone() });
        let canary: Vec<NodeName> = in_pool(&self.rollout.slots, Some(&pool)).map(|slot| slot.node.clone()).collect();
        let (baseline, watch_ms) = (self.not_updated(), self.rollout.settings.watch_ms);
        if baseline.is_empty() || watch_ms <= 0 {
            return self.next_pool();
        }
        self.watch_begin(canary, baseline, watch_ms);
        self.rollout.phase = Phase::Watching { pool, since: self.now };
    }

    pub(crate) fn move_watching(&mut self, pool: &PoolName, since: Timestamp) -> bool {
        if self.turn_back_on_pool_failure(Some(pool)) || self.turn_back_on_verdict() {
            return true;
        }
        let automatic = self.rollout.settings.order == Order::Automatic;
        match self.held(since, self.rollout.settings.watch_ms, automatic) {
            Held::On => return false,
            Held::TimeOver if automatic => self.ask(&format!("pool {pool} was watched and the judge could not tell")),
            Held::Passed | Held::TimeOver => self.next_pool(),
        }
        true
    }

    fn turn_back_on_pool_failure(&mut self, pool: Option<&PoolName>) -> bool {
        if self.rollout.waits_for_host() {
            return false;
        }
        let target = &self.rollout.target;
        let updated = in_pool(&self.rollout.slots, pool).filter(|slot| slot.runs(target) && slot.runs_goal());
        let Some(reason) = updated.filter_map(|slot| self.failure_of(slot)).next() else { return false };
        self.turn_back(Cause::Failed { reason });
        true
    }

    /// Nodes that serve in full on another version than the target.
    fn not_updated(&self) -> Vec<NodeName> {
        let old = |slot: &&Slot| slot.traffic == Traffic::Full && slot.is_usable() && !slot.runs(&self.rollout.target);
        self.rollout.slots.iter().filter(old).map(|slot| slot.node.clone()).collect()
    }

    fn succeed(&mut self, milestone: Milestone) {
        self.report(milestone);
        let what = if self.rollout.kind == Kind::Deploy { "deployed" } else { "released" };
        self.tell(Tone::Good, format!("`{}` is {what}", self.rollout.target.short()));
        self.rollout.share_ppm = 0;
        self.end(Outcome::Succeeded);
    }
}

fn in_pool<'a>(slots: &'a [Slot], pool: Option<&'a PoolName>) -> impl Iterator<Item = &'a Slot> {
    slots.iter().filter(move |slot| pool.is_none_or(|pool| slot.pool == *pool))
}
