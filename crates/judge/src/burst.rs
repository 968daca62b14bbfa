//! Bursts: one node's tick with far more events than its exposure explains counts only up to a limit, on both sides.
//!
//! Retry storms and crash loops come in bursts, also on the old version; uncut they would be most of the variance and little
//! of the information. The limit follows the baseline of the same tick, so that a common incident is not cut.

use crate::load::median;

/// Deviations above the expectation at which a burst begins.
const DEVIATIONS: f64 = 3.0;
/// Events that are never a burst.
const EVENTS_MIN: f64 = 2.0;
/// Largest dispersion that the limit allows for.
const DISPERSION_MAX: f64 = 2.5;

/// Limit of what a node may contribute in one tick, and what it has cut so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cap {
    rate: Option<f64>,
    dispersion: f64,
    kept: f64,
    at_limit: f64,
}

impl Cap {
    /// Sets the old version's rate and dispersion.
    pub(crate) fn learn(&mut self, rate: f64, dispersion: f64) {
        self.rate = Some(rate);
        self.dispersion = dispersion;
    }

    /// Whether rate and dispersion are set.
    pub(crate) fn is_learnt(&self) -> bool {
        self.rate.is_some()
    }

    /// Cuts the bursts of one tick; `cells` holds events and exposure per node, `canaries` canary nodes first.
    pub(crate) fn apply(&mut self, mut cells: Vec<(f64, f64)>, canaries: usize) -> Vec<(f64, f64)> {
        let Some(rate) = self.rate else { return cells };
        let old = cells[canaries..].iter().filter(|c| c.1 > 0.0).map(|c| c.0 / c.1).collect();
        let rate = rate.max(median(old).unwrap_or(0.0));
        for (node, (events, exposure)) in cells.iter_mut().enumerate() {
            let expected = rate * *exposure;
            let limit = expected + DEVIATIONS * (self.dispersion.min(DISPERSION_MAX) * expected).sqrt() + EVENTS_MIN;
            let cut = events.min(limit);
            if node >= canaries {
                self.kept += cut;
                self.at_limit += if *events > limit { cut } else { 0.0 };
            }
            *events = cut;
        }
        cells
    }

    /// Share of the old nodes' counted events that stand at the limit.
    pub(crate) fn share(&self) -> f64 {
        self.at_limit / self.kept.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_node_is_cut_common_incident_is_not() {
        let mut cap = Cap::default();
        cap.learn(0.01, 1.0);
        let burst = cap.apply(vec![(50.0, 100.0), (1.0, 100.0), (0.0, 100.0), (1.0, 100.0)], 1);
        assert_eq!(burst[0].0, 6.0);
        let incident = cap.apply(vec![(50.0, 100.0), (48.0, 100.0), (52.0, 100.0), (50.0, 100.0)], 1);
        assert_eq!(incident[0].0, 50.0);
    }
}
