//! What counts as a slow request: one above the old nodes' own quantile of the ticks before.
//!
//! The place of the quantile is predictable: it is known before the tick whose requests it divides, and the canary has no
//! part in it. Given how many requests of a tick are slow, the canary's share of them is therefore as binomial as with a
//! place fixed once (judge.md (iii)), while a machine that becomes busy or calm, or a daily load, moves the place along.

use std::collections::VecDeque;

use crate::histogram::{Histogram, above};
use crate::intake::BUCKETS;

/// Requests above a quantile that fix its place well enough.
const EVENTS_MIN: f64 = 4.0;
/// Ticks that are remembered at least.
const TICKS_MIN: u32 = 4;
/// Most entries that are remembered; beyond that, neighbours are merged.
const ENTRIES_MAX: usize = 64;

/// The old nodes' latest requests: as many as fix the quantile, and no more.
///
/// A hard window, as an exponential one would keep a busy past in its upper tail for many times its length.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    quantile: f64,
    sums: Vec<f64>,
    total: f64,
    entries: VecDeque<Entry>,
}

/// Requests of some ticks.
#[derive(Clone, Debug)]
struct Entry {
    histogram: Histogram,
    ticks: u32,
}

impl Recent {
    pub(crate) fn new(quantile: f64) -> Self {
        Self { quantile, sums: vec![0.0; BUCKETS], total: 0.0, entries: VecDeque::new() }
    }

    /// Takes the old nodes' counts of a tick; forgets what the quantile does not need.
    pub(crate) fn push(&mut self, tick: &Histogram) {
        self.sums[tick.start..].iter_mut().zip(&tick.counts).for_each(|(sum, c)| *sum += c);
        self.total += tick.total;
        self.entries.push_back(Entry { histogram: tick.clone(), ticks: 1 });
        let mut ticks: u32 = self.entries.iter().map(|e| e.ticks).sum();
        while let Some(oldest) = self.entries.front() {
            let left = self.total - oldest.histogram.total;
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
        for entry in std::mem::take(&mut self.entries) {
            match merged.back_mut() {
                Some(Entry { histogram, ticks }) if *ticks <= entry.ticks => {
                    histogram.merge(&entry.histogram);
                    *ticks = ticks.saturating_add(entry.ticks);
                }
                _ => merged.push_back(entry),
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
        above(0, &self.sums, edge, |c| *c) / self.total.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(start: usize, counts: &[u64]) -> Histogram {
        let mut h = Histogram::default();
        h.add(start, counts);
        h
    }

    #[test]
    fn place_follows_the_load_at_once() {
        let mut recent = Recent::new(0.99);
        let mut place = |start: usize| {
            recent.push(&tick(start, &[99, 1]));
            recent.place()
        };
        let places: Vec<_> = (0..100).map(|_| place(100)).collect();
        assert_eq!((places[2], places[3]), (None, Some(101.0)));
        assert_eq!(places[99], Some(101.0));
        let calm: Vec<_> = (0..5).map(|_| place(50)).collect();
        assert_eq!(calm[3], Some(51.0));
    }

    #[test]
    fn little_traffic_has_no_place_and_little_memory() {
        let mut recent = Recent::new(0.99);
        for _ in 0..390 {
            recent.push(&tick(100, &[1]));
        }
        assert_eq!(recent.place(), None);
        for _ in 0..5_000 {
            recent.push(&tick(100, &[1]));
        }
        assert!(recent.place().is_some());
        assert!(recent.entries.len() <= ENTRIES_MAX);
        assert!((400.0..600.0).contains(&recent.total), "{}", recent.total);
    }
}
