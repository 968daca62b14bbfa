//! The exact weighted split: which node gets the next request.
//!
//! Each node is a task of rate `weight / total`, and one request is one time slot. A node may be picked once its share
//! of the slots so far, this one included, exceeds what it got; of these the one whose next request is due first is
//! picked (the Pfair scheduling of Baruah, Cohen, Plaxton and Varvel, Algorithmica 15, 1996, on one processor). So after
//! any number of requests each node's count is within one of its exact share, and 1 % is one in each hundred.

/// One node's part of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    weight: i64,
    /// `slots · weight − count · total`: what the node is owed, in units of `1 / total` requests.
    owed: i64,
}

/// The split over the nodes of one environment, in their order.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    shares: Vec<Share>,
    total: i64,
}

impl Share {
    /// Makes the share of a node that was not part of the split.
    pub(crate) fn fresh() -> Self {
        Self { weight: 0, owed: 0 }
    }

    fn is_due(self) -> bool {
        self.weight > 0 && self.owed + self.weight > 0
    }

    /// Slots from now until its next request is due.
    fn deadline(self, total: i64) -> i64 {
        let missing = total - self.owed;
        missing.div_euclid(self.weight) + i64::from(missing.rem_euclid(self.weight) > 0)
    }
}

impl Balance {
    /// Makes a split from new weights; what each node was owed under the old total is carried over in proportion.
    pub(crate) fn new(weighted: impl IntoIterator<Item = (Share, u32)>, old_total: i64) -> Self {
        let mut shares: Vec<Share> =
            weighted.into_iter().map(|(share, weight)| Share { weight: i64::from(weight), owed: share.owed }).collect();
        let total = shares.iter().map(|share| share.weight).sum();
        for share in &mut shares {
            share.owed = carried_over(*share, old_total, total);
        }
        settle(&mut shares);
        Self { shares, total }
    }

    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    pub(crate) fn share(&self, index: usize) -> Option<Share> {
        self.shares.get(index).copied()
    }

    /// Picks the node of the next request; the slot counts against all.
    pub(crate) fn pick(&mut self) -> Option<usize> {
        let picked = self.next(|_| true)?;
        for share in &mut self.shares {
            share.owed += share.weight;
        }
        self.shares[picked].owed -= self.total;
        Some(picked)
    }

    /// The node that comes next among those that `may` take a request; nothing is counted, as for a request that was
    /// counted before.
    pub(crate) fn next(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let key = |index: &usize| {
            let share = self.shares[*index];
            (!share.is_due(), share.deadline(self.total), -share.owed)
        };
        let all = 0..self.shares.len();
        all.filter(|index| self.shares[*index].weight > 0 && may(*index)).min_by_key(key)
    }
}

fn carried_over(share: Share, old_total: i64, total: i64) -> i64 {
    if share.weight == 0 || old_total == 0 {
        return 0;
    }
    let scaled = i128::from(share.owed) * i128::from(total) / i128::from(old_total);
    i64::try_from(scaled).unwrap_or(0).clamp(-total, total)
}

/// Makes the debts add up to zero again, which the bound on the counts rests on.
fn settle(shares: &mut [Share]) {
    let mut excess: i64 = shares.iter().map(|share| share.owed).sum();
    let mut left = i64::try_from(shares.iter().filter(|share| share.weight > 0).count()).unwrap_or(0);
    for share in shares.iter_mut().filter(|share| share.weight > 0) {
        let part = excess / left;
        share.owed -= part;
        excess -= part;
        left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(weights: &[u32]) -> Balance {
        Balance::new(weights.iter().map(|weight| (Share::fresh(), *weight)), 0)
    }

    /// Picks `slots` times and demands that no prefix strays a whole request from the exact share.
    fn check_prefixes(weights: &[u32], slots: i64) -> Vec<i64> {
        let mut balance = balance(weights);
        let total: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
        let mut counts = vec![0_i64; weights.len()];
        for slot in 1..=slots {
            counts[balance.pick().unwrap()] += 1;
            for (count, weight) in counts.iter().zip(weights) {
                let distance = (count * total - slot * i64::from(*weight)).abs();
                assert!(distance < total, "{weights:?} after {slot}: {counts:?}");
            }
        }
        counts
    }

    #[test]
    fn counts_stay_within_one_of_the_exact_share() {
        check_prefixes(&[1, 1, 1], 30);
        check_prefixes(&[5, 1, 1], 70);
        check_prefixes(&[700_000, 100_000, 100_000, 50_000, 50_000], 1_000);
        check_prefixes(&[1, 999_999], 3_000);
        check_prefixes(&[333_333, 333_333, 333_334], 5_000);
        check_prefixes(&[17, 3, 0, 911, 64, 2, 2, 2], 5_000);
    }

    #[test]
    fn one_percent_is_one_in_each_hundred() {
        let mut balance = balance(&[10_000, 495_000, 495_000]);
        for _ in 0..50 {
            let canary = (0..100).filter(|_| balance.pick() == Some(0)).count();
            assert_eq!(canary, 1);
        }
    }

    #[test]
    fn two_canaries_of_half_a_percent_take_turns() {
        let counts = check_prefixes(&[5_000, 5_000, 247_500, 247_500, 247_500, 247_500], 400);
        assert_eq!(counts, [2, 2, 99, 99, 99, 99]);
    }

    #[test]
    fn no_weight_gets_nothing() {
        assert_eq!(check_prefixes(&[0, 1], 10), [0, 10]);
        assert_eq!(balance(&[0, 0]).pick(), None);
        assert_eq!(balance(&[]).pick(), None);
    }

    #[test]
    fn what_is_asked_again_is_not_counted() {
        let mut balance = balance(&[1, 1]);
        assert_eq!(balance.pick(), Some(0));
        for _ in 0..5 {
            assert_eq!(balance.next(|index| index != 1), Some(0));
        }
        assert_eq!(balance.next(|_| false), None);
        assert_eq!(balance.pick(), Some(1));
    }

    #[test]
    fn small_shares_survive_frequent_new_tables() {
        let weights = [10_000_u32, 990_000];
        let mut balance = balance(&weights);
        let mut canary = 0;
        for slot in 0..1_000 {
            if slot % 7 == 0 {
                let carried: Vec<(Share, u32)> =
                    weights.iter().enumerate().map(|(i, w)| (balance.share(i).unwrap(), *w)).collect();
                balance = Balance::new(carried, balance.total());
            }
            canary += usize::from(balance.pick() == Some(0));
        }
        assert_eq!(canary, 10);
    }

    #[test]
    fn a_new_table_keeps_the_debts_settled() {
        let mut old = balance(&[300_000, 700_000, 1]);
        for _ in 0..13 {
            old.pick();
        }
        let new = Balance::new([(old.share(0).unwrap(), 5), (old.share(1).unwrap(), 9)], old.total());
        assert_eq!(new.shares.iter().map(|share| share.owed).sum::<i64>(), 0);
    }
}
