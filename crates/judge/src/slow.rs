//! What counts as a slow request: one above the old nodes' own quantile of the ticks before.
//!
//! The place of the quantile is predictable: it is known before the tick whose requests it divides, and the canary has no
//! part in it. Given how many requests of a tick are slow, the canary's share of them is therefore as binomial as with a
//! place fixed once (judge.md (iii)), while a machine that becomes busy or calm, or a daily load, moves the place along.

use std::collections::VecDeque;

use crate::intake::BUCKETS;

/// Requests above a quantile that fix its place well enough.
const EVENTS_MIN: f64 = 4.0;
/// Ticks that are remembered at least.
const TICKS_MIN: u32 = 4;
/// Most entries that are remembered; beyond that, neighbours are merged.
const ENTRIES_MAX: usize = 64;

/// Counts of consecutive buckets, of one node and block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    start: usize,
    counts: Vec<f64>,
}

impl Histogram {
    /// Adds counts from bucket `start` on.
    pub(crate) fn add(&mut self, start: usize, counts: &[u64]) {
        let sums = self.room(start, counts.len());
        sums.iter_mut().zip(counts).for_each(|(sum, c)| *sum += *c as f64);
    }

    fn merge(&mut self, other: &Self) {
        let sums = self.room(other.start, other.counts.len());
        sums.iter_mut().zip(&other.counts).for_each(|(sum, c)| *sum += c);
    }

    /// The sums of `length` buckets from `start` on, which it makes room for.
    fn room(&mut self, start: usize, length: usize) -> &mut [f64] {
        if length == 0 {
            return &mut [];
        }
        if self.counts.is_empty() {
            self.start = start;
        }
        if start < self.start {
            self.counts.splice(0..0, std::iter::repeat_n(0.0, self.start - start));
            self.start = start;
        }
        let first = start - self.start;
        if first + length > self.counts.len() {
            self.counts.resize(first + length, 0.0);
        }
        &mut self.counts[first..first + length]
    }

    /// Requests in all.
    pub(crate) fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// Requests above `edge`, in buckets; the bucket that holds it counts in part.
    pub(crate) fn above(&self, edge: f64) -> f64 {
        let part = |i: usize| ((self.start + i + 1) as f64 - edge).clamp(0.0, 1.0);
        self.counts.iter().enumerate().map(|(i, c)| c * part(i)).sum()
    }
}

/// The old nodes' latest requests: as many as fix the quantile, and no more.
///
/// A hard window, as an exponential one would keep a busy past in its upper tail for many times its length.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    quantile: f64,
    sums: Vec<f64>,
    total: f64,
    entries: VecDeque<Entry>,
    now: Histogram,
}

/// Requests of some ticks.
#[derive(Clone, Debug)]
struct Entry {
    histogram: Histogram,
    total: f64,
    ticks: u32,
}

impl Recent {
    pub(crate) fn new(quantile: f64) -> Self {
        Self { quantile, sums: vec![0.0; BUCKETS], total: 0.0, entries: VecDeque::new(), now: Histogram::default() }
    }

    /// Takes one node's counts of the present tick.
    pub(crate) fn add(&mut self, start: usize, counts: &[u64]) {
        self.now.add(start, counts);
    }

    /// Ends a tick; forgets what the quantile does not need.
    pub(crate) fn end_tick(&mut self) {
        let histogram = std::mem::take(&mut self.now);
        let total = histogram.total();
        self.sums[histogram.start..].iter_mut().zip(&histogram.counts).for_each(|(sum, c)| *sum += c);
        self.total += total;
        self.entries.push_back(Entry { histogram, total, ticks: 1 });
        let mut ticks: u32 = self.entries.iter().map(|e| e.ticks).sum();
        while let Some(oldest) = self.entries.front() {
            let left = self.total - oldest.total;
            if ticks - oldest.ticks < TICKS_MIN || left * self.rare() < EVENTS_MIN {
                break;
            }
            ticks -= oldest.ticks;
            self.total = left;
            let gone = &oldest.histogram;
            self.sums[gone.start..].iter_mut().zip(&gone.counts).for_each(|(sum, c)| *sum = (*sum - c).max(0.0));
            self.entries.pop_front();
        }
        if self.entries.len() > ENTRIES_MAX {
            self.merge();
        }
    }

    fn merge(&mut self) {
        let mut merged = VecDeque::with_capacity(ENTRIES_MAX);
        for mut entry in std::mem::take(&mut self.entries) {
            match merged.back_mut() {
                Some(Entry { histogram, total, ticks }) if *ticks <= entry.ticks => {
                    histogram.merge(&entry.histogram);
                    *total += entry.total;
                    *ticks = ticks.saturating_add(entry.ticks);
                }
                _ => {
                    entry.histogram.counts.shrink_to_fit();
                    merged.push_back(entry);
                }
            }
        }
        self.entries = merged;
    }

    fn rare(&self) -> f64 {
        self.quantile.min(1.0 - self.quantile)
    }

    /// Where the quantile lies, in buckets; `None` while too few requests are above it.
    pub(crate) fn place(&self) -> Option<f64> {
        if self.total * self.rare() < EVENTS_MIN {
            return None;
        }
        let q = self.quantile;
        let mut below = 0.0;
        let bucket = self.sums.iter().position(|c| {
            below += c;
            below >= q * self.total
        })?;
        Some(bucket as f64 + 1.0 - (below - q * self.total) / self.sums[bucket].max(f64::MIN_POSITIVE))
    }

    /// Share of the requests above `edge`.
    pub(crate) fn share_above(&self, edge: f64) -> f64 {
        let part = |i: usize| ((i + 1) as f64 - edge).clamp(0.0, 1.0);
        let above: f64 = self.sums.iter().enumerate().map(|(i, c)| c * part(i)).sum();
        above / self.total.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_grow_both_ways() {
        let mut h = Histogram::default();
        h.add(10, &[1, 2]);
        h.add(8, &[4]);
        h.add(11, &[1, 0, 5]);
        assert_eq!((h.start, h.counts.as_slice()), (8, [4.0, 0.0, 1.0, 3.0, 0.0, 5.0].as_slice()));
        assert_eq!(h.total(), 13.0);
        assert_eq!(h.above(11.5), 6.5);
    }

    #[test]
    fn place_follows_the_load_at_once() {
        let mut recent = Recent::new(0.99);
        let mut tick = |start: usize| {
            recent.add(start, &[99, 1]);
            recent.end_tick();
            recent.place()
        };
        let places: Vec<_> = (0..100).map(|_| tick(100)).collect();
        assert_eq!((places[2], places[3]), (None, Some(101.0)));
        assert_eq!(places[99], Some(101.0));
        let calm: Vec<_> = (0..5).map(|_| tick(50)).collect();
        assert_eq!(calm[3], Some(51.0));
    }

    #[test]
    fn little_traffic_has_no_place_and_little_memory() {
        let mut recent = Recent::new(0.99);
        for _ in 0..390 {
            recent.add(100, &[1]);
            recent.end_tick();
        }
        assert_eq!(recent.place(), None);
        for _ in 0..5_000 {
            recent.add(100, &[1]);
            recent.end_tick();
        }
        assert!(recent.place().is_some());
        assert!(recent.entries.len() <= ENTRIES_MAX);
        assert!((400.0..600.0).contains(&recent.total), "{}", recent.total);
    }
}
