//! Flaky tests, found from history.
//!
//! A test is flaky only where the same commit gave both outcomes: in two runs, or in two attempts of one. A test that
//! fails on every run of a commit is broken, however often it was mended before; it is never called flaky.

use std::collections::BTreeMap;

/// One run of a test, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What was tested and how: the commit's tree, the job, the report. A test that fails in one of two jobs alone, such as
    /// those of two systems, is not flaky for that.
    pub subject: String,
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
    let mut by_subject: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    for run in runs {
        let (passed, failed, mended) = by_subject.entry(&run.subject).or_default();
        match (run.failed, run.flaky) {
            (true, _) => *failed += 1,
            (false, true) => *mended += 1,
            (false, false) => *passed += 1,
        }
    }
    let flakes = by_subject
        .values()
        .map(|(passed, failed, mended)| mended + if *passed + *mended > 0 { *failed } else { 0 })
        .sum();
    Flakiness { runs: u32::try_from(runs.len()).unwrap_or(u32::MAX), flakes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tree: usize, failed: bool, flaky: bool) -> Run {
        Run { subject: tree.to_string(), failed, flaky }
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

    /// What 20 pipelines of one tree each tell of a test, where a failed run is tried again up to `retries` times, as
    /// `retry:` of a job does and people do.
    fn world(state: &mut u64, (percent, retries): (u64, u32), pipelines: usize) -> Vec<Run> {
        let mut runs = Vec::new();
        for tree in 0..pipelines {
            for _ in 0..=retries {
                let failed = chance(state, percent);
                runs.push(run(tree, failed, false));
                if !failed {
                    break;
                }
            }
        }
        runs
    }

    /// A test that fails in 10 % of its runs shows itself in 1 - 0.9^20 = 87.8 % of histories of 20 pipelines; in the
    /// others it never failed, and no rule can tell. Of those in which it failed, 999 of 1,000 are found where a failed
    /// run is tried twice more, and 96 % where it is tried once more.
    #[test]
    fn a_flaky_test_is_found_as_soon_as_it_shows() {
        const WORLDS: usize = 20_000;
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for (retries, of_shown, of_all) in [(1, 0.955, 0.83), (2, 0.997, 0.865)] {
            let (mut found, mut shown) = (0_usize, 0_usize);
            for _ in 0..WORLDS {
                let runs = world(&mut state, (10, retries), 20);
                shown += usize::from(runs.iter().any(|run| run.failed));
                found += usize::from(flakiness(&runs).rate().is_some());
            }
            let share = |of: usize| found as f64 / of as f64;
            assert!(share(shown) > of_shown, "{retries}: {found} of {shown}");
            assert!(share(WORLDS) > of_all, "{retries}: {found} of {WORLDS}");
        }
        // Two more weeks of the same: hardly any is left.
        let late = (0..WORLDS).filter(|_| flakiness(&world(&mut state, (10, 2), 60)).rate().is_some()).count();
        assert!(late * 1000 > 995 * WORLDS, "{late}");
    }

    /// Tests that are broken by some commits and mended by others, run and run again: never called flaky, in any world.
    #[test]
    fn a_broken_test_is_never_called_flaky() {
        let mut state = 0x2545_f491_4f6c_dd1d;
        for world in 0..20_000 {
            let mut runs = Vec::new();
            let mut is_broken = world % 3 == 0;
            for tree in 0..20 {
                if chance(&mut state, 30) {
                    is_broken = !is_broken;
                }
                for _ in 0..1 + usize::from(chance(&mut state, 50)) + usize::from(is_broken) {
                    runs.push(run(tree, is_broken, false));
                }
            }
            assert_eq!(flakiness(&runs).rate(), None, "{runs:?}");
        }
    }
}
