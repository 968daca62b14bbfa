//! What a test can be expected to see, from history alone, and how it spends its error on dates and metrics accordingly.
//!
//! Whatever is fixed before the canary's first sample leaves every bound as it is. So a metric with little traffic puts its
//! error on the last date, where it has a chance, and one with much on an early one; and a metric whose regressions are
//! plain anyway leaves most of the false alarms' share to those that are hard to see (Spjøtvoll, Annals of Mathematical
//! Statistics 43, 1972: with known effects the best critical values are `z/2 + c/z`).

/// Shares of the time at which a test may be due.
const SHARES: [f64; 6] = [0.07, 0.14, 0.27, 0.45, 0.7, 1.0];
/// Sizes of the statistic over the expected one, with their probabilities.
const TRUTHS: [(f64, f64); 2] = [(1.0, 0.8), (0.75, 0.2)];
/// What is lost by a decision at the last moment.
const HASTE: f64 = 0.25;
/// Weights of the two dates that are chosen, and of every other one.
const FIRST: f64 = 0.62;
const SECOND: f64 = 0.28;
const OTHER: f64 = (1.0 - FIRST - SECOND) / (SHARES.len() - 2) as f64;
/// Weights of a date that is neither choice, the second, the first, and both.
const WEIGHTS: [f64; 4] = [OTHER, SECOND, FIRST, FIRST + SECOND - OTHER];
/// Non-centrality that is assumed where history tells nothing.
const UNKNOWN: f64 = 4.0;
/// Non-centralities between which critical values are chosen.
const PLAIN: f64 = 8.0;
const HOPELESS: f64 = 1.0;
/// What is left of an expected statistic when variances are estimated and effects are a little smaller.
const SOBER: f64 = 0.8;
/// Part of the false alarms' share that is dealt out evenly.
const EVEN: f64 = 0.5;

/// Distance of the expected effect from a boundary, and the variance that it will be seen with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prospect {
    pub distance: f64,
    /// Variance that time does not reduce.
    pub fixed: f64,
    /// Variance of one look.
    pub falling: f64,
    /// Power of the looks by which it falls.
    pub power: i32,
    /// Looks that the first one is worth in addition.
    pub ahead: f64,
}

impl Prospect {
    /// Of a test of which history tells nothing.
    pub(crate) const fn unknown(power: i32) -> Self {
        Self { distance: 0.0, fixed: 0.0, falling: 1.0, power, ahead: 0.0 }
    }

    /// Information after as many looks: one over the variance.
    pub(crate) fn information(&self, looks: f64) -> f64 {
        let falling = self.falling / (looks + self.ahead).max(1e-9).powi(self.power);
        1.0 / (self.fixed + falling).max(1e-18)
    }

    /// Expected value of a standard normal statistic after as many looks.
    pub(crate) fn at(&self, looks: f64) -> f64 {
        self.distance * self.information(looks).sqrt()
    }
}

/// Dates of a test, as shares of the time, with the parts of its level: most for the
/// two at which an effect of the expected size is best found.
pub(crate) fn schedule(prospect: Prospect, level: f64, looks: f64) -> [(f64, f64); SHARES.len()] {
    let critical = WEIGHTS.map(|weight| critical(weight * level));
    let value = |first: usize, second: usize| {
        let mut sum = 0.0;
        for (size, probability) in TRUTHS {
            let mut found = 0.0;
            for (i, share) in SHARES.iter().enumerate() {
                let now = distribution(
                    size * prospect.at((share * looks).floor().max(1.0)) - critical[chosen(i, (first, second))],
                );
                sum += probability * (now - found).max(0.0) * (1.0 - HASTE * share);
                found = now.max(found);
            }
        }
        sum
    };
    let pairs = (0..SHARES.len()).flat_map(|i| (0..SHARES.len()).map(move |j| (i, j)));
    let (mut best, mut first, mut second) = (f64::NEG_INFINITY, SHARES.len() - 1, 0);
    for (i, j) in pairs {
        let value = value(i, j);
        if value > best {
            (best, first, second) = (value, i, j);
        }
    }
    let mut dates = [(0.0, 0.0); SHARES.len()];
    for (i, date) in dates.iter_mut().enumerate() {
        *date = (SHARES[i], WEIGHTS[chosen(i, (first, second))]);
    }
    dates
}

/// Place of a date's weight in [`WEIGHTS`].
fn chosen(date: usize, (first, second): (usize, usize)) -> usize {
    2 * usize::from(date == first) + usize::from(date == second)
}

/// Shares of `level` for tests that will reach the statistics `expected`.
pub(crate) fn shares(expected: &[Option<f64>], level: f64) -> Vec<f64> {
    let sizes: Vec<f64> = expected.iter().map(|z| (SOBER * z.unwrap_or(UNKNOWN)).clamp(HOPELESS, PLAIN)).collect();
    let tail = |z: &f64, c: f64| distribution(-(0.5 * z + c / z));
    let (mut low, mut high) = (0.0, 64.0);
    for _ in 0..40 {
        let c = 0.5 * (low + high);
        if sizes.iter().map(|z| tail(z, c)).sum::<f64>() > level { low = c } else { high = c }
    }
    let dealt: Vec<f64> = sizes.iter().map(|z| tail(z, high)).collect();
    let total = dealt.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let even = EVEN / sizes.len().max(1) as f64;
    dealt.into_iter().map(|d| even + (1.0 - EVEN) * d / total).collect()
}

/// Distribution function of the standard normal, to 2e-4 (Page, Applied Statistics 26, 1977).
pub(crate) fn distribution(z: f64) -> f64 {
    1.0 / (1.0 + (-z * (1.5976 + 0.070_565_992 * z * z)).exp())
}

/// Value that a standard normal exceeds with a small probability, to 5e-4 (Abramowitz and Stegun 26.2.23).
pub(crate) fn critical(probability: f64) -> f64 {
    let t = (-2.0 * probability.clamp(1e-300, 0.5).ln()).sqrt();
    t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prospect(distance: f64) -> Prospect {
        Prospect { distance, fixed: 0.0001, falling: 0.04, power: 1, ahead: 0.0 }
    }

    #[test]
    fn plain_effects_are_due_early_and_faint_ones_late() {
        let most = |distance: f64| {
            let dates = schedule(prospect(distance), 0.025, 180.0);
            assert!((dates.iter().map(|d| d.1).sum::<f64>() - 1.0).abs() < 1e-9);
            dates.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|d| d.0)
        };
        assert_eq!(most(0.03), Some(1.0));
        assert!(most(0.5) <= Some(0.14));
    }

    #[test]
    fn the_hard_but_possible_get_most() {
        let shares = shares(&[Some(1.0), Some(3.5), Some(9.0), None], 0.05);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        assert!(shares[1] > shares[0] && shares[1] > 2.0 * shares[2], "{shares:?}");
    }

    #[test]
    fn approximations_are_close() {
        for (p, z) in [(0.025, 1.959_96), (0.001, 3.090_23), (1e-6, 4.753_42)] {
            assert!((critical(p) - z).abs() < 1e-3);
        }
        assert!((distribution(1.0) - 0.841_345).abs() < 5e-4);
    }
}
