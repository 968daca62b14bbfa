//! The judge over JSON lines: a header, ticks and an end in, one answer for each tick from 0 on out.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use serin_judge::{
    Answer, Config, Direction, Feasibility, Judge, Kind, Language, Margin, Metric, Reason, Role, Sample, SlopeMargin,
    Tick, Verdict, explain, explain_plan,
};
use serin_wire::judge::{
    AnswerLine, DirectionLine, EstimateLine, Header, KindLine, LINE_BYTES_MAX, Line, MarginLine, MetricLine, RoleLine,
    SCHEMA, TickLine, Value,
};

/// What the answers carry besides verdict and reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Verdict and reasons alone.
    #[default]
    Verdict,
    /// The estimates too.
    Estimates,
    /// The estimates, and each verdict in a sentence.
    Explained(Language),
}

/// Why a stream cannot be judged further.
#[derive(Debug)]
pub enum Error {
    /// Reading or writing failed.
    Io(io::Error),
    /// A line is not part of the stream.
    Line {
        /// Its number, from 1.
        number: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(e) => write!(f, "stream of samples: {e}"),
            Self::Line { number, problem } => write!(f, "line {number} of the stream of samples: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// One run of a stream.
pub struct Run {
    judge: Judge,
    kinds: BTreeMap<String, Kind>,
    verdict: Verdict,
}

impl Run {
    /// Makes a run; errors say what of the configuration cannot be judged.
    pub fn new(config: Config) -> Result<Self, String> {
        let kinds = config.metrics.iter().map(|m| (m.name.clone(), m.kind.clone())).collect();
        Ok(Self { judge: Judge::new(config).map_err(|e| e.to_string())?, kinds, verdict: Verdict::Continue })
    }

    /// Takes a tick; its answer, if it is none of history.
    pub fn observe(&mut self, line: TickLine) -> Option<Answer> {
        let number = line.tick;
        let answer = self.judge.observe(&tick(line, &self.kinds));
        self.verdict = answer.verdict;
        (number >= 0).then_some(answer)
    }

    /// What was decided so far.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Who is compared on what.
    pub fn config(&self) -> &Config {
        self.judge.config()
    }

    /// What it can show in its time, with the traffic of its history.
    pub fn outlook(&self) -> Feasibility {
        self.judge.outlook(None)
    }
}

/// What a line of the stream means.
pub enum Step {
    /// A run begins.
    Start(Box<Run>),
    /// A tick of it.
    Tick(TickLine),
    /// It ends.
    End,
}

/// Reads a stream until it ends.
pub fn each_line(mut input: impl BufRead, mut step: impl FnMut(Step) -> Result<(), String>) -> Result<(), Error> {
    let mut text = String::new();
    for number in 1.. {
        text.clear();
        let read = input.by_ref().take(LINE_BYTES_MAX as u64).read_line(&mut text)?;
        if read == 0 {
            break;
        }
        let wrong = |problem: String| Error::Line { number, problem };
        if read == LINE_BYTES_MAX {
            return Err(wrong(format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        if text.trim().is_empty() {
            continue;
        }
        let meant = match serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))? {
            Line::Header(header) => Step::Start(Box::new(start(header).map_err(wrong)?)),
            Line::End {} => Step::End,
            Line::Tick(line) => Step::Tick(line),
        };
        step(meant).map_err(wrong)?;
    }
    Ok(())
}

/// Reads runs until the input ends; writes and flushes one line for each tick from 0 on.
pub fn serve(input: impl BufRead, mut output: impl Write, detail: Detail) -> Result<(), Error> {
    let mut run: Option<Run> = None;
    let mut broken = None;
    let read = each_line(input, |step| {
        match step {
            Step::Start(started) => run = Some(*started),
            Step::End => run = None,
            Step::Tick(line) => {
                let run = run.as_mut().ok_or("a tick before any header")?;
                let number = line.tick;
                if let Some(answer) = run.observe(line) {
                    let outlook = if number == 0 { outlook(run, detail) } else { None };
                    let line = AnswerLine { outlook, ..answer_line(number, &answer, detail) };
                    write_answer(&mut output, &line).map_err(|e| broken.insert(e).to_string())?;
                }
            }
        }
        Ok(())
    });
    broken.map_or(read, |e| Err(Error::Io(e)))
}

fn outlook(run: &Run, detail: Detail) -> Option<String> {
    match detail {
        Detail::Explained(language) => explain_plan(&run.outlook(), language),
        Detail::Verdict | Detail::Estimates => None,
    }
}

fn start(header: Header) -> Result<Run, String> {
    if header.schema != SCHEMA {
        return Err(format!("schema {} is not known; this is schema {SCHEMA}", header.schema));
    }
    Run::new(config(header)?)
}

/// Turns a header into a configuration.
pub fn config(header: Header) -> Result<Config, String> {
    Ok(Config {
        alpha: header.alpha,
        beta: header.beta,
        tick_ms: (header.tick_seconds * 1000.0).round() as i64,
        horizon_ticks: header.horizon_ticks,
        warmup_ticks: header.warmup_ticks,
        canary: header.canary,
        baseline: header.baseline,
        metrics: header.metrics.into_iter().map(metric).collect::<Result<_, _>>()?,
    })
}

fn metric(line: MetricLine) -> Result<Metric, String> {
    let role = match line.role {
        Some(RoleLine::Exposure) => Role::Exposure,
        Some(RoleLine::Watched) => Role::Watched,
        Some(RoleLine::Judged) | None => Role::Judged,
    };
    let margin = |m: MarginLine| Margin { rel: m.rel, abs: m.abs };
    let (ok, bad) = match line.margin {
        Some(m) => (margin(m.ok), margin(m.bad)),
        None if role == Role::Exposure => Default::default(),
        None => return Err(format!("metric `{}` has no `margin`", line.name)),
    };
    let slope = line.slope_pct_per_min.map(|s| SlopeMargin { ok: s.ok / 100.0, bad: s.bad / 100.0 });
    let kind = match line.kind {
        KindLine::Count => Kind::Count { exposure: line.exposure },
        KindLine::Proportion => Kind::Proportion,
        KindLine::Histogram => Kind::Histogram {
            scale: line.scale.unwrap_or(4),
            quantiles: line.quantiles.unwrap_or_else(|| vec![0.5, 0.99]),
        },
        KindLine::Gauge => Kind::Gauge { load: line.load, slope },
        KindLine::Counter => Kind::Counter { load: line.load },
    };
    let direction = match line.direction {
        DirectionLine::Up => Direction::Up,
        DirectionLine::Down => Direction::Down,
        DirectionLine::Both => Direction::Both,
    };
    Ok(Metric { name: line.name, kind, direction, ok, bad, role })
}

/// Turns a line into a tick; samples of another shape than their metric's are left out.
pub fn tick(line: TickLine, kinds: &BTreeMap<String, Kind>) -> Tick {
    let samples = |metrics: BTreeMap<String, Value>| {
        metrics
            .into_iter()
            .filter_map(|(name, value)| Some((sample(kinds.get(&name)?, value)?, name)))
            .map(|(s, n)| (n, s))
    };
    Tick { tick: line.tick, nodes: line.nodes.into_iter().map(|(n, m)| (n, samples(m).collect())).collect() }
}

fn sample(kind: &Kind, value: Value) -> Option<Sample> {
    match (kind, value) {
        (Kind::Count { .. }, Value::Number(v)) => Some(Sample::Count(v)),
        (Kind::Gauge { .. }, Value::Number(v)) => Some(Sample::Gauge(v)),
        (Kind::Counter { .. }, Value::Number(v)) => Some(Sample::Counter(v)),
        (Kind::Proportion, Value::Pair(bad, total)) => Some(Sample::Proportion { bad, total }),
        (Kind::Histogram { .. }, Value::Buckets(first, counts)) => Some(Sample::Histogram { first, counts }),
        _ => None,
    }
}

fn write_answer(output: &mut impl Write, line: &AnswerLine) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line).map_err(io::Error::from)?;
    output.write_all(b"\n")?;
    output.flush()
}

/// What evidence without bounds is written as: JSON has no infinity.
const EVIDENCE_MAX: f64 = 1e9;

/// Turns an answer into a line.
pub fn answer_line(tick: i64, answer: &Answer, detail: Detail) -> AnswerLine {
    let told = answer.verdict != Verdict::Continue || detail != Detail::Verdict;
    let why: Vec<String> = answer.why.iter().filter(|_| told).map(Reason::subject).collect();
    let finite = |v: f64| v.is_finite().then_some(v);
    // Evidence that cannot be computed speaks for nothing.
    let bounded = |v: f64| if v.is_nan() { 0.0 } else { v.clamp(-EVIDENCE_MAX, EVIDENCE_MAX) };
    let estimates = answer.metrics.iter().map(|m| {
        let line = EstimateLine {
            est: finite(m.estimate),
            error: finite(m.error),
            lo: finite(m.low),
            hi: finite(m.high),
            evidence: bounded(m.evidence),
            evidence_within: bounded(m.evidence_within),
            samples: m.samples,
        };
        (m.name.clone(), line)
    });
    AnswerLine {
        tick,
        verdict: answer.verdict.as_str().to_owned(),
        why: (!why.is_empty()).then(|| why.join(",")),
        outlook: None,
        explanation: match detail {
            Detail::Explained(language) => Some(explain(answer, language)),
            _ => None,
        },
        metrics: if detail == Detail::Verdict { BTreeMap::new() } else { estimates.collect() },
    }
}
