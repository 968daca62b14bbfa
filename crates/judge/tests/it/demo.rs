//! A canary of half a minute on one machine: ticks of a second, two fresh nodes beside four old ones.

use serin_judge::{Answer, ConfigError, Judge, Language, Reason, Sample, State, Verdict, default_metrics, explain};

use crate::world::{Change, Service};

const TICKS: u32 = 25;

fn run(seed: u64, change: Change, history: i64) -> Result<Answer, ConfigError> {
    let mut service = Service::new(seed, 6, 2, 35.0);
    service.change = change;
    judged(service, history)
}

fn judged(mut service: Service, history: i64) -> Result<Answer, ConfigError> {
    let mut judge = Judge::new(service.config(TICKS, default_metrics()))?;
    for tick in -history..0 {
        judge.observe(&service.tick(tick));
    }
    let mut answer = judge.observe(&service.tick(0));
    for tick in 1..i64::from(TICKS) {
        if answer.verdict == Verdict::Continue {
            answer = judge.observe(&service.tick(tick));
        }
    }
    Ok(answer)
}

#[test]
fn unchanged_version_passes() {
    for history in [0, 10, 60] {
        let answers: Vec<Answer> = (0..20).map(|seed| run(seed, Change::default(), history).unwrap()).collect();
        let passed = answers.iter().filter(|a| a.verdict == Verdict::Pass).count();
        let others: Vec<_> = answers.iter().map(|a| (a.verdict, &a.why, a.tick)).collect();
        assert!(answers.iter().all(|a| a.verdict != Verdict::Fail), "history {history}: {others:?}");
        assert!(passed >= 18, "history {history}: {others:?}");
    }
}

#[test]
fn leak_with_error_lines_fails_soon() {
    let change = Change { leak: 3e6, error_lines: 0.05, ..Change::default() };
    for history in [0, 10, 60] {
        for seed in 0..10 {
            let answer = run(100 + seed, change, history).unwrap();
            assert_eq!(answer.verdict, Verdict::Fail, "history {history} seed {seed}");
            assert!(answer.tick <= 15, "history {history} seed {seed}: tick {}", answer.tick);
        }
    }
}

#[test]
fn leak_alone_fails_and_names_memory() {
    let change = Change { leak: 3e6, ..Change::default() };
    for history in [0, 60] {
        let answer = run(7, change, history).unwrap();
        assert_eq!(answer.verdict, Verdict::Fail);
        assert!(answer.tick <= 18, "tick {}", answer.tick);
        assert!(answer.why.iter().all(|r| r.subject().starts_with("mem_bytes")), "{:?}", answer.why);
        let english = explain(&answer, Language::English);
        assert!(english.contains("memory on the canary"), "{english}");
        assert!(english.contains("1 in"), "{english}");
        assert!(explain(&answer, Language::Chinese).contains("灰度节点的内存"));
    }
}

/// How many slow requests the canary showed beyond p99, and how far p99 is decided.
fn after_busy_past(seed: u64, slower: f64, past: f64) -> Result<Option<(u64, State)>, ConfigError> {
    let mut service = Service::new(seed, 6, 2, 200.0);
    service.busy_past = past;
    service.change.slower = slower;
    let answer = judged(service, 60)?;
    Ok(answer.metrics.iter().find(|m| m.name == "latency_ms:p99").map(|m| (m.samples, m.state)))
}

#[test]
fn past_that_was_busier_hides_nothing() {
    for seed in 0..5 {
        let (usual, _) = after_busy_past(seed, 0.0, 0.0).unwrap().unwrap();
        let (busier, state) = after_busy_past(seed, 0.0, 1.5).unwrap().unwrap();
        assert!(2 * busier > usual && busier < 2 * usual, "seed {seed}: {busier} against {usual}");
        assert_eq!(state, State::Within, "seed {seed}");
        assert_eq!(after_busy_past(seed, 0.8, 1.5).unwrap().unwrap().1, State::Worse, "seed {seed}");
    }
}

#[test]
fn silent_canary_node_fails() {
    let mut service = Service::new(3, 6, 2, 35.0);
    let mut judge = Judge::new(service.config(TICKS, default_metrics())).unwrap();
    let mut last = None;
    for tick in 0..i64::from(TICKS) {
        let mut sample = service.tick(tick);
        sample.nodes.retain(|(name, _)| name != "c1" || tick < 5);
        last = Some(judge.observe(&sample));
    }
    let answer = last.unwrap();
    assert_eq!(answer.verdict, Verdict::Fail);
    assert_eq!(answer.why, vec![Reason::Missing("c1".to_owned())]);
    assert!(answer.tick < 15);
}

#[test]
fn missing_metric_never_passes() {
    for metric in ["http_errors", "latency_ms", "requests"] {
        let mut service = Service::new(4, 6, 2, 35.0);
        let mut judge = Judge::new(service.config(TICKS, default_metrics())).unwrap();
        for tick in -30..i64::from(TICKS) {
            let mut sample = service.tick(tick);
            for (name, samples) in &mut sample.nodes {
                samples.retain(|(m, _)| !(m == metric && name.starts_with('c') && tick >= 0));
            }
            assert_ne!(judge.observe(&sample).verdict, Verdict::Pass, "{metric}");
        }
    }
}

#[test]
fn no_traffic_never_passes() {
    let mut service = Service::new(5, 6, 2, 35.0);
    let mut judge = Judge::new(service.config(TICKS, default_metrics())).unwrap();
    let mut last = None;
    for tick in -30..i64::from(TICKS) {
        let mut sample = service.tick(tick);
        for (_, samples) in sample.nodes.iter_mut().filter(|(n, _)| n.starts_with('c') && tick >= 0) {
            for (_, value) in samples {
                match value {
                    Sample::Count(v) => *v = 0.0,
                    Sample::Proportion { bad, total } => (*bad, *total) = (0.0, 0.0),
                    Sample::Histogram { counts, .. } => counts.clear(),
                    _ => {}
                }
            }
        }
        last = Some(judge.observe(&sample));
    }
    assert_ne!(last.unwrap().verdict, Verdict::Pass);
}

#[test]
fn incident_on_both_sides_is_not_blamed() {
    for seed in 0..10 {
        let mut service = Service::new(200 + seed, 6, 2, 35.0);
        let mut judge = Judge::new(service.config(TICKS, default_metrics())).unwrap();
        for tick in -30..i64::from(TICKS) {
            let mut sample = service.tick(tick);
            for (_, samples) in sample.nodes.iter_mut().filter(|_| tick >= 8) {
                for (_, value) in samples {
                    if let Sample::Proportion { bad, total } = value {
                        *bad = (*total * 0.3).round();
                    }
                }
            }
            let answer = judge.observe(&sample);
            assert_ne!(answer.verdict, Verdict::Fail, "seed {seed}: {:?}", answer.why);
        }
    }
}
