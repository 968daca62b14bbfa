//! Before the canary: whether it can pass in its time.

use crate::config::{Config, Kind, Metric, Role};

/// Traffic that the plan assumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Requests per second on all canary nodes together.
    pub canary_per_second: f64,
    /// Requests per second on all baseline nodes together.
    pub baseline_per_second: f64,
    /// Share of requests that fail today; for logs, lines per request.
    pub event_share: f64,
}

/// Whether a canary can pass in its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Feasibility {
    /// Metrics that cannot be shown to be within tolerance in the time given.
    pub short: Vec<Shortfall>,
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
    /// The metric.
    pub metric: String,
    /// Seconds that it would need with this traffic; infinite if no time is enough.
    pub needs_seconds: f64,
    /// Canary requests a second that it would need in the time given.
    pub needs_per_second: f64,
}

/// Overdispersion assumed before anything is measured.
const DISPERSION: f64 = 2.0;
/// What a mixture over unknown effects costs, in nats.
const MIXTURE_COST: f64 = 1.5;

/// Says what the canary's time and traffic allow (judge.md section 4).
pub fn plan(config: &Config, traffic: Traffic) -> Feasibility {
    let ticks = f64::from(config.horizon_ticks.saturating_sub(config.warmup_ticks));
    let seconds = ticks * config.tick_ms as f64 / 1000.0;
    let short = config.metrics.iter().filter(|m| m.role != Role::Exposure);
    Feasibility { short: short.filter_map(|m| shortfall(m, config.beta, traffic, seconds)).collect() }
}

fn shortfall(metric: &Metric, beta: f64, traffic: Traffic, seconds: f64) -> Option<Shortfall> {
    let wanted = (1.0 / beta).ln() + MIXTURE_COST;
    let gain = nats_per_second(metric, traffic)?;
    let needs_seconds = if gain > 0.0 { wanted / gain } else { f64::INFINITY };
    (needs_seconds > seconds).then(|| Shortfall {
        metric: metric.name.clone(),
        needs_seconds,
        needs_per_second: traffic.canary_per_second * needs_seconds / seconds.max(1e-9),
    })
}

/// Evidence gained a second when nothing has changed; `None` for metrics that traffic does not limit.
fn nats_per_second(metric: &Metric, traffic: Traffic) -> Option<f64> {
    let (share, ratio) = match &metric.kind {
        Kind::Count { exposure: Some(_) } | Kind::Proportion => {
            let share = traffic.event_share.max(0.0);
            let absolute = metric.bad.abs.map_or(0.0, |abs| (share + abs) / share.max(1e-9));
            (share, (1.0 + metric.bad.rel).max(absolute))
        }
        Kind::Histogram { quantiles, .. } => {
            let rarest = quantiles.iter().map(|q| 1.0 - q).fold(f64::INFINITY, f64::min);
            (rarest, 1.0 / (1.0 + metric.bad.rel))
        }
        Kind::Count { exposure: None } | Kind::Gauge { .. } | Kind::Counter { .. } => return None,
    };
    let (c, b) = (traffic.canary_per_second, traffic.baseline_per_second);
    if !(c > 0.0 && b > 0.0) {
        return Some(0.0);
    }
    let conditional = share * (c + b) * divergence(c / (c + b), ratio * c / (ratio * c + b));
    let from_absence = metric.bad.abs.map_or(0.0, |abs| poisson_divergence(share, share + abs) * c);
    Some(conditional.max(from_absence) / DISPERSION)
}

/// Kullback-Leibler divergence of two Bernoulli distributions.
fn divergence(p: f64, q: f64) -> f64 {
    p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln()
}

/// Kullback-Leibler divergence of two Poisson distributions.
fn poisson_divergence(p: f64, q: f64) -> f64 {
    let log = if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    log + q - p
}
