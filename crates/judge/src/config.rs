//! What is judged, and how much worse it may be.

use std::collections::BTreeSet;

/// Most nodes that one judge compares.
pub const NODES_MAX: usize = 1_000;
/// Most metrics that one judge looks at.
pub const METRICS_MAX: usize = 200;
/// Most quantiles of one histogram.
pub const QUANTILES_MAX: usize = 8;

/// One canary: who is compared with whom, on what, under which error bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Allowed probability that the verdict is ever `Fail` although every effect is within its `ok` margin.
    pub alpha: f64,
    /// Allowed probability that the verdict is ever `Pass` although some effect is at or beyond its `bad` margin.
    pub beta: f64,
    /// Milliseconds between two ticks.
    pub tick_ms: i64,
    /// Ticks that the canary may take; the last one ends it.
    pub horizon_ticks: u32,
    /// Ticks after a restart whose start-up effects are excused.
    pub warmup_ticks: u32,
    /// Names of the nodes on the new version.
    pub canary: Vec<String>,
    /// Names of the nodes on the old version.
    pub baseline: Vec<String>,
    /// What is measured.
    pub metrics: Vec<Metric>,
}

/// One measured quantity of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name in the samples.
    pub name: String,
    /// Its shape.
    pub kind: Kind,
    /// Which change is a worsening.
    pub direction: Direction,
    /// Change that must not fail the canary.
    pub ok: Margin,
    /// Change that must not pass the canary.
    pub bad: Margin,
    /// Whether it is judged.
    pub role: Role,
}

/// Shape of a metric's samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Number of events in the tick, per unit of another metric, or per tick.
    Count {
        /// Metric that is the denominator; `None`: time.
        exposure: Option<String>,
    },
    /// Bad ones out of a total in the tick.
    Proportion,
    /// Exponential histogram: bucket `i` holds values in `(2^(i/2^scale), 2^((i+1)/2^scale)]`.
    Histogram {
        /// OpenTelemetry's scale; buckets per octave are `2^scale`.
        scale: i32,
        /// Quantiles that are judged, each between 0 and 1.
        quantiles: Vec<f64>,
    },
    /// A level, such as memory in use.
    Gauge {
        /// Metric that explains it, such as requests for CPU.
        load: Option<String>,
        /// Margins of its growth; `Some` looks for a leak.
        slope: Option<SlopeMargin>,
    },
    /// A running total that falls to zero on a restart.
    Counter {
        /// Metric that explains its increments.
        load: Option<String>,
    },
}

/// Which change is a worsening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is worse.
    Up,
    /// Less is worse.
    Down,
    /// Any change is worse.
    Both,
}

/// A change of a metric: the larger of a relative and an absolute one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Margin {
    /// Relative to the baseline: 0.1 is 10 %.
    pub rel: f64,
    /// In the metric's own unit, for events per unit of exposure.
    pub abs: Option<f64>,
}

impl Margin {
    /// Makes a margin relative to the baseline.
    pub fn relative(rel: f64) -> Self {
        Self { rel, abs: None }
    }

    /// Makes a margin that also allows an absolute change.
    pub fn with_absolute(rel: f64, abs: f64) -> Self {
        Self { rel, abs: Some(abs) }
    }
}

/// Margins of growth, in parts of the level per minute (0.005 is 0.5 % a minute).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlopeMargin {
    /// Growth that must not fail the canary.
    pub ok: f64,
    /// Growth that must not pass the canary.
    pub bad: f64,
}

/// Whether a metric is judged, and what a pass needs of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Judged; a pass needs proof that it is within tolerance.
    #[default]
    Judged,
    /// Judged; where the canary's time is too short for proof, its evidence must at least speak for it.
    Watched,
    /// A denominator or a load only.
    Exposure,
}

/// Why a configuration cannot be judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A probability is outside the open interval from 0 to 0.5.
    #[error("`{name}` is `{value}`; it must be above 0 and below 0.5, such as 0.01")]
    Probability {
        /// `alpha` or `beta`.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// A length of time is not positive.
    #[error("`{0}` must be positive")]
    Time(&'static str),
    /// One side has no nodes.
    #[error("no {0} node; a canary needs at least one node on each side")]
    NoNodes(&'static str),
    /// Too many nodes, metrics or quantiles.
    #[error("{got} {what}; at most {max} can be judged")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were given.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A node or metric is named twice.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// A metric's margins are not ordered.
    #[error("metric `{0}`: margins must be finite with 0 <= ok < bad")]
    Margins(String),
    /// A quantile lies outside 0 to 1, or none is given.
    #[error("metric `{0}`: quantiles must lie between 0 and 1, such as 0.99")]
    Quantile(String),
    /// A histogram's scale is outside OpenTelemetry's range.
    #[error("metric `{0}`: the scale must be between -4 and 20")]
    Scale(String),
    /// Events are judged in one direction.
    #[error("metric `{0}`: events are judged `up` or `down`; give it twice under two names to judge both")]
    Direction(String),
    /// A metric refers to one that does not exist.
    #[error("metric `{metric}` refers to `{reference}`, which is not a count metric of this canary")]
    Reference {
        /// The metric.
        metric: String,
        /// What it refers to.
        reference: String,
    },
    /// Nothing is judged.
    #[error("no metric is judged; give at least one that is not an exposure")]
    NothingJudged,
}

impl Config {
    /// Says whether this configuration can be judged.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value > 0.0 && value < 0.5) {
                return Err(ConfigError::Probability { name, value });
            }
        }
        if self.tick_ms <= 0 {
            return Err(ConfigError::Time("tick_ms"));
        }
        if self.horizon_ticks == 0 {
            return Err(ConfigError::Time("horizon_ticks"));
        }
        self.check_nodes()?;
        self.check_metrics()
    }

    fn check_nodes(&self) -> Result<(), ConfigError> {
        if self.canary.is_empty() {
            return Err(ConfigError::NoNodes("canary"));
        }
        if self.baseline.is_empty() {
            return Err(ConfigError::NoNodes("baseline"));
        }
        at_most("nodes", self.canary.len() + self.baseline.len(), NODES_MAX)?;
        unique(self.canary.iter().chain(&self.baseline))
    }

    fn check_metrics(&self) -> Result<(), ConfigError> {
        at_most("metrics", self.metrics.len(), METRICS_MAX)?;
        unique(self.metrics.iter().map(|m| &m.name))?;
        if self.metrics.iter().all(|m| m.role == Role::Exposure) {
            return Err(ConfigError::NothingJudged);
        }
        self.metrics.iter().try_for_each(|m| self.check_metric(m))
    }

    fn check_metric(&self, m: &Metric) -> Result<(), ConfigError> {
        if m.role != Role::Exposure && !margins_ordered(m) {
            return Err(ConfigError::Margins(m.name.clone()));
        }
        let level = matches!(m.kind, Kind::Gauge { .. } | Kind::Counter { .. });
        if m.direction == Direction::Both && !level && m.role != Role::Exposure {
            return Err(ConfigError::Direction(m.name.clone()));
        }
        let reference = match &m.kind {
            Kind::Count { exposure } => exposure.as_deref(),
            Kind::Gauge { load, .. } | Kind::Counter { load } => load.as_deref(),
            Kind::Proportion => None,
            Kind::Histogram { scale, quantiles } => {
                at_most("quantiles", quantiles.len(), QUANTILES_MAX)?;
                if quantiles.is_empty() || !quantiles.iter().all(|q| *q > 0.0 && *q < 1.0) {
                    return Err(ConfigError::Quantile(m.name.clone()));
                }
                if !(-4..=20).contains(scale) {
                    return Err(ConfigError::Scale(m.name.clone()));
                }
                None
            }
        };
        match reference {
            Some(reference) if !self.is_count(reference, &m.name) => {
                Err(ConfigError::Reference { metric: m.name.clone(), reference: reference.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn is_count(&self, name: &str, of: &str) -> bool {
        name != of && self.metrics.iter().any(|m| m.name == name && matches!(m.kind, Kind::Count { .. }))
    }
}

fn at_most(what: &'static str, got: usize, max: usize) -> Result<(), ConfigError> {
    if got > max { Err(ConfigError::TooMany { what, got, max }) } else { Ok(()) }
}

fn unique<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    match names.find(|n| !seen.insert(n.as_str())) {
        Some(twice) => Err(ConfigError::Twice(twice.clone())),
        None => Ok(()),
    }
}

fn margins_ordered(m: &Metric) -> bool {
    let ordered = |ok: f64, bad: f64| ok.is_finite() && bad.is_finite() && ok >= 0.0 && ok < bad;
    let absolute = match (m.ok.abs, m.bad.abs) {
        (None, None) => true,
        (ok, Some(bad)) => ordered(ok.unwrap_or(0.0), bad),
        (Some(_), None) => false,
    };
    let slope = match &m.kind {
        Kind::Gauge { slope: Some(s), .. } => ordered(s.ok, s.bad),
        _ => true,
    };
    absolute && slope && ordered(m.ok.rel, m.bad.rel)
}
