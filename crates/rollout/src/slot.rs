//! A node's place in a rollout: what it runs, what it gets, what is known of it.

use serin_model::{Digest, NodeName, PoolName, Timestamp};

/// A node as the rollout sees and wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot {
    /// The node.
    pub node: NodeName,
    /// Its pool.
    pub pool: PoolName,
    /// The version to go back to; `None`: there was none.
    pub before: Option<Digest>,
    /// The version that the node shall run now; `None`: it shall be stopped.
    pub assigned: Option<Digest>,
    /// Grows with each replacement; an observation of another generation is ignored.
    pub generation: u64,
    /// What the gateway shall send it.
    pub traffic: Traffic,
    /// What is known of its health.
    pub health: Known,
    /// When the node was last replaced.
    pub since: Timestamp,
    /// When it became well or unwell.
    pub turned: Timestamp,
    /// When the latest observation that counted was made.
    pub seen: Timestamp,
    /// It did not become healthy in time on the way back; nobody waits for it any more.
    pub given_up: bool,
    /// Where the rollout wants it to end up.
    pub goal: Goal,
}

/// What the gateway shall send a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Traffic {
    /// An equal part of what the canary nodes do not get.
    Full,
    /// An equal part of the canary group's share.
    Share,
    /// Nothing new; requests in flight finish.
    Draining(Drain),
    /// Nothing.
    Out,
}

/// How far draining is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Drain {
    /// When it was asked for.
    pub since: Timestamp,
    /// The first revision of the routes that has it.
    pub revision: u64,
    /// When the gateway was known to have taken that revision; the drain time-out counts from here.
    pub applied: Option<Timestamp>,
}

/// What is known of a node's health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Known {
    /// Nothing yet.
    Unknown,
    /// Replaced, and not yet healthy.
    Starting,
    /// It answers its health check.
    Healthy,
    /// It ended, could not be started, or did not become healthy.
    Failed(String),
    /// It was healthy and no longer answers.
    Lost,
}

/// Where the rollout wants a node to end up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Goal {
    /// The version.
    pub digest: Option<Digest>,
    /// Its part of the traffic, once it is healthy.
    pub seat: Seat,
}

/// A settled part of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Seat {
    /// None.
    Out,
    /// A part of the canary group's share.
    Share,
    /// A full part.
    Full,
}

/// A node as one rollout leaves it to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Standing {
    /// The node.
    pub node: NodeName,
    /// Its pool.
    pub pool: PoolName,
    /// The version that production stands on here; differs from `running` on a canary's nodes.
    pub stable: Option<Digest>,
    /// The version that it shall run.
    pub running: Option<Digest>,
    /// How often it was replaced.
    pub generation: u64,
    /// What the gateway sends it.
    pub traffic: Traffic,
    /// What is known of its health.
    pub health: Known,
    /// When it was last replaced.
    pub since: Timestamp,
}

impl Standing {
    /// A node that has never run anything.
    #[must_use]
    pub fn empty(node: NodeName, pool: PoolName) -> Self {
        Self {
            node,
            pool,
            stable: None,
            running: None,
            generation: 0,
            traffic: Traffic::Out,
            health: Known::Unknown,
            since: Timestamp(0),
        }
    }

    /// A healthy node that serves `digest` in full.
    #[must_use]
    pub fn serving(node: NodeName, pool: PoolName, digest: Digest) -> Self {
        Self {
            stable: Some(digest.clone()),
            running: Some(digest),
            generation: 1,
            traffic: Traffic::Full,
            health: Known::Healthy,
            ..Self::empty(node, pool)
        }
    }
}

impl Slot {
    /// A node as it stands.
    #[must_use]
    pub fn of(standing: Standing) -> Self {
        let seat = match standing.traffic {
            Traffic::Share => Seat::Share,
            Traffic::Out if standing.running.is_none() => Seat::Out,
            Traffic::Full | Traffic::Draining(_) | Traffic::Out => Seat::Full,
        };
        let serves = standing.traffic == Traffic::Full && standing.health == Known::Healthy;
        let before = standing.stable.or_else(|| standing.running.clone().filter(|_| serves));
        Self {
            node: standing.node,
            pool: standing.pool,
            before,
            goal: Goal { digest: standing.running.clone(), seat },
            assigned: standing.running,
            generation: standing.generation,
            traffic: standing.traffic,
            health: standing.health,
            since: standing.since,
            turned: Timestamp(0),
            seen: Timestamp(0),
            given_up: false,
        }
    }

    /// Whether it serves a full part and is known to be well; counts towards the minimum.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.traffic == Traffic::Full && self.health == Known::Healthy
    }

    /// Whether it runs what it should end up with.
    #[must_use]
    pub fn runs_goal(&self) -> bool {
        self.assigned == self.goal.digest
    }

    /// Whether it has reached its goal: version, health and traffic.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.runs_goal() && self.is_seated() && (self.assigned.is_none() || self.health == Known::Healthy)
    }

    /// Whether its traffic is what its goal says.
    pub(crate) fn is_seated(&self) -> bool {
        match self.goal.seat {
            Seat::Out => self.traffic == Traffic::Out,
            Seat::Share => self.traffic == Traffic::Share,
            Seat::Full => self.traffic == Traffic::Full,
        }
    }

    /// Whether it is being changed right now: draining, or started and not yet where it should be.
    #[must_use]
    pub fn is_in_work(&self) -> bool {
        match &self.traffic {
            Traffic::Draining(_) => true,
            Traffic::Out => self.runs_goal() && self.assigned.is_some() && !self.is_settled() && !self.given_up,
            Traffic::Full | Traffic::Share => false,
        }
    }

    /// Takes what was seen of its health.
    pub(crate) fn becomes(&mut self, health: Known, at: Timestamp) {
        if (self.health == Known::Healthy) != (health == Known::Healthy) {
            self.turned = at;
        }
        self.health = health;
    }

    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.health, Known::Healthy | Known::Unknown)
    }

    pub(crate) fn runs(&self, digest: &Digest) -> bool {
        self.assigned.as_ref() == Some(digest)
    }

    /// Whether it belongs to the canary of that version.
    pub(crate) fn is_canary(&self, target: &Digest) -> bool {
        self.goal.digest.as_ref() == Some(target) && self.before.as_ref() != Some(target)
    }

    /// Wants the version before this rollout again.
    pub(crate) fn aim_back(&mut self) {
        let seat = if self.before.is_some() { Seat::Full } else { Seat::Out };
        self.goal = Goal { digest: self.before.clone(), seat };
    }

    pub(crate) fn aim(&mut self, digest: &Digest, seat: Seat) {
        self.goal = Goal { digest: Some(digest.clone()), seat };
    }

    /// Whether it must lose its traffic on the way to its goal, and still has it.
    pub(crate) fn must_leave(&self) -> bool {
        matches!(self.traffic, Traffic::Full | Traffic::Share) && (!self.runs_goal() || self.goal.seat == Seat::Out)
    }

    /// Wants what it runs now, where it is, or in full.
    pub(crate) fn aim_here(&mut self) {
        let seat = match self.traffic {
            _ if self.assigned.is_none() => Seat::Out,
            Traffic::Share => Seat::Share,
            Traffic::Full | Traffic::Draining(_) | Traffic::Out => Seat::Full,
        };
        self.goal = Goal { digest: self.assigned.clone(), seat };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::settings::Settings;
    use serin_model::service::{Order, Step};

    pub(crate) fn settings() -> Settings {
        Settings {
            canary_nodes: 2,
            min_serving: None,
            drain_timeout_ms: 10_000,
            start_timeout_ms: 30_000,
            steps: vec![Step { traffic_ppm: 10_000, for_ms: 60_000 }, Step { traffic_ppm: 200_000, for_ms: 120_000 }],
            tick_ms: 1_000,
            order: Order::Manual,
            watch_ms: 20_000,
            batch: 1,
            terms: crate::Terms::default(),
        }
    }
}
