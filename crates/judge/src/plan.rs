//! Before the canary: whether it can pass in its time (judge.md section 4).

use crate::config::{Config, Kind, Metric, Role};
use crate::deadline::LAST_PART;
use crate::events::RESTART_SPREAD;
use crate::level::DRIFT;
use crate::prospect::{Prospect, critical};
use crate::verdict::WITHIN_RESERVE;

/// Traffic that the plan assumes for one metric of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The metric.
    pub metric: String,
    /// Requests, or what else it is counted by, per second on all canary nodes together.
    pub canary_per_second: f64,
    /// The same on all baseline nodes together.
    pub baseline_per_second: f64,
    /// Events per request on the old version; of no use for latency.
    pub event_share: f64,
}

/// Whether a canary can pass in its time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feasibility {
    /// Metrics that cannot be expected to be shown within tolerance in the time given.
    pub short: Vec<Shortfall>,
    /// Seconds in which they would have to be.
    pub seconds: f64,
}

impl Feasibility {
    /// Says whether every metric can be proven in the time given.
    pub fn can_pass(&self) -> bool {
        self.short.is_empty()
    }
}

/// One metric that the canary is too short for.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortfall {
    /// The metric; `latency_ms:p99` for a quantile.
    pub metric: String,
    /// What it lacks.
    pub lacks: Lack,
}

/// What a metric lacks for a proof.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lack {
    /// No traffic was seen at all.
    Traffic,
    /// The old version was not watched before, or not long enough to say how much its nodes differ.
    History,
    /// Time, or traffic.
    Time {
        /// Seconds that it needs with this traffic.
        seconds: f64,
        /// Requests a second on the canary with which the time given would do.
        per_second: f64,
    },
    /// Time: it fluctuates too much for what it is given.
    Duration {
        /// Seconds that it needs with the fluctuation of history.
        seconds: f64,
    },
    /// Tolerance: nodes and restarts alone differ by more, however long one looks.
    Tolerance {
        /// Change that can be told apart at best.
        at_least: f64,
    },
}

/// Overdispersion assumed before anything is measured.
const DISPERSION: f64 = 2.0;
/// The same of slow requests.
const DISPERSION_SLOW: f64 = 1.2;
/// What a mixture over unknown effects costs, in nats.
const MIXTURE_COST: f64 = 1.0;

/// Ticks that count as any time.
const LOOKS_MAX: f64 = 1e7;

/// Says what the canary's time, traffic and nodes allow.
pub fn plan(config: &Config, flows: &[Flow]) -> Feasibility {
    let ticks = f64::from(config.horizon_ticks.saturating_sub(config.warmup_ticks));
    let seconds = ticks * config.tick_ms as f64 / 1000.0;
    let judged = config.metrics.iter().filter(|m| m.role != Role::Exposure);
    let short = judged.flat_map(|m| {
        let flow = flows.iter().find(|f| f.metric == m.name);
        let of = |name: String, lacks: Option<Lack>| lacks.map(|lacks| Shortfall { metric: name, lacks });
        match &m.kind {
            Kind::Histogram { quantiles, .. } => {
                let name = |q: &f64| format!("{}:p{}", m.name, (q * 1e6).round() / 1e4);
                let lack =
                    |q: &f64| of(name(q), flow.and_then(|f| time(slow_gain(m, *q, f), f, (seconds, config.beta))));
                quantiles.iter().filter_map(lack).collect::<Vec<_>>()
            }
            Kind::Count { exposure: Some(_) } | Kind::Proportion => {
                let lacks = flow.and_then(|f| time(event_gain(m, f), f, (seconds, config.beta)));
                of(m.name.clone(), lacks).into_iter().collect()
            }
            Kind::Count { exposure: None } => Vec::new(),
            Kind::Gauge { .. } | Kind::Counter { .. } => of(m.name.clone(), tolerance(m, config)).into_iter().collect(),
        }
    });
    Feasibility { short: short.collect(), seconds }
}

/// What a level or its growth lacks whose unchanged version will show `prospect`, by the fluctuation of history.
pub(crate) fn fluctuation(config: &Config, prospect: Prospect) -> Option<Lack> {
    let wanted = critical(config.beta * WITHIN_RESERVE * LAST_PART);
    let shown = |looks: f64| prospect.at(looks) >= wanted;
    let given = f64::from(config.horizon_ticks.saturating_sub(config.warmup_ticks));
    if shown(given) {
        return None;
    }
    if !shown(LOOKS_MAX) {
        return Some(Lack::Tolerance { at_least: (wanted / prospect.information(LOOKS_MAX).sqrt()).exp_m1() });
    }
    let (mut few, mut enough) = (given, LOOKS_MAX);
    while enough > 1.01 * few.max(1.0) {
        let middle = (few.max(1.0) * enough).sqrt();
        if shown(middle) { enough = middle } else { few = middle }
    }
    Some(Lack::Duration { seconds: enough * config.tick_ms as f64 / 1000.0 })
}

fn time(gain: f64, flow: &Flow, (seconds, beta): (f64, f64)) -> Option<Lack> {
    if !(flow.canary_per_second > 0.0 && flow.baseline_per_second > 0.0) {
        return Some(Lack::Traffic);
    }
    let needs = ((1.0 / (beta * WITHIN_RESERVE)).ln() + MIXTURE_COST) / gain.max(1e-12);
    let per_second = flow.canary_per_second * needs / seconds.max(1e-9);
    (needs > seconds).then_some(Lack::Time { seconds: needs, per_second })
}

/// Evidence gained a second when nothing has changed: the divergence of the truth from what a canary at `bad` would show.
fn event_gain(metric: &Metric, flow: &Flow) -> f64 {
    let share = flow.event_share.max(0.0);
    let absolute = metric.bad.abs.map_or(0.0, |abs| (share + abs) / share.max(1e-9));
    let ratio = (1.0 + metric.bad.rel).max(absolute);
    let (c, b) = (flow.canary_per_second, flow.baseline_per_second);
    let conditional = share * (c + b) * divergence(c / (c + b), ratio * c / (ratio * c + b));
    let from_absence = metric.bad.abs.map_or(0.0, |abs| poisson_divergence(share, share + abs) * c);
    conditional.max(from_absence) / DISPERSION
}

/// The same for requests slower than a quantile moved by `bad`; unchanged, their share is taken to fall with the inverse
/// square of the move.
fn slow_gain(metric: &Metric, quantile: f64, flow: &Flow) -> f64 {
    let rare = quantile.min(1.0 - quantile);
    let left = (1.0 + metric.bad.rel).powi(-2);
    let (c, b) = (flow.canary_per_second, flow.baseline_per_second);
    rare * (left * c + b) * divergence(left * c / (left * c + b), c / (c + b)) / DISPERSION_SLOW
}

/// Variance that no length of time reduces, against the margin (judge.md section 4).
fn tolerance(metric: &Metric, config: &Config) -> Option<Lack> {
    let (c, b) = (config.canary.len() as f64, config.baseline.len() as f64);
    let floor = DRIFT.powi(2) * (1.0 / c + 1.0 / b) + RESTART_SPREAD.powi(2) / c;
    let bad = metric.bad.rel.ln_1p();
    let wanted = (1.0 / (config.beta * WITHIN_RESERVE)).ln();
    let least = (floor * (2.0 * wanted + (bad * bad / floor).ln_1p())).sqrt();
    (bad < least).then(|| Lack::Tolerance { at_least: least.exp_m1() })
}

/// Kullback-Leibler divergence of two Bernoulli distributions.
pub(crate) fn divergence(p: f64, q: f64) -> f64 {
    p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln()
}

/// Kullback-Leibler divergence of two Poisson distributions.
pub(crate) fn poisson_divergence(p: f64, q: f64) -> f64 {
    let log = if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    log + q - p
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Direction, Margin};

    fn config(metric: Metric, minutes: u32) -> Config {
        let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
        Config {
            alpha: 0.01,
            beta: 0.05,
            tick_ms: 15_000,
            horizon_ticks: 4 * minutes,
            warmup_ticks: 0,
            canary: names("c", 2),
            baseline: names("b", 8),
            metrics: vec![metric],
        }
    }

    fn metric(kind: Kind, bad: Margin) -> Metric {
        let ok = Margin::relative(0.0);
        Metric { name: "m".to_owned(), kind, direction: Direction::Up, ok, bad, role: Role::Judged }
    }

    fn flow(per_node: f64, event_share: f64) -> Flow {
        let (canary_per_second, baseline_per_second) = (2.0 * per_node, 8.0 * per_node);
        Flow { metric: "m".to_owned(), canary_per_second, baseline_per_second, event_share }
    }

    #[test]
    fn errors_need_minutes_or_hours() {
        let config = config(metric(Kind::Proportion, Margin::relative(1.0)), 20);
        assert!(plan(&config, &[flow(20.0, 0.002)]).can_pass());
        let short = plan(&config, &[flow(0.2, 0.002)]).short;
        let Lack::Time { seconds, per_second } = short[0].lacks else { panic!("{short:?}") };
        assert!((10.0..18.0).contains(&(seconds / 3600.0)), "{seconds}");
        assert!((10.0..30.0).contains(&per_second), "{per_second}");
    }

    #[test]
    fn silence_and_fine_tolerances_are_told() {
        let errors = metric(Kind::Proportion, Margin::relative(1.0));
        assert_eq!(plan(&config(errors, 20), &[flow(0.0, 0.0)]).short[0].lacks, Lack::Traffic);
        let gauge = |bad| metric(Kind::Gauge { load: None, slope: None }, Margin::relative(bad));
        assert!(plan(&config(gauge(0.15), 20), &[]).can_pass());
        let short = plan(&config(gauge(0.02), 20), &[]).short;
        assert!(
            matches!(short[0].lacks, Lack::Tolerance { at_least } if (0.03..0.12).contains(&at_least)),
            "{short:?}"
        );
    }

    #[test]
    fn what_fluctuates_needs_time_or_tolerance() {
        let config = config(metric(Kind::Gauge { load: None, slope: None }, Margin::relative(0.1)), 20);
        let prospect = |fixed, falling, power| Prospect { distance: 0.1, fixed, falling, power, ahead: 0.0 };
        assert_eq!(fluctuation(&config, prospect(0.0001, 0.01, 1)), None);
        let seconds = |power| match fluctuation(&config, prospect(0.0, 0.2_f64 * 80.0_f64.powi(power - 1), power)) {
            Some(Lack::Duration { seconds }) => seconds / 1200.0,
            other => panic!("{other:?}"),
        };
        // The standard error is 0.05 at the end, and has to be 0.1 over 2.66.
        assert!((1.7..1.9).contains(&seconds(1)), "{}", seconds(1));
        assert!((1.15..1.3).contains(&seconds(3)), "{}", seconds(3));
        let lack = fluctuation(&config, prospect(0.0016, 0.0, 1));
        assert!(matches!(lack, Some(Lack::Tolerance { at_least }) if (0.1..0.13).contains(&at_least)), "{lack:?}");
    }

    #[test]
    fn quantiles_are_named() {
        let latency = metric(Kind::Histogram { scale: 4, quantiles: vec![0.5, 0.99] }, Margin::relative(0.6));
        let short = plan(&config(latency, 1), &[flow(1.0, 0.0)]).short;
        assert_eq!(short.iter().map(|s| s.metric.as_str()).collect::<Vec<_>>(), ["m:p99"]);
    }
}
