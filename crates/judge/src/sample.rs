//! What is observed.

/// One metric of one node in one tick.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Number of events in the tick.
    Count(f64),
    /// Bad ones out of a total in the tick.
    Proportion {
        /// How many were bad.
        bad: f64,
        /// How many there were.
        total: f64,
    },
    /// Counts of consecutive buckets.
    Histogram {
        /// Index of the first bucket.
        first: i32,
        /// Counts from there on.
        counts: Vec<u64>,
    },
    /// A level.
    Gauge(f64),
    /// A running total.
    Counter(f64),
}

/// Everything that was heard in one tick. A node or metric that did not report is absent: absent is not zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// Its number; negative is history, 0 is the first with live traffic on the restarted canary nodes.
    pub tick: i64,
    /// Per node its metrics, both by name, in any order.
    pub nodes: Vec<(String, Vec<(String, Sample)>)>,
}
