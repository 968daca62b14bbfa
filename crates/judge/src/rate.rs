//! Ratio of two event rates: conditional-binomial likelihood on a grid (Lindon and Malek, arXiv 2011.03567; judge.md (i)).
//!
//! Given that an event happened, it is the canary's with a probability that depends on the ratio and the exposures alone:
//! the arrival rate cancels, and with it the daily load and incidents on both sides.

use crate::numeric::{log_sum_exp, log_twice_normal_cdf};

/// Lowest logarithm of the rate ratio on the grid.
const LOG_RATIO_MIN: f64 = -5.0;
/// Step of the grid.
const STEP: f64 = 0.025;
/// Points of the grid: up to a ratio of `e^6`.
const POINTS: usize = 441;
/// Smallest deviation of a prior that the grid can carry.
const SPREAD_MIN: f64 = 0.02;

fn log_ratio(point: usize) -> f64 {
    LOG_RATIO_MIN + STEP * point as f64
}

/// Events and exposure of both sides in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pair {
    /// Events on the canary.
    pub canary_events: f64,
    /// Exposure of the canary.
    pub canary_exposure: f64,
    /// Events on the baseline.
    pub baseline_events: f64,
    /// Exposure of the baseline.
    pub baseline_exposure: f64,
}

impl Pair {
    /// Both sides exchanged, for what must not fall.
    pub(crate) fn swapped(self) -> Self {
        Self {
            canary_events: self.baseline_events,
            canary_exposure: self.baseline_exposure,
            baseline_events: self.canary_events,
            baseline_exposure: self.canary_exposure,
        }
    }
}

/// Which side of the boundary the alternative lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Larger ratios.
    Above,
    /// Smaller ratios.
    Below,
}

/// Log priors over the grid: the null is a normal around the boundary (a random node effect), the alternative is the
/// null moved by an exponential amount (an exponentially modified normal).
#[derive(Clone, Debug)]
pub(crate) struct Priors {
    null: Vec<f64>,
    alternative: Vec<f64>,
}

impl Priors {
    pub(crate) fn new(boundary: f64, spread: f64, side: Side, scale: f64) -> Self {
        let spread = spread.max(SPREAD_MIN);
        let sign = if side == Side::Above { 1.0 } else { -1.0 };
        let away = |j: usize| sign * (log_ratio(j) - boundary);
        let null = normalised((0..POINTS).map(|j| -0.5 * (away(j) / spread).powi(2)).collect());
        let moved = |z: f64| -z / scale + log_twice_normal_cdf(z / spread - spread / scale);
        let alternative = normalised((0..POINTS).map(|j| moved(away(j))).collect());
        Self { null, alternative }
    }
}

fn normalised(mut log_weights: Vec<f64>) -> Vec<f64> {
    let total = log_sum_exp(log_weights.iter().copied());
    log_weights.iter_mut().for_each(|w| *w -= total);
    log_weights
}

/// Log likelihood of the ratio, and the sums behind it.
#[derive(Clone, Debug)]
pub(crate) struct RateRatio {
    likelihood: Vec<f64>,
    /// Sums over all ticks; the canary's exposure already carries the node offset.
    pub total: Pair,
}

impl RateRatio {
    pub(crate) fn new() -> Self {
        Self { likelihood: vec![0.0; POINTS], total: Pair::default() }
    }

    /// Adds a tick; `offset` is the log ratio that the canary nodes had before the deploy.
    pub(crate) fn add(&mut self, tick: Pair, offset: f64) {
        if !(tick.canary_exposure > 0.0 && tick.baseline_exposure > 0.0) {
            return;
        }
        let exposure = tick.canary_exposure * offset.exp();
        let events = tick.canary_events + tick.baseline_events;
        if events > 0.0 {
            let odds = exposure / tick.baseline_exposure;
            let factor = STEP.exp();
            let mut at = LOG_RATIO_MIN.exp() * odds;
            for (j, l) in self.likelihood.iter_mut().enumerate() {
                *l += tick.canary_events * log_ratio(j) - events * at.ln_1p();
                at *= factor;
            }
        }
        self.total.canary_events += tick.canary_events;
        self.total.canary_exposure += exposure;
        self.total.baseline_events += tick.baseline_events;
        self.total.baseline_exposure += tick.baseline_exposure;
    }

    /// Log e-value against the null of `priors`; events come in clusters of `dispersion`.
    pub(crate) fn log_evalue(&self, priors: &Priors, dispersion: f64) -> f64 {
        if self.total.canary_exposure <= 0.0 {
            return 0.0;
        }
        let with = |prior: &[f64]| {
            let sum: Vec<f64> = prior.iter().zip(&self.likelihood).map(|(p, l)| p + l / dispersion).collect();
            log_sum_exp(sum.iter().copied())
        };
        with(&priors.alternative) - with(&priors.null)
    }

    /// Log e-value against "the canary's rate is `rate`", in place of a comparison; priors around a ratio of one.
    pub(crate) fn log_evalue_of_rate(&self, priors: &Priors, rate: f64, dispersion: f64) -> f64 {
        if self.total.canary_exposure <= 0.0 {
            return 0.0;
        }
        let with = |prior: &[f64]| {
            let sum: Vec<f64> = prior
                .iter()
                .enumerate()
                .map(|(j, p)| {
                    let x = log_ratio(j);
                    p + (self.total.canary_events * x - rate * self.total.canary_exposure * x.exp()) / dispersion
                })
                .collect();
            log_sum_exp(sum.iter().copied())
        };
        with(&priors.alternative) - with(&priors.null)
    }

    /// Signed root of the likelihood ratio at the boundary, the node effect profiled out: standard normal there.
    pub(crate) fn signed_root(&self, boundary: f64, spread: f64, dispersion: f64, side: Side) -> f64 {
        signed_root(|j| self.likelihood[j] / dispersion, (boundary, spread), side)
    }

    /// The same against "the canary's rate is `rate`".
    pub(crate) fn signed_root_of_rate(&self, rate: f64, spread: f64, dispersion: f64, side: Side) -> f64 {
        let (events, expected) = (self.total.canary_events, rate * self.total.canary_exposure);
        signed_root(|j| (events * log_ratio(j) - expected * log_ratio(j).exp()) / dispersion, (0.0, spread), side)
    }

    /// Variance of the log ratio at the boundary from the counts alone.
    pub(crate) fn count_variance(&self, boundary: f64, dispersion: f64) -> f64 {
        let t = &self.total;
        let events = (t.canary_events + t.baseline_events).max(0.5);
        let odds = boundary.exp() * t.canary_exposure / t.baseline_exposure.max(1e-9);
        dispersion * (1.0 + odds).powi(2) / (events * odds.max(1e-9))
    }

    /// Log ratios between which the likelihood, flattened by `dispersion` and the node spread, does not fall by more
    /// than `log_threshold` below its top; with the log ratio of the top.
    pub(crate) fn interval(&self, spread: f64, dispersion: f64, log_threshold: f64) -> Option<(f64, f64, f64)> {
        let events = self.total.canary_events + self.total.baseline_events;
        if events <= 0.0 || self.total.canary_exposure <= 0.0 {
            return None;
        }
        let (top, best) = self
            .likelihood
            .iter()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (j, l)| if *l > best.1 { (j, *l) } else { best });
        let inside = |l: &f64| (best - l) / dispersion <= log_threshold;
        let first = self.likelihood.iter().position(inside)?;
        let last = self.likelihood.iter().rposition(inside)?;
        let widened = |edge: usize| {
            let distance = log_ratio(edge) - log_ratio(top);
            distance.hypot(spread * (2.0 * log_threshold).sqrt())
        };
        let centre = log_ratio(top);
        let low = if first == 0 { f64::NEG_INFINITY } else { centre - widened(first) };
        let high = if last == POINTS - 1 { f64::INFINITY } else { centre + widened(last) };
        Some((low, centre, high))
    }
}

fn signed_root(likelihood: impl Fn(usize) -> f64, (boundary, spread): (f64, f64), side: Side) -> f64 {
    let mut top = (0, f64::NEG_INFINITY);
    let mut null = f64::NEG_INFINITY;
    for j in 0..POINTS {
        let l = likelihood(j);
        if l > top.1 {
            top = (j, l);
        }
        null = null.max(l - 0.5 * ((log_ratio(j) - boundary) / spread.max(SPREAD_MIN)).powi(2));
    }
    let root = (2.0 * (top.1 - null).max(0.0)).sqrt();
    let beyond = (log_ratio(top.0) > boundary) == (side == Side::Above);
    if beyond { root } else { -root }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kc: f64, kb: f64, ec: f64, eb: f64) -> RateRatio {
        let mut r = RateRatio::new();
        let tick = Pair { canary_events: kc, canary_exposure: ec, baseline_events: kb, baseline_exposure: eb };
        r.add(tick, 0.0);
        r
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 0.02, "{a} against {b}");
    }

    #[test]
    fn grid_vectors() {
        let above = Priors::new(1.25_f64.ln(), 0.05, Side::Above, 0.7);
        close(one(20.0, 40.0, 200.0, 800.0).log_evalue(&above, 1.0), 0.6544);
        close(one(20.0, 40.0, 200.0, 800.0).log_evalue(&above, 2.0), 0.2054);
        let below = Priors::new(2.0_f64.ln(), 0.05, Side::Below, 0.4);
        close(one(20.0, 80.0, 200.0, 800.0).log_evalue(&below, 1.0), 3.0509);
    }

    #[test]
    fn ten_ticks_add_up() {
        let below = Priors::new(1.5_f64.ln(), 0.05, Side::Below, 0.4);
        let mut r = RateRatio::new();
        for _ in 0..10 {
            r.add(
                Pair { canary_events: 10.0, canary_exposure: 100.0, baseline_events: 40.0, baseline_exposure: 400.0 },
                0.0,
            );
        }
        close(r.log_evalue(&below, 1.0), 4.5466);
    }
}
