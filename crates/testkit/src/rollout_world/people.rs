//! What comes to the server from outside: reconcilers, observations, the judge, the pipeline, people, and nonsense.

use super::World;
use super::site::{Nature, Start};
use crate::random::Random;
use serin_model::{Digest, PoolName, Timestamp};
use serin_rollout::{Action, Event, Known, Phase, Verdict};

/// The people and the pipeline.
pub(super) struct People {
    /// They never click.
    asleep: bool,
    /// They click things that nobody asked for.
    restless: bool,
    /// The pipeline's tests of detached nodes fail.
    tests_fail: bool,
    /// When they look next.
    next_look: Timestamp,
    /// When the next rollout may come.
    next_rollout: Timestamp,
}

impl People {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            asleep: random.chance(10),
            restless: random.chance(20),
            tests_fail: false,
            next_look: Timestamp(0),
            next_rollout: Timestamp(0),
        }
    }

    pub(super) fn new_rollout(&mut self, now: Timestamp, random: &mut Random) {
        self.tests_fail = random.chance(8);
        self.next_rollout = now.plus_ms(5_000 + random.below(60_000) as i64);
    }

    pub(super) fn is_ready_for_next(&mut self, now: Timestamp, random: &mut Random) -> bool {
        now >= self.next_rollout && random.chance(20)
    }
}

impl World {
    pub(super) fn reconcile_platform(&mut self) -> Result<(), String> {
        for desired in self.rollout.desired_nodes() {
            if self.site.is_as_desired(&desired) || !self.random.chance(40) {
                continue;
            }
            let well = self.site.is_ready(&desired.node, self.now);
            let drain_timeout_ms = self.rollout.settings.drain_timeout_ms;
            let needed = self.gateway.needs(&desired.node, self.now, drain_timeout_ms).filter(|_| well);
            if let Some(reason) = needed {
                return Err(reason);
            }
            let nature = desired.digest.as_ref().and_then(|digest| self.natures.get(digest)).copied();
            let start = Start::draw(self.faulty(), &mut self.random);
            self.site.apply(&desired, nature.unwrap_or(Nature::Good), self.now, start);
        }
        Ok(())
    }

    pub(super) fn reconcile_gateway(&mut self) {
        if !self.gateway.hears(self.now) {
            return;
        }
        if self.gateway.revision != self.rollout.revision && self.random.chance(60) {
            let routes = self.rollout.desired_routes();
            self.gateway.apply(self.rollout.revision, routes, self.now, &mut self.random);
        }
        let revision = self.gateway.revision;
        if self.rollout.applied != revision {
            self.send(Event::RoutesApplied { revision });
        }
        for node in self.gateway.drained(self.now) {
            self.send(Event::Drained { node, revision });
        }
    }

    /// Puts an event on its way; it may be late and overtaken.
    fn send(&mut self, event: Event) {
        let late_ms = if self.random.chance(20) { self.random.below(3_000) as i64 } else { 0 };
        self.inbox.push((self.now.plus_ms(late_ms), event));
    }

    pub(super) fn observe(&mut self) {
        let at = self.now;
        let mut events = Vec::new();
        let known_well = self.rollout.slots.iter().all(|slot| slot.health == Known::Healthy);
        let all_well = known_well && self.site.processes.values().all(|process| process.is_ready(at));
        for (node, process) in &self.site.processes {
            let (node, generation) = (node.clone(), process.generation);
            if process.is_ready(at) {
                events.push(Event::NodeHealthy { node, generation, at });
            } else if process.ended(at) {
                events.push(Event::NodeFailed { node, generation, at, reason: String::from("exit code 1") });
            } else if process.was_ready {
                events.push(Event::NodeLost { node, generation, at });
            }
        }
        for event in events {
            if self.random.chance(if all_well { 3 } else { 30 }) {
                self.send(event);
            }
        }
    }

    pub(super) fn judge(&mut self) {
        let Some(watch) = self.rollout.desired_watch().cloned() else { return };
        let held_ms = self.now.since_ms(watch.since);
        let key = (self.rollout.id.0, watch.number);
        let word = match self.words.get(&key) {
            Some(word) => *word,
            None => self.look(held_ms >= watch.horizon_ms),
        };
        if word != Verdict::Continue {
            self.words.insert(key, word);
        }
        let tick = (held_ms / self.rollout.settings.tick_ms).unsigned_abs();
        let sentence = String::from("simulated");
        if self.random.chance(50) {
            self.send(Event::Verdict { watch: watch.number, tick, verdict: word, sentence });
        }
    }

    fn look(&mut self, at_horizon: bool) -> Verdict {
        let worse = self.natures.get(&self.rollout.target) == Some(&Nature::Worse);
        match (worse, at_horizon) {
            (true, true) => Verdict::Fail,
            (true, false) if self.random.chance(5) => Verdict::Fail,
            (false, true) if self.random.chance(70) => Verdict::Pass,
            (false, true) => Verdict::Inconclusive,
            (false, false) if self.random.chance(2) => Verdict::Pass,
            (_, false) => Verdict::Continue,
        }
    }

    pub(super) fn act(&mut self) {
        if self.rollout.phase == Phase::Verifying && self.random.chance(20) {
            let failed = Event::VerificationFailed { reason: String::from("2 of 9 tests") };
            self.send(if self.people.tests_fail { failed } else { Event::CanaryRequested });
        }
        if self.people.asleep || self.now < self.people.next_look {
            return;
        }
        self.people.next_look = self.now.plus_ms(self.random.below(20_000) as i64);
        let actions = self.rollout.actions();
        let wanted = if self.people.restless && self.faulty() {
            self.random.pick(&actions).cloned()
        } else {
            let good = |action: &Action| {
                !matches!(action, Action::Pause | Action::Abort | Action::RollBack | Action::Override)
            };
            actions.into_iter().find(good)
        };
        let by = *self.random.pick(&["ada", "bea", "eve"]).unwrap_or(&"ada");
        let target = &self.rollout.target;
        if let Some(event) = wanted.map(|action| click(action, by, target)) {
            self.send(event);
        }
    }

    /// Late, foreign and impossible events, which must change nothing for the worse, and hosts that come and go.
    pub(super) fn chaos(&mut self) {
        if !self.faulty() || !self.random.chance(10) {
            return;
        }
        let at = Timestamp(self.now.0.saturating_sub(self.random.below(30_000) as i64));
        let slots: Vec<_> = self.rollout.slots.iter().map(|slot| (slot.node.clone(), slot.generation)).collect();
        let Some((node, generation)) = self.random.pick(&slots).cloned() else { return };
        let old = generation.saturating_sub(1);
        let reason = String::from("stale");
        let event = match self.random.below(9) {
            0 => Event::NodeFailed { node, generation: old, at, reason },
            1 => Event::NodeHealthy { node, generation: old, at },
            2 => Event::NodeHealthy { node, generation: generation + 100, at: self.now },
            3 => Event::Drained { node, revision: self.rollout.revision + 7 },
            4 => Event::RoutesApplied { revision: self.rollout.revision + 7 },
            5 => Event::ReleasePool { pool: PoolName::from("none"), by: reason },
            6 => Event::HostLost { by: String::from("the server: a host is away") },
            7 => Event::HostBack { by: reason },
            _ => Event::Verdict { watch: 99, tick: 1, verdict: Verdict::Fail, sentence: reason },
        };
        self.send(event);
    }
}

fn click(action: Action, by: &str, target: &Digest) -> Event {
    let by = String::from(by);
    match action {
        Action::ReleasePool(pool) => Event::ReleasePool { pool, by },
        Action::Pause => Event::Pause { by },
        Action::Resume => Event::Resume { by },
        Action::Accept { watch } => Event::Accept { watch, by },
        Action::Abort => Event::Abort { by, reason: String::from("not today") },
        Action::RollBack => Event::RollBack { by },
        Action::Approve => Event::Approve { by, digest: target.clone() },
        Action::Override => Event::Override { by, reason: String::from("it burns") },
    }
}
