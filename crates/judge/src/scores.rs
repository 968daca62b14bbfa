//! Deviations of nodes from what their past and load let one expect, block by block, and what they say together.

use crate::load::{HUBER, LoadModel, Observation, median};
use crate::numeric::{mean, variance};

/// Blocks kept; beyond that, neighbours are merged.
const BLOCKS_MAX: usize = 64;

/// Deviation of one node from its expectation over a block: weighted sum and weight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    pub sum: f64,
    pub weight: f64,
    pub level: f64,
    pub ticks: f64,
}

/// Scores per node and block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scores {
    pub blocks: Vec<Vec<Score>>,
    /// Blocks of the original length that one entry holds.
    pub merged: usize,
    pub pending: Vec<Vec<Score>>,
}

impl Scores {
    pub(crate) fn push(&mut self, block: Vec<Score>) {
        self.merged = self.merged.max(1);
        self.pending.push(block);
        if self.pending.len() < self.merged {
            return;
        }
        let first = self.pending.remove(0);
        let whole = self.pending.drain(..).fold(first, |a, b| add(&a, &b));
        self.blocks.push(whole);
        if self.blocks.len() == BLOCKS_MAX {
            self.blocks = self.blocks.chunks(2).map(|p| p.get(1).map_or(p[0].clone(), |b| add(&p[0], b))).collect();
            self.merged *= 2;
        }
    }
}

fn add(a: &[Score], b: &[Score]) -> Vec<Score> {
    let sum = |(a, b): (&Score, &Score)| Score {
        sum: a.sum + b.sum,
        weight: a.weight + b.weight,
        level: a.level + b.level,
        ticks: a.ticks + b.ticks,
    };
    a.iter().zip(b).map(sum).collect()
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
        influence.iter_mut().zip(others).for_each(|(a, b)| *a -= b);
        let canary_weight = used.iter().flat_map(|b| &b[..canaries]).map(|s| s.weight).sum();
        Some(Self { effect: canary - old, influence, canary_weight })
    }

    pub(crate) fn squares(&self) -> f64 {
        self.influence.iter().map(|u| u * u).sum()
    }
}

/// Huber's location of one side's log deviation, and what each block moves it by.
fn side(blocks: &[&Vec<Score>], nodes: std::ops::Range<usize>, cut: f64) -> Option<(f64, Vec<f64>)> {
    let points = || blocks.iter().flat_map(|b| &b[nodes.clone()]).filter(|s| s.weight > 0.0);
    let mut centre = median(points().map(|s| s.sum / s.weight).collect())?;
    for _ in 0..8 {
        let (top, bottom) = points().fold((0.0, 0.0), |t, s| {
            let y = s.sum / s.weight;
            let w = s.weight * (cut / (y - centre).abs().max(1e-300)).min(1.0);
            (t.0 + w * y, t.1 + w)
        });
        centre = top / bottom;
    }
    let inside: f64 = points().filter(|s| (s.sum / s.weight - centre).abs() <= cut).map(|s| s.weight).sum();
    let half: f64 = 0.5 * points().map(|s| s.weight).sum::<f64>();
    let scale = blocks.len() as f64 / inside.max(half) / (1.0 + centre).max(0.05);
    let influence = blocks
        .iter()
        .map(|b| {
            let used = b[nodes.clone()].iter().filter(|s| s.weight > 0.0);
            used.map(|s| s.weight * (s.sum / s.weight - centre).clamp(-cut, cut)).sum::<f64>() * scale
        })
        .collect();
    Some(((1.0 + centre).max(0.05).ln(), influence))
}

/// Deviations of a node's block means from its own and the block's mean.
pub(crate) fn deviations(blocks: &[&Vec<Score>], from: usize, to: usize) -> Vec<Vec<f64>> {
    let y: Vec<Vec<f64>> = blocks
        .iter()
        .map(|b| b.iter().map(|s| if s.weight > 0.0 { s.sum / s.weight } else { f64::NAN }).collect())
        .collect();
    two_way(&y, from, to)
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

/// Log of the block's level over the node's past level.
pub(crate) fn relative(block: &[Score], model: &LoadModel) -> Vec<f64> {
    block
        .iter()
        .zip(model.expected.iter().zip(&model.mean_load))
        .map(|(s, (e, load))| match s.ticks > 0.0 {
            true => (s.level / s.ticks / e.at(*load).max(1e-12)).max(1e-12).ln(),
            false => f64::NAN,
        })
        .collect()
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

/// Deviation of every node from its expectation over the ticks of a block; robust against single spikes.
pub(crate) fn score(model: &LoadModel, before: Option<&Observation>, ticks: &[Observation]) -> Vec<Score> {
    (0..model.expected.len()).map(|node| score_node(model, node, before, ticks)).collect()
}

fn score_node(model: &LoadModel, node: usize, before: Option<&Observation>, ticks: &[Observation]) -> Score {
    let expected = model.expected[node];
    let rho = model.correlation;
    let mut last = before.and_then(|t| t.of(node));
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(ticks.len());
    let mut score = Score::default();
    for tick in ticks {
        let Some((level, load)) = tick.of(node) else {
            last = None;
            continue;
        };
        score.level += level;
        score.ticks += 1.0;
        let first = 1.0 - rho;
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
    score.sum = weight * (location(&points, HUBER * model.noise[node]) - 1.0);
    score
}

/// Huber's estimate of the factor between the two columns, from the weighted median.
fn location(points: &[(f64, f64)], cut: f64) -> f64 {
    let ratios: Vec<f64> = points.iter().filter(|p| p.1.abs() > 1e-12).map(|p| p.0 / p.1).collect();
    let Some(mut factor) = median(ratios) else { return 1.0 };
    if cut <= 0.0 {
        let (xy, xx) = points.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 * p.1, s.1 + p.1 * p.1));
        return xy / xx;
    }
    for _ in 0..5 {
        let (xy, xx) = points.iter().fold((0.0, 0.0), |s, (x, m)| {
            let weight = (cut / (x - factor * m).abs().max(1e-300)).min(1.0);
            (s.0 + weight * x * m, s.1 + weight * m * m)
        });
        factor = xy / xx;
    }
    factor
}
