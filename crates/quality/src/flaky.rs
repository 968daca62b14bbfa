//! Flaky tests, found from history.
//!
//! A test is flaky only where the same commit gave both outcomes: in two runs, or in two attempts of one. A test that
//! fails on every run of a commit is broken, however often it was mended before; it is never called flaky.

use std::collections::BTreeMap;

/// One run of a test, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The commit's tree that was tested.
    pub tree: String,
    /// Whether it failed at last.
    pub failed: bool,
    /// Whether it passed after attempts that failed.
    pub flaky: bool,
}

/// What history says of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flakiness {
    /// Runs that were looked at.
    pub runs: u32,
    /// Runs that failed, or passed only after a failed attempt, on a commit on which the test also passed.
    pub flakes: u32,
}

impl Flakiness {
    /// The share of runs in which it failed without reason, from 0 to 1; `None`: it is not known to be flaky.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.flakes > 0 && self.runs > 0).then(|| f64::from(self.flakes) / f64::from(self.runs))
    }
}

/// Judges one test by its runs, in any order.
#[must_use]
pub fn flakiness(runs: &[Run]) -> Flakiness {
    let mut by_tree: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    for run in runs {
        let (passed, failed, mended) = by_tree.entry(&run.tree).or_default();
        match (run.failed, run.flaky) {
            (true, _) => *failed += 1,
            (false, true) => *mended += 1,
            (false, false) => *passed += 1,
        }
    }
    let flakes =
        by_tree.values().map(|(passed, failed, mended)| mended + if *passed + *mended > 0 { *failed } else { 0 }).sum();
    Flakiness { runs: u32::try_from(runs.len()).unwrap_or(u32::MAX), flakes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tree: usize, failed: bool, flaky: bool) -> Run {
        Run { tree: tree.to_string(), failed, flaky }
    }

    /// A small generator (xorshift), so that the simulation is the same every time.
    fn chance(state: &mut u64, percent: u64) -> bool {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % 100 < percent
    }

    #[test]
    fn only_both_outcomes_on_one_commit_are_flaky() {
        assert_eq!(flakiness(&[run(1, true, false), run(1, false, false)]).rate(), Some(0.5));
        assert_eq!(flakiness(&[run(1, false, true)]).rate(), Some(1.0));
        assert_eq!(flakiness(&[run(1, true, false), run(1, true, false), run(2, false, false)]).rate(), None);
        assert_eq!(flakiness(&[]).rate(), None);
    }

    /// 20 pipelines, each failed run tried once more: a test that fails in 10 % of runs is found in 86 % of all worlds
    /// (1 - 0.91^20 = 0.848), as often as it shows itself at all; one that always fails or is mended never is.
    #[test]
    fn a_flaky_test_is_found_as_soon_as_it_shows() {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        let (mut found, mut shown) = (0, 0);
        const WORLDS: usize = 2_000;
        for _ in 0..WORLDS {
            let mut runs = Vec::new();
            let mut did_show = false;
            for tree in 0..20 {
                let failed = chance(&mut state, 10);
                runs.push(run(tree, failed, false));
                if failed {
                    let again = chance(&mut state, 10);
                    did_show |= !again;
                    runs.push(run(tree, again, false));
                }
            }
            shown += usize::from(did_show);
            found += usize::from(flakiness(&runs).rate().is_some());
        }
        assert_eq!(found, shown);
        assert!(found * 100 > 82 * WORLDS, "found in {found} of {WORLDS}");
        for broken_from in 0..20 {
            let runs: Vec<Run> = (0..20)
                .flat_map(|tree| [run(tree, tree >= broken_from, false), run(tree, tree >= broken_from, false)])
                .collect();
            assert_eq!(flakiness(&runs).rate(), None);
        }
    }
}
