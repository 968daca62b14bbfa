//! How far nodes drift from their past by themselves, and whether one canary node does.

use crate::events::RESTART_SPREAD;
use crate::numeric::{mean, variance};
use crate::scores::{Groups, Score, mean_variance};
use crate::startup::log_ratio;

use super::{DRIFT, Known};

/// One canary node that may be odd by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odd {
    /// Effect on the other canary nodes.
    pub rest: f64,
    /// How far it is from them.
    pub apart: f64,
}

/// How far nodes, or groups of them, have drifted from their past, each, and the noise in that.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    pub drift: Vec<f64>,
    noise: Vec<f64>,
    /// Real nodes in one of these.
    size: f64,
    /// Variance that a restart adds to a node.
    restart: f64,
}

/// Weighted sum and weight of a node over blocks.
fn total<'a>(blocks: impl Iterator<Item = &'a Vec<Score>>, node: usize) -> (f64, f64) {
    blocks.fold((0.0, 0.0), |s, b| (s.0 + b[node].sum, s.1 + b[node].weight))
}

impl Nodes {
    /// From the past to now, on the old nodes.
    pub(super) fn between(known: &Known, blocks: &[&Vec<Score>], groups: &Groups) -> Self {
        let past: Vec<&Vec<Score>> = known.past.iter().collect();
        Self::from(&past, blocks, groups.canaries..groups.nodes, groups.size)
    }

    /// The same of the canary's nodes, which a restart moves besides.
    pub(super) fn of_canary(known: &Known, blocks: &[&Vec<Score>], groups: &Groups) -> Self {
        let past: Vec<&Vec<Score>> = known.past.iter().collect();
        let nodes = Self::from(&past, blocks, 0..groups.canaries, groups.canary_size);
        Self { restart: RESTART_SPREAD.powi(2), ..nodes }
    }

    pub(super) fn from(past: &[&Vec<Score>], now: &[&Vec<Score>], range: std::ops::Range<usize>, size: f64) -> Self {
        let mut nodes = Self { size, ..Self::default() };
        for n in range.filter(|n| past.first().is_some_and(|b| *n < b.len())) {
            let (a, b) = (total(past.iter().copied(), n), total(now.iter().copied(), n));
            if a.1 > 0.0 && b.1 > 0.0 {
                nodes.drift.push(b.0 / b.1 - a.0 / a.1);
                nodes.noise.push(mean_variance(now.iter().copied(), n) + mean_variance(past.iter().copied(), n));
            }
        }
        nodes
    }

    pub(super) fn mean(&self) -> Option<f64> {
        mean(self.drift.iter().copied())
    }

    /// The highest and the lowest node against the others, in log ratio to the old nodes' drift `old` at their level.
    pub(super) fn extremes(&self, old: f64, level: f64) -> Option<(Odd, Odd)> {
        let others = self.drift.len() as f64 - 1.0;
        let (low, high) = self.drift.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |m, d| (m.0.min(*d), m.1.max(*d)));
        let sum: f64 = self.drift.iter().sum();
        let effect = |drift: f64| log_ratio((drift - old) / level);
        let odd = |extreme: f64| {
            let rest = effect((sum - extreme) / others);
            Odd { rest, apart: effect(extreme) - rest }
        };
        (others >= 1.0).then(|| (odd(high), odd(low)))
    }

    /// Log likelihood of the nodes' drift having the variance `node`, apart from its noise.
    fn log_likelihood(&self, node: f64, inflation: f64) -> f64 {
        let freedom = self.drift.len() as f64 - 1.0;
        if freedom <= 0.0 {
            return 0.0;
        }
        let noise = mean(self.noise.iter().copied()).unwrap_or(0.0) * inflation;
        let expected = noise + (node + self.restart) / self.size;
        -0.5 * freedom * (expected.ln() + variance(&self.drift) / expected)
    }
}

/// Deviations of a node's drift that are thought possible.
const DRIFTS: (f64, f64) = (0.001, 1.0);
const DRIFT_STEPS: usize = 28;

/// Variance of a node's drift beyond its noise, from several observations of it and the prior: the one with which the
/// effect's precision, `other` being the rest of its variance, is what it is on average over all that are possible.
pub(super) fn drift_variance(seen: &[&Nodes], inflation: f64, other: f64) -> f64 {
    let step = (DRIFTS.1 / DRIFTS.0).ln() / (DRIFT_STEPS - 1) as f64;
    let nodes: Vec<f64> = (0..DRIFT_STEPS).map(|i| (DRIFTS.0 * (step * i as f64).exp()).powi(2)).collect();
    let prior = |node: f64| -0.5 * (node.ln() + DRIFT.powi(2) / node);
    let weight = |node: &f64| prior(*node) + seen.iter().map(|n| n.log_likelihood(*node, inflation)).sum::<f64>();
    let weights: Vec<f64> = nodes.iter().map(weight).collect();
    let top = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (precision, total) = nodes.iter().zip(&weights).fold((0.0, 0.0), |sum, (node, weight)| {
        let weight = (weight - top).exp();
        (sum.0 + weight / (node + other), sum.1 + weight)
    });
    (total / precision - other).max(0.0)
}
