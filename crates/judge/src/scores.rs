//! Deviations of nodes from what their past and load let one expect, block by block, and what they say together.

use crate::load::{HUBER, LoadModel, Observation, median};
use crate::numeric::{mean, variance};
use crate::startup::log_ratio;

/// Most parts of a block that is still to be completed.
const PENDING_MAX: usize = 16;
/// Blocks kept; beyond that, neighbours are merged.
pub(crate) const BLOCKS_MAX: usize = 64;

/// Deviation of one node from its expectation over a block: weighted sum and weight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    pub sum: f64,
    pub weight: f64,
    /// Sum of the levels over the node's past one.
    pub level: f64,
    /// The same of what the load let one expect.
    pub expected: f64,
    pub ticks: f64,
}

impl Score {
    fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.weight += other.weight;
        self.level += other.level;
        self.expected += other.expected;
        self.ticks += other.ticks;
    }
}

impl Score {
    /// What it says in addition to `other`, of the same ticks.
    pub(crate) fn beyond(&self, other: &Self) -> Self {
        Self { sum: self.sum - other.sum, weight: self.weight - other.weight, ..Self::default() }
    }
}

/// Most points that one side of a comparison is reduced to in a block.
const POINTS_MAX: usize = 12;

/// Nodes taken together, so that a block costs the same in a large fleet: each side becomes at most [`POINTS_MAX`] points.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    of: Vec<usize>,
    /// Points of the canary; they come first.
    pub canaries: usize,
    /// All points.
    pub nodes: usize,
    /// Old nodes in a point.
    pub size: f64,
    /// Canary nodes in a point.
    pub canary_size: f64,
}

impl Groups {
    pub(crate) fn new(canaries: usize, nodes: usize) -> Self {
        let old = nodes - canaries;
        let (c, b) = (canaries.min(POINTS_MAX), old.min(POINTS_MAX));
        let of = (0..canaries).map(|i| i % c).chain((0..old).map(|i| c + i % b)).collect();
        Self { of, canaries: c, nodes: c + b, size: old as f64 / b as f64, canary_size: canaries as f64 / c as f64 }
    }

    /// Adds up a block's nodes by group, each limited to `cut` around its group's median.
    pub(crate) fn merge(&self, block: Vec<Score>, cut: f64) -> Vec<Score> {
        if self.of.len() == self.nodes {
            return block;
        }
        let mut members: Vec<Vec<f64>> = vec![Vec::new(); self.nodes];
        for (score, group) in block.iter().zip(&self.of).filter(|(s, _)| s.weight > 0.0) {
            members[*group].push(score.sum / score.weight);
        }
        let centres: Vec<f64> = members.into_iter().map(|m| median(m).unwrap_or(0.0)).collect();
        let mut merged = vec![Score::default(); self.nodes];
        for (score, group) in block.iter().zip(&self.of) {
            let mut limited = *score;
            if score.weight > 0.0 {
                let y = score.sum / score.weight - centres[*group];
                limited.sum = score.weight * (centres[*group] + y.clamp(-cut, cut));
            }
            merged[*group].add(&limited);
        }
        merged
    }
}

/// Scores per node and block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scores {
    pub blocks: Vec<Vec<Score>>,
    /// Blocks of the original length that one entry holds.
    pub merged: usize,
    pub pending: Vec<Vec<Score>>,
    /// Blocks of the original length in `pending`.
    waiting: usize,
}

impl Scores {
    /// Whether there is no block yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.pending.is_empty()
    }

    pub(crate) fn push(&mut self, block: Vec<Score>) {
        self.merged = self.merged.max(1);
        self.pending.push(block);
        self.waiting += 1;
        if self.waiting < self.merged {
            if self.pending.len() > PENDING_MAX {
                self.pending = pairs(&self.pending);
            }
            return;
        }
        self.waiting = 0;
        let first = self.pending.remove(0);
        let whole = self.pending.drain(..).fold(first, |a, b| add(&a, &b));
        self.blocks.push(whole);
        if self.blocks.len() == BLOCKS_MAX {
            self.blocks = pairs(&self.blocks);
            self.merged *= 2;
        }
    }
}

/// Neighbours added up.
fn pairs(blocks: &[Vec<Score>]) -> Vec<Vec<Score>> {
    blocks.chunks(2).map(|p| p.get(1).map_or(p[0].clone(), |b| add(&p[0], b))).collect()
}

/// Sums of two blocks, node by node.
pub(crate) fn add(a: &[Score], b: &[Score]) -> Vec<Score> {
    let mut sums = a.to_vec();
    sums.iter_mut().zip(b).for_each(|(sum, score)| sum.add(score));
    sums
}

/// Canary minus baseline over blocks.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub effect: f64,
    pub influence: Vec<f64>,
    pub canary_weight: f64,
}

impl Difference {
    /// `cut` is where Huber's weights begin, in deviation of a block of one node.
    pub(crate) fn new(blocks: &[&Vec<Score>], canaries: usize, cut: f64) -> Option<Self> {
        let used: Vec<&Vec<Score>> = blocks
            .iter()
            .copied()
            .filter(|b| b[..canaries].iter().any(|s| s.weight > 0.0) && b[canaries..].iter().any(|s| s.weight > 0.0))
            .collect();
        let nodes = used.first()?.len();
        let (canary, mut influence) = side(&used, 0..canaries, cut)?;
        let (old, others) = side(&used, canaries..nodes, cut)?;
        let level = (1.0 + old).max(LEVEL_MIN);
        influence.iter_mut().zip(others).for_each(|(a, b)| *a = (*a - b) / level);
        let canary_weight = used.iter().flat_map(|b| &b[..canaries]).map(|s| s.weight).sum();
        let effect = log_ratio((canary - old) / level);
        Some(Self { effect, influence, canary_weight })
    }

    pub(crate) fn squares(&self) -> f64 {
        self.influence.iter().map(|u| u * u).sum()
    }
}

/// Lowest level of the old nodes, over what was expected, to which a difference is related.
const LEVEL_MIN: f64 = 0.05;

/// Where the old nodes stand, over what their past and load let one expect.
pub(crate) fn common_level(blocks: &[&Vec<Score>], nodes: std::ops::Range<usize>) -> f64 {
    let used = blocks.iter().flat_map(|b| &b[nodes.clone()]).filter(|s| s.weight > 0.0);
    let (level, expected) = used.fold((0.0, 0.0), |sum, s| (sum.0 + s.level, sum.1 + s.expected));
    if expected > 0.0 { (level / expected).max(LEVEL_MIN) } else { 1.0 }
}

/// Huber's location of one side's deviation, and what each block moves it by.
fn side(blocks: &[&Vec<Score>], nodes: std::ops::Range<usize>, cut: f64) -> Option<(f64, Vec<f64>)> {
    let points: Vec<(f64, f64)> = blocks
        .iter()
        .flat_map(|b| &b[nodes.clone()])
        .filter(|s| s.weight > 0.0)
        .map(|s| (s.sum / s.weight, s.weight))
        .collect();
    let centre = robust_centre(&points, cut)?;
    let inside: f64 = points.iter().filter(|p| (p.0 - centre).abs() <= cut).map(|p| p.1).sum();
    let half: f64 = 0.5 * points.iter().map(|p| p.1).sum::<f64>();
    let scale = blocks.len() as f64 / inside.max(half);
    let influence = blocks
        .iter()
        .map(|b| {
            let used = b[nodes.clone()].iter().filter(|s| s.weight > 0.0);
            used.map(|s| s.weight * (s.sum / s.weight - centre).clamp(-cut, cut)).sum::<f64>() * scale
        })
        .collect();
    Some((centre, influence))
}

/// Huber's location of weighted points: their mean where none lies beyond `cut`.
fn robust_centre(points: &[(f64, f64)], cut: f64) -> Option<f64> {
    let (top, bottom) = points.iter().fold((0.0, 0.0), |t, p| (t.0 + p.0 * p.1, t.1 + p.1));
    if points.iter().all(|p| (p.0 - top / bottom).abs() <= cut) {
        return (bottom > 0.0).then(|| top / bottom);
    }
    let mut centre = median(points.iter().map(|p| p.0).collect())?;
    for _ in 0..8 {
        let (top, bottom) = points.iter().fold((0.0, 0.0), |t, (y, weight)| {
            let w = weight * (cut * (1.0 + centre).max(1.0) / (y - centre).abs().max(1e-300)).min(1.0);
            (t.0 + w * y, t.1 + w)
        });
        centre = top / bottom;
    }
    Some(centre)
}

/// Deviations of a node's block means from its own and the block's mean, each as of a block of average weight.
pub(crate) fn deviations(blocks: &[&Vec<Score>], from: usize, to: usize) -> Vec<Vec<f64>> {
    let y: Vec<Vec<f64>> = blocks
        .iter()
        .map(|b| b.iter().map(|s| if s.weight > 0.0 { s.sum / s.weight } else { f64::NAN }).collect())
        .collect();
    let mut columns = two_way(&y, from, to);
    for (column, node) in columns.iter_mut().zip(from..to) {
        let usual = mean(blocks.iter().map(|b| b[node].weight)).unwrap_or(0.0).max(f64::MIN_POSITIVE);
        column.iter_mut().zip(blocks).for_each(|(v, b)| *v *= (b[node].weight / usual).sqrt());
    }
    columns
}

pub(crate) fn two_way(blocks: &[Vec<f64>], from: usize, to: usize) -> Vec<Vec<f64>> {
    let block_means: Vec<f64> = blocks.iter().map(|y| mean_known(&y[from..to]).unwrap_or(0.0)).collect();
    (from..to)
        .map(|n| {
            let column: Vec<f64> = blocks.iter().zip(&block_means).map(|(y, m)| y[n] - m).collect();
            let own = mean_known(&column).unwrap_or(0.0);
            column.into_iter().map(|v| if v.is_finite() { v - own } else { 0.0 }).collect()
        })
        .collect()
}

/// Variance of a node's mean over blocks.
pub(crate) fn mean_variance<'a>(blocks: impl Iterator<Item = &'a Vec<Score>>, node: usize) -> f64 {
    let used = blocks.map(|b| b[node]).filter(|s| s.weight > 0.0);
    let y: Vec<f64> = used.map(|s| s.sum / s.weight).collect();
    variance(&y) / y.len().max(1) as f64
}

pub(crate) fn mean_known(values: &[f64]) -> Option<f64> {
    mean(values.iter().copied().filter(|v| v.is_finite()))
}

/// Log of the block's level over the past level, per node.
pub(crate) fn relative(block: &[Score]) -> Vec<f64> {
    let log = |s: &Score| if s.ticks > 0.0 { (s.level / s.ticks).max(1e-12).ln() } else { f64::NAN };
    block.iter().map(log).collect()
}

/// Least squares over equally spaced points.
pub(crate) struct Line {
    pub slope: f64,
    pub residuals: Vec<f64>,
    pub sxx: f64,
}

impl Line {
    pub(crate) fn fit(y: &[f64], step: f64) -> Self {
        let n = y.len() as f64;
        let centre = 0.5 * (n - 1.0);
        let at = |i: usize| (i as f64 - centre) * step;
        let level = y.iter().sum::<f64>() / n;
        let sxx: f64 = (0..y.len()).map(|i| at(i).powi(2)).sum();
        let slope = y.iter().enumerate().map(|(i, v)| at(i) * v).sum::<f64>() / sxx;
        let residuals = y.iter().enumerate().map(|(i, v)| v - level - slope * at(i)).collect();
        Self { slope, residuals, sxx }
    }

    pub(crate) fn squares(&self) -> f64 {
        self.residuals.iter().map(|r| r * r).sum()
    }
}

/// Deviation of every node from its expectation over the ticks of a block; robust against single spikes. A tick that
/// follows nothing counts as what the noise allows at any time, not as a step of it (Prais and Winsten 1954).
pub(crate) fn score(model: &LoadModel, before: Option<&Observation>, ticks: &[Observation]) -> Vec<Score> {
    let mut points = Vec::with_capacity(ticks.len());
    (0..model.expected.len()).map(|node| score_node(model, node, (before, ticks), &mut points)).collect()
}

/// `points` is room to work in.
fn score_node(
    model: &LoadModel,
    node: usize,
    (before, ticks): (Option<&Observation>, &[Observation]),
    points: &mut Vec<(f64, f64)>,
) -> Score {
    points.clear();
    let expected = model.expected[node];
    let rho = model.correlation;
    let first = (1.0 - rho * rho).sqrt();
    let mut last = before.and_then(|t| t.of(node));
    let usual = expected.at(model.mean_load[node]).max(1e-12);
    let mut score = Score::default();
    for tick in ticks {
        let Some((level, load)) = tick.of(node) else {
            last = None;
            continue;
        };
        score.level += level / usual;
        score.expected += expected.at(load) / usual;
        score.ticks += 1.0;
        points.push(match last {
            Some((l, q)) => (level - rho * l, expected.at(load) - rho * expected.at(q)),
            None => (first * level, first * expected.at(load)),
        });
        last = Some((level, load));
    }
    let weight: f64 = points.iter().map(|p| p.1 * p.1).sum();
    if weight <= 0.0 || 2 * points.len() < ticks.len() {
        return Score::default();
    }
    score.weight = weight;
    score.sum = weight * (location(points, HUBER * model.noise[node]) - 1.0);
    score
}

/// Huber's estimate of the factor between the two columns, from the weighted median; noise grows with the level.
fn location(points: &[(f64, f64)], cut: f64) -> f64 {
    let (xy, xx) = points.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 * p.1, s.1 + p.1 * p.1));
    let plain = xy / xx;
    if cut <= 0.0 || points.iter().all(|p| (p.0 - plain * p.1).abs() <= cut) {
        return plain;
    }
    let ratios: Vec<f64> = points.iter().filter(|p| p.1.abs() > 1e-12).map(|p| p.0 / p.1).collect();
    let Some(mut factor) = median(ratios) else { return 1.0 };
    for _ in 0..5 {
        let (xy, xx) = points.iter().fold((0.0, 0.0), |s, (x, m)| {
            let weight = (cut * factor.max(1.0) / (x - factor * m).abs().max(1e-300)).min(1.0);
            (s.0 + weight * x * m, s.1 + weight * m * m)
        });
        factor = xy / xx;
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn million_blocks_keep_few_and_lose_none() {
        let mut scores = Scores::default();
        for _ in 0..1_000_000 {
            scores.push(vec![Score { ticks: 1.0, ..Score::default() }]);
            assert!(scores.blocks.len() < BLOCKS_MAX && scores.pending.len() <= PENDING_MAX);
        }
        let ticks: f64 = scores.blocks.iter().chain(&scores.pending).flatten().map(|s| s.ticks).sum();
        assert_eq!(ticks, 1e6);
    }
}
