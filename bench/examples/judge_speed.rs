//! Time of one tick with 200 nodes and 20 metrics.

use std::io::Write as _;
use std::time::Instant;

use serin_judge::{Config, Judge, Kind, Metric, Sample, Tick, default_metrics};

const NODES: usize = 200;
const TICKS: i64 = 400;

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
    let mut judge = Judge::new(config.clone())?;
    let mut spent = 0.0;
    for tick in -60..TICKS {
        let nodes = config.canary.iter().chain(&config.baseline).enumerate().map(|(n, name)| {
            let seed = (tick + 100) as u64 * 1_000 + n as u64;
            (name.clone(), config.metrics.iter().map(|m| (m.name.clone(), sample(&m.kind, seed))).collect())
        });
        let tick = Tick { tick, nodes: nodes.collect() };
        let start = Instant::now();
        judge.observe(&tick);
        spent += if tick.tick >= 0 { start.elapsed().as_secs_f64() } else { 0.0 };
    }
    let mean_us = spent * 1e6 / TICKS as f64;
    writeln!(std::io::stdout(), "{mean_us:.0} us a tick, {NODES} nodes, {} metrics", config.metrics.len() - 1)?;
    Ok(())
}
