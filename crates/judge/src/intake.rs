//! From hostile samples to dense rows: unknown names dropped, impossible values treated as not reported, running totals
//! turned into increments, late and repeated ticks refused.

use std::collections::BTreeMap;

use crate::config::{Config, Kind, Metric};
use crate::histogram::Histogram;
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Not reported.
    Absent,
    /// Count, level or increment.
    Value(f64),
    /// Reported, but without an increment: the first sample or the first after a gap.
    Started,
    /// Bad ones and total.
    Pair(f64, f64),
    /// Counts of buckets, kept in the row.
    Buckets(Place),
}

/// Where a row keeps the counts of one histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// First kept bucket.
    start: usize,
    /// First count in the row, and how many.
    first: usize,
    length: usize,
    /// Sum of the counts.
    total: f64,
}

/// One histogram of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Buckets<'a> {
    /// First kept bucket.
    pub start: usize,
    /// Counts from there on.
    pub counts: &'a [u64],
    /// Their sum.
    pub total: f64,
}

/// One tick, dense: every metric of every node, canary nodes first.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Number of the tick.
    pub tick: i64,
    /// Whether a node reported anything.
    pub seen: Vec<bool>,
    cells: Vec<Cell>,
    counts: Vec<u64>,
    /// Per metric the old nodes' histograms together.
    old: Vec<Histogram>,
}

impl Row {
    fn new(metrics: usize, nodes: usize) -> Self {
        Self {
            tick: i64::MIN,
            seen: vec![false; nodes],
            cells: vec![Cell::Absent; metrics * nodes],
            counts: Vec::new(),
            old: vec![Histogram::default(); metrics],
        }
    }

    fn start(&mut self, tick: i64) {
        self.tick = tick;
        self.seen.fill(false);
        self.cells.fill(Cell::Absent);
        self.counts.clear();
        self.old.iter_mut().for_each(Histogram::clear);
    }

    /// What every node reported of a metric.
    pub(crate) fn cells(&self, metric: usize) -> &[Cell] {
        let nodes = self.seen.len();
        &self.cells[metric * nodes..][..nodes]
    }

    /// Scalar value, if reported.
    pub(crate) fn value(&self, metric: usize, node: usize) -> Option<f64> {
        match self.cells(metric)[node] {
            Cell::Value(v) => Some(v),
            _ => None,
        }
    }

    /// The histogram at a place of this row.
    pub(crate) fn buckets(&self, place: Place) -> Buckets<'_> {
        Buckets { start: place.start, counts: &self.counts[place.first..][..place.length], total: place.total }
    }

    /// A metric's histograms of the old nodes, together.
    pub(crate) fn old(&self, metric: usize) -> &Histogram {
        &self.old[metric]
    }

    fn pool(&mut self, canaries: usize) {
        let nodes = self.seen.len();
        for (metric, cells) in self.cells.chunks_exact(nodes).enumerate() {
            for cell in &cells[canaries..] {
                if let Cell::Buckets(p) = cell {
                    self.old[metric].add(p.start, &self.counts[p.first..][..p.length]);
                }
            }
        }
    }
}

/// Turns ticks into rows.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    nodes: Names,
    metrics: Names,
    canaries: usize,
    kinds: Vec<Kind>,
    totals: Vec<Vec<Option<(i64, f64)>>>,
    last: Option<i64>,
    row: Row,
}

/// Places of names; reports come in the same order again and again.
#[derive(Clone, Debug)]
struct Names {
    names: Vec<String>,
    places: BTreeMap<String, usize>,
    /// What was found at each position of the last report.
    guesses: Vec<usize>,
}

impl Names {
    fn new(names: impl Iterator<Item = String>) -> Self {
        let names: Vec<_> = names.collect();
        Self { places: names.iter().cloned().zip(0..).collect(), guesses: (0..names.len()).collect(), names }
    }

    fn find(&mut self, position: usize, name: &str) -> Option<usize> {
        let guess = self.guesses.get(position).copied();
        if let Some(place) = guess.filter(|g| self.names[*g] == name) {
            return Some(place);
        }
        let place = self.places.get(name).copied()?;
        if let Some(guess) = self.guesses.get_mut(position) {
            *guess = place;
        }
        Some(place)
    }
}

impl Intake {
    pub(crate) fn new(config: &Config) -> Self {
        let kinds: Vec<_> = config.metrics.iter().map(|m: &Metric| m.kind.clone()).collect();
        let nodes = Names::new(config.canary.iter().chain(&config.baseline).cloned());
        Self {
            totals: vec![vec![None; nodes.names.len()]; kinds.len()],
            metrics: Names::new(config.metrics.iter().map(|m| m.name.clone())),
            canaries: config.canary.len(),
            row: Row::new(kinds.len(), nodes.names.len()),
            nodes,
            kinds,
            last: None,
        }
    }

    /// Reads a tick into [`Self::row`]; false if it is not later than the last one.
    pub(crate) fn read(&mut self, tick: &Tick) -> bool {
        if self.last.is_some_and(|last| tick.tick <= last) {
            return false;
        }
        self.last = Some(tick.tick);
        self.row.start(tick.tick);
        let nodes = self.nodes.names.len();
        for (position, (name, samples)) in tick.nodes.iter().enumerate() {
            let Some(node) = self.nodes.find(position, name) else { continue };
            self.row.seen[node] = true;
            for (position, (name, sample)) in samples.iter().enumerate() {
                let Some(metric) = self.metrics.find(position, name) else { continue };
                self.row.cells[metric * nodes + node] = self.cell(metric, node, tick.tick, sample);
            }
        }
        self.row.pool(self.canaries);
        true
    }

    /// The tick that was read last.
    pub(crate) fn row(&self) -> &Row {
        &self.row
    }

    fn cell(&mut self, metric: usize, node: usize, tick: i64, sample: &Sample) -> Cell {
        match (&self.kinds[metric], sample) {
            (Kind::Count { .. }, Sample::Count(v)) if is_amount(*v) => Cell::Value(*v),
            (Kind::Proportion, Sample::Proportion { bad, total })
                if is_amount(*bad) && is_amount(*total) && bad <= total =>
            {
                Cell::Pair(*bad, *total)
            }
            (Kind::Histogram { scale, .. }, Sample::Histogram { first, counts }) => {
                let kept = buckets((*scale, *first), counts, &mut self.row.counts);
                kept.map_or(Cell::Absent, Cell::Buckets)
            }
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

/// Appends the used buckets to `kept`, finer ones merged; `None` for what no node can have counted.
fn buckets((scale, first): (i32, i32), counts: &[u64], kept: &mut Vec<u64>) -> Option<Place> {
    if counts.len() > SAMPLE_BUCKETS_MAX {
        return None;
    }
    let place = |i: usize| {
        let index = (i64::from(first) + i as i64) >> (scale - SCALE_MAX).max(0);
        (index - i64::from(BUCKET_MIN)).clamp(0, BUCKETS as i64 - 1) as usize
    };
    let begin = kept.len();
    let Some(low) = counts.iter().position(|c| *c > 0) else {
        return Some(Place { start: 0, first: begin, length: 0, total: 0.0 });
    };
    let high = counts.iter().rposition(|c| *c > 0).unwrap_or(low);
    let start = place(low);
    kept.resize(begin + place(high) - start + 1, 0);
    let mut total = 0.0;
    for (i, count) in counts.iter().enumerate().take(high + 1).skip(low) {
        let slot = &mut kept[begin + place(i) - start];
        *slot = slot.saturating_add(*count);
        total += *count as f64;
    }
    if total > COUNT_MAX {
        kept.truncate(begin);
        return None;
    }
    Some(Place { start, first: begin, length: kept.len() - begin, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_histograms_are_merged() {
        let kept = |scale, first, counts: &[u64]| {
            let mut kept = vec![7];
            buckets((scale, first), counts, &mut kept).map(|p| (p.start, kept[p.first..][..p.length].to_vec(), p.total))
        };
        assert_eq!(kept(5, 0, &[1, 2, 3]), Some((160, vec![3, 3], 6.0)));
        assert_eq!(kept(4, -161, &[1, 1]), Some((0, vec![2], 2.0)));
        assert_eq!(kept(4, i32::MAX, &[5]), Some((BUCKETS - 1, vec![5], 5.0)));
        assert_eq!(kept(4, 3, &[0, 0]), Some((0, vec![], 0.0)));
        assert_eq!(kept(4, 3, &[u64::MAX]), None);
    }

    #[test]
    fn names_are_found_in_any_order() {
        let mut names = Names::new(["a", "b", "c"].map(str::to_owned).into_iter());
        assert_eq!([0, 1, 2].map(|i| names.find(i, "c")), [Some(2); 3]);
        assert_eq!([names.find(0, "a"), names.find(9, "b"), names.find(1, "z")], [Some(0), Some(1), None]);
    }
}
