//! From hostile samples to dense rows: unknown names dropped, impossible values treated as not reported, running totals
//! turned into increments, late and repeated ticks refused.

use std::collections::BTreeMap;

use crate::config::{Config, Kind, Metric};
use crate::sample::{Sample, Tick};

/// Index of the lowest histogram bucket kept, at scale 4: values below 2^-10 fall into it.
pub(crate) const BUCKET_MIN: i32 = -160;
/// Buckets kept; values above 2^30 fall into the last.
pub(crate) const BUCKETS: usize = 640;
/// Finest scale kept; finer histograms are merged to it.
pub(crate) const SCALE_MAX: i32 = 4;
/// Largest number of events in one sample that is believed.
const COUNT_MAX: f64 = 1e15;
/// Most buckets read from one sample.
const SAMPLE_BUCKETS_MAX: usize = 20_000;

/// One metric of one node in one tick.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Not reported.
    Absent,
    /// Count, level or increment.
    Value(f64),
    /// Reported, but without an increment: the first sample or the first after a gap.
    Started,
    /// Bad ones and total.
    Pair(f64, f64),
    /// First kept bucket and counts.
    Buckets(usize, Vec<u64>),
}

/// One tick, dense: every metric of every node, canary nodes first.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Number of the tick.
    pub tick: i64,
    /// Whether a node reported anything.
    pub seen: Vec<bool>,
    /// `[metric][node]`.
    pub cells: Vec<Vec<Cell>>,
}

impl Row {
    /// Scalar value, if reported.
    pub(crate) fn value(&self, metric: usize, node: usize) -> Option<f64> {
        match self.cells[metric][node] {
            Cell::Value(v) => Some(v),
            _ => None,
        }
    }
}

/// Turns ticks into rows.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    nodes: BTreeMap<String, usize>,
    metrics: BTreeMap<String, usize>,
    kinds: Vec<Kind>,
    totals: Vec<Vec<Option<(i64, f64)>>>,
    last: Option<i64>,
}

impl Intake {
    pub(crate) fn new(config: &Config) -> Self {
        let names = config.canary.iter().chain(&config.baseline);
        let nodes: BTreeMap<_, _> = names.cloned().zip(0..).collect();
        let kinds: Vec<_> = config.metrics.iter().map(|m: &Metric| m.kind.clone()).collect();
        Self {
            totals: vec![vec![None; nodes.len()]; kinds.len()],
            metrics: config.metrics.iter().map(|m| m.name.clone()).zip(0..).collect(),
            nodes,
            kinds,
            last: None,
        }
    }

    /// Returns the tick as a row; `None` if it is not later than the last one.
    pub(crate) fn row(&mut self, tick: &Tick) -> Option<Row> {
        if self.last.is_some_and(|last| tick.tick <= last) {
            return None;
        }
        self.last = Some(tick.tick);
        let n = self.nodes.len();
        let mut row =
            Row { tick: tick.tick, seen: vec![false; n], cells: vec![vec![Cell::Absent; n]; self.kinds.len()] };
        for (name, samples) in &tick.nodes {
            let Some(&node) = self.nodes.get(name) else { continue };
            row.seen[node] = true;
            for (name, sample) in samples {
                let Some(&metric) = self.metrics.get(name) else { continue };
                row.cells[metric][node] = self.cell(metric, node, tick.tick, sample);
            }
        }
        Some(row)
    }

    fn cell(&mut self, metric: usize, node: usize, tick: i64, sample: &Sample) -> Cell {
        match (&self.kinds[metric], sample) {
            (Kind::Count { .. }, Sample::Count(v)) if is_amount(*v) => Cell::Value(*v),
            (Kind::Proportion, Sample::Proportion { bad, total })
                if is_amount(*bad) && is_amount(*total) && bad <= total =>
            {
                Cell::Pair(*bad, *total)
            }
            (Kind::Histogram { scale, .. }, Sample::Histogram { first, counts }) => buckets(*scale, *first, counts),
            (Kind::Gauge { .. }, Sample::Gauge(v)) if v.is_finite() && *v >= 0.0 => Cell::Value(*v),
            (Kind::Counter { .. }, Sample::Counter(v)) if v.is_finite() && *v >= 0.0 => {
                self.increment(metric, node, tick, *v)
            }
            _ => Cell::Absent,
        }
    }

    fn increment(&mut self, metric: usize, node: usize, tick: i64, total: f64) -> Cell {
        match self.totals[metric][node].replace((tick, total)) {
            Some((before, last)) if before.checked_add(1) == Some(tick) => {
                Cell::Value(if total >= last { total - last } else { total })
            }
            _ => Cell::Started,
        }
    }
}

fn is_amount(v: f64) -> bool {
    v.is_finite() && (0.0..=COUNT_MAX).contains(&v)
}

fn buckets(scale: i32, first: i32, counts: &[u64]) -> Cell {
    if counts.len() > SAMPLE_BUCKETS_MAX {
        return Cell::Absent;
    }
    let place = |i: usize| {
        let index = (i64::from(first) + i as i64) >> (scale - SCALE_MAX).max(0);
        (index - i64::from(BUCKET_MIN)).clamp(0, BUCKETS as i64 - 1) as usize
    };
    let used: Vec<_> = counts.iter().enumerate().filter(|(_, c)| **c > 0).collect();
    let (Some(&(low, _)), Some(&(high, _))) = (used.first(), used.last()) else { return Cell::Buckets(0, Vec::new()) };
    let start = place(low);
    let mut kept = vec![0_u64; place(high) - start + 1];
    for (i, count) in used {
        let slot = &mut kept[place(i) - start];
        *slot = slot.saturating_add(*count);
    }
    if kept.iter().map(|c| *c as f64).sum::<f64>() > COUNT_MAX { Cell::Absent } else { Cell::Buckets(start, kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_histograms_are_merged() {
        assert_eq!(buckets(5, 0, &[1, 2, 3]), Cell::Buckets(160, vec![3, 3]));
        assert_eq!(buckets(4, -161, &[1, 1]), Cell::Buckets(0, vec![2]));
        assert_eq!(buckets(4, i32::MAX, &[5]), Cell::Buckets(BUCKETS - 1, vec![5]));
        assert_eq!(buckets(4, 3, &[0, 0]), Cell::Buckets(0, vec![]));
    }
}
