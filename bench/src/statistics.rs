//! Quantiles of a few samples.

use std::time::Duration;

/// Returns the smallest sample that is not below `part` of all (nearest rank); `part` is above 0 and at most 1.
pub fn quantile(samples: &[Duration], part: f64) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (samples.len() as f64 * part).ceil() as usize;
    sorted.get(rank.clamp(1, samples.len().max(1)) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let samples: Vec<_> = (1..=50).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&samples, 0.5), Duration::from_millis(25));
        assert_eq!(quantile(&samples, 0.95), Duration::from_millis(48));
        assert_eq!(quantile(&samples, 1.0), Duration::from_millis(50));
        assert_eq!(quantile(&samples[..1], 0.5), Duration::from_millis(50));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
