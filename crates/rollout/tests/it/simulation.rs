//! A thousand seeded worlds with crashes, slow and failing nodes, a deaf gateway and restless people.

use serin_testkit::random::seeds;
use serin_testkit::rollout_world::{Summary, run};

const SEEDS: u64 = 1_000;

const THREADS: usize = 2;

#[test]
#[expect(clippy::disallowed_methods, reason = "the seed to replay comes from outside")]
fn a_thousand_worlds_keep_their_promises() {
    let given = std::env::var("SIM_SEED").ok();
    let seeds = seeds(given.as_deref(), SEEDS);
    let parts: Vec<_> = seeds.chunks(seeds.len().div_ceil(THREADS)).map(<[u64]>::to_vec).collect();
    let results: Vec<Result<Summary, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || part.into_iter().map(run).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let broken: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let all: Vec<&str> = broken.iter().take(20).filter_map(|report| report.lines().next()).collect();
    let first = broken.first().map(|report| report.as_str()).unwrap_or_default();
    assert!(broken.is_empty(), "{} worlds broke a promise:\n{}\n\n{first}", broken.len(), all.join("\n"));
    if given.is_none() {
        let total = results.iter().flatten().fold(Summary::default(), add);
        println!("{total:?}");
        assert!(
            total.succeeded > 200 && total.passed > 200 && total.went_back > 200 && total.crashes > 1_000,
            "too tame: {total:?}"
        );
        assert!(total.waiting > 20, "nobody was ever waited for: {total:?}");
    }
}

fn add(left: Summary, right: &Summary) -> Summary {
    Summary {
        rollouts: left.rollouts + right.rollouts,
        succeeded: left.succeeded + right.succeeded,
        passed: left.passed + right.passed,
        went_back: left.went_back + right.went_back,
        waiting: left.waiting + right.waiting,
        crashes: left.crashes + right.crashes,
        steps: left.steps + right.steps,
    }
}
