//! A canary from what a Prometheus has recorded: range queries, one series for each node and metric.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serin_judge::{Config, Direction, Kind, Margin, Metric, Role, Verdict, default_metrics};
use serin_wire::judge::{TickLine, Value};

use super::story::Story;
use super::{code, language};
use crate::cli::{Judge, Prometheus};
use crate::judge::Run;

/// Longest time to wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Most points of a series in one answer; Prometheus refuses more than 11,000.
const POINTS_MAX: i64 = 10_000;
/// Time after which a sample is taken to be recorded.
const LAG: SignedDuration = SignedDuration::from_secs(5);
/// Tolerance of a metric that is not known and not told.
const TOLERANCE: f64 = 0.1;
/// Quotient of the logarithms of `bad` and `ok`.
const BAD_OVER_OK: f64 = 3.0;
/// Allowed probability of a wrong pass.
const WRONG_PASS: f64 = 0.05;

/// Judges until the verdict, as far as the time goes.
pub async fn run(args: &Judge) -> Result<ExitCode> {
    let plan = Plan::new(&args.source)?;
    let source = Source::new(&args.source)?;
    let mut seen = Seen::default();
    let mut next = plan.first_tick();
    let mut run: Option<Run> = None;
    let mut story = Story::new(language(args), args.format);
    loop {
        let until = plan.newest_tick(Timestamp::now());
        if next <= until {
            source.read(&plan, (next, until), &mut seen).await?;
        }
        if run.is_none() && until >= 0 {
            let started = Run::new(plan.config(&seen.nodes)?).map_err(|problem| anyhow!(problem))?;
            story.begin(&started);
            run = Some(started);
        }
        if let Some(run) = &mut run {
            let begun = next.min(seen.told.unwrap_or(plan.first_tick()));
            for tick in begun..=until {
                let nodes = seen.ticks.remove(&tick).unwrap_or_default();
                if let Some(answer) = run.observe(TickLine { tick, nodes }) {
                    story.tell(run, &answer);
                }
                if run.verdict() != Verdict::Continue {
                    return Ok(code(run.verdict()));
                }
            }
            seen.told = Some(until + 1);
        }
        next = next.max(until + 1);
        tokio::time::sleep(plan.wait(Timestamp::now(), next)).await;
    }
}

/// When is looked at, and on what.
struct Plan {
    since: Timestamp,
    step_ms: i64,
    history_ticks: i64,
    horizon_ticks: i64,
    warmup_ticks: i64,
    canary: Vec<String>,
    queries: Vec<Query>,
    false_alarm: f64,
}

/// One metric.
struct Query {
    metric: Metric,
    expression: String,
}

impl Plan {
    fn new(args: &Prometheus) -> Result<Self> {
        let step_ms = millis("--step", &args.step)?;
        ensure!(step_ms >= 100, "--step `{}` is too short; the least is 100ms", args.step);
        let ticks = |name: &str, text: &str| Ok::<_, anyhow::Error>(millis(name, text)? / step_ms);
        let horizon_ticks = ticks("--for", &args.horizon)?;
        ensure!(horizon_ticks > 0, "--for `{}` is shorter than --step `{}`", args.horizon, args.step);
        Ok(Self {
            since: time(args.since.as_deref().unwrap_or_default())?,
            history_ticks: ticks("--history", &args.history)?,
            warmup_ticks: ticks("--warmup", &args.warmup)?.min(horizon_ticks / 4),
            horizon_ticks,
            step_ms,
            canary: args.canary.clone(),
            queries: queries(&args.query, &args.tolerate)?,
            false_alarm: share("--false-alarm", &args.false_alarm)?,
        })
    }

    fn first_tick(&self) -> i64 {
        -self.history_ticks
    }

    fn at(&self, tick: i64) -> Timestamp {
        self.since.saturating_add(SignedDuration::from_millis(tick.saturating_mul(self.step_ms))).unwrap_or(self.since)
    }

    /// The last tick that is recorded by now.
    fn newest_tick(&self, now: Timestamp) -> i64 {
        let elapsed = now.duration_since(self.since) - LAG;
        let tick = elapsed.as_millis().div_euclid(i128::from(self.step_ms));
        i64::try_from(tick).unwrap_or(i64::MAX).min(self.horizon_ticks - 1)
    }

    fn wait(&self, now: Timestamp, tick: i64) -> Duration {
        let left = self.at(tick).duration_since(now) + LAG;
        Duration::try_from(left).unwrap_or_default().min(ANSWER_LIMIT)
    }

    fn config(&self, nodes: &BTreeSet<String>) -> Result<Config> {
        let baseline: Vec<String> = nodes.iter().filter(|n| !self.canary.contains(n)).cloned().collect();
        ensure!(!nodes.is_empty(), "the queries return nothing; check them and --node-label in Prometheus' own pages");
        let known: Vec<_> = nodes.iter().take(20).map(String::as_str).collect();
        ensure!(!baseline.is_empty(), "no node but the canary's reports; known are `{}`", known.join("`, `"));
        if !self.canary.iter().any(|name| nodes.contains(name)) {
            bail!("no canary node reports; known are `{}`", known.join("`, `"));
        }
        Ok(Config {
            alpha: self.false_alarm,
            beta: WRONG_PASS,
            tick_ms: self.step_ms,
            horizon_ticks: u32::try_from(self.horizon_ticks).unwrap_or(u32::MAX),
            warmup_ticks: u32::try_from(self.warmup_ticks).unwrap_or(0),
            canary: self.canary.clone(),
            baseline,
            metrics: self.queries.iter().map(|q| q.metric.clone()).collect(),
        })
    }
}

/// A time as RFC 3339 writes it, or `@` and seconds since 1970.
fn time(text: &str) -> Result<Timestamp> {
    let seconds = text.strip_prefix('@').and_then(|seconds| seconds.parse().ok());
    let read = seconds.map_or_else(|| text.parse(), Timestamp::from_second);
    read.map_err(|_| anyhow!("--since `{text}` is no time; write it as `2026-03-02T10:00:00Z` or `@1772445600`"))
}

fn millis(name: &str, text: &str) -> Result<i64> {
    let span: SignedDuration =
        text.parse().map_err(|_| anyhow!("{name} `{text}` is no length of time; write it as `15s`, `30m` or `1h`"))?;
    let ms = i64::try_from(span.as_millis()).unwrap_or(-1);
    ensure!(ms >= 0, "{name} `{text}` is out of range");
    Ok(ms)
}

fn share(name: &str, text: &str) -> Result<f64> {
    let number = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |percent| (percent.trim(), 100.0));
    let value: f64 = number.0.parse().map_err(|_| anyhow!("{name} `{text}` is no share; write it as `10%`"))?;
    Ok(value / number.1)
}

/// Metrics of the queries; what a metric refers to must be queried, or is left out.
fn queries(texts: &[String], tolerate: &[String]) -> Result<Vec<Query>> {
    let mut all = Vec::new();
    for text in texts {
        let Some((name, expression)) = text.split_once('=') else {
            bail!("--query `{text}` has no `=`; write it as `cpu_pct=100 * rate(process_cpu_seconds_total[1m])`");
        };
        let (name, kind) = name.split_once(':').map_or((name, None), |(name, kind)| (name, Some(kind)));
        all.push(Query { metric: metric(name.trim(), kind)?, expression: expression.trim().to_owned() });
    }
    let names: Vec<String> = all.iter().map(|q| q.metric.name.clone()).collect();
    for query in &mut all {
        match &mut query.metric.kind {
            Kind::Count { exposure: by } | Kind::Gauge { load: by, .. } | Kind::Counter { load: by } => {
                *by = by.take().filter(|by| names.contains(by) && *by != query.metric.name);
            }
            Kind::Proportion | Kind::Histogram { .. } => {}
        }
    }
    for text in tolerate {
        let (name, size) = text.split_once('=').with_context(|| format!("--tolerate `{text}` has no `=`"))?;
        let size = share("--tolerate", size)?;
        let found = all.iter_mut().find(|q| q.metric.name == name);
        let metric = &mut found.with_context(|| format!("--tolerate names `{name}`, which is not queried"))?.metric;
        (metric.ok, metric.bad) = margins(size);
    }
    Ok(all)
}

fn margins(ok: f64) -> (Margin, Margin) {
    (Margin::relative(ok), Margin::relative((1.0 + ok).powf(BAD_OVER_OK) - 1.0))
}

fn metric(name: &str, kind: Option<&str>) -> Result<Metric> {
    let requests = || Some("requests".to_owned());
    let known = default_metrics().into_iter().find(|m| m.name == name && kind.is_none());
    if let Some(known) = known {
        let kind = match known.kind {
            Kind::Proportion => Kind::Count { exposure: requests() },
            Kind::Histogram { .. } => {
                bail!("`{name}` is a histogram; query a quantile instead: `p99=histogram_quantile(0.99, …)`")
            }
            other => other,
        };
        return Ok(Metric { kind, ..known });
    }
    let kind = match kind {
        None | Some("gauge") => Kind::Gauge { load: None, slope: None },
        Some("count") => Kind::Count { exposure: requests() },
        Some("counter") => Kind::Counter { load: None },
        Some(other) => bail!("`{other}` of `{name}` is no kind; kinds are `count`, `gauge` and `counter`"),
    };
    let (ok, bad) = margins(TOLERANCE);
    Ok(Metric { name: name.to_owned(), kind, direction: Direction::Up, ok, bad, role: Role::Watched })
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    ticks: BTreeMap<i64, BTreeMap<String, BTreeMap<String, Value>>>,
    nodes: BTreeSet<String>,
    /// The first tick that the judge has not seen.
    told: Option<i64>,
}

/// The Prometheus.
struct Source {
    client: reqwest::Client,
    address: reqwest::Url,
    label: String,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Source {
    fn new(args: &Prometheus) -> Result<Self> {
        let text = args.prometheus.as_deref().unwrap_or_default();
        let address = format!("{}/api/v1/query_range", text.trim_end_matches('/'));
        let address = address.parse().with_context(|| format!("--prometheus `{text}` is no address"))?;
        let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
        Ok(Self { client, address, label: args.node_label.clone() })
    }

    /// Reads the ticks from the first to the last of `range`.
    async fn read(&self, plan: &Plan, (first, last): (i64, i64), seen: &mut Seen) -> Result<()> {
        for query in &plan.queries {
            let mut from = first;
            while from <= last {
                let to = last.min(from + POINTS_MAX - 1);
                let series = self.query(plan, &query.expression, (from, to)).await?;
                self.keep(plan, &query.metric.name, series, seen)?;
                from = to + 1;
            }
        }
        Ok(())
    }

    async fn query(&self, plan: &Plan, expression: &str, (from, to): (i64, i64)) -> Result<Vec<Series>> {
        let mut address = self.address.clone();
        let seconds = |at: Timestamp| format!("{:.3}", at.as_millisecond() as f64 / 1000.0);
        address
            .query_pairs_mut()
            .append_pair("query", expression)
            .append_pair("start", &seconds(plan.at(from)))
            .append_pair("end", &seconds(plan.at(to)))
            .append_pair("step", &format!("{:.3}", plan.step_ms as f64 / 1000.0));
        let asked = || format!("cannot ask Prometheus at `{}`", self.address);
        let mut response = self.client.get(address).send().await.with_context(asked)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.with_context(asked)? {
            ensure!(
                body.len() + chunk.len() <= ANSWER_BYTES_MAX,
                "Prometheus answers with over {ANSWER_BYTES_MAX} bytes"
            );
            body.extend_from_slice(&chunk);
        }
        let answer: Answer = serde_json::from_slice(&body)
            .with_context(|| format!("`{}` does not answer as a Prometheus", self.address))?;
        match answer.data.filter(|_| answer.status == "success") {
            Some(data) => Ok(data.result),
            None => bail!("Prometheus refuses `{expression}`: {}", answer.error.unwrap_or_default()),
        }
    }

    fn keep(&self, plan: &Plan, metric: &str, all: Vec<Series>, seen: &mut Seen) -> Result<()> {
        let mut known = BTreeSet::new();
        for series in all {
            let Some(node) = series.metric.get(&self.label) else {
                bail!("a series of `{metric}` has no label `{}`; keep it by `sum by ({}) (…)`", self.label, self.label);
            };
            if !known.insert(node.clone()) {
                bail!("`{metric}` has several series for `{node}`; add them up by `sum by ({}) (…)`", self.label);
            }
            seen.nodes.insert(node.clone());
            for (at, text) in series.values {
                let tick = ((at * 1000.0 - plan.since.as_millisecond() as f64) / plan.step_ms as f64).round() as i64;
                let Some(value) = text.parse::<f64>().ok().filter(|v| v.is_finite()) else { continue };
                let node = seen.ticks.entry(tick).or_default().entry(node.clone()).or_default();
                node.insert(metric.to_owned(), Value::Number(value));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let texts = ["requests=a", "cpu_pct=b == 1", "http_errors=c", "queue:counter=d", "wait=e"].map(str::to_owned);
        let all = queries(&texts, &["wait=50%".to_owned()]).unwrap();
        assert_eq!(all[1].expression, "b == 1");
        assert_eq!(all[2].metric.kind, Kind::Count { exposure: Some("requests".to_owned()) });
        assert_eq!(all[3].metric.kind, Kind::Counter { load: None });
        assert_eq!(all[4].metric.ok, Margin::relative(0.5));
        let alone = queries(&["cpu_pct=b".to_owned()], &[]).unwrap();
        assert_eq!(alone[0].metric.kind, Kind::Gauge { load: None, slope: None });
    }

    #[test]
    fn wrong_queries_say_what_is_right() {
        let told = |text: &str| queries(&[text.to_owned()], &[]).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told("rate(x[1m])").contains("write it as"));
        assert!(told("a:level=b").contains("`count`, `gauge` and `counter`"));
        assert!(told("latency_ms=b").contains("histogram_quantile"));
        assert!(time("noon").unwrap_err().to_string().contains("@1772445600"));
        assert_eq!(time("@1772445600").unwrap(), time("2026-03-02T10:00:00Z").unwrap());
        assert!(millis("--step", "soon").unwrap_err().to_string().contains("`15s`"));
        assert_eq!((share("", "2 %").unwrap(), share("", "0.5").unwrap()), (0.02, 0.5));
    }
}
