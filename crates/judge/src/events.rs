//! Events: counts with exposure, proportions, and requests slower than the old version's quantiles (judge.md (i) to (iii)).

mod bounds;
mod expected;

use std::collections::VecDeque;
use std::sync::OnceLock;

use crate::answer::{MetricReport, State, Unit};
use crate::burst::Cap;
use crate::config::{Config, Direction, Kind, Margin, Role};
use crate::deadline::{self, Aim, Deadlines, Standing};
use crate::dispersion::{Blocks, Dispersion, Prior};
use crate::estimate::Estimate;
use crate::histogram::{Histogram, above};
use crate::intake::{Buckets, Cell, Row, SCALE_MAX};
use crate::load::HISTORY_TICKS_MAX;
use crate::numeric::{gamma_quantile, variance};
use crate::prospect::Prospect;
use crate::rate::{Boundary, Fading, Pair, Priors, RateRatio, Side, Weighed};
use crate::shift::{ShareNoise, Shift};
use crate::slow::Recent;
use crate::startup::Fade;

use bounds::RateBounds;

/// Rounds in which the limit of a burst is learnt from history.
const CAP_ROUNDS: usize = 3;
/// Ticks of history from which on metrics take turns to learn from it.
pub(crate) const TURNS_TICKS_MIN: usize = 64;
/// Blocks of history kept while the quantile has no place.
const HISTORY_BLOCKS_MAX: usize = 32;
/// Prior deviation of a node's log rate, and its weight in nodes.
const NODE_SPREAD: f64 = 0.1;
const NODE_SPREAD_WEIGHT: f64 = 3.0;
/// Prior deviation of the log rate that a mere restart of a node brings.
pub(crate) const RESTART_SPREAD: f64 = 0.02;
/// Mean shift of the alternatives, in log rate.
const WORSE_SCALE: f64 = 0.7;
const WITHIN_SCALE: f64 = 0.4;
/// Largest mean shift that an alternative assumes because slow requests thin out beyond the quantile.
const THINNING_MAX: f64 = 2.0;
const RATE_SCALE: f64 = 1.2;
/// Steps in which a boundary follows the old version's rate, and the share of bursts.
const BOUNDARY_STEP: f64 = 0.02;
const BURST_STEP: f64 = 0.005;
/// Baseline events from which on absolute margins are read as ratios.
const RATIO_EVENTS_MIN: f64 = 30.0;
/// Normal quantiles of the sure bounds on the baseline's rate.
const RATE_LOW_Z: f64 = 1.96;
const RATE_HIGH_Z: f64 = 1.6449;

/// Evidence of one test, in natural logarithms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// Against "within `ok`".
    pub worse: f64,
    /// Against "at or beyond `bad`".
    pub within: f64,
    /// The same by the mixture alone: which way it leans when the time is over.
    pub lean: f64,
}

/// What the judge knows of the run besides the samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Canary nodes; they come first.
    pub canaries: usize,
    /// All nodes.
    pub nodes: usize,
    /// Ticks of start-up that are excused.
    pub warmup: i64,
    /// Ticks of a block for dispersion.
    pub dispersion_block: usize,
    /// Ticks of a block for levels.
    pub level_block: usize,
    /// Minutes of a tick.
    pub tick_minutes: f64,
    /// Logarithm of the evidence at which an interval ends.
    pub log_alpha: f64,
}

impl Frame {
    pub(crate) fn new(config: &Config) -> Self {
        let horizon = config.horizon_ticks as usize;
        Self {
            canaries: config.canary.len(),
            nodes: config.canary.len() + config.baseline.len(),
            warmup: i64::from(config.warmup_ticks),
            dispersion_block: (horizon / 12).clamp(4, 20),
            level_block: (horizon / 30).clamp(2, 8),
            tick_minutes: config.tick_ms as f64 / 60_000.0,
            log_alpha: -config.alpha.ln(),
        }
    }
}

/// Boundaries in log ratio, and the priors around them.
#[derive(Clone, Debug)]
struct Tests {
    worse_at: f64,
    within_at: f64,
    spread: f64,
    worse: Priors,
    within: Priors,
    early: OnceLock<Priors>,
    above_one: OnceLock<Priors>,
    below_one: OnceLock<Priors>,
}

impl Tests {
    /// Around a boundary far beyond `bad`.
    fn early(&self, bad: Margin) -> &Priors {
        let at = (2.0 * bad.rel.ln_1p()).max(4.0_f64.ln());
        self.early.get_or_init(|| Priors::new(at, self.spread, Side::Above, WORSE_SCALE))
    }

    /// Around a given rate, with larger ones as the alternative; few metrics need it, and to make it takes long.
    fn above_one(&self) -> &Priors {
        self.above_one.get_or_init(|| Priors::new(0.0, self.spread, Side::Above, RATE_SCALE))
    }

    /// The same with smaller rates as the alternative.
    fn below_one(&self) -> &Priors {
        self.below_one.get_or_init(|| Priors::new(0.0, self.spread, Side::Below, WORSE_SCALE))
    }
}

/// Dated tests of both nulls.
#[derive(Clone, Debug)]
struct Dates {
    worse: Deadlines,
    within: Deadlines,
}

impl Dates {
    /// `worth` is how many ticks of a settled node the whole time is worth.
    fn new((worse, within): (Option<Prospect>, Option<Prospect>), stakes: Stakes, worth: f64) -> Self {
        Self {
            worse: Deadlines::new(Aim::Worse, worse.unwrap_or(Prospect::unknown(1)), stakes.alpha, worth),
            within: Deadlines::new(Aim::Within, within.unwrap_or(Prospect::unknown(1)), stakes.beta, stakes.looks),
        }
    }
}

/// What one test may cost, and for how long it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stakes {
    /// Its share of the false alarms.
    pub alpha: f64,
    /// Wrong passes.
    pub beta: f64,
    /// Ticks after the warm-up.
    pub looks: f64,
    /// Ticks of the canary's time.
    pub horizon: i64,
}

/// Where the slow requests of a histogram begin, in buckets.
#[derive(Clone, Copy, Debug)]
struct Cut {
    reference: f64,
    worse: f64,
    within: f64,
}

/// One judged stream of events.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    /// Name in reports.
    pub name: String,
    /// What a pass needs of it.
    pub role: Role,
    metric: usize,
    exposure: Option<usize>,
    quantile: Option<f64>,
    buckets_per_octave: f64,
    ok: Margin,
    bad: Margin,
    direction: Direction,
    frame: Frame,
    stakes: Stakes,
    history: Blocks,
    /// Ticks of history.
    historic: u32,
    raw: VecDeque<Vec<(f64, f64)>>,
    cap: Cap,
    /// History from before the quantile had a place, per block and node.
    waiting: VecDeque<Vec<Histogram>>,
    waiting_ticks: usize,
    /// Room to count a tick in.
    cells: Vec<(f64, f64)>,
    recent: Recent,
    cut: Option<Cut>,
    within_scale: f64,
    now: Blocks,
    ready: bool,
    offset: f64,
    spread: f64,
    dispersion: f64,
    history_rate: (f64, f64),
    tests: Option<Box<Tests>>,
    /// Whether a pass is proven by the canary's rate, as there are too few events for a ratio; seen as it comes where
    /// history tells nothing.
    by_rate: Option<bool>,
    /// Whether a pass is proven against the relative margin where the absolute one is wider.
    strict: bool,
    dates: Dates,
    evidence: Evidence,
    looks: f64,
    /// The warm-up, where a start-up that fades is told from an effect.
    fading: Option<Box<Fading>>,
    fade: Fade,
    /// The same of a quantile.
    shift: Option<Box<Shift>>,
    main: RateRatio,
    main_within: RateRatio,
    early: RateRatio,
}

impl Events {
    pub(crate) fn new(config: &Config, index: usize, quantile: Option<f64>, stakes: Stakes) -> Self {
        let metric = &config.metrics[index];
        let frame = Frame::new(config);
        let exposure = match &metric.kind {
            Kind::Count { exposure: Some(name) } => config.metrics.iter().position(|m| m.name == *name),
            _ => None,
        };
        let scale = match metric.kind {
            Kind::Histogram { scale, .. } => scale.min(SCALE_MAX),
            _ => SCALE_MAX,
        };
        let fades = metric.direction == Direction::Up;
        let fade = if fades { Fade::new(frame.warmup) } else { Fade::settled(frame.warmup) };
        let suffix = quantile.map(|q| format!(":p{}", (q * 1e6).round() / 1e4)).unwrap_or_default();
        Self {
            name: format!("{}{suffix}", metric.name),
            role: metric.role,
            metric: index,
            exposure,
            quantile,
            buckets_per_octave: f64::from(scale).exp2(),
            ok: metric.ok,
            bad: metric.bad,
            direction: metric.direction,
            frame,
            stakes,
            history: Blocks::new(frame.nodes, frame.dispersion_block),
            historic: 0,
            raw: VecDeque::new(),
            cap: Cap::default(),
            waiting: VecDeque::new(),
            waiting_ticks: 0,
            cells: Vec::new(),
            recent: Recent::new(quantile.unwrap_or(0.5)),
            cut: None,
            within_scale: WITHIN_SCALE,
            now: Blocks::new(frame.nodes, frame.dispersion_block),
            ready: false,
            offset: 0.0,
            spread: NODE_SPREAD,
            dispersion: 2.0,
            history_rate: (0.0, 0.0),
            tests: None,
            by_rate: None,
            strict: false,
            dates: Dates::new((None, None), stakes, fade.worth(stakes.horizon)),
            evidence: Evidence::default(),
            looks: 0.0,
            fading: (fade.from < frame.warmup && quantile.is_none()).then(|| Box::new(Fading::new())),
            shift: quantile
                .filter(|_| fade.from < frame.warmup)
                .map(|q| Box::new(Shift::new(q, f64::from(scale).exp2()))),
            fade,
            main: RateRatio::new(),
            main_within: RateRatio::new(),
            early: RateRatio::new(),
        }
    }

    /// Whether start-up effects are excused for it: a fresh node may be slow, but not wrong.
    pub(crate) fn judged_early(&self) -> bool {
        self.quantile.is_none()
    }

    /// Takes a tick of history. Where that is long, metrics take turns in its last ticks to learn from it, each in the tick
    /// `turn` before the canary's first, as that takes long.
    pub(crate) fn remember(&mut self, row: &Row, turn: i64) {
        self.historic = self.historic.saturating_add(1);
        if self.quantile.is_some() {
            self.remember_slow(row, 0);
            return;
        }
        let cells = self.counts(row, |_| 0.0);
        if self.cap.is_learnt() {
            let cells = self.cap.apply(cells, self.frame.canaries);
            self.history.push(&cells);
            self.cells = cells;
            return;
        }
        if self.raw.len() == HISTORY_TICKS_MAX {
            self.raw.pop_front();
        }
        self.raw.push_back(cells);
        if row.tick == -turn && self.raw.len() >= TURNS_TICKS_MIN {
            self.replay_counts();
            if self.cap.is_learnt() {
                self.raw = VecDeque::new();
            }
        }
    }

    /// Counts the slow requests of a tick of history, of the nodes from `from_node` on.
    fn remember_slow(&mut self, row: &Row, from_node: usize) {
        match self.recent.place() {
            Some(edge) => {
                self.replay_waiting(edge);
                let mut cells = self.counts(row, slower(edge));
                cells[..from_node].fill((0.0, 0.0));
                self.history.push(&cells);
                self.cells = cells;
            }
            None => self.wait(row, from_node),
        }
        self.recent.push(row.old(self.metric));
    }

    fn wait(&mut self, row: &Row, from_node: usize) {
        if self.waiting_ticks.is_multiple_of(self.frame.dispersion_block) {
            if self.waiting.len() == HISTORY_BLOCKS_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(vec![Histogram::default(); self.frame.nodes]);
        }
        self.waiting_ticks += 1;
        let Some(block) = self.waiting.back_mut() else { return };
        for (sum, cell) in block.iter_mut().zip(row.cells(self.metric)).skip(from_node) {
            if let Cell::Buckets(place) = cell {
                let h = row.buckets(*place);
                sum.add(h.start, h.counts);
            }
        }
    }

    fn replay_waiting(&mut self, edge: f64) {
        for block in std::mem::take(&mut self.waiting) {
            let cells: Vec<_> = block.iter().map(|h| (h.above(edge), h.total)).collect();
            self.history.push_block(&cells);
        }
    }

    /// Events and exposure per node; `slow` reads a histogram.
    fn counts(&mut self, row: &Row, slow: impl Fn(Buckets<'_>) -> f64) -> Vec<(f64, f64)> {
        let mut counted = std::mem::take(&mut self.cells);
        counted.clear();
        let exposure = |node: usize| match self.exposure {
            Some(metric) => row.value(metric, node),
            None => Some(1.0),
        };
        let cell = |(node, cell): (usize, &Cell)| match cell {
            Cell::Value(v) => exposure(node).map(|e| (*v, e)),
            Cell::Pair(bad, total) => Some((*bad, *total)),
            Cell::Buckets(place) => {
                let h = row.buckets(*place);
                Some((slow(h), h.total))
            }
            Cell::Absent | Cell::Started => None,
        };
        let cells = row.cells(self.metric).iter().enumerate();
        counted.extend(cells.map(|c| cell(c).filter(|c| c.1 > 0.0).unwrap_or_default()));
        counted
    }

    /// The canary's requests above `edge`, in buckets.
    fn canary_above(&self, row: &Row, edge: f64) -> f64 {
        let canary = &row.cells(self.metric)[..self.frame.canaries];
        let slow = |cell: &Cell| match cell {
            Cell::Buckets(place) => slower(edge)(row.buckets(*place)),
            _ => 0.0,
        };
        canary.iter().map(slow).sum()
    }

    /// Takes a tick of the canary's time.
    pub(crate) fn push(&mut self, row: &Row) {
        if !self.ready && !self.prepare(row) {
            return;
        }
        if self.quantile.is_some() {
            self.cut = self.place();
            self.recent.push(row.old(self.metric));
        }
        self.follow(row);
        let canaries = self.frame.canaries;
        let (mut cells, worse, within) = match self.cut {
            None => {
                let cells = self.counts(row, |_| 0.0);
                let cells = self.cap.apply(cells, canaries);
                let events = sum(&cells[..canaries]).0;
                (cells, events, events)
            }
            Some(cut) => {
                let (worse, within) = (self.canary_above(row, cut.worse), self.canary_above(row, cut.within));
                (self.counts(row, slower(cut.reference)), worse, within)
            }
        };
        let (canary, baseline) = (sum(&cells[..canaries]), sum(&cells[canaries..]));
        let falling = self.direction == Direction::Down;
        let offset = if falling { -self.offset } else { self.offset };
        let pair = |events: f64| {
            let pair = Pair {
                canary_events: events,
                canary_exposure: canary.1,
                baseline_events: baseline.0,
                baseline_exposure: baseline.1,
            };
            if falling { pair.swapped() } else { pair }
        };
        if row.tick < self.frame.warmup {
            self.early.add(pair(worse), offset);
            if let Some(fading) = self.fading.as_mut().filter(|_| row.tick >= self.fade.from) {
                fading.add(pair(worse), offset, self.fade.left(row.tick as f64 + 0.5));
            }
        } else {
            self.main.add(pair(worse), offset);
            if self.cut.is_some() {
                self.main_within.add(pair(within), offset);
            }
        }
        cells[..canaries].fill((0.0, 0.0));
        if self.now.push(&cells) {
            self.refit();
            self.place_tests();
        }
        self.cells = cells;
        let next = row.tick.saturating_add(1);
        if row.tick >= self.fade.from {
            self.weigh_worse(next);
        }
        if row.tick >= self.frame.warmup {
            self.looks += 1.0;
            self.weigh_within(next);
        }
    }

    /// Follows how far the quantile has moved.
    fn follow(&mut self, row: &Row) {
        let Some(shift) = self.shift.as_mut().filter(|_| row.tick >= self.fade.from) else { return };
        for cell in &row.cells(self.metric)[..self.frame.canaries] {
            if let Cell::Buckets(place) = cell {
                let h = row.buckets(*place);
                shift.canary().add(h.start, h.counts);
            }
        }
        shift.end_tick(row.old(self.metric), self.fade.left(row.tick as f64 + 0.5));
    }

    /// Fits what history teaches, before the canary's first tick.
    pub(crate) fn settle(&mut self) {
        if !self.ready && (self.quantile.is_none() || self.recent.place().is_some()) {
            self.learn();
        }
    }

    /// Fits what history teaches; false if a quantile's place is not known yet.
    fn prepare(&mut self, row: &Row) -> bool {
        if self.quantile.is_some() && self.recent.place().is_none() {
            self.remember_slow(row, self.frame.canaries);
            return false;
        }
        self.learn();
        true
    }

    fn learn(&mut self) {
        if let Some(edge) = self.recent.place().filter(|_| self.quantile.is_some()) {
            self.replay_waiting(edge);
            self.cut = self.place();
            self.within_scale = self.thinning();
        } else if !self.raw.is_empty() {
            self.replay_counts();
            self.raw = VecDeque::new();
        }
        self.ready = true;
        self.fit_offset();
        self.choose_proof();
        self.place_tests();
    }

    fn place(&self) -> Option<Cut> {
        let reference = self.recent.place()?;
        let octave = self.buckets_per_octave;
        let octave = if self.direction == Direction::Down { -octave } else { octave };
        Some(Cut {
            reference,
            worse: reference + octave * (1.0 + self.ok.rel).log2(),
            within: reference + octave * (1.0 + self.bad.rel).log2(),
        })
    }

    /// How much rarer, in logarithms, the old nodes' requests are beyond `bad` than beyond the quantile: what an unchanged
    /// version will show.
    fn thinning(&self) -> f64 {
        let Some(cut) = &self.cut else { return WITHIN_SCALE };
        let share = |edge: f64| self.recent.share_above(edge).max(1e-4).ln();
        (share(cut.within) - share(cut.reference)).abs().clamp(WITHIN_SCALE, THINNING_MAX)
    }

    /// Learns from history how many events of one node and tick are a burst, then sums history with bursts cut.
    fn replay_counts(&mut self) {
        for _ in 0..CAP_ROUNDS {
            self.history = Blocks::new(self.frame.nodes, self.frame.dispersion_block);
            for cells in &self.raw {
                self.history.push(&self.cap.apply(cells.clone(), self.frame.canaries));
            }
            self.refit();
        }
    }

    fn prior(&self) -> Prior {
        if self.quantile.is_some() {
            Prior { value: 1.2, weight: 4.0, thinning: true }
        } else {
            Prior { value: 2.0, weight: 4.0, thinning: false }
        }
    }

    fn refit(&mut self) {
        let mut d = Dispersion::default();
        d.add(&self.history);
        d.add(&self.now);
        self.dispersion = d.estimate(self.prior());
        let old = |blocks: &Blocks| sum(&blocks.totals()[self.frame.canaries..]);
        let (events, exposure) = sum(&[old(&self.history), old(&self.now)]);
        if self.quantile.is_none() && exposure > 0.0 && d.informed() {
            self.cap.learn(events / exposure, self.dispersion);
        }
    }

    fn fit_offset(&mut self) {
        self.refit();
        let totals = self.history.totals();
        let canaries = self.frame.canaries;
        let (c, b) = (canaries as f64, (self.frame.nodes - canaries) as f64);
        let known: Vec<_> = totals.iter().filter(|t| t.1 > 0.0).map(|t| (t.0 + 0.5, t.1)).collect();
        let logs: Vec<_> = known.iter().map(|(k, e)| (k / e).ln()).collect();
        let noise = known.iter().map(|(k, _)| self.dispersion / k).sum::<f64>() / known.len().max(1) as f64;
        let excess = (variance(&logs) - noise).max(0.0) * (known.len() as f64 - 1.0).max(0.0);
        let tau2 =
            (NODE_SPREAD_WEIGHT * NODE_SPREAD.powi(2) + excess) / (known.len() as f64 + 2.0).max(NODE_SPREAD_WEIGHT);
        let nodes = tau2 * (1.0 / c + 1.0 / b);
        let restart = RESTART_SPREAD.powi(2) / c;
        let (canary, baseline) = (sum(&totals[..canaries]), sum(&totals[canaries..]));
        self.history_rate = baseline;
        if canary.1 <= 0.0 || baseline.1 <= 0.0 {
            self.offset = 0.0;
            self.spread = (nodes + restart).sqrt();
            return;
        }
        let (kc, kb) = (canary.0 + 0.5 * c, baseline.0 + 0.5 * b);
        let sampling = self.dispersion * (1.0 / kc + 1.0 / kb);
        let log_ratio = (kc / canary.1).ln() - (kb / baseline.1).ln();
        self.offset = nodes / (nodes + sampling) * log_ratio;
        self.spread = (nodes * sampling / (nodes + sampling) + restart).sqrt();
    }

    /// Boundaries of both nulls in log ratio. Where they follow the old version's rate they move in steps.
    fn boundaries(&self) -> (f64, f64) {
        if self.cut.is_some() {
            return (0.0, 0.0);
        }
        let rate = self.rate_bounds().filter(|r| r.events >= RATIO_EVENTS_MIN);
        let absolute =
            |margin: Margin, rate: f64| margin.abs.filter(|_| rate > 0.0).map_or(0.0, |abs| (abs / rate).ln_1p());
        let worse = rate.map_or(0.0, |r| absolute(self.ok, r.likely_low));
        let within = rate.filter(|_| !self.strict).map_or(0.0, |r| absolute(self.bad, r.sure.1));
        let worse = self.ok.rel.ln_1p().max((worse / BOUNDARY_STEP).ceil() * BOUNDARY_STEP);
        let within = self.bad.rel.ln_1p().max((within / BOUNDARY_STEP).floor() * BOUNDARY_STEP);
        let burst = (self.cap.share() / BURST_STEP).ceil() * BURST_STEP;
        (worse, (within.exp() * (1.0 - burst) + burst).ln())
    }

    fn place_tests(&mut self) {
        let (worse_at, within_at) = self.boundaries();
        let (spread, within_scale) = (self.spread, self.within_scale);
        let prior = |at: f64, side: Side, scale: f64| Priors::new(at, spread, side, scale);
        let tests = self.tests.get_or_insert_with(|| {
            Box::new(Tests {
                worse_at,
                within_at,
                spread,
                worse: prior(worse_at, Side::Above, WORSE_SCALE),
                within: prior(within_at, Side::Below, within_scale),
                early: OnceLock::new(),
                above_one: OnceLock::new(),
                below_one: OnceLock::new(),
            })
        });
        if tests.worse_at != worse_at {
            (tests.worse_at, tests.worse) = (worse_at, prior(worse_at, Side::Above, WORSE_SCALE));
        }
        if tests.within_at != within_at {
            (tests.within_at, tests.within) = (within_at, prior(within_at, Side::Below, within_scale));
        }
    }

    /// Bounds of the old version's rate, over history and now.
    fn rate_bounds(&self) -> Option<RateBounds> {
        let of = |r: &RateRatio| (r.total.baseline_events, r.total.baseline_exposure);
        let (events, exposure) = sum(&[self.history_rate, of(&self.main), of(&self.early)]);
        let phi = self.dispersion;
        let bound = |z: f64, more: f64| gamma_quantile(z, events / phi + more) * phi / exposure;
        (exposure > 0.0 && self.direction == Direction::Up).then(|| RateBounds {
            events: events / phi,
            exposure: exposure / phi,
            likely_low: bound(-1.0, 0.0),
            sure: (bound(-RATE_LOW_Z, 0.0), bound(RATE_HIGH_Z, 1.0)),
        })
    }

    /// Weighs the quantile's shift against `ok`, by the line through a start-up as far as the mean, or the requests after
    /// the warm-up, show it too.
    fn weigh_shift(&mut self, [line, mean]: [Estimate; 2], worth: f64) {
        let Some(tests) = &self.tests else { return };
        let (ok, bad) = (self.ok.rel.ln_1p(), self.bad.rel.ln_1p());
        let weigh = |e: Estimate| e.weigh(e.effect - ok, 1.5 * (bad - ok));
        let (line, mean) = (weigh(line), weigh(mean));
        let late = self.main.log_evalue(&tests.worse, self.dispersion);
        let late_z = self.main.signed_root(tests.worse_at, self.spread, self.dispersion, Side::Above);
        let standing = Standing { z: line.1.z.min(mean.1.z.max(late_z)), ..line.1 };
        let mixture = deadline::with_late(line.0.min(mean.0.max(late)), Some(late));
        self.evidence.worse = self.dates.worse.log_evalue(mixture, Some(standing), worth);
    }

    /// Weighs the evidence against "within `ok`", from the whole time as far as start-ups that fade do not explain it.
    fn weigh_worse(&mut self, next: i64) {
        let worth = self.fade.worth(next);
        let nodes = (self.frame.nodes - self.frame.canaries) as f64 + NODE_SPREAD_WEIGHT - 1.0;
        let noise = ShareNoise { offset: self.offset, spread: self.spread, dispersion: self.dispersion, nodes };
        if let Some(shifts) = self.shift.as_ref().and_then(|s| s.estimates(noise, worth)) {
            self.weigh_shift(shifts, worth);
            return;
        }
        let Some(tests) = &self.tests else { return };
        let (phi, spread) = (self.dispersion, self.spread);
        let total = self.fading.as_ref().map_or(self.main.total, |f| f.total(&self.main));
        if total.canary_exposure <= 0.0 {
            self.evidence.worse = self.dates.worse.log_evalue(0.0, None, worth);
            return;
        }
        let above = |log_ratio: f64| Boundary { log_ratio, spread, side: Side::Above };
        let mut late = self.main.log_evalue(&tests.worse, phi);
        let mut worse = match &mut self.fading {
            Some(fading) => fading.weigh(&self.main, &tests.worse, above(tests.worse_at), phi),
            None => Weighed {
                log_evalue: self.main.log_evalue(&tests.worse, phi),
                z: self.main.signed_root(tests.worse_at, spread, phi, Side::Above),
            },
        };
        let rate = self.rate_bounds().filter(|r| r.events < RATIO_EVENTS_MIN);
        if let (Some(rate), Some(abs)) = (rate, self.ok.abs) {
            let settled = |limit: f64| Weighed {
                log_evalue: self.main.log_evalue_of_rate(tests.above_one(), limit, phi),
                z: self.main.signed_root_of_rate(limit, spread, phi, Side::Above),
            };
            let by_rate = rate.weigh_excess(abs, |limit| match &self.fading {
                Some(fading) => fading.weigh_rate(&self.main, tests.above_one(), (limit, above(0.0)), phi),
                None => settled(limit),
            });
            late = late.min(rate.weigh_excess(abs, settled).log_evalue);
            worse = Weighed { log_evalue: worse.log_evalue.min(by_rate.log_evalue), z: worse.z.min(by_rate.z) };
        }
        let falling = total.count_variance(tests.worse_at, phi) * self.fade.seen(next) / worth.max(1e-9);
        let standing = Standing { z: worse.z, fixed: spread * spread, falling, looks: worth, power: 1 };
        let mixture = deadline::with_late(worse.log_evalue, self.fading.is_some().then_some(late));
        self.evidence.worse = self.dates.worse.log_evalue(mixture, Some(standing), worth);
    }

    /// Weighs the evidence against "at or beyond `bad`"; a start-up can only add events.
    fn weigh_within(&mut self, next: i64) {
        let Some(tests) = &self.tests else { return };
        let (phi, spread) = (self.dispersion, self.spread);
        let elapsed = (next - self.frame.warmup) as f64;
        let below = |log_ratio: f64| Boundary { log_ratio, spread, side: Side::Below };
        let by_rate = |rate: &RateBounds| self.by_rate.unwrap_or(rate.events < RATIO_EVENTS_MIN);
        let limit = self.rate_bounds().filter(by_rate).zip(self.bad.abs).map(|(rate, abs)| rate.sure.0 + abs);
        let late = if self.cut.is_some() { &self.main_within } else { &self.main };
        let settled = match limit {
            Some(limit) => Weighed {
                log_evalue: late.log_evalue_of_rate(tests.below_one(), limit, phi),
                z: late.signed_root_of_rate(limit, spread, phi, Side::Below),
            },
            None => Weighed {
                log_evalue: late.log_evalue(&tests.within, phi),
                z: late.signed_root(tests.within_at, spread, phi, Side::Below),
            },
        };
        let at = limit.map_or(tests.within_at, |_| 0.0);
        let (whole, total, looks) = match &mut self.fading {
            Some(fading) => {
                let whole = match limit {
                    Some(limit) => fading.weigh_rate(late, tests.below_one(), (limit, below(0.0)), phi),
                    None => fading.weigh(late, &tests.within, below(at), phi),
                };
                (whole, fading.total(late), self.fade.seen(next))
            }
            None => (settled, late.total, self.looks),
        };
        let falling = total.count_variance(at, phi);
        let standing = Standing { z: whole.z, fixed: spread * spread, falling, looks, power: 1 };
        let standing = Some(standing).filter(|_| total.canary_exposure > 0.0);
        let within = self.dates.within.log_evalue(whole.log_evalue, standing, elapsed);
        self.evidence.within = if settled.log_evalue < 0.0 { within.min(0.0) } else { within };
        self.evidence.lean = settled.log_evalue.max(whole.log_evalue.min(0.0));
    }

    /// Evidence after the warm-up.
    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// Evidence during the warm-up, against far wider margins.
    pub(crate) fn early_evidence(&self) -> f64 {
        let Some(tests) = &self.tests else { return 0.0 };
        let ratio = self.early.log_evalue(tests.early(self.bad), self.dispersion);
        match (self.bad.abs, self.rate_bounds()) {
            (Some(abs), Some(rate)) => {
                let limit = rate.sure.1 + 2.0 * abs;
                ratio.min(self.early.log_evalue_of_rate(tests.above_one(), limit, self.dispersion))
            }
            _ => ratio,
        }
    }

    /// Figures; of the warm-up as long as there are no others.
    pub(crate) fn report(&self, evidence: Evidence) -> MetricReport {
        let counts = if self.main.total.canary_exposure > 0.0 { &self.main } else { &self.early };
        let interval = counts.interval(self.spread, self.dispersion, self.frame.log_alpha);
        let (low, centre, high) = interval.unwrap_or((f64::NEG_INFINITY, 0.0, f64::INFINITY));
        let down = self.direction == Direction::Down;
        let (low, centre, high) = if down { (-high, -centre, -low) } else { (low, centre, high) };
        let (unit, ok, bad) = match self.cut {
            Some(_) => (Unit::SlowShare, 1.0, f64::INFINITY),
            None => (Unit::Ratio, 1.0 + self.ok.rel, 1.0 + self.bad.rel),
        };
        MetricReport {
            name: self.name.clone(),
            unit,
            estimate: centre.exp(),
            error: self.spread.hypot(counts.count_variance(0.0, self.dispersion).sqrt()),
            low: low.exp(),
            high: high.exp(),
            ok,
            bad,
            evidence: evidence.worse,
            evidence_within: evidence.within,
            samples: counts.total.canary_events as u64,
            state: if counts.total.canary_exposure > 0.0 { State::Open } else { State::Waiting },
        }
    }
}

fn sum(cells: &[(f64, f64)]) -> (f64, f64) {
    cells.iter().fold((0.0, 0.0), |s, c| (s.0 + c.0, s.1 + c.1))
}

/// Counts a histogram's requests above `edge`, in buckets; the bucket that holds it counts in part.
fn slower(edge: f64) -> impl Fn(Buckets<'_>) -> f64 {
    move |h| above(h.start, h.counts, edge, |c| *c as f64)
}
