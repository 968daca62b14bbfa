//! Samples of the nodes, tick by tick, and the judge that looks at them.
//!
//! Every tick is kept with its answer: a restarted server lets a fresh judge see the same ticks again and goes on.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serin_gateway::{Latency, NodeStats};
use serin_judge::{Answer, Config as JudgeConfig, Judge, Language, Sample, Tick, Verdict, explain, explain_plan};
use serin_model::Timestamp;
use serin_model::service::Config;
use serin_platform::Observation;
use serin_rollout::{Event, Kind, Phase, Rollout, Watch};
use serin_store::delivery as rows;

use super::reconcile::Seen;
use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::pipeline::record;

/// Ticks of the old version that a judge is shown first.
const HISTORY_TICKS_MAX: usize = 120;
/// Allowed probability that a bad change passes.
const WRONG_PASS: f64 = 0.05;
/// Milliseconds of a fresh node's start-up that are excused at most.
const WARM_UP_MS_MAX: i64 = 60_000;
/// Part of the canary's ticks that are left over for rounds that take long.
const HORIZON_SLACK: i64 = 10;
/// Milliseconds between two ticks, at least.
const TICK_MS_MIN: i64 = 100;
/// Part of the horizon that start-up may take at most.
const WARM_UP_PART: u32 = 8;

/// One metric of one node in one tick, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SampleRecord {
    Count(f64),
    Proportion(f64, f64),
    Histogram(i32, Vec<u64>),
    Gauge(f64),
    Counter(f64),
}

type Samples = BTreeMap<String, BTreeMap<String, SampleRecord>>;

/// What is kept of an answer, for pages and API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// The verdict's word.
    pub verdict: String,
    /// The verdict in words, English.
    pub sentence: String,
    /// The verdict in words, Chinese.
    pub sentence_zh: String,
    /// Metric, estimate, low, high, state.
    pub metrics: Vec<MetricRecord>,
    /// Each node's values, for charts: metric, node, value.
    pub chart: BTreeMap<String, BTreeMap<String, f64>>,
}

/// What is kept of a metric's report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetricRecord {
    /// Its name.
    pub name: String,
    /// Effect: canary over baseline, or growth per minute.
    pub estimate: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Samples used.
    pub samples: u64,
    /// `waiting`, `open`, `within`, `worse`.
    pub state: String,
}

/// The judging of one environment.
#[derive(Default)]
pub struct Session {
    active: Option<Active>,
    history: VecDeque<Samples>,
    last: BTreeMap<String, Totals>,
    sums: BTreeMap<(String, String), f64>,
    next: Timestamp,
}

struct Active {
    rollout_id: i64,
    number: u32,
    judge: Judge,
    tick: i64,
    /// When its last tick was due; `None`: this server has taken none.
    due: Option<Timestamp>,
    decided: bool,
    /// What keeps it from a proof in its time, English and Chinese.
    outlook: Option<[String; 2]>,
}

/// Running totals of one process of a node.
#[derive(Clone, Debug)]
struct Totals {
    pid: Option<u32>,
    generation: u64,
    at: Timestamp,
    cpu_us: u64,
    log_warn: u64,
    log_error: u64,
    disk_bytes: u64,
    net_bytes: u64,
    answered: u64,
    errors: u64,
    latency: Latency,
}

impl Session {
    /// Takes a tick where one is due; the machine's event, and when the next tick is.
    pub async fn round(
        &mut self,
        app: &App,
        (row, machine): (&rows::Rollout, &Rollout),
        (config, seen): (&Config, &Seen),
    ) -> Result<(Option<Event>, Timestamp)> {
        let at = now();
        if at < self.next {
            return Ok((None, self.next));
        }
        let tick_ms = config.canary.tick_ms.max(TICK_MS_MIN);
        self.next = next_tick(self.next, at, tick_ms);
        let due = self.next.plus_ms(-tick_ms);
        let (mut samples, chart) = self.sample(seen);
        let Some(watch) = machine.desired_watch() else {
            self.active = None;
            if matches!(machine.phase, Phase::Over(_)) {
                self.add_up(&mut samples);
                self.history.push_back(samples);
                while self.history.len() > HISTORY_TICKS_MAX {
                    self.history.pop_front();
                }
            } else if machine.phase == Phase::Held {
                self.history.clear();
            }
            return Ok((None, self.next));
        };
        self.add_up(&mut samples);
        self.open(app, (row.id, machine), (watch, config)).await?;
        let Some(active) = &mut self.active else { return Ok((None, self.next)) };
        // Numbers follow the time, also over ticks that were missed: so the judge's last word comes in time.
        active.tick += active.due.map_or(1, |before| (due.since_ms(before) / tick_ms).max(1));
        active.due = Some(due);
        let answer = active.judge.observe(&tick(active.tick, &samples));
        let record = record_of(&answer, chart, active.outlook.as_ref());
        let sentence = record.sentence.clone();
        keep(app, (row.id, active.number, active.tick), &samples, record).await?;
        if active.decided {
            return Ok((None, self.next));
        }
        active.decided = answer.verdict != Verdict::Continue;
        let event = Event::Verdict {
            watch: active.number,
            tick: u64::try_from(active.tick).unwrap_or(0),
            verdict: verdict(answer.verdict),
            sentence,
        };
        Ok((Some(event), self.next))
    }

    async fn open(
        &mut self,
        app: &App,
        (rollout_id, machine): (i64, &Rollout),
        (watch, config): (&Watch, &Config),
    ) -> Result<()> {
        let same = |active: &Active| active.rollout_id == rollout_id && active.number == watch.number;
        if self.active.as_ref().is_some_and(same) {
            return Ok(());
        }
        let mut judge = Judge::new(judge_config(watch, config)?)
            .map_err(|error| Error::invalid(format!("this canary cannot be judged: {error}")))?;
        let round = i64::from(watch.number);
        let mut db = app.store.read().await?;
        let kept = rows::judge_tick_list(&mut db, rollout_id, round, i64::MIN).await?;
        drop(db);
        let mut last = -1;
        let mut decided = false;
        if kept.is_empty() {
            let first = -i64::try_from(self.history.len()).unwrap_or(0);
            for (number, samples) in (first..).zip(&self.history) {
                let answer = judge.observe(&tick(number, samples));
                keep(app, (rollout_id, watch.number, number), samples, record_of(&answer, BTreeMap::new(), None))
                    .await?;
            }
        }
        for row in kept {
            let samples: Samples = serde_json::from_str(&row.samples)?;
            decided |= judge.observe(&tick(row.tick, &samples)).verdict != Verdict::Continue;
            last = last.max(row.tick);
        }
        let outlook = outlook(&judge, machine, config);
        if let Some([english, _]) = outlook.as_ref().filter(|_| last < 0) {
            tracing::warn!(rollout = rollout_id, "{english}");
        }
        self.active = Some(Active { rollout_id, number: watch.number, judge, tick: last, due: None, decided, outlook });
        Ok(())
    }

    /// Makes totals of what counters grew by, over the ticks that the judge is shown alone: what happened between them,
    /// while nodes were taken out and brought back, is no part of any tick.
    fn add_up(&mut self, samples: &mut Samples) {
        for (node, metrics) in samples {
            for (metric, sample) in metrics {
                if let SampleRecord::Counter(grown) = sample {
                    let sum = self.sums.entry((node.clone(), metric.clone())).or_default();
                    *sum += *grown;
                    *grown = *sum;
                }
            }
        }
    }

    /// What happened on each node since the last call; counters as what they grew by.
    fn sample(&mut self, seen: &Seen) -> (Samples, BTreeMap<String, BTreeMap<String, f64>>) {
        let mut samples = Samples::new();
        let mut chart: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        let mut totals = BTreeMap::new();
        for node in &seen.nodes {
            let name = node.key.node.0.clone();
            let now = totals_of(node, seen.counters(&node.key.node, node.generation));
            if let Some(before) = self.last.get(&name).filter(|before| before.same_process(&now)) {
                let (metrics, values) = difference(before, &now, node);
                samples.insert(name.clone(), metrics);
                for (metric, value) in values {
                    chart.entry(metric.to_owned()).or_default().insert(name.clone(), value);
                }
            }
            totals.insert(name, now);
        }
        self.last = totals;
        (samples, chart)
    }
}

impl Totals {
    fn same_process(&self, other: &Self) -> bool {
        self.generation == other.generation && self.pid == other.pid
    }
}

fn totals_of(node: &Observation, stats: Option<&NodeStats>) -> Totals {
    let usage = &node.usage;
    let none = NodeStats::default();
    let stats = stats.unwrap_or(&none);
    let answered: u64 = stats.status.iter().sum();
    Totals {
        pid: node.pid,
        generation: node.generation,
        at: node.sampled_at,
        cpu_us: usage.cpu_us,
        log_warn: usage.log_warn,
        log_error: usage.log_error,
        disk_bytes: usage.disk_read_bytes + usage.disk_write_bytes,
        net_bytes: stats.bytes_in + stats.bytes_out,
        answered: answered + stats.errors.of_node(),
        errors: stats.status[4] + stats.errors.of_node(),
        latency: stats.latency.clone(),
    }
}

/// The samples of one node, and its values for charts.
fn difference(
    before: &Totals,
    now: &Totals,
    node: &Observation,
) -> (BTreeMap<String, SampleRecord>, Vec<(&'static str, f64)>) {
    let since = |a: u64, b: u64| b.saturating_sub(a) as f64;
    let seconds = (now.at.since_ms(before.at).max(1) as f64) / 1000.0;
    let requests = since(before.answered, now.answered);
    let errors = since(before.errors, now.errors);
    let cpu = since(before.cpu_us, now.cpu_us) / seconds / 10_000.0;
    let memory = node.usage.memory_private_bytes as f64;
    let (warn, error) = (since(before.log_warn, now.log_warn), since(before.log_error, now.log_error));
    let (first, counts) = latency_difference(&before.latency, &now.latency);
    let p99 = quantile(first, &counts, 0.99);
    let samples = [
        ("requests", SampleRecord::Count(requests)),
        ("http_errors", SampleRecord::Proportion(errors, requests)),
        ("log_warn", SampleRecord::Count(warn)),
        ("log_error", SampleRecord::Count(error)),
        ("cpu_pct", SampleRecord::Gauge(cpu)),
        ("mem_bytes", SampleRecord::Gauge(memory)),
        ("disk_bytes", SampleRecord::Counter(since(before.disk_bytes, now.disk_bytes))),
        ("net_bytes", SampleRecord::Counter(since(before.net_bytes, now.net_bytes))),
        ("latency_ms", SampleRecord::Histogram(first, counts)),
    ];
    let share = |bad: f64| if requests > 0.0 { 100.0 * bad / requests } else { 0.0 };
    let mut chart = vec![
        ("cpu_pct", cpu),
        ("mem_bytes", memory),
        ("log_warn", warn / seconds),
        ("log_error", error / seconds),
        ("http_errors", share(errors)),
        ("requests", requests / seconds),
        ("disk_bytes", since(before.disk_bytes, now.disk_bytes) / seconds),
        ("net_bytes", since(before.net_bytes, now.net_bytes) / seconds),
    ];
    chart.extend(p99.map(|ms| ("latency_ms", ms)));
    (samples.into_iter().map(|(name, sample)| (name.to_owned(), sample)).collect(), chart)
}

fn latency_difference(before: &Latency, now: &Latency) -> (i32, Vec<u64>) {
    let old = |index: i32| {
        let place = usize::try_from(index - before.first).ok();
        place.and_then(|place| before.counts.get(place)).copied().unwrap_or(0)
    };
    let counts = (now.first..).zip(&now.counts).map(|(index, count)| count.saturating_sub(old(index)));
    (now.first, counts.collect())
}

/// Upper edge in milliseconds of the bucket that holds the quantile.
fn quantile(first: i32, counts: &[u64], part: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let rank = (total as f64 * part).ceil();
    let mut below = 0.0;
    for (index, count) in (first..).zip(counts) {
        below += *count as f64;
        if total > 0 && below >= rank {
            return Some((f64::from(index + 1) / 16.0).exp2());
        }
    }
    None
}

fn tick(number: i64, samples: &Samples) -> Tick {
    let nodes = samples.iter().map(|(node, metrics)| {
        let metrics = metrics.iter().map(|(name, sample)| (name.clone(), sample_of(sample)));
        (node.clone(), metrics.collect())
    });
    Tick { tick: number, nodes: nodes.collect() }
}

fn sample_of(record: &SampleRecord) -> Sample {
    match record {
        SampleRecord::Count(value) => Sample::Count(*value),
        SampleRecord::Proportion(bad, total) => Sample::Proportion { bad: *bad, total: *total },
        SampleRecord::Histogram(first, counts) => Sample::Histogram { first: *first, counts: counts.clone() },
        SampleRecord::Gauge(value) => Sample::Gauge(*value),
        SampleRecord::Counter(value) => Sample::Counter(*value),
    }
}

/// When the next tick is due: ticks keep their distance however long a round takes; missed ones are left out.
fn next_tick(due: Timestamp, at: Timestamp, tick_ms: i64) -> Timestamp {
    if due == Timestamp::default() {
        return at.plus_ms(tick_ms);
    }
    let missed = at.since_ms(due).max(0) / tick_ms;
    due.plus_ms((missed + 1) * tick_ms)
}

/// What the judge is told of a comparison.
pub fn judge_config(watch: &Watch, config: &Config) -> Result<JudgeConfig> {
    let tick_ms = config.canary.tick_ms.max(1);
    // The judge's last word comes before the canary's time is over, also where rounds take long.
    let ticks = watch.horizon_ms / tick_ms;
    let horizon_ticks = u32::try_from(ticks - ticks / HORIZON_SLACK).unwrap_or(u32::MAX).max(1);
    let warm_up = u32::try_from(WARM_UP_MS_MAX / tick_ms).unwrap_or(u32::MAX);
    let mut metrics = serin_judge::default_metrics();
    for (name, tolerance) in &config.canary.tolerate {
        serin_judge::tolerate(&mut metrics, name, *tolerance)
            .map_err(|error| Error::invalid(format!("canary.tolerate in `serin.yml`: {error}")))?;
    }
    Ok(JudgeConfig {
        alpha: config.canary.false_alarm,
        beta: WRONG_PASS,
        tick_ms,
        horizon_ticks,
        warmup_ticks: warm_up.min(horizon_ticks / WARM_UP_PART),
        canary: watch.canary.iter().map(|node| node.0.clone()).collect(),
        baseline: watch.baseline.iter().map(|node| node.0.clone()).collect(),
        metrics,
    })
}

fn verdict(verdict: Verdict) -> serin_rollout::Verdict {
    match verdict {
        Verdict::Continue => serin_rollout::Verdict::Continue,
        Verdict::Pass => serin_rollout::Verdict::Pass,
        Verdict::Fail => serin_rollout::Verdict::Fail,
        Verdict::Inconclusive => serin_rollout::Verdict::Inconclusive,
    }
}

/// What the canary is too short for, by the traffic before it and the share that it will get on average.
fn outlook(judge: &Judge, machine: &Rollout, config: &Config) -> Option<[String; 2]> {
    let canary = matches!(machine.kind, Kind::Canary);
    let all_ms: i64 = config.canary.steps.iter().map(|step| step.for_ms).sum();
    let weighed: f64 = config.canary.steps.iter().map(|step| f64::from(step.traffic_ppm) * step.for_ms as f64).sum();
    let share = (canary && all_ms > 0).then(|| weighed / all_ms as f64 / 1e6);
    let plan = judge.outlook(share);
    Some([explain_plan(&plan, Language::English)?, explain_plan(&plan, Language::Chinese)?])
}

fn record_of(
    answer: &Answer,
    chart: BTreeMap<String, BTreeMap<String, f64>>,
    outlook: Option<&[String; 2]>,
) -> AnswerRecord {
    let outlook = outlook.filter(|_| answer.verdict == Verdict::Continue);
    let told = |language: Language| match outlook {
        Some([english, _]) if language == Language::English => format!("{}; {english}", explain(answer, language)),
        Some([_, chinese]) => format!("{}；{chinese}", explain(answer, language)),
        None => explain(answer, language),
    };
    let finite = |value: f64| if value.is_finite() { value } else { f64::MAX.copysign(value) };
    let metrics = answer.metrics.iter().map(|report| MetricRecord {
        name: report.name.clone(),
        estimate: finite(report.estimate),
        low: finite(report.low),
        high: finite(report.high),
        samples: report.samples,
        state: format!("{:?}", report.state).to_lowercase(),
    });
    AnswerRecord {
        verdict: answer.verdict.as_str().to_owned(),
        sentence: told(Language::English),
        sentence_zh: told(Language::Chinese),
        metrics: metrics.collect(),
        chart,
    }
}

async fn keep(
    app: &App,
    (rollout_id, round, tick): (i64, u32, i64),
    samples: &Samples,
    answer: AnswerRecord,
) -> Result<()> {
    let row = rows::JudgeTick {
        rollout_id,
        round: i64::from(round),
        tick,
        at: now().0,
        samples: serde_json::to_string(samples)?,
        answer: record::encode(&answer)?,
    };
    let mut tx = app.store.begin().await?;
    rows::judge_tick_add(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serin_gateway::Latency;

    use serin_model::Timestamp;

    use super::{SampleRecord, Samples, Session, latency_difference, next_tick, quantile};

    #[test]
    fn what_happens_between_ticks_is_in_no_counter() {
        let mut session = Session::default();
        let mut shown = |grown: f64| {
            let metrics = [("net_bytes".to_owned(), SampleRecord::Counter(grown))].into();
            let mut samples = Samples::from([("a-1".to_owned(), metrics)]);
            session.add_up(&mut samples);
            samples["a-1"]["net_bytes"].clone()
        };
        assert_eq!(shown(5.0), SampleRecord::Counter(5.0));
        // A tick that the judge is not shown, such as one while a node is taken out, is not added up; nor is a process
        // that began anew a step back.
        assert_eq!(shown(7.0), SampleRecord::Counter(12.0));
        assert_eq!(shown(0.0), SampleRecord::Counter(12.0));
    }

    #[test]
    fn ticks_keep_their_distance() {
        let next = |due, at| next_tick(Timestamp(due), Timestamp(at), 500).0;
        assert_eq!(next(0, 7_000), 7_500);
        assert_eq!(next(7_500, 7_500), 8_000);
        assert_eq!(next(7_500, 7_700), 8_000);
        assert_eq!(next(7_500, 8_600), 9_000);
    }

    #[test]
    fn histograms_subtract_by_bucket() {
        let before = Latency { first: 2, counts: vec![1, 2] };
        let now = Latency { first: 1, counts: vec![5, 3, 2, 7] };
        assert_eq!(latency_difference(&before, &now), (1, vec![5, 2, 0, 7]));
        assert_eq!(latency_difference(&Latency::default(), &now), (1, vec![5, 3, 2, 7]));
    }

    #[test]
    fn quantiles_are_upper_edges() {
        assert_eq!(quantile(15, &[99, 1], 0.99), Some(2.0));
        assert_eq!(quantile(0, &[], 0.99), None);
    }
}
