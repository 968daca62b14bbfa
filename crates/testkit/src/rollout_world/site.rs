//! The nodes' processes and the gateway, as they really are.

use crate::random::Random;
use serin_model::{Digest, NodeName, Timestamp};
use serin_rollout::{DesiredNode, DesiredRoute, Standing};
use std::collections::BTreeMap;

/// What a version is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// It works.
    Good,
    /// It never becomes healthy.
    Dead,
    /// It ends some time after it became healthy.
    Crashing,
    /// It works, and the judge finds it worse.
    Worse,
}

impl Nature {
    pub(super) fn draw(random: &mut Random) -> Self {
        match random.below(10) {
            0 => Self::Dead,
            1 => Self::Crashing,
            2 | 3 => Self::Worse,
            _ => Self::Good,
        }
    }
}

/// A node's process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) digest: Digest,
    pub(super) generation: u64,
    nature: Nature,
    ready_at: Option<Timestamp>,
    dies_at: Option<Timestamp>,
    /// Unwell by chance until then.
    fault_until: Timestamp,
    pub(super) was_ready: bool,
}

impl Process {
    fn is_dead(&self, now: Timestamp) -> bool {
        self.dies_at.is_some_and(|dies| now >= dies)
    }

    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        self.ready_at.is_some_and(|ready| now >= ready) && !self.is_dead(now) && now >= self.fault_until
    }

    /// Whether it was well and is not, other than by being replaced.
    fn is_faulty(&self, now: Timestamp) -> bool {
        self.was_ready && !self.is_ready(now)
    }

    pub(super) fn ended(&self, now: Timestamp) -> bool {
        self.is_dead(now)
    }
}

/// All processes.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) processes: BTreeMap<NodeName, Process>,
}

impl Site {
    pub(super) fn new(nodes: &[Standing]) -> Self {
        let running = nodes.iter().filter_map(|standing| {
            let process = Process {
                digest: standing.running.clone()?,
                generation: standing.generation,
                nature: Nature::Good,
                ready_at: Some(Timestamp(0)),
                dies_at: None,
                fault_until: Timestamp(0),
                was_ready: true,
            };
            Some((standing.node.clone(), process))
        });
        Self { processes: running.collect() }
    }

    pub(super) fn live(&mut self, now: Timestamp, faulty: bool, random: &mut Random) {
        for process in self.processes.values_mut() {
            if process.is_ready(now) {
                process.was_ready = true;
                if faulty && random.below(1_500) == 0 {
                    process.fault_until = now.plus_ms(random.below(40_000) as i64);
                }
                if process.nature == Nature::Crashing && random.below(60) == 0 {
                    process.dies_at = Some(now);
                }
            }
        }
    }

    pub(super) fn is_ready(&self, node: &NodeName, now: Timestamp) -> bool {
        self.processes.get(node).is_some_and(|process| process.is_ready(now))
    }

    pub(super) fn is_faulty(&self, node: &NodeName, now: Timestamp) -> bool {
        self.processes.get(node).is_some_and(|process| process.is_faulty(now))
    }

    pub(super) fn runs(&self, node: &NodeName, digest: &Digest) -> bool {
        self.processes.get(node).is_some_and(|process| process.digest == *digest)
    }

    pub(super) fn is_as_desired(&self, desired: &DesiredNode) -> bool {
        match (self.processes.get(&desired.node), &desired.digest) {
            (None, None) => true,
            (Some(process), Some(digest)) => process.generation == desired.generation && process.digest == *digest,
            _ => false,
        }
    }

    /// Ends what runs and starts what shall.
    pub(super) fn apply(&mut self, desired: &DesiredNode, nature: Nature, now: Timestamp, start: Start) {
        let Some(digest) = desired.digest.clone() else {
            self.processes.remove(&desired.node);
            return;
        };
        let ready_at = (nature != Nature::Dead).then(|| now.plus_ms(start.delay_ms));
        let process = Process {
            digest,
            generation: desired.generation,
            nature,
            ready_at,
            dies_at: None,
            fault_until: Timestamp(0),
            was_ready: false,
        };
        self.processes.insert(desired.node.clone(), process);
    }
}

/// How a process starts.
pub(super) struct Start {
    pub(super) delay_ms: i64,
}

impl Start {
    pub(super) fn draw(faulty: bool, random: &mut Random) -> Self {
        let slow = faulty && random.chance(5);
        Self { delay_ms: random.below(if slow { 40_000 } else { 6_000 }) as i64 }
    }
}

/// The gateway: it keeps the last routes, whatever happens to the server.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    pub(super) revision: u64,
    pub(super) routes: Vec<DesiredRoute>,
    /// Unreachable until then.
    deaf_until: Timestamp,
    /// When each draining node was first drained, and when its last request ends.
    drains: BTreeMap<NodeName, (Timestamp, Timestamp)>,
}

impl Gateway {
    pub(super) fn new(routes: Vec<DesiredRoute>) -> Self {
        Self { revision: 0, routes, deaf_until: Timestamp(0), drains: BTreeMap::new() }
    }

    pub(super) fn live(&mut self, now: Timestamp, faulty: bool, random: &mut Random) {
        if faulty && random.below(600) == 0 {
            self.deaf_until = now.plus_ms(random.below(30_000) as i64);
        }
    }

    pub(super) fn hears(&self, now: Timestamp) -> bool {
        now >= self.deaf_until
    }

    pub(super) fn apply(&mut self, revision: u64, routes: Vec<DesiredRoute>, now: Timestamp, random: &mut Random) {
        self.drains.retain(|node, _| routes.iter().any(|route| route.node == *node && route.draining));
        for route in routes.iter().filter(|route| route.draining) {
            let last = now.plus_ms(random.below(8_000) as i64);
            self.drains.entry(route.node.clone()).or_insert((now, last));
        }
        self.revision = revision;
        self.routes = routes;
    }

    pub(super) fn drained(&self, now: Timestamp) -> Vec<NodeName> {
        self.drains.iter().filter(|(_, (_, last))| now >= *last).map(|(node, _)| node.clone()).collect()
    }

    /// Why a node's process may not be ended now.
    pub(super) fn needs(&self, node: &NodeName, now: Timestamp, drain_timeout_ms: i64) -> Option<String> {
        let route = self.routes.iter().find(|route| route.node == *node)?;
        if !route.draining {
            return Some(format!("{node} is ended while the gateway routes {} ppm to it", route.weight_ppm));
        }
        let (since, last) = self.drains.get(node)?;
        let cut_off = now < *last && now.since_ms(*since) < drain_timeout_ms;
        cut_off.then(|| {
            format!("{node} is ended with requests in flight, {} ms after draining began", now.since_ms(*since))
        })
    }
}
