//! Time of one tick with 200 nodes and 20 metrics: of several runs over the same samples the least for each tick, as
//! everything above it is the machine's other work.

use std::io::Write as _;
use std::time::Instant;

use serin_judge::{Config, Judge, Kind, Metric, Sample, Tick, default_metrics};

const NODES: usize = 200;
const HISTORY: i64 = 120;
const TICKS: i64 = 1_000;
const RUNS: usize = 5;

fn metrics() -> Vec<Metric> {
    let mut all = default_metrics();
    for copy in 1..4 {
        let more = default_metrics().into_iter().skip(1).map(|m| Metric { name: format!("{}_{copy}", m.name), ..m });
        all.extend(more);
    }
    all.truncate(21);
    all
}

fn sample(kind: &Kind, seed: u64) -> Sample {
    let v = 100.0 + (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as f64;
    match kind {
        Kind::Count { .. } => Sample::Count(v),
        Kind::Proportion => Sample::Proportion { bad: (v / 50.0).floor(), total: v },
        Kind::Histogram { .. } => Sample::Histogram { first: 20, counts: vec![seed % 3; 60] },
        Kind::Gauge { .. } => Sample::Gauge(v),
        Kind::Counter { .. } => Sample::Counter(v * seed as f64),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names = |p: &str, n: usize| (0..n).map(|i| format!("{p}{i}")).collect::<Vec<_>>();
    let config = Config {
        alpha: 1e-300,
        beta: 1e-300,
        tick_ms: 1000,
        horizon_ticks: 100_000,
        warmup_ticks: 10,
        canary: names("c", 2),
        baseline: names("b", NODES - 2),
        metrics: metrics(),
    };
    let mut spent = vec![f64::INFINITY; (HISTORY + TICKS) as usize];
    for _ in 0..RUNS {
        let mut judge = Judge::new(config.clone())?;
        for (tick, least) in (-HISTORY..TICKS).zip(&mut spent) {
            let tick = Tick { tick, nodes: nodes(&config, tick) };
            let start = Instant::now();
            judge.observe(&tick);
            *least = least.min(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    let (history, canary) = spent.split_at_mut(HISTORY as usize);
    let first = canary[0];
    canary.sort_by(f64::total_cmp);
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let at = |share: f64| canary[((canary.len() - 1) as f64 * share) as usize];
    writeln!(
        std::io::stdout(),
        "{NODES} nodes, {} metrics: a tick takes {:.0} us (median {:.0}, 99 % {:.0}, most {:.0}); the first {first:.0}; \
         of history {:.0}",
        config.metrics.len() - 1,
        mean(canary),
        at(0.5),
        at(0.99),
        at(1.0),
        mean(history),
    )?;
    Ok(())
}

fn nodes(config: &Config, tick: i64) -> Vec<(String, Vec<(String, Sample)>)> {
    let names = config.canary.iter().chain(&config.baseline).enumerate();
    let node = |(n, name): (usize, &String)| {
        let seed = (tick + 1_000) as u64 * 1_000 + n as u64;
        (name.clone(), config.metrics.iter().map(|m| (m.name.clone(), sample(&m.kind, seed))).collect())
    };
    names.map(node).collect()
}
