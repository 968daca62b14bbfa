//! Tests: newly failing, newly passing, slower, removed.

use std::collections::BTreeMap;

use crate::test_case::{Outcome, TestCase, TestId};

/// A test is called slower from this many times the time it took.
const SLOWER_TIMES: f64 = 2.0;
/// And from this many milliseconds more.
const SLOWER_MS_MIN: u32 = 500;

/// What a change does to tests; the numbers are indices into the lists that were compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestChange {
    /// Tests that fail and did not: they passed, were left out, or were not there.
    pub newly_failing: Vec<usize>,
    /// Tests that fail, as they did before.
    pub still_failing: Vec<usize>,
    /// Tests that pass and failed before.
    pub newly_passing: Vec<usize>,
    /// Tests that take much longer: after, before.
    pub slower: Vec<(usize, usize)>,
    /// Tests that are not there any more, by their number before.
    pub removed: Vec<usize>,
    /// Tests that were not there before.
    pub added: Vec<usize>,
}

/// Tests by what they are known by; equal names are numbered in order.
fn by_id(tests: &[TestCase]) -> BTreeMap<(TestId<'_>, u32), usize> {
    let mut seen: BTreeMap<TestId<'_>, u32> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (index, test) in tests.iter().enumerate() {
        let count = seen.entry(test.id()).or_default();
        all.insert((test.id(), *count), index);
        *count += 1;
    }
    all
}

/// Compares the tests of a change with those of its merge base.
#[must_use]
pub fn tests(base: &[TestCase], head: &[TestCase]) -> TestChange {
    let (before, after) = (by_id(base), by_id(head));
    let mut change = TestChange::default();
    for (id, &now) in &after {
        let then = before.get(id).copied();
        let outcome = then.map(|then| base[then].outcome);
        match (head[now].outcome, outcome) {
            (Outcome::Failed, Some(Outcome::Failed)) => change.still_failing.push(now),
            (Outcome::Failed, _) => change.newly_failing.push(now),
            (Outcome::Passed, Some(Outcome::Failed)) => change.newly_passing.push(now),
            _ => {}
        }
        match then {
            None => change.added.push(now),
            Some(then) if is_slower(&base[then], &head[now]) => change.slower.push((now, then)),
            Some(_) => {}
        }
    }
    change.removed = before.iter().filter(|(id, _)| !after.contains_key(id)).map(|(_, then)| *then).collect();
    for list in [&mut change.newly_failing, &mut change.still_failing, &mut change.newly_passing] {
        list.sort_unstable();
    }
    change
}

fn is_slower(then: &TestCase, now: &TestCase) -> bool {
    let both_passed = then.outcome == Outcome::Passed && now.outcome == Outcome::Passed;
    let more = now.duration_ms.saturating_sub(then.duration_ms);
    both_passed && more >= SLOWER_MS_MIN && f64::from(now.duration_ms) >= SLOWER_TIMES * f64::from(then.duration_ms)
}

#[cfg(test)]
mod cases {
    use super::*;

    fn test(name: &str, outcome: Outcome, duration_ms: u32) -> TestCase {
        TestCase { class: "c".into(), name: name.into(), outcome, flaky: false, duration_ms, detail: None }
    }

    #[test]
    fn each_kind_of_change_is_told() {
        use Outcome::{Failed, Passed, Skipped};
        let base = [
            test("kept", Passed, 10),
            test("broken", Passed, 10),
            test("mended", Failed, 10),
            test("sick", Failed, 10),
            test("slow", Passed, 300),
            test("gone", Passed, 10),
            test("woken", Skipped, 0),
            test("twin", Passed, 1),
            test("twin", Passed, 1),
        ];
        let head = [
            test("kept", Passed, 400),
            test("broken", Failed, 10),
            test("mended", Passed, 10),
            test("sick", Failed, 10),
            test("slow", Passed, 900),
            test("fresh", Failed, 10),
            test("woken", Failed, 0),
            test("twin", Passed, 1),
            test("twin", Failed, 1),
        ];
        let change = tests(&base, &head);
        assert_eq!(change.newly_failing, [1, 5, 6, 8]);
        assert_eq!(change.still_failing, [3]);
        assert_eq!(change.newly_passing, [2]);
        assert_eq!(change.slower, [(4, 4)]);
        assert_eq!(change.removed, [5]);
        assert_eq!(change.added, [5]);
    }
}
