//! What a test of events can be expected to see, from the traffic of history.

use crate::config::{Direction, Margin};
use crate::plan::{divergence, poisson_divergence};
use crate::prospect::Prospect;
use crate::rate::Pair;

use super::{Dates, Events, RATIO_EVENTS_MIN, sum};

/// Expected statistic from which on a pass is proven against the stricter of two margins.
const STRICT_FROM: f64 = 2.5;
/// Densities at a quantile that are thought possible: slow requests per log latency, relative to their number.
const DENSITIES: (f64, f64) = (1.0, 8.0);

impl Events {
    /// Expected statistic of a regression when the time is over.
    pub(crate) fn expected(&self) -> Option<f64> {
        self.prospects().0.map(|p| p.at(self.fade.worth(self.stakes.horizon)))
    }

    /// Fixes which false alarms it may cost, before anything is weighed.
    pub(crate) fn spend(&mut self, alpha: f64) {
        self.stakes.alpha = alpha;
        self.dates = Dates::new(self.prospects(), self.stakes, self.fade.worth(self.stakes.horizon));
    }

    /// Traffic of a tick as history has it.
    fn traffic(&self) -> Option<Pair> {
        let canaries = self.frame.canaries;
        let totals = self.history.totals();
        let (canary, baseline) = (sum(&totals[..canaries]), sum(&totals[canaries..]));
        if !self.ready || self.historic == 0 || baseline.1 <= 0.0 {
            return None;
        }
        let ticks = f64::from(self.historic);
        let share = canaries as f64 / (self.frame.nodes - canaries) as f64;
        let exposure = if canary.1 > 0.0 { canary.1 } else { baseline.1 * share };
        let rate = (canary.0 + baseline.0 + 0.5) / (canary.1 + baseline.1);
        Some(Pair {
            canary_events: rate * exposure / ticks,
            canary_exposure: exposure / ticks,
            baseline_events: rate * baseline.1 / ticks,
            baseline_exposure: baseline.1 / ticks,
        })
    }

    /// What a regression at `bad`, and an unchanged version, will show.
    fn prospects(&self) -> (Option<Prospect>, Option<Prospect>) {
        let Some(traffic) = self.traffic() else { return (None, None) };
        if self.cut.is_some() { self.slow_prospects(traffic) } else { self.count_prospects(traffic) }
    }

    fn slow_prospects(&self, traffic: Pair) -> (Option<Prospect>, Option<Prospect>) {
        let (c, b) = (traffic.canary_events.max(1e-9), traffic.baseline_events.max(1e-9));
        let bad = self.bad.rel.ln_1p();
        let density = (self.within_scale / bad).clamp(DENSITIES.0, DENSITIES.1);
        let worse = Prospect {
            distance: bad - self.ok.rel.ln_1p(),
            fixed: (self.spread / density).powi(2),
            falling: self.dispersion * (1.0 / c + 1.0 / b) / density.powi(2),
            power: 1,
            ahead: 0.0,
        };
        let left = c * (-self.within_scale).exp();
        let gain = (left + b) * divergence(left / (left + b), c / (c + b));
        (Some(worse), Some(self.gaining(self.within_scale, gain)))
    }

    /// A test that gains as many nats a tick, before bursts, over a distance in log ratio.
    fn gaining(&self, distance: f64, nats: f64) -> Prospect {
        let falling = 0.5 * distance * distance * self.dispersion / nats.max(1e-12);
        Prospect { distance, fixed: self.spread * self.spread, falling, power: 1, ahead: 0.0 }
    }

    fn count_prospects(&self, traffic: Pair) -> (Option<Prospect>, Option<Prospect>) {
        let (ec, eb) = (traffic.canary_exposure, traffic.baseline_exposure);
        let rate = traffic.baseline_events / eb;
        let limit = |m: Margin| (rate * (1.0 + m.rel)).max(rate + m.abs.unwrap_or(0.0));
        let (ok, bad) = (limit(self.ok), limit(self.bad));
        let share = |ratio: f64| ratio * ec / (ratio * ec + eb);
        let few = self.rate_bounds().filter(|r| r.events < RATIO_EVENTS_MIN);
        let by_ratio = (bad * ec + rate * eb) * divergence(share(bad / rate), share(ok / rate));
        let gain = match few {
            Some(bounds) => {
                by_ratio.max(ec * poisson_divergence(bad, ok.max(bounds.sure.1 + self.ok.abs.unwrap_or(0.0))))
            }
            None => by_ratio,
        };
        let within = match few.filter(|_| self.by_rate == Some(true)) {
            Some(bounds) => {
                let limit = bounds.sure.0 + self.bad.abs.unwrap_or(0.0);
                self.gaining((limit / rate).ln(), ec * poisson_divergence(rate, limit))
            }
            None => self.within_ratio(traffic, self.boundaries().1),
        };
        (Some(self.gaining((bad / ok).ln(), gain)), Some(within))
    }

    /// What an unchanged version shows against a ratio.
    fn within_ratio(&self, traffic: Pair, log_ratio: f64) -> Prospect {
        let (c, b) = (traffic.canary_events, traffic.baseline_events);
        let bad = c * log_ratio.exp();
        self.gaining(log_ratio, (c + b) * divergence(c / (c + b), bad / (bad + b)))
    }

    /// Chooses from history what a pass will be proven against.
    pub(super) fn choose_proof(&mut self) {
        let Some(traffic) = self.traffic().filter(|_| self.cut.is_none()) else { return };
        let Some(abs) = self.bad.abs.filter(|_| self.direction == Direction::Up) else { return };
        let Some(bounds) = self.rate_bounds() else { return };
        let by_ratio = self.within_ratio(traffic, self.bad.rel.ln_1p());
        let looks = self.stakes.looks;
        self.strict = by_ratio.at(looks) >= STRICT_FROM;
        let rate = traffic.baseline_events / traffic.baseline_exposure;
        let limit = bounds.sure.0 + abs;
        let by_rate = self.gaining((limit / rate).ln(), traffic.canary_exposure * poisson_divergence(rate, limit));
        let few = bounds.events < RATIO_EVENTS_MIN;
        self.by_rate = Some(few && limit > rate && by_rate.at(looks) > by_ratio.at(looks));
    }
}
