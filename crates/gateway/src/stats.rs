//! Counters per node and generation, and the latency histogram.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets per doubling: 2^4.
const BUCKETS_PER_DOUBLING: f64 = 16.0;
/// The lowest bucket kept; it ends at about 1 µs and takes all that is faster.
const INDEX_MIN: i32 = -160;
/// The highest bucket kept; it ends at 2^22 ms (70 minutes) and takes all that is slower.
const INDEX_MAX: i32 = 351;
/// How many buckets there are.
const BUCKETS: usize = (INDEX_MAX - INDEX_MIN + 1) as usize;

/// Everything counted since the gateway started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// When the gateway started, in milliseconds since 1970; a new value means that counters began anew.
    pub started_ms: i64,
    /// The revision in force.
    pub revision: u64,
    /// The environments of the table.
    pub environments: Vec<EnvironmentStats>,
}

/// Counters of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentStats {
    /// Its key.
    pub key: String,
    /// Where it is served; `None` while its listener could not be opened.
    pub listen: Option<SocketAddr>,
    /// Requests answered with 503 because no node takes requests.
    pub unrouted: u64,
    /// Requests refused because of their form: 400, 431, 408.
    pub refused: u64,
    /// The nodes; generations that left the table follow for a while with their last counts.
    pub nodes: Vec<NodeStats>,
}

/// Counters of one node in one generation; `requests` is the sum of `status`, `errors` and `in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStats {
    /// Its name.
    pub node: String,
    /// Its generation.
    pub generation: u64,
    /// Requests handed over and not finished, upgraded connections included.
    pub in_flight: u64,
    /// Requests handed over, repeated ones included.
    pub requests: u64,
    /// Complete answers by status class, 1xx to 5xx; 101 is in the first.
    pub status: [u64; 5],
    /// Requests without a complete answer, by cause.
    pub errors: NodeErrors,
    /// Request body bytes sent to the node; for upgraded connections all bytes.
    pub bytes_in: u64,
    /// Response body bytes received from the node; for upgraded connections all bytes.
    pub bytes_out: u64,
    /// Time from hand-over to the last byte of the answer (to the header for upgraded connections), complete answers.
    pub latency: Latency,
}

/// Requests that a node did not answer completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeErrors {
    /// The connection was refused or not made in time.
    pub connect: u64,
    /// The connection broke or the answer was no HTTP, before or amid the answer.
    pub reset: u64,
    /// The node stopped sending for too long.
    pub timeout: u64,
    /// The client went away first; says nothing about the node.
    pub client: u64,
}

/// A histogram: bucket `i` counts latencies in (2^(i/16), 2^((i+1)/16)] milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Index `i` of the first count.
    pub first: i32,
    /// Counts of consecutive buckets, without empty ones at either end.
    pub counts: Vec<u64>,
}

impl NodeErrors {
    /// Adds up what speaks against the node: all but clients that went away.
    #[must_use]
    pub fn of_node(&self) -> u64 {
        self.connect + self.reset + self.timeout
    }
}

/// Gives the bucket of a latency, clamped to the kept range.
pub(crate) fn bucket_index(latency: Duration) -> i32 {
    let milliseconds = latency.as_secs_f64() * 1e3;
    if milliseconds <= 0.0 {
        return INDEX_MIN;
    }
    let index = (milliseconds.log2() * BUCKETS_PER_DOUBLING).ceil() - 1.0;
    (index.clamp(f64::from(INDEX_MIN), f64::from(INDEX_MAX))) as i32
}

/// The histogram as it is counted into.
pub(crate) struct LatencyCounts(Box<[u64; BUCKETS]>);

impl Default for LatencyCounts {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl LatencyCounts {
    pub(crate) fn add(&mut self, latency: Duration) {
        let slot = usize::try_from(bucket_index(latency) - INDEX_MIN).unwrap_or(0);
        if let Some(count) = self.0.get_mut(slot) {
            *count += 1;
        }
    }

    pub(crate) fn trimmed(&self) -> Latency {
        let Some(begin) = self.0.iter().position(|count| *count > 0) else { return Latency::default() };
        let end = self.0.iter().rposition(|count| *count > 0).unwrap_or(begin);
        let first = INDEX_MIN + i32::try_from(begin).unwrap_or(0);
        Latency { first, counts: self.0[begin..=end].to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_borders_belong_to_the_lower_bucket() {
        for (milliseconds, index) in [(1.0, -1), (1.000_1, 0), (2.0, 15), (2.000_1, 16), (4.0, 31), (0.5, -17)] {
            assert_eq!(bucket_index(Duration::from_secs_f64(milliseconds / 1e3)), index, "{milliseconds} ms");
        }
    }

    #[test]
    fn a_latency_lies_within_its_bucket() {
        for micros in [3_u64, 40, 999, 1_001, 7_777, 123_456, 9_999_999] {
            let latency = Duration::from_micros(micros);
            let index = f64::from(bucket_index(latency));
            let milliseconds = latency.as_secs_f64() * 1e3;
            assert!((index / 16.0).exp2() < milliseconds && milliseconds <= ((index + 1.0) / 16.0).exp2());
        }
    }

    #[test]
    fn extremes_are_clamped_and_kept() {
        let mut counts = LatencyCounts::default();
        counts.add(Duration::ZERO);
        counts.add(Duration::from_secs(1_000_000));
        let latency = counts.trimmed();
        assert_eq!((latency.first, latency.counts.len()), (INDEX_MIN, BUCKETS));
        assert_eq!(latency.counts.iter().sum::<u64>(), 2);
    }
}
