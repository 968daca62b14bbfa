//! Counts of consecutive buckets.

/// Sums of a histogram's buckets from its first used one on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    /// Bucket of the first sum.
    pub start: usize,
    /// Sums.
    pub counts: Vec<f64>,
    /// Their sum.
    pub total: f64,
}

impl Histogram {
    /// Adds counts from bucket `start` on.
    pub(crate) fn add(&mut self, start: usize, counts: &[u64]) {
        let mut total = 0.0;
        for (sum, c) in self.room(start, counts.len()).iter_mut().zip(counts) {
            *sum += *c as f64;
            total += *c as f64;
        }
        self.total += total;
    }

    /// Adds another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        let sums = self.room(other.start, other.counts.len());
        sums.iter_mut().zip(&other.counts).for_each(|(sum, c)| *sum += c);
        self.total += other.total;
    }

    /// Empties it, keeping its memory.
    pub(crate) fn clear(&mut self) {
        self.counts.clear();
        self.total = 0.0;
    }

    /// Requests above `edge`, in buckets; the bucket that holds it counts in part.
    pub(crate) fn above(&self, edge: f64) -> f64 {
        above(self.start, &self.counts, edge, |c| *c)
    }

    /// Where a quantile lies, in buckets; `None` of nothing.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        place(self.start, &self.counts, quantile * self.total)
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
}

/// Sum of what lies above `edge`, in buckets, where `counts` begin at bucket `start`.
pub(crate) fn above<T>(start: usize, counts: &[T], edge: f64, value: impl Fn(&T) -> f64) -> f64 {
    let inside = edge - start as f64;
    if inside <= 0.0 {
        return counts.iter().map(value).sum();
    }
    let split = inside.floor() as usize;
    let Some((part, rest)) = counts.get(split..).and_then(<[T]>::split_first) else { return 0.0 };
    value(part) * (1.0 - inside.fract()) + rest.iter().map(value).sum::<f64>()
}

/// Where, in buckets, the sum from below reaches `wanted`, where `counts` begin at bucket `start`.
pub(crate) fn place(start: usize, counts: &[f64], wanted: f64) -> Option<f64> {
    let mut below = 0.0;
    let bucket = counts.iter().position(|c| {
        below += c;
        below >= wanted && *c > 0.0
    })?;
    Some((start + bucket) as f64 + 1.0 - (below - wanted) / counts[bucket])
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
        assert_eq!(h.total, 13.0);
        assert_eq!(h.above(11.5), 6.5);
        assert_eq!((h.above(0.0), h.above(8.25), h.above(14.0)), (13.0, 12.0, 0.0));
        let mut other = Histogram::default();
        other.merge(&h);
        assert_eq!(other, h);
    }
}
