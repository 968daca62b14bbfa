//! What is known of the old version's rate, where its events are too few for a ratio.

use crate::numeric::log_gamma;
use crate::rate::Weighed;

/// Rates of the old version that are tried, over their sure bound.
const OLD_RATES: [f64; 9] = [0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0];

/// Bounds of the old version's rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateBounds {
    /// Events behind it, in independent ones.
    pub events: f64,
    /// Exposure behind it, as of independent events.
    pub exposure: f64,
    /// One deviation down.
    pub likely_low: f64,
    /// Bounds that hold nearly always.
    pub sure: (f64, f64),
}

impl RateBounds {
    /// Evidence that the canary's rate is more than `abs` above the old one, whatever that is: `weigh` gives it against a
    /// rate of the canary. Each rate of the old nodes counts as far as they make it likely; the numerator averages theirs
    /// over a prior (universal inference: Wasserman, Ramdas, Balakrishnan 2020).
    pub(super) fn weigh_excess(&self, abs: f64, weigh: impl Fn(f64) -> Weighed) -> Weighed {
        let (k, e) = (self.events, self.exposure);
        let likelihood = |rate: f64| if k > 0.0 { k * rate.ln() - rate * e } else { -rate * e };
        let prior = 0.5 / abs.max(1e-300);
        let average = log_gamma(k + 0.5) - log_gamma(0.5) + 0.5 * prior.ln() - (k + 0.5) * (prior + e).ln();
        let best = likelihood(k / e);
        let least = Weighed { log_evalue: f64::INFINITY, z: f64::INFINITY };
        OLD_RATES.iter().fold(least, |least, share| {
            let old = share * self.sure.1;
            let by = weigh(old + abs);
            let z = by.z.signum() * (by.z * by.z + 2.0 * (best - likelihood(old)).max(0.0)).sqrt();
            let log_evalue = by.log_evalue + average - likelihood(old);
            Weighed { log_evalue: least.log_evalue.min(log_evalue), z: least.z.min(if by.z > 0.0 { z } else { by.z }) }
        })
    }
}
