//! A rate ratio whose start-up may add events that fade: the null takes the start-up that explains most, whatever its size.
//!
//! The numerator is the alternative's likelihood, averaged over sizes; the denominator the null's at its best size. That
//! is at most the e-value against the null with the true size, hence an e-value itself (universal inference: Wasserman,
//! Ramdas, Balakrishnan, PNAS 2020). After the warm-up both carry what it left as constants.

use super::{POINTS, Pair, Priors, RATIO, RateRatio, Side, Weighed, log_mean_ratio, log_ratio, signed_root};

/// Logarithms of one plus the start-up's size at the first tick, relative to the settled rate.
const SIZES: [f64; 12] = [0.0, 0.15, 0.3, 0.5, 0.7, 0.95, 1.2, 1.6, 2.0, 2.6, 3.3, 4.0];

/// Weight in the numerator of no start-up at all.
const NONE_WEIGHT: f64 = 0.8;

/// Where a null ends, in log ratio, with the node spread around it and the side of the alternative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boundary {
    pub log_ratio: f64,
    pub spread: f64,
    pub side: Side,
}

/// The warm-up's ticks under every size of a start-up.
#[derive(Clone, Debug)]
pub(crate) struct Fading {
    rows: Vec<Row>,
    /// Ticks' best likelihoods, and the average's lower bound, at every ratio; with the dispersion that they hold for.
    kept: Option<(f64, Box<[Best; POINTS]>)>,
}

#[derive(Clone, Debug)]
struct Row {
    size: f64,
    counts: RateRatio,
    /// Canary events times the logarithm of the start-up's factor, summed.
    moved: f64,
    /// Canary exposure times that factor, summed.
    exposure: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Best {
    null: f64,
    alternative: f64,
}

impl Fading {
    pub(crate) fn new() -> Self {
        let row = |size: &f64| Row { size: size.exp_m1(), counts: RateRatio::new(), moved: 0.0, exposure: 0.0 };
        Self { rows: SIZES.iter().map(row).collect(), kept: None }
    }

    /// Adds a tick of the warm-up in which the share `left` of a start-up is left.
    pub(crate) fn add(&mut self, tick: Pair, offset: f64, left: f64) {
        for row in &mut self.rows {
            let factor = 1.0 + row.size * left;
            row.counts.add(tick, offset + factor.ln());
            row.moved += tick.canary_events * factor.ln();
            row.exposure += tick.canary_exposure * offset.exp() * factor;
        }
        self.kept = None;
    }

    /// Sums of the warm-up and of what follows.
    pub(crate) fn total(&self, after: &RateRatio) -> Pair {
        let (a, b) = (self.rows[0].counts.total, after.total);
        Pair {
            canary_events: a.canary_events + b.canary_events,
            canary_exposure: a.canary_exposure + b.canary_exposure,
            baseline_events: a.baseline_events + b.baseline_events,
            baseline_exposure: a.baseline_exposure + b.baseline_exposure,
        }
    }

    /// Log e-value and signed root against the null around `boundary`; `after` counts what follows the warm-up.
    pub(crate) fn weigh(&mut self, after: &RateRatio, priors: &Priors, at: Boundary, dispersion: f64) -> Weighed {
        if self.kept.as_ref().is_none_or(|k| k.0 != dispersion) {
            let best = self.best(|row, j| (row.counts.likelihood[j] + row.moved) / dispersion);
            self.kept = Some((dispersion, best));
        }
        let Some((_, best)) = &self.kept else { return Weighed::default() };
        let flat = 1.0 / dispersion;
        weigh(best, |j| after.likelihood[j] * flat, priors, at)
    }

    /// The same against "the canary's rate is `rate`", with priors around a ratio of one.
    pub(crate) fn weigh_rate(
        &self,
        after: &RateRatio,
        priors: &Priors,
        (rate, at): (f64, Boundary),
        dispersion: f64,
    ) -> Weighed {
        let expected = |exposure: f64, j: usize| rate * exposure * RATIO[j];
        let best = self.best(|row, j| {
            let events = row.counts.total.canary_events;
            (events * log_ratio(j) + row.moved - expected(row.exposure, j)) / dispersion
        });
        let (events, exposure) = (after.total.canary_events, after.total.canary_exposure);
        let later = |j: usize| (events * log_ratio(j) - expected(exposure, j)) / dispersion;
        weigh(&best, later, priors, at)
    }

    /// Most of the average's weight is on no start-up at all, the rest is spread evenly; the average is at least its
    /// largest term.
    fn best(&self, likelihood: impl Fn(&Row, usize) -> f64) -> Box<[Best; POINTS]> {
        let (none_weight, some_weight) = (NONE_WEIGHT.ln(), ((1.0 - NONE_WEIGHT) / (SIZES.len() - 1) as f64).ln());
        let mut best = Box::new([Best::default(); POINTS]);
        for (j, b) in best.iter_mut().enumerate() {
            let none = likelihood(&self.rows[0], j);
            let some = self.rows[1..].iter().map(|row| likelihood(row, j)).fold(f64::NEG_INFINITY, f64::max);
            *b = Best { null: none.max(some), alternative: (none + none_weight).max(some + some_weight) };
        }
        best
    }
}

fn weigh(best: &[Best; POINTS], after: impl Fn(usize) -> f64, priors: &Priors, at: Boundary) -> Weighed {
    let null = |j: usize| best[j].null + after(j);
    Weighed {
        log_evalue: log_mean_ratio(priors, |j| best[j].alternative + after(j), null),
        z: signed_root(null, (at.log_ratio, at.spread), at.side),
    }
}
