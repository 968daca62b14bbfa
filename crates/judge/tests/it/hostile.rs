//! Streams that no honest collector sends.

use proptest::prelude::*;
use serin_judge::{
    Config, ConfigError, Direction, Judge, Kind, Margin, Metric, Role, Sample, Tick, Verdict, default_metrics,
};

use crate::world::Service;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1e4,
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, -0.0, 1e300, 1e15, f64::MIN_POSITIVE,
        ]),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        number().prop_map(Sample::Count),
        (number(), number()).prop_map(|(bad, total)| Sample::Proportion { bad, total }),
        (any::<i32>(), prop::collection::vec(prop_oneof![0_u64..50, Just(u64::MAX)], 0..40))
            .prop_map(|(first, counts)| Sample::Histogram { first, counts }),
        number().prop_map(Sample::Gauge),
        number().prop_map(Sample::Counter),
    ]
}

fn tick() -> impl Strategy<Value = Tick> {
    let metric = prop::sample::select(vec![
        "requests",
        "http_errors",
        "latency_ms",
        "log_warn",
        "log_error",
        "cpu_pct",
        "mem_bytes",
        "net_bytes",
        "what",
    ]);
    let samples = prop::collection::vec((metric.prop_map(str::to_owned), sample()), 0..10);
    let node = prop::sample::select(vec!["c0", "c1", "b0", "b1", "b2", "b3", "stranger"]);
    let nodes = prop::collection::vec((node.prop_map(str::to_owned), samples), 0..8);
    let number = prop_oneof![8 => -20_i64..40, 1 => any::<i64>()];
    (number, nodes).prop_map(|(tick, nodes)| Tick { tick, nodes })
}

fn config(warmup: u32) -> Config {
    Config { warmup_ticks: warmup, ..Service::new(1, 6, 2, 1.0).config(30, default_metrics()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_a_verdict_stays(ticks in prop::collection::vec(tick(), 0..60), warmup in 0_u32..10) {
        let mut judge = Judge::new(config(warmup)).unwrap();
        let mut last = Verdict::Continue;
        for tick in &ticks {
            let answer = judge.observe(tick);
            prop_assert!(!answer.evidence.is_nan());
            for m in &answer.metrics {
                prop_assert!(!m.estimate.is_nan() && !m.low.is_nan() && !m.high.is_nan(), "{m:?}");
                prop_assert!(!m.evidence.is_nan() && !m.evidence_within.is_nan(), "{m:?}");
            }
            if last != Verdict::Continue {
                prop_assert_eq!(answer.verdict, last);
            }
            last = answer.verdict;
        }
    }

    #[test]
    fn any_configuration_is_judged_or_refused(
        alpha in number(), beta in number(), horizon in any::<u32>(), warmup in any::<u32>(), tick_ms in any::<i64>(),
        rel in number(), scale in any::<i32>(), q in number(),
    ) {
        let metric = Metric {
            name: "latency_ms".to_owned(),
            kind: Kind::Histogram { scale, quantiles: vec![q] },
            direction: Direction::Up,
            ok: Margin::relative(rel),
            bad: Margin::relative(rel * 2.0),
            role: Role::Judged,
        };
        let names = |n: &str| vec![n.to_owned()];
        let config = Config {
            alpha, beta, tick_ms, horizon_ticks: horizon, warmup_ticks: warmup, canary: names("c0"),
            baseline: names("b0"), metrics: vec![metric],
        };
        if let Ok(mut judge) = Judge::new(config) {
            let h = Sample::Histogram { first: 3, counts: vec![4, 5, 6] };
            for tick in -3..6 {
                let node = |n: &str| (n.to_owned(), vec![("latency_ms".to_owned(), h.clone())]);
                judge.observe(&Tick { tick, nodes: vec![node("c0"), node("b0")] });
            }
        }
    }
}

#[test]
fn late_and_repeated_ticks_change_nothing() {
    let mut service = Service::new(11, 6, 2, 20.0);
    let ticks: Vec<Tick> = (-20..20).map(|t| service.tick(t)).collect();
    let config = service.config(30, default_metrics());
    let (mut once, mut twice) = (Judge::new(config.clone()).unwrap(), Judge::new(config).unwrap());
    for (i, tick) in ticks.iter().enumerate() {
        let answer = once.observe(tick);
        assert_eq!(answer, twice.observe(tick));
        assert_eq!(answer, twice.observe(tick));
        assert_eq!(answer, twice.observe(&ticks[i / 2]));
    }
}

#[test]
fn restart_of_an_old_node_resets_its_counters() {
    let mut service = Service::new(12, 6, 2, 20.0);
    let mut judge = Judge::new(service.config(30, default_metrics())).unwrap();
    for tick in -30..29 {
        let mut sample = service.tick(tick);
        for (name, samples) in &mut sample.nodes {
            for (_, value) in samples.iter_mut() {
                if let Sample::Counter(v) = value
                    && name == "b1"
                    && tick > 10
                {
                    *v /= 1e3;
                }
            }
        }
        assert_ne!(judge.observe(&sample).verdict, Verdict::Fail);
    }
}

#[test]
fn jump_of_the_clock_is_a_gap() {
    let mut service = Service::new(13, 6, 2, 20.0);
    let mut judge = Judge::new(service.config(10_000, default_metrics())).unwrap();
    for tick in (-30..10).chain(5_000..5_010) {
        assert_ne!(judge.observe(&service.tick(tick)).verdict, Verdict::Fail);
    }
    let end = judge.observe(&service.tick(i64::MAX));
    assert_ne!(end.verdict, Verdict::Continue);
}

#[test]
fn one_node_on_each_side() {
    let mut service = Service::new(14, 2, 1, 50.0);
    let mut judge = Judge::new(service.config(40, default_metrics())).unwrap();
    let mut last = Verdict::Continue;
    for tick in -40..40 {
        last = judge.observe(&service.tick(tick)).verdict;
        assert_ne!(last, Verdict::Fail);
    }
    assert_ne!(last, Verdict::Continue);
}

#[test]
fn empty_ticks_end_inconclusive() {
    let mut judge = Judge::new(config(4)).unwrap();
    let verdicts: Vec<Verdict> = (0..30).map(|tick| judge.observe(&Tick { tick, nodes: Vec::new() }).verdict).collect();
    assert_eq!(verdicts[28], Verdict::Continue);
    assert_eq!(verdicts[29], Verdict::Inconclusive);
}

#[test]
fn wrong_configurations_are_named() {
    let good = Service::new(1, 6, 2, 1.0).config(30, default_metrics());
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        Judge::new(config).unwrap_err()
    };
    assert!(matches!(refused(&|c| c.alpha = f64::NAN), ConfigError::Probability { name: "alpha", .. }));
    assert_eq!(refused(&|c| c.canary.clear()), ConfigError::NoNodes("canary"));
    assert_eq!(refused(&|c| c.baseline.push("c0".into())), ConfigError::Twice("c0".into()));
    assert!(matches!(refused(&|c| c.metrics[1].direction = Direction::Both), ConfigError::Direction(_)));
    assert_eq!(refused(&|c| c.horizon_ticks = 0), ConfigError::Time("horizon_ticks"));
    assert_eq!(refused(&|c| c.metrics[1].bad = Margin::relative(0.1)), ConfigError::Margins("http_errors".into()));
    assert_eq!(refused(&|c| c.metrics.truncate(1)), ConfigError::NothingJudged);
    assert!(matches!(refused(&|c| c.metrics.remove(0).name.clear()), ConfigError::Reference { .. }));
    assert!(refused(&|c| c.alpha = 0.0).to_string().contains("such as 0.01"));
}

/// One node on each side.
fn lean_config(kind: Kind) -> Config {
    let metric = Metric {
        name: "m".to_owned(),
        kind,
        direction: Direction::Up,
        ok: Margin::relative(0.2),
        bad: Margin::relative(0.6),
        role: Role::Judged,
    };
    Config {
        alpha: 1e-300,
        beta: 1e-300,
        tick_ms: 1_000,
        horizon_ticks: u32::MAX,
        warmup_ticks: 30,
        canary: vec!["c".to_owned()],
        baseline: vec!["b".to_owned()],
        metrics: vec![metric],
    }
}

/// Checks that a judge's state does not grow over a million ticks.
fn check_state(kind: Kind, sample: fn(f64) -> Sample) -> Result<(), ConfigError> {
    let mut judge = Judge::new(lean_config(kind))?;
    let node = |name: &str| (name.to_owned(), vec![("m".to_owned(), sample(0.0))]);
    let mut tick = Tick { tick: 0, nodes: vec![node("c"), node("b")] };
    let mut sizes = Vec::new();
    for number in -600_i64..1_000_000 {
        tick.tick = number;
        for (node, (_, samples)) in tick.nodes.iter_mut().enumerate() {
            samples[0].1 = sample((number + 7 * node as i64).rem_euclid(11) as f64);
        }
        assert_eq!(judge.observe(&tick).verdict, Verdict::Continue);
        if number >= 0 && number % 200_000 == 199_999 {
            sizes.push(format!("{judge:?}").len());
        }
    }
    // The text of a state that keeps its past would be five times as long in the end; that of a number varies, and blocks
    // are merged when there are twice as many.
    assert!(sizes.iter().all(|size| *size < sizes[0] * 3), "{sizes:?}");
    Ok(())
}

#[test]
fn million_ticks_of_events_do_not_grow() {
    check_state(Kind::Count { exposure: None }, Sample::Count).unwrap();
}

#[test]
fn million_ticks_of_a_level_do_not_grow() {
    check_state(Kind::Gauge { load: None, slope: None }, |turn| Sample::Gauge(50.0 + turn)).unwrap();
}

/// Values that no node can have measured, by metric.
fn impossible() -> Vec<(&'static str, Sample)> {
    let pair = |bad, total| Sample::Proportion { bad, total };
    let mut all = Vec::new();
    for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        all.extend([("log_warn", Sample::Count(v)), ("requests", Sample::Count(v)), ("cpu_pct", Sample::Gauge(v))]);
        all.extend([("net_bytes", Sample::Counter(v)), ("http_errors", pair(v, 9.0)), ("http_errors", pair(1.0, v))]);
    }
    all.extend([("http_errors", pair(5.0, 4.0)), ("http_errors", Sample::Gauge(1.0)), ("cpu_pct", Sample::Count(1.0))]);
    all.push(("latency_ms", Sample::Histogram { first: 3, counts: vec![u64::MAX] }));
    all.push(("latency_ms", Sample::Histogram { first: i32::MIN, counts: vec![1; 30_000] }));
    all
}

#[test]
fn what_cannot_be_counts_as_not_reported() {
    for (metric, value) in impossible() {
        let mut service = Service::new(15, 5, 2, 20.0);
        let config = Config { warmup_ticks: 3, ..service.config(20, default_metrics()) };
        let (mut lying, mut silent) = (Judge::new(config.clone()).unwrap(), Judge::new(config).unwrap());
        for tick in -20..20 {
            let (mut lie, mut gap) = (service.tick(tick), Tick::default());
            if tick % 3 == 0 {
                for (_, samples) in lie.nodes.iter_mut().filter(|n| n.0 == "c0" || n.0 == "b1") {
                    samples.retain(|(name, _)| name != metric);
                }
                gap = lie.clone();
                for (_, samples) in lie.nodes.iter_mut().filter(|n| n.0 == "c0" || n.0 == "b1") {
                    samples.push((metric.to_owned(), value.clone()));
                }
            }
            let told = if tick % 3 == 0 { &gap } else { &lie };
            assert_eq!(silent.observe(told), lying.observe(&lie), "{metric} {value:?} at {tick}");
        }
    }
}
