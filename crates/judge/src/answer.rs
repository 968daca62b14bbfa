//! What the judge says.

/// The decision so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough evidence either way.
    Continue,
    /// Every metric is within tolerance, with the configured confidence.
    Pass,
    /// At least one metric is worse than tolerated, or a canary node is silent.
    Fail,
    /// The time is over and neither is shown.
    Inconclusive,
}

impl Verdict {
    /// The word used on every wire: `continue`, `pass`, `fail`, `inconclusive`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What made or holds up a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// A metric is worse than tolerated; its name as in [`MetricReport::name`].
    Worse(String),
    /// A canary node has gone silent.
    Missing(String),
    /// A metric is not yet shown to be within tolerance.
    Unproven(String),
    /// A canary node delivers too little of a metric.
    NoData(String),
}

impl Reason {
    /// The metric it speaks of, or `missing:NODE`.
    pub fn subject(&self) -> String {
        match self {
            Self::Worse(m) | Self::Unproven(m) => m.clone(),
            Self::Missing(n) => format!("missing:{n}"),
            Self::NoData(m) => format!("{m}(no data)"),
        }
    }
}

/// How far one metric is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No usable sample, or still in the warm-up.
    Waiting,
    /// Between the margins as far as the evidence goes.
    Open,
    /// Shown to be within tolerance.
    Within,
    /// Shown to be worse than tolerated.
    Worse,
}

/// Unit of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Canary divided by what the baseline lets one expect; 1 is no change.
    Ratio,
    /// Share of requests slower than the old version's quantile moved by `ok`, divided by the old version's share above
    /// that quantile; above 1 the quantile has grown by more than `ok`. `bad` is judged on another share and infinite.
    SlowShare,
    /// Growth in parts of the level per minute, baseline subtracted; 0 is no change.
    PerMinute,
}

/// What is known of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReport {
    /// Its name; `latency_ms:p99` for a quantile, `mem_bytes:slope` for growth.
    pub name: String,
    /// Unit of the three figures that follow.
    pub unit: Unit,
    /// Estimated effect.
    pub estimate: f64,
    /// Standard error of the estimate's logarithm, or of the growth; nodes and time together.
    pub error: f64,
    /// Lower end of the interval that holds at every look at once.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// Limit up to which it must not fail, in the same unit.
    pub ok: f64,
    /// Limit from which on it must not pass, in the same unit.
    pub bad: f64,
    /// Natural logarithm of the evidence (an e-value) that it is worse than `ok`.
    pub evidence: f64,
    /// Natural logarithm of the evidence (an e-value) that it is better than `bad`.
    pub evidence_within: f64,
    /// Samples used on the canary: events, or node ticks.
    pub samples: u64,
    /// How far it is decided.
    pub state: State,
}

/// What the judge says after a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Number of the tick.
    pub tick: i64,
    /// The decision; the first that is not `Continue` stays.
    pub verdict: Verdict,
    /// What made it, or what is open; the strongest first.
    pub why: Vec<Reason>,
    /// Every judged metric.
    pub metrics: Vec<MetricReport>,
    /// Natural logarithm of the combined evidence for a failure; compared with `-ln(alpha)`.
    pub evidence: f64,
}
