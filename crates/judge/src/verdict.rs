//! From evidence to a verdict (judge.md (vi)).

use crate::answer::{Answer, MetricReport, Reason, State, Verdict};
use crate::config::{Config, ConfigError, Kind, Metric, Role};
use crate::events::{Events, Evidence, Frame, Stakes};
use crate::growth::Growth;
use crate::intake::{Cell, Intake};
use crate::level::Level;
use crate::numeric::log_sum_exp;
use crate::past::Past;
use crate::plan::{Feasibility, Lack, Shortfall, fluctuation, plan};
use crate::prospect::shares;
use crate::sample::Tick;
use crate::startup::Fade;

/// Share of `alpha` that the warm-up's tests get.
const EARLY_WEIGHT: f64 = 0.06;
/// Part of `beta` that a metric's test for a pass spends; the rest covers estimated variances.
pub(crate) const WITHIN_RESERVE: f64 = 0.33;
/// Lean towards a pass (e-value of 1.5) without which a watched event metric is not settled at the end.
const EVENT_LEAN: f64 = 0.4055;
/// Ticks of silence after which a canary node counts as lost.
const SILENCE_TICKS: u32 = 8;
/// Share of ticks in which each canary node must deliver a metric.
const COVERAGE_MIN: f64 = 0.9;

/// The judge of one canary.
#[derive(Clone, Debug)]
pub struct Judge {
    config: Config,
    frame: Frame,
    intake: Intake,
    events: Vec<Events>,
    levels: Vec<Level>,
    silent: Vec<u32>,
    heard: Vec<Vec<u32>>,
    /// Whether any node ever reported a metric.
    collected: Vec<bool>,
    past: Past,
    /// Weight of each test after the warm-up, once it is fixed: events first, then levels, each with its growth.
    weights: Option<Vec<f64>>,
    looked: u32,
    answer: Answer,
}

/// One test's share in the verdict.
struct Test {
    name: String,
    role: Role,
    weight: f64,
    evidence: Evidence,
    /// Lean towards a pass that a watched metric needs when the time is over.
    lean_wanted: f64,
}

impl Judge {
    /// Makes a judge; errors if the configuration cannot be judged.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let stakes = Stakes {
            alpha: config.alpha * test_weight(&config),
            beta: config.beta * WITHIN_RESERVE,
            looks: f64::from(config.horizon_ticks.saturating_sub(config.warmup_ticks).max(1)),
            horizon: i64::from(config.horizon_ticks),
        };
        let mut events = Vec::new();
        let mut levels = Vec::new();
        for (i, m) in config.metrics.iter().enumerate().filter(|(_, m)| m.role != Role::Exposure) {
            match &m.kind {
                Kind::Histogram { quantiles, .. } => {
                    events.extend(quantiles.iter().map(|q| Events::new(&config, i, Some(*q), stakes)));
                }
                Kind::Count { .. } | Kind::Proportion => events.push(Events::new(&config, i, None, stakes)),
                Kind::Gauge { .. } | Kind::Counter { .. } => {
                    levels.push(Level::new(&config, (i, levels.len()), stakes));
                }
            }
        }
        let answer =
            Answer { tick: i64::MIN, verdict: Verdict::Continue, why: Vec::new(), metrics: Vec::new(), evidence: 0.0 };
        Ok(Self {
            frame: Frame::new(&config),
            intake: Intake::new(&config),
            silent: vec![0; config.canary.len()],
            heard: vec![vec![0; config.canary.len()]; config.metrics.len()],
            collected: vec![false; config.metrics.len()],
            past: Past::new(config.metrics.len()),
            weights: None,
            looked: 0,
            answer,
            events,
            levels,
            config,
        })
    }

    /// Takes a tick and says what is known after it. History, late and repeated ticks, and ticks after the final
    /// verdict change nothing that was said before.
    pub fn observe(&mut self, tick: &Tick) -> Answer {
        if self.answer.verdict != Verdict::Continue || !self.intake.read(tick) {
            return self.answer.clone();
        }
        let row = self.intake.row();
        for (metric, collected) in self.collected.iter_mut().enumerate() {
            *collected = *collected || row.cells(metric).iter().any(|c| *c != Cell::Absent);
        }
        if row.tick < 0 {
            self.past.see(row, &self.config);
            let mut turns = 1..;
            self.events.iter_mut().zip(&mut turns).for_each(|(e, turn)| e.remember(row, turn));
            self.levels.iter_mut().zip(turns).for_each(|(l, turn)| l.remember(row, turn));
            self.answer.tick = row.tick;
            return self.answer.clone();
        }
        if self.weights.is_none() {
            self.events.iter_mut().for_each(Events::settle);
            self.levels.iter_mut().for_each(|l| l.settle(row.tick));
            if row.tick >= Fade::new(self.frame.warmup).from {
                self.weights = Some(spend(&self.config, &mut self.events, &mut self.levels));
            }
        }
        let row = self.intake.row();
        self.events.iter_mut().for_each(|e| e.push(row));
        self.levels.iter_mut().for_each(|l| l.push(row));
        self.attend();
        self.answer = self.decide(tick.tick);
        self.answer.clone()
    }

    /// Says what the canary can show in its time, from traffic and fluctuation of history; `canary_share` is the part of
    /// the traffic that the canary will get, as in history if `None`.
    pub fn outlook(&self, canary_share: Option<f64>) -> Feasibility {
        let mut plan = plan(&self.config, &self.past.flows(&self.config, canary_share));
        let mut add = |metric: String, lacks: Option<Lack>| {
            if let Some(lacks) = lacks.filter(|_| plan.short.iter().all(|short| short.metric != metric)) {
                plan.short.push(Shortfall { metric, lacks });
            }
        };
        for level in &self.levels {
            if !level.has_history() {
                add(level.name.clone(), Some(Lack::History));
                continue;
            }
            let [own, growth] = level.outlook().map(|p| p.and_then(|p| fluctuation(&self.config, p)));
            add(level.name.clone(), own);
            add(format!("{}:slope", level.name), growth);
        }
        plan
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Notes who was heard.
    fn attend(&mut self) {
        let row = self.intake.row();
        let canaries = self.frame.canaries;
        let old = &row.seen[canaries..];
        let collecting = 2 * old.iter().filter(|s| **s).count() >= old.len();
        for (silent, seen) in self.silent.iter_mut().zip(&row.seen) {
            *silent = if *seen { 0 } else { *silent + u32::from(collecting) };
        }
        if row.tick >= self.frame.warmup {
            self.looked = self.looked.saturating_add(1);
            for (metric, heard) in self.heard.iter_mut().enumerate() {
                for (count, cell) in heard.iter_mut().zip(row.cells(metric)) {
                    *count = count.saturating_add(u32::from(*cell != Cell::Absent));
                }
            }
        }
    }

    fn tests(&self) -> Vec<Test> {
        let early_weight = early_weight(&self.config);
        let excused = self.events.iter().filter(|e| e.judged_early()).count();
        let even = test_weight(&self.config);
        let mut weights = self.weights.iter().flatten().copied();
        let mut weight = move || weights.next().unwrap_or(even);
        let mut tests = Vec::new();
        for e in self.events.iter().filter(|e| early_weight > 0.0 && e.judged_early()) {
            let evidence = Evidence { worse: e.early_evidence(), ..Evidence::default() };
            let weight = early_weight / excused as f64;
            tests.push(Test { name: e.name.clone(), role: Role::Exposure, weight, evidence, lean_wanted: 0.0 });
        }
        tests.extend(self.events.iter().map(|e| Test {
            name: e.name.clone(),
            role: e.role,
            weight: weight(),
            evidence: e.evidence(),
            lean_wanted: EVENT_LEAN,
        }));
        for level in &self.levels {
            let mut test =
                |name, evidence, lean_wanted| Test { name, role: level.role, weight: weight(), evidence, lean_wanted };
            tests.push(test(level.name.clone(), level.evidence(), 0.0));
            let lean_wanted = |g: &Growth| if g.refilling() { f64::NEG_INFINITY } else { 0.0 };
            let growth = level.growth();
            tests.extend(growth.map(|g| test(format!("{}:slope", level.name), g.evidence(), lean_wanted(g))));
        }
        tests
    }

    fn decide(&self, tick: i64) -> Answer {
        let warming = tick < self.frame.warmup;
        let last = tick >= i64::from(self.config.horizon_ticks) - 1;
        let tests = self.tests();
        let rest = (1.0 - tests.iter().map(|t| t.weight).sum::<f64>()).max(1e-12);
        let terms: Vec<f64> = tests.iter().map(|t| t.weight.ln() + t.evidence.worse).chain([rest.ln()]).collect();
        let evidence = log_sum_exp(terms.iter().copied());
        let mut open = self.open(&tests, last);
        let (verdict, why) = if let Some(lost) = self.silent.iter().position(|s| *s >= SILENCE_TICKS) {
            (Verdict::Fail, vec![Reason::Missing(self.config.canary[lost].clone())])
        } else if evidence >= -self.config.alpha.ln() {
            (Verdict::Fail, culprits(&tests))
        } else if warming {
            (if last { Verdict::Inconclusive } else { Verdict::Continue }, Vec::new())
        } else if open.is_empty() && self.looked >= self.looks_min() {
            (Verdict::Pass, Vec::new())
        } else {
            (if last { Verdict::Inconclusive } else { Verdict::Continue }, std::mem::take(&mut open))
        };
        Answer { tick, verdict, why, metrics: self.reports(warming), evidence }
    }

    /// Ticks after the warm-up before which nothing passes.
    fn looks_min(&self) -> u32 {
        (self.config.horizon_ticks / 15).clamp(2, 16)
    }

    /// What holds up a pass.
    fn open(&self, tests: &[Test], last: bool) -> Vec<Reason> {
        let wanted = -(self.config.beta * WITHIN_RESERVE).ln();
        let held = |t: &&Test| match t.role {
            Role::Judged => t.evidence.within < wanted,
            Role::Watched if last => t.evidence.within < wanted && t.evidence.lean < t.lean_wanted,
            Role::Watched => t.evidence.within < wanted,
            Role::Exposure => false,
        };
        let settled = |t: &&Test| !self.nothing_to_judge(&t.name);
        let mut open: Vec<Reason> =
            tests.iter().filter(held).filter(settled).map(|t| Reason::Unproven(t.name.clone())).collect();
        let wanted = f64::from(self.looked) * COVERAGE_MIN;
        for (i, (metric, heard)) in self.config.metrics.iter().zip(&self.heard).enumerate() {
            let expected = metric.role == Role::Judged || metric.role == Role::Watched && self.collected[i];
            if expected && heard.iter().any(|h| f64::from(*h) < wanted) {
                open.push(Reason::NoData(metric.name.clone()));
            }
        }
        open
    }

    /// Whether a test's metric is a watched level that stands at zero everywhere or that no node ever reported.
    fn nothing_to_judge(&self, test: &str) -> bool {
        let base = test.split(':').next().unwrap_or(test);
        let nothing = |l: &Level| l.name == base && l.role == Role::Watched && l.idle();
        self.levels.iter().any(nothing)
    }

    fn reports(&self, warming: bool) -> Vec<MetricReport> {
        let (log_alpha, log_beta) = (-self.config.alpha.ln(), -(self.config.beta * WITHIN_RESERVE).ln());
        let mut reports = Vec::new();
        for e in &self.events {
            let early = || Evidence { worse: e.early_evidence().max(e.evidence().worse), ..Evidence::default() };
            let evidence = if warming && e.judged_early() { early() } else { e.evidence() };
            reports.push(e.report(evidence));
        }
        for level in &self.levels {
            reports.push(level.report());
            reports.extend(level.growth().map(|g| g.report(&level.name)));
        }
        let tests = reports.len() as f64;
        for r in &mut reports {
            r.state = match r.state {
                State::Waiting => State::Waiting,
                _ if r.evidence >= log_alpha + tests.ln() => State::Worse,
                _ if r.evidence_within >= log_beta => State::Within,
                other => other,
            };
        }
        reports
    }
}

/// Weight of the warm-up's tests together.
fn early_weight(config: &Config) -> f64 {
    let judged = |m: &Metric| m.role != Role::Exposure && matches!(m.kind, Kind::Count { .. } | Kind::Proportion);
    if config.warmup_ticks > 0 && config.metrics.iter().any(judged) { EARLY_WEIGHT } else { 0.0 }
}

/// Weight of each test after the warm-up.
fn test_weight(config: &Config) -> f64 {
    let tests = |m: &Metric| match (&m.role, &m.kind) {
        (Role::Exposure, _) => 0,
        (_, Kind::Histogram { quantiles, .. }) => quantiles.len(),
        (_, Kind::Gauge { slope: Some(_), .. }) => 2,
        _ => 1,
    };
    (1.0 - early_weight(config)) / config.metrics.iter().map(tests).sum::<usize>().max(1) as f64
}

/// Deals the false alarms' share out among the tests after the warm-up, by what history lets each of them expect.
fn spend(config: &Config, events: &mut [Events], levels: &mut [Level]) -> Vec<f64> {
    let mut expected: Vec<Option<f64>> = events.iter().map(Events::expected).collect();
    for level in levels.iter() {
        let [own, growth] = level.expected();
        expected.push(own);
        expected.extend(level.growth().map(|_| growth));
    }
    let all = 1.0 - early_weight(config);
    let weights: Vec<f64> = shares(&expected, config.alpha * all).into_iter().map(|s| s * all).collect();
    let mut next = weights.iter().map(|w| w * config.alpha);
    let mut alpha = || next.next().unwrap_or(0.0);
    events.iter_mut().for_each(|e| e.spend(alpha()));
    for level in levels.iter_mut() {
        let own = alpha();
        let growth = if level.growth().is_some() { alpha() } else { 0.0 };
        level.spend(own, growth);
    }
    weights
}

/// Metrics that carry the failure, the strongest first.
fn culprits(tests: &[Test]) -> Vec<Reason> {
    let score = |t: &Test| t.evidence.worse + t.weight.ln();
    let mut order: Vec<&Test> = tests.iter().collect();
    order.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let best = order.first().map_or(0.0, |t| score(t));
    let mut names: Vec<String> = Vec::new();
    for t in order.iter().filter(|t| score(t) >= best - 3.0 && t.evidence.worse > 2.0) {
        if !names.contains(&t.name) {
            names.push(t.name.clone());
        }
    }
    names.into_iter().map(Reason::Worse).collect()
}
