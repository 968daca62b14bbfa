//! Start-up: what a fresh node shows before it has settled.
//!
//! Harmless start-ups are taken to fade: their distance from the settled level shrinks all the time, never faster than
//! before (convex), and is gone when the warm-up ends. A straight line through what was seen of one that fades from above,
//! drawn on to the end of the warm-up, lies at or below the settled level; the mean of one that fades from below lies below
//! it anyway. What is beyond the margin by the line *and* by the mean is therefore no start-up, and evidence at once.

use crate::load::median;
use crate::scores::{BLOCKS_MAX, Score, add};

/// Part of the warm-up, from its start, that is not looked at: whatever a process does first.
const UNSEEN: f64 = 1.0 / 8.0;
/// Ticks of warm-up under which there is nothing to draw a line through.
const WARMUP_MIN: i64 = 24;
/// Rounds in which Huber's weights settle.
const FIT_ROUNDS: usize = 8;
/// Smallest change that has a logarithm.
const CHANGE_MIN: f64 = -0.95;

/// The warm-up as the longest harmless start-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fade {
    warmup: i64,
    /// First tick that is looked at.
    pub from: i64,
}

impl Fade {
    pub(crate) fn new(warmup: i64) -> Self {
        let from = if warmup < WARMUP_MIN { warmup } else { (warmup as f64 * UNSEEN).ceil() as i64 };
        Self { warmup, from }
    }

    /// Takes everything for settled from the end of the warm-up on, and nothing before.
    pub(crate) fn settled(warmup: i64) -> Self {
        Self { warmup, from: warmup }
    }

    /// Ticks before `tick` that are looked at.
    pub(crate) fn seen(self, tick: i64) -> f64 {
        (tick - self.from).max(0) as f64
    }

    /// Share of a start-up that is still there at `tick`, if it falls by a straight line.
    pub(crate) fn left(self, tick: f64) -> f64 {
        if self.from >= self.warmup { 0.0 } else { (1.0 - tick / self.warmup as f64).max(0.0) }
    }

    /// Ticks of a settled node that are worth as much as all ticks before `tick`.
    pub(crate) fn worth(self, tick: i64) -> f64 {
        let seen = (tick.min(self.warmup) - self.from).max(0) as f64;
        let (first, last) = (self.left(self.from as f64), self.left(tick as f64));
        let sum = 0.5 * (first + last) * seen;
        let squares = (first * first + first * last + last * last) / 3.0 * seen;
        let warm = if squares > 0.0 { seen - sum * sum / squares } else { 0.0 };
        warm + (tick - self.warmup).max(0) as f64
    }
}

/// Difference of canary and baseline over a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// Its logarithm.
    pub effect: f64,
    /// Share of a start-up that is left.
    pub left: f64,
    /// Settled blocks that it is worth.
    pub weight: f64,
}

/// Sums of a weighted line through differences against the share of a start-up that is left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    weight: f64,
    left: f64,
    squares: f64,
    sum: f64,
    product: f64,
}

impl Settled {
    /// Fits points, each moved by `reference`, with Huber's weights beyond `cut` from the line.
    pub(crate) fn fit(points: &[Point], reference: f64, cut: f64) -> Self {
        let change = |p: &Point| (p.effect - reference).exp_m1();
        let mut line = (median(points.iter().map(change).collect()).unwrap_or(0.0), 0.0);
        let mut fit = Self::default();
        for _ in 0..FIT_ROUNDS {
            fit = Self::default();
            for p in points {
                let away = (change(p) - line.0 - line.1 * p.left).abs();
                fit.add_point(Point { weight: p.weight * (cut / away.max(1e-300)).min(1.0), ..*p }, reference);
            }
            let Some(next) = fit.coefficients() else { break };
            line = next;
        }
        fit
    }

    /// Adds a point, moved by `reference`.
    pub(crate) fn add_point(&mut self, point: Point, reference: f64) {
        let Point { effect, left, weight } = point;
        let difference = (effect - reference).exp_m1();
        self.weight += weight;
        self.left += weight * left;
        self.squares += weight * left * left;
        self.sum += weight * difference;
        self.product += weight * left * difference;
    }

    /// Weight behind the place where the line arrives.
    fn line_weight(&self) -> f64 {
        if self.squares > 0.0 { self.weight - self.left * self.left / self.squares } else { self.weight }
    }

    fn coefficients(&self) -> Option<(f64, f64)> {
        let weight = self.line_weight();
        if weight <= 1e-6 * self.weight {
            return None;
        }
        if self.squares <= 0.0 {
            return Some((self.sum / weight, 0.0));
        }
        let level = (self.sum - self.left * self.product / self.squares) / weight;
        Some((level, (self.product - level * self.left) / self.squares))
    }

    /// Log ratio at which the line arrives when nothing of the start-up is left, and the settled blocks that it is worth.
    pub(crate) fn line(&self) -> Option<(f64, f64)> {
        self.coefficients().map(|c| (log_ratio(c.0), self.line_weight()))
    }

    /// The mean, and its blocks.
    pub(crate) fn mean(&self) -> Option<(f64, f64)> {
        (self.weight > 0.0).then(|| (log_ratio(self.sum / self.weight), self.weight))
    }
}

/// Log ratio of a change.
pub(crate) fn log_ratio(change: f64) -> f64 {
    change.max(CHANGE_MIN).ln_1p()
}

/// Blocks of the warm-up, with the share of a start-up that was left in each.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartBlocks {
    pub blocks: Vec<(Vec<Score>, f64)>,
}

impl StartBlocks {
    /// Keeps a block; merges neighbours when there are too many.
    pub(crate) fn push(&mut self, block: Vec<Score>, left: f64) {
        self.blocks.push((block, left));
        if self.blocks.len() > BLOCKS_MAX {
            let pair = |p: &[(Vec<Score>, f64)]| match p {
                [a, b] => (add(&a.0, &b.0), 0.5 * (a.1 + b.1)),
                _ => p[0].clone(),
            };
            self.blocks = self.blocks.chunks(2).map(pair).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of a start-up on top of a settled level that is `level` above the baseline's.
    fn points(fade: Fade, until: i64, level: f64, start: impl Fn(f64) -> f64) -> Vec<Point> {
        let ticks = (fade.from..until).map(|t| t as f64 + 0.5);
        ticks.map(|t| Point { effect: (level + start(t)).ln_1p(), left: fade.left(t), weight: 1.0 }).collect()
    }

    #[test]
    fn line_arrives_at_or_below_the_settled_level() {
        let fade = Fade::new(60);
        let shapes: [fn(f64) -> f64; 3] =
            [|t| 1.0 - t / 60.0, |t| 2.0 * (-t / 10.0).exp(), |t| (1.0 - t / 60.0).powi(2)];
        for (i, shape) in shapes.into_iter().enumerate() {
            for until in [20, 35, 60] {
                let fit = Settled::fit(&points(fade, until, 0.1, shape), 0.0, f64::INFINITY);
                let (line, _) = fit.line().unwrap();
                assert!(line <= 0.1_f64.ln_1p() + 1e-9, "shape {i} until {until}: {line}");
            }
        }
        let below = Settled::fit(&points(fade, 60, 0.1, |t| -0.3 * (-t / 10.0).exp()), 0.0, f64::INFINITY);
        assert!(below.mean().unwrap().0 < 0.1_f64.ln_1p());
    }

    #[test]
    fn worth_is_the_weight_behind_the_line() {
        let fade = Fade::new(60);
        for until in [20, 45, 60, 100] {
            let fit = Settled::fit(&points(fade, until, 0.2, |_| 0.0), 0.0, f64::INFINITY);
            let (line, weight) = fit.line().unwrap();
            assert!((line - 0.2_f64.ln_1p()).abs() < 1e-9);
            assert!((weight - fade.worth(until)).abs() < 0.05, "{until}: {weight} against {}", fade.worth(until));
        }
        assert_eq!((Fade::settled(60).worth(60), Fade::settled(60).worth(75)), (0.0, 15.0));
        assert_eq!(Fade::new(4).from, 4);
    }

    #[test]
    fn blocks_of_a_long_warm_up_are_merged() {
        let mut start = StartBlocks::default();
        (0..10_000).for_each(|i| start.push(vec![Score::default()], 1.0 - f64::from(i) / 10_000.0));
        assert!(start.blocks.len() <= BLOCKS_MAX);
    }
}
