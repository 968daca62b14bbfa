//! On the boundary of the null, looked at after every tick, the chance of ever failing stays under `alpha`.

use serin_judge::{
    Config, ConfigError, Direction, Judge, Kind, Margin, Metric, Role, Sample, SlopeMargin, Tick, Verdict,
};

use crate::world::Random;

const ALPHA: f64 = 0.05;

#[derive(Clone, Copy, Debug)]
struct Nature {
    /// Requests of a node in a tick.
    traffic: f64,
    /// Mean events of a cluster.
    cluster: f64,
    /// Deviation of the log rate between nodes.
    spread: f64,
}

fn metric(name: &str, kind: Kind) -> Metric {
    Metric {
        name: name.to_owned(),
        kind,
        direction: Direction::Up,
        ok: Margin::relative(0.2),
        bad: Margin::relative(0.6),
        role: Role::Judged,
    }
}

fn config(judged: Metric, ticks: u32) -> Config {
    let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let mut requests = metric("requests", Kind::Count { exposure: None });
    requests.role = Role::Exposure;
    Config {
        alpha: ALPHA,
        beta: 1e-9,
        tick_ms: 1000,
        horizon_ticks: ticks,
        warmup_ticks: 0,
        canary: names("c", 2),
        baseline: names("b", 6),
        metrics: vec![requests, judged],
    }
}

/// How a harmless start-up moves the canary, as a part of its settled level.
type StartUp = fn(f64) -> f64;

const START_UP_TICKS: u32 = 60;

/// Whether the judge ever fails a canary whose effect is exactly `ok`.
fn crosses(seed: u64, judged: &Metric, nature: Nature, ticks: u32) -> Result<bool, ConfigError> {
    crosses_starting(seed, (config(judged.clone(), ticks), judged), nature, |_| 0.0)
}

fn crosses_starting(
    seed: u64,
    (config, judged): (Config, &Metric),
    nature: Nature,
    start: StartUp,
) -> Result<bool, ConfigError> {
    let ticks = config.horizon_ticks;
    let mut judge = Judge::new(config.clone())?;
    let mut random = Random::new(seed);
    let own: Vec<f64> = (0..8).map(|_| (nature.spread * random.normal()).exp()).collect();
    let mut noise = [0.0; 8];
    let mut totals = [0.0; 8];
    for tick in -100..i64::from(ticks) {
        let nodes = config.canary.iter().chain(&config.baseline).enumerate().map(|(n, name)| {
            let effect = if n < 2 && tick >= 0 { 1.2 * (1.0 + start(tick as f64)) } else { 1.0 };
            let requests = random.poisson(nature.traffic);
            noise[n] = 0.8 * noise[n] + 0.6 * random.normal();
            let value = match judged.kind {
                Kind::Gauge { .. } => Sample::Gauge(50.0 * own[n] * effect * (1.0 + 0.05 * noise[n])),
                Kind::Counter { .. } => {
                    totals[n] += 50.0 * own[n] * effect * (1.0 + 0.05 * noise[n]);
                    Sample::Counter(totals[n])
                }
                Kind::Proportion => {
                    let bad = random.poisson(0.02 * own[n] * effect * requests).min(requests);
                    Sample::Proportion { bad, total: requests }
                }
                Kind::Histogram { .. } => {
                    let mut counts = vec![0_u64; 160];
                    for _ in 0..requests as u64 {
                        let log = 3.0 + own[n].ln() + effect.ln() + 0.4 * random.normal();
                        counts[(16.0 * log / std::f64::consts::LN_2).clamp(0.0, 159.0) as usize] += 1;
                    }
                    Sample::Histogram { first: 0, counts }
                }
                _ => {
                    let clusters = random.poisson(0.02 * own[n] * effect * requests / nature.cluster);
                    let more = random.poisson(clusters * (nature.cluster - 1.0));
                    Sample::Count(clusters + more)
                }
            };
            let samples = vec![("requests".to_owned(), Sample::Count(requests)), (judged.name.clone(), value)];
            (name.clone(), samples)
        });
        let nodes = nodes.collect();
        if judge.observe(&Tick { tick, nodes }).verdict == Verdict::Fail {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks that at most `alpha` of the runs cross, with three deviations of the count allowed.
fn check(judged: Metric, natures: &[Nature], runs: u64, ticks: u32) {
    for (i, nature) in natures.iter().enumerate() {
        let seeds = (0..runs).map(|r| 1_000_000 * (i as u64 + 1) + 977 * r);
        let crossed = seeds.filter(|seed| crosses(*seed, &judged, *nature, ticks).unwrap_or(true)).count() as f64;
        let limit = runs as f64 * ALPHA;
        assert!(crossed <= limit + 3.0 * limit.sqrt(), "{crossed} of {runs} crossed under {nature:?}");
    }
}

const GRID: [Nature; 4] = [
    Nature { traffic: 5.0, cluster: 1.0, spread: 0.0 },
    Nature { traffic: 60.0, cluster: 1.0, spread: 0.15 },
    Nature { traffic: 60.0, cluster: 3.0, spread: 0.1 },
    Nature { traffic: 400.0, cluster: 2.0, spread: 0.2 },
];

#[test]
fn counts() {
    check(metric("log_error", Kind::Count { exposure: Some("requests".to_owned()) }), &GRID, 40, 150);
}

#[test]
fn proportions() {
    check(metric("http_errors", Kind::Proportion), &GRID[..2], 40, 150);
}

#[test]
fn latencies() {
    let natures = [Nature { traffic: 20.0, cluster: 1.0, spread: 0.02 }];
    check(metric("latency_ms", Kind::Histogram { scale: 4, quantiles: vec![0.5, 0.95] }), &natures, 40, 120);
}

#[test]
fn gauges() {
    check(metric("cpu", Kind::Gauge { load: None, slope: None }), &GRID[..2], 60, 300);
}

/// Checks that over the whole grid together at most `alpha` of the runs ever cross in 10,000 looks, with three deviations
/// of the binomial count allowed.
fn check_long(judged: Metric, natures: &[Nature]) {
    let runs = 8;
    let mut crossed = Vec::new();
    for (i, nature) in natures.iter().enumerate() {
        let seeds = (0..runs).map(|r| 7_000_003 * (i as u64 + 1) + 31 * r);
        crossed.extend(
            seeds.filter(|seed| crosses(*seed, &judged, *nature, 10_000).unwrap_or(true)).map(|seed| (seed, nature)),
        );
    }
    let all = (natures.len() as u64 * runs) as f64;
    let limit = all * ALPHA + 3.0 * (all * ALPHA * (1.0 - ALPHA)).sqrt();
    assert!(crossed.len() as f64 <= limit, "{} of {all} crossed: {crossed:?}", crossed.len());
}

const LONG: [Nature; 4] = [
    Nature { traffic: 2.0, cluster: 1.0, spread: 0.0 },
    Nature { traffic: 20.0, cluster: 1.0, spread: 0.15 },
    Nature { traffic: 20.0, cluster: 3.0, spread: 0.05 },
    Nature { traffic: 100.0, cluster: 2.0, spread: 0.2 },
];

#[test]
fn ten_thousand_looks_at_counts() {
    check_long(metric("log_error", Kind::Count { exposure: Some("requests".to_owned()) }), &LONG);
}

#[test]
fn ten_thousand_looks_at_proportions() {
    check_long(metric("http_errors", Kind::Proportion), &LONG);
}

#[test]
fn ten_thousand_looks_at_latencies() {
    check_long(metric("latency_ms", Kind::Histogram { scale: 4, quantiles: vec![0.5, 0.95] }), &LONG[..3]);
}

#[test]
fn ten_thousand_looks_at_gauges() {
    check_long(metric("cpu", Kind::Gauge { load: None, slope: None }), &LONG);
}

#[test]
fn ten_thousand_looks_at_growth() {
    let slope = Some(SlopeMargin { ok: 0.01, bad: 0.05 });
    check_long(metric("mem", Kind::Gauge { load: None, slope }), &LONG);
}

#[test]
fn ten_thousand_looks_at_counters() {
    check_long(metric("disk", Kind::Counter { load: None }), &LONG);
}

/// Start-ups that fade: by a straight line to the last tick that is excused, fast, and from below.
const START_UPS: [StartUp; 5] = [
    |_| 0.0,
    |t| 1.0 - (t / f64::from(START_UP_TICKS)).min(1.0),
    |t| 1.5 * (-t / 10.0).exp(),
    |t| -0.5 * (-t / 8.0).exp(),
    |t| -0.4 * (1.0 - (t / f64::from(START_UP_TICKS)).min(1.0)),
];

/// Checks that a start-up on top of an effect that is exactly `ok` crosses no more often than `alpha`.
fn check_start_ups(judged: Metric, nature: Nature) {
    let runs = 30;
    let config = Config { warmup_ticks: START_UP_TICKS, ..config(judged.clone(), 150) };
    let mut crossed = Vec::new();
    for (i, start) in START_UPS.into_iter().enumerate() {
        let seeds = (0..runs).map(|r| 5_000_011 * (i as u64 + 1) + 613 * r);
        let cross = |seed: &u64| crosses_starting(*seed, (config.clone(), &judged), nature, start).unwrap_or(true);
        crossed.extend(seeds.filter(cross).map(|seed| (i, seed)));
    }
    let limit = START_UPS.len() as f64 * runs as f64 * ALPHA;
    assert!(crossed.len() as f64 <= limit, "{crossed:?} crossed, {limit} allowed");
}

#[test]
fn start_ups_of_counts() {
    let nature = Nature { traffic: 100.0, cluster: 2.0, spread: 0.1 };
    check_start_ups(metric("log_error", Kind::Count { exposure: Some("requests".to_owned()) }), nature);
}

#[test]
fn start_ups_of_proportions() {
    check_start_ups(metric("http_errors", Kind::Proportion), GRID[1]);
}

#[test]
fn start_ups_of_latencies() {
    let nature = Nature { traffic: 60.0, cluster: 1.0, spread: 0.02 };
    check_start_ups(metric("latency_ms", Kind::Histogram { scale: 4, quantiles: vec![0.5, 0.95] }), nature);
}

#[test]
fn start_ups_of_gauges() {
    check_start_ups(metric("cpu", Kind::Gauge { load: None, slope: None }), GRID[1]);
}

#[test]
fn start_ups_of_growth() {
    let slope = Some(SlopeMargin { ok: 0.01, bad: 0.05 });
    check_start_ups(metric("mem", Kind::Gauge { load: None, slope }), GRID[1]);
}

#[test]
fn start_ups_of_counters() {
    check_start_ups(metric("disk", Kind::Counter { load: None }), GRID[1]);
}

/// Verdict on a gauge of two canary nodes whose levels are the old one times `factors` from the first tick on.
fn verdict_of(seed: u64, factors: [f64; 2]) -> Result<Verdict, ConfigError> {
    let config = Config { beta: 0.05, ..config(metric("cpu", Kind::Gauge { load: None, slope: None }), 150) };
    let mut judge = Judge::new(config.clone())?;
    let mut random = Random::new(seed);
    let mut verdict = Verdict::Continue;
    for tick in -100..150 {
        let nodes = config.canary.iter().chain(&config.baseline).enumerate().map(|(n, name)| {
            let factor = factors.get(n).filter(|_| tick >= 0).copied().unwrap_or(1.0);
            let level = 50.0 * factor * (1.0 + 0.03 * random.normal());
            (name.clone(), vec![("cpu".to_owned(), Sample::Gauge(level))])
        });
        verdict = judge.observe(&Tick { tick, nodes: nodes.collect() }).verdict;
    }
    Ok(verdict)
}

#[test]
fn one_odd_canary_node_is_no_regression_of_a_level_and_no_pass() {
    for seed in 0..10 {
        assert_eq!(verdict_of(seed, [2.2, 1.0]), Ok(Verdict::Inconclusive), "seed {seed}");
        assert_eq!(verdict_of(seed, [1.7, 1.7]), Ok(Verdict::Fail), "seed {seed}");
        assert_eq!(verdict_of(seed, [1.0, 1.0]), Ok(Verdict::Pass), "seed {seed}");
    }
}
