//! How a rollout goes.

use crate::consent::Terms;
use serin_model::service::{Canary, Environment, Order, Release, Service, Step};

/// The settings of one rollout, fixed when it begins.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// Nodes that a canary takes out.
    pub canary_nodes: u32,
    /// Nodes that must go on serving while others are changed; `None`: half of the environment, at least one.
    pub min_serving: Option<u32>,
    /// Milliseconds that requests in flight have to finish on a node that is taken out.
    pub drain_timeout_ms: i64,
    /// Milliseconds that a fresh node has to become healthy.
    pub start_timeout_ms: i64,
    /// Shares of traffic, ascending, each with its time.
    pub steps: Vec<Step>,
    /// Milliseconds between two verdicts.
    pub tick_ms: i64,
    /// Who moves a release from pool to pool.
    pub order: Order,
    /// Milliseconds that a released pool is watched before the next may follow; 0: not at all.
    pub watch_ms: i64,
    /// Serving nodes replaced at once in a pool.
    pub batch: u32,
    /// What a release needs besides a click.
    #[cfg_attr(feature = "serde", serde(default))]
    pub terms: Terms,
}

impl Settings {
    /// Milliseconds on top of [`Service::health`]'s time-out, for handing the release to the platform.
    pub const START_GRACE_MS: i64 = 5_000;

    /// Takes the settings out of a checked `serin.yml`.
    #[must_use]
    pub fn new(service: &Service, environment: &Environment, canary: &Canary, release: &Release) -> Self {
        Self {
            canary_nodes: canary.nodes,
            min_serving: environment.min_serving,
            drain_timeout_ms: environment.drain_timeout_ms,
            start_timeout_ms: service.health.timeout_ms.saturating_add(Self::START_GRACE_MS),
            steps: canary.steps.clone(),
            tick_ms: canary.tick_ms,
            order: release.order,
            watch_ms: release.watch_ms,
            batch: 1,
            terms: Terms::default(),
        }
    }

    /// The number of nodes that must go on serving in an environment of `nodes` nodes.
    ///
    /// What is configured is capped so that one node can be replaced at all; an environment of one node has 0.
    #[must_use]
    pub fn minimum(&self, nodes: usize) -> usize {
        let wanted = self.min_serving.map_or((nodes / 2).max(1), |count| count as usize);
        wanted.min(nodes.saturating_sub(1))
    }

    /// Milliseconds from the first canary step to the end of the last.
    #[must_use]
    pub fn canary_ms(&self) -> i64 {
        self.steps.iter().fold(0_i64, |sum, step| sum.saturating_add(step.for_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::slot::tests::settings;

    #[test]
    fn minimum_is_feasible() {
        let with = |min_serving| Settings { min_serving, ..settings() };
        let cases = [
            (None, 0, 0),
            (None, 1, 0),
            (None, 2, 1),
            (None, 3, 1),
            (None, 6, 3),
            (Some(4), 6, 4),
            (Some(6), 6, 5),
            (Some(9), 2, 1),
            (Some(3), 1, 0),
            (Some(0), 4, 0),
        ];
        for (configured, nodes, expected) in cases {
            assert_eq!(with(configured).minimum(nodes), expected, "{configured:?} of {nodes}");
        }
    }
}
