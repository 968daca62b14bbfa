//! The judge's stream: JSON lines of a header, ticks and an end; one answer line for each tick from 0 on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the stream that these types describe.
pub const SCHEMA: u32 = 1;
/// Longest line read, in bytes.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// One line in.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line {
    /// Starts a run.
    Header(Header),
    /// Samples of one tick; negative numbers are history.
    Tick(TickLine),
    /// Ends the run.
    End {},
}

/// Who is compared on what.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Header {
    /// Version of the stream.
    pub schema: u32,
    /// Name of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Allowed probability of a false alarm.
    pub alpha: f64,
    /// Allowed probability of a wrong pass.
    pub beta: f64,
    /// Seconds of a tick.
    pub tick_seconds: f64,
    /// Ticks of history that come first; for information.
    #[serde(default)]
    pub history_ticks: u32,
    /// Ticks that the canary may take.
    pub horizon_ticks: u32,
    /// Ticks of start-up that are excused.
    #[serde(default)]
    pub warmup_ticks: u32,
    /// Nodes on the new version.
    pub canary: Vec<String>,
    /// Nodes on the old version.
    pub baseline: Vec<String>,
    /// What is measured.
    pub metrics: Vec<MetricLine>,
}

/// One metric of a header.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MetricLine {
    /// Its name in the samples.
    pub name: String,
    /// Its shape.
    pub kind: KindLine,
    /// Which change is a worsening.
    #[serde(default)]
    pub direction: DirectionLine,
    /// Its tolerance; absent for an exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<MarginsLine>,
    /// `exposure`: a denominator; `watched`: a pass does without proof at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleLine>,
    /// Count: its denominator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<String>,
    /// Gauge, counter: what explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// Histogram: OpenTelemetry's scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i32>,
    /// Histogram: the quantiles judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Vec<f64>>,
    /// Gauge: margins of its growth, in per cent a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slope_pct_per_min: Option<SlopeLine>,
}

/// Shape of a metric.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KindLine {
    /// Number of events in the tick.
    Count,
    /// `[bad, total]` in the tick.
    Proportion,
    /// `[first bucket, [counts…]]`.
    Histogram,
    /// A level.
    Gauge,
    /// A running total.
    Counter,
}

/// Which change is a worsening.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectionLine {
    /// More.
    #[default]
    Up,
    /// Less.
    Down,
    /// Any.
    Both,
}

/// What a metric is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleLine {
    /// Judged, and proven before a pass.
    Judged,
    /// Judged; at the end its evidence needs only to speak for it.
    Watched,
    /// A denominator or load.
    Exposure,
}

/// Both margins.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct MarginsLine {
    /// Change that must not fail.
    pub ok: MarginLine,
    /// Change that must not pass.
    pub bad: MarginLine,
}

/// One margin.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct MarginLine {
    /// Relative to the baseline.
    pub rel: f64,
    /// Per unit of exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abs: Option<f64>,
}

/// Margins of growth, in per cent a minute.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct SlopeLine {
    /// Growth that must not fail.
    pub ok: f64,
    /// Growth that must not pass.
    pub bad: f64,
}

/// Samples of one tick: per node, per metric. What did not report is absent or `null`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TickLine {
    /// Number of the tick.
    pub tick: i64,
    /// Samples by node and metric.
    pub nodes: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One sample; what it means follows from the metric's kind.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Count, gauge, counter.
    Number(f64),
    /// Proportion.
    Pair(f64, f64),
    /// Histogram.
    Buckets(i32, Vec<u64>),
    /// Anything else counts as not reported.
    Other(serde_json::Value),
}

/// One line out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AnswerLine {
    /// Number of the tick that it answers.
    pub tick: i64,
    /// `continue`, `pass`, `fail` or `inconclusive`.
    pub verdict: String,
    /// Metrics that made it or hold it up, separated by commas; `missing:NODE` for a silent node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The verdict in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// With the first answer: what keeps the run from a proof in its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<String>,
    /// What is known of each metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, EstimateLine>,
}

/// What is known of one metric. Open ends of an interval are `null`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct EstimateLine {
    /// Estimated effect: ratio to the old version, or growth in parts a minute; `null` while unknown.
    pub est: Option<f64>,
    /// Its standard error, of the logarithm or of the growth; `null` while unknown.
    pub error: Option<f64>,
    /// Lower end of the interval.
    pub lo: Option<f64>,
    /// Upper end of the interval.
    pub hi: Option<f64>,
    /// Logarithm of the evidence that it is worse than tolerated.
    pub evidence: f64,
    /// Logarithm of the evidence that it is within tolerance.
    pub evidence_within: f64,
    /// Samples used on the canary.
    pub samples: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind_of_sample() {
        let line = r#"{"type":"tick","tick":-2,"nodes":{"c0":{"n":325,"e":[1,325],"h":[25,[1,0]],"g":43.8,"x":null,"s":"?"}}}"#;
        let Line::Tick(tick) = serde_json::from_str(line).unwrap() else { panic!("not a tick") };
        let c0 = &tick.nodes["c0"];
        assert_eq!(c0["n"], Value::Number(325.0));
        assert_eq!(c0["e"], Value::Pair(1.0, 325.0));
        assert_eq!(c0["h"], Value::Buckets(25, vec![1, 0]));
        assert!(matches!(c0["x"], Value::Other(_)) && matches!(c0["s"], Value::Other(_)));
    }

    #[test]
    fn end_and_header() {
        assert_eq!(serde_json::from_str::<Line>(r#"{"type":"end"}"#).unwrap(), Line::End {});
        assert!(serde_json::from_str::<Line>(r#"{"type":"header","schema":1}"#).is_err());
    }
}
