//! Levels: gauges and increments of running totals, per node against what its own past and load let one expect
//! (judge.md (iv)).

mod drift;

use crate::answer::{MetricReport, State, Unit};
use crate::config::{Config, Direction, Kind, Margin, Role};
use crate::deadline::{self, Aim, Deadlines, Standing};
use crate::estimate::{Estimate, POOLED_FREEDOM_MAX, inflation, lag_sums, pooled_scatter};
use crate::events::{Evidence, Frame, RESTART_SPREAD, Stakes, TURNS_TICKS_MIN};
use crate::growth::Growth;
use crate::intake::{Cell, Row};
use crate::load::{HUBER, LoadModel, Observation, Window, median};
use crate::numeric::{LOG_TWO, interval_half_width, log_add_exp, mean};
use crate::prospect::Prospect;
use crate::scores::{Difference, Groups, Score, Scores, add, common_level, deviations, score};
use crate::startup::{Fade, Point, Settled, StartBlocks};

use drift::{Nodes, Odd, drift_variance};

/// Ticks of history from which on the canary's own time is not needed to learn the old version.
const HISTORY_TICKS_MIN: usize = 16;
/// Ticks of the baseline's warm-up that do in place of a history.
const START_TICKS_MIN: usize = 5;
/// Prior deviation of a node's drift against its past, and its weight in nodes.
pub(crate) const DRIFT: f64 = 0.01;
const DRIFT_WEIGHT: f64 = 3.0;
/// Prior deviation of the level between nodes.
const LEVEL_SPREAD: f64 = 0.05;
/// Scattered blocks without which no outlier is told.
const SCATTER_MIN: usize = 12;
/// Largest standard error with which a level is weighed; beyond it a logarithm is not the effect.
const ERROR_MAX: f64 = 0.3;
/// Ticks' worth of a settled node up to which a part of a block is looked at.
const EAGER_TICKS_MAX: f64 = 48.0;
/// Ticks of the warm-up in which levels take turns to learn the old version, as that takes long.
const PREPARE_TICKS: i64 = 8;
/// Blocks of the canary's time without which a start-up is not told from an effect.
const START_BLOCKS_MIN: usize = 2;
/// Smallest part of a block that is looked at.
const PART_TICKS_MIN: usize = 2;
/// Share of outlying blocks in the past from which on no verdict hangs on one block.
const OUTLIERS_MAX: f64 = 0.01;

/// Memories of its noise for which a level is watched at least.
const MEMORIES_MIN: f64 = 2.0;
/// Share of harmless canaries of which one node does something odd by itself.
const ODD_NODE: f64 = 0.002;
/// Deviation of what an odd node does.
const ODD_SPREAD: f64 = 0.5;

/// What is planned by where history tells nothing.
const UNPLANNED: (Prospect, Prospect) = (Prospect::unknown(1), Prospect::unknown(1));

/// One judged level, with its growth if asked for.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    /// Name in reports.
    pub name: String,
    /// What a pass needs of it.
    pub role: Role,
    metric: usize,
    /// Which of the levels it is.
    number: usize,
    load: Option<usize>,
    ok: Margin,
    bad: Margin,
    direction: Direction,
    frame: Frame,
    groups: Groups,
    stakes: Stakes,
    fade: Fade,
    window: Window,
    historic: usize,
    /// What load explains, where it was fitted before the rest is learnt.
    model: Option<LoadModel>,
    known: Option<Known>,
    start: StartBlocks,
    /// What the first tick after the warm-up says by itself, beyond what it says as a step from the one before.
    anchor: Option<Vec<Score>>,
    /// The tick after the last one seen.
    next: i64,
    now: Scores,
    buffer: Vec<Observation>,
    /// Room for ticks to come.
    spare: Vec<Observation>,
    before: Option<Observation>,
    load_sum: (f64, f64),
    samples: u64,
    active: bool,
    dates: Dates,
    evidence: Evidence,
    estimate: Option<Estimate>,
    half_width: f64,
    growth: Option<Growth>,
}

/// The effect without the canary node that is farthest above the old ones, and without the one farthest below.
#[derive(Clone, Copy, Debug)]
struct Rest {
    above: Without,
    below: Without,
}

/// The effect without one canary node, and how much more likely that node agrees with it than is odd, in logarithms.
#[derive(Clone, Copy, Debug)]
struct Without {
    rest: Estimate,
    concord: f64,
}

/// Variances of an effect, apart from how long it was seen.
#[derive(Clone, Copy, Debug)]
struct Scale {
    per_block: f64,
    freedom: f64,
    compared: Compared,
}

/// What history taught, once.
#[derive(Clone, Debug)]
struct Known {
    model: LoadModel,
    past: Vec<Vec<Score>>,
    difference: Option<Difference>,
    /// Log of the canary's expected level over the common one, as far as its own past says so.
    offset: f64,
    cut: f64,
    pooled: (f64, f64),
    lag: (f64, f64),
    block_weight: f64,
    /// Whether blocks in the past had no outliers.
    steady: bool,
    /// How far every node drifted from the first to the second half of the past.
    wander: Nodes,
}

/// Dated tests of every null of a level.
#[derive(Clone, Debug)]
pub(crate) struct Dates {
    /// Against "not above `ok`".
    pub up: Deadlines,
    /// Against "not below `ok`".
    pub down: Deadlines,
    /// Against "at or beyond `bad`".
    pub within: Deadlines,
}

impl Dates {
    /// `worth` is how many ticks of a settled node the whole time is worth.
    pub(crate) fn new(stakes: Stakes, direction: Direction, worth: f64, (worse, within): (Prospect, Prospect)) -> Self {
        let alpha = if direction == Direction::Both { 0.5 * stakes.alpha } else { stakes.alpha };
        let up = Deadlines::new(Aim::Worse, worse, alpha, worth);
        let within = Deadlines::new(Aim::Within, within, stakes.beta, stakes.looks);
        Self { up: up.clone(), down: up, within }
    }
}

impl Level {
    /// Of the metric at `index`, the level of that `number`.
    pub(crate) fn new(config: &Config, (index, number): (usize, usize), stakes: Stakes) -> Self {
        let metric = &config.metrics[index];
        let frame = Frame::new(config);
        let fade = Fade::new(frame.warmup);
        let (load, slope) = match &metric.kind {
            Kind::Gauge { load, slope } => (load.as_deref(), *slope),
            Kind::Counter { load } => (load.as_deref(), None),
            _ => (None, None),
        };
        Self {
            name: metric.name.clone(),
            role: metric.role,
            metric: index,
            number,
            load: load.and_then(|name| config.metrics.iter().position(|m| m.name == name)),
            ok: metric.ok,
            bad: metric.bad,
            direction: metric.direction,
            frame,
            groups: Groups::new(frame.canaries, frame.nodes),
            stakes,
            fade,
            window: Window::default(),
            historic: 0,
            model: None,
            known: None,
            start: StartBlocks::default(),
            anchor: None,
            next: 0,
            now: Scores::default(),
            buffer: Vec::new(),
            spare: Vec::new(),
            before: None,
            load_sum: (0.0, 0.0),
            samples: 0,
            active: false,
            dates: Dates::new(stakes, metric.direction, fade.worth(stakes.horizon), UNPLANNED),
            evidence: Evidence::default(),
            estimate: None,
            half_width: f64::INFINITY,
            growth: slope.map(|margin| Growth::new(frame, margin, metric.ok.rel.ln_1p(), stakes)),
        }
    }

    fn observation(&mut self, row: &Row) -> Observation {
        let mut seen = self.spare.pop().unwrap_or_default();
        let column = |metric: usize, into: &mut Vec<Option<f64>>| {
            into.clear();
            into.extend(row.cells(metric).iter().map(|c| if let Cell::Value(v) = c { Some(*v) } else { None }));
        };
        column(self.metric, &mut seen.level);
        if let Some(load) = self.load {
            column(load, &mut seen.load);
        }
        self.active = self.active || seen.level.iter().flatten().any(|v| *v > 0.0);
        seen
    }

    /// Takes a tick of history. Where that is long, levels take turns in its last ticks to fit what load explains, each in the
    /// tick `turn` before the canary's first, as that takes long.
    pub(crate) fn remember(&mut self, row: &Row, turn: i64) {
        let tick = self.observation(row);
        self.window.push(tick);
        self.historic += 1;
        if row.tick == -turn && self.window.len() >= TURNS_TICKS_MIN {
            self.model = self.fit();
        }
    }

    /// What load explains in the window.
    fn fit(&self) -> Option<LoadModel> {
        LoadModel::fit(&self.window, self.frame.nodes, self.frame.canaries, self.load.is_some())
    }

    /// Takes a tick of the canary's time.
    pub(crate) fn push(&mut self, row: &Row) {
        let tick = self.observation(row);
        if self.known.is_none() && !self.prepare(row.tick) {
            self.learn_from_baseline(tick);
            return;
        }
        if row.tick < self.fade.from {
            self.spare.extend(self.before.replace(tick));
            return;
        }
        if row.tick >= self.frame.warmup && self.next <= self.frame.warmup {
            self.finish_block();
        }
        self.next = row.tick.saturating_add(1);
        for load in tick.load[..tick.load.len().min(self.frame.canaries)].iter().flatten() {
            self.load_sum = (self.load_sum.0 + load, self.load_sum.1 + 1.0);
        }
        self.samples += tick.level[..self.frame.canaries].iter().flatten().count() as u64;
        self.buffer.push(tick);
        if self.next > self.frame.warmup && self.now.is_empty() {
            self.anchor = self.alone();
        }
        let steady = self.known.as_ref().is_some_and(|k| k.steady);
        let part = self.fade.worth(self.next) <= EAGER_TICKS_MAX && self.buffer.len().is_multiple_of(PART_TICKS_MIN);
        let eager = steady && part || self.next == self.stakes.horizon;
        if self.buffer.len() >= self.frame.level_block {
            self.finish_block();
            self.weigh(None);
        } else if eager {
            let part = self.block();
            self.weigh(part);
        }
    }

    /// Scores of the block so far.
    fn block(&self) -> Option<Vec<Score>> {
        let known = self.known.as_ref().filter(|_| self.buffer.len() >= PART_TICKS_MIN)?;
        Some(self.groups.merge(score(&known.model, self.before.as_ref(), &self.buffer), known.cut))
    }

    /// What the block so far would say in addition if nothing had gone before.
    fn alone(&self) -> Option<Vec<Score>> {
        let known = self.known.as_ref().filter(|_| self.buffer.len() >= PART_TICKS_MIN)?;
        let scores = |before| self.groups.merge(score(&known.model, before, &self.buffer), known.cut);
        let (alone, step) = (scores(None), scores(self.before.as_ref()));
        Some(alone.iter().zip(&step).map(|(a, s)| a.beyond(s)).collect())
    }

    /// Share of a start-up that is left in the middle of the block so far.
    fn left(&self) -> f64 {
        self.fade.left(self.next as f64 - 0.5 * self.buffer.len() as f64)
    }

    fn finish_block(&mut self) {
        let after = self.next - self.frame.warmup;
        match self.block() {
            Some(block) if after <= 0 => self.start.push(block, self.left()),
            Some(block) => {
                self.now.push(block);
                if let Some(growth) = &mut self.growth {
                    growth.weigh(&self.now, after as f64);
                }
            }
            None => {}
        }
        if let Some(last) = self.buffer.pop() {
            self.spare.extend(self.before.replace(last));
        }
        self.spare.append(&mut self.buffer);
    }

    /// With little history, the old nodes' first ticks beside the canary serve as one.
    fn learn_from_baseline(&mut self, mut tick: Observation) {
        if !self.has_history() {
            tick.level[..self.frame.canaries].fill(None);
            self.window.push(tick);
        }
    }

    /// Learns the old version, from history or, where that is short, from the old nodes' warm-up; false if it cannot yet.
    fn prepare(&mut self, tick: i64) -> bool {
        let warming = tick < self.frame.warmup;
        let turn = (tick - self.number as i64).rem_euclid(PREPARE_TICKS) == 0;
        if warming && !(turn && self.has_history()) {
            return false;
        }
        if self.window.len() < START_TICKS_MIN {
            return false;
        }
        if !warming {
            self.fade = Fade::settled(self.frame.warmup);
            self.date();
        }
        self.learn()
    }

    /// Learns the old version from the window; false if nothing there is above zero.
    fn learn(&mut self) -> bool {
        let Frame { canaries, level_block, .. } = self.frame;
        let Some(model) = self.model.take().or_else(|| self.fit()) else { return false };
        let ticks: Vec<_> = self.window.iter().cloned().collect();
        let past = ticks.chunks_exact(level_block).enumerate().map(|(i, block)| {
            let before = i.checked_sub(1).map(|i| &ticks[(i + 1) * level_block - 1]);
            score(&model, before, block)
        });
        let past: Vec<_> = past.collect();
        if let Some(growth) = &mut self.growth {
            growth.learn(&past);
        }
        self.known = Some(Known::new(past, model, (canaries, &self.groups)));
        self.window = Window::default();
        true
    }

    /// Learns the old version if it is this level's turn.
    pub(crate) fn settle(&mut self, tick: i64) {
        if self.known.is_none() {
            self.prepare(tick);
        }
    }

    /// Whether history was long enough to learn the old version from.
    pub(crate) fn has_history(&self) -> bool {
        self.historic >= HISTORY_TICKS_MIN
    }

    /// What an unchanged version will show against `bad`, of the level and of its growth, by history.
    pub(crate) fn outlook(&self) -> [Option<Prospect>; 2] {
        if self.known.is_none() {
            let mut learnt = self.clone();
            return if learnt.learn() { learnt.outlook() } else { [None, None] };
        }
        [self.prospects().map(|(_, within)| within), self.growth.as_ref().and_then(Growth::outlook)]
    }

    /// Expected statistics of a regression when the time is over: of the level, and of its growth.
    pub(crate) fn expected(&self) -> [Option<f64>; 2] {
        let level = self.prospects().map(|p| p.0.at(self.fade.worth(self.stakes.horizon)));
        [level, self.growth.as_ref().and_then(Growth::expected)]
    }

    /// Fixes which false alarms level and growth may cost, before anything is weighed.
    pub(crate) fn spend(&mut self, level: f64, growth: f64) {
        self.stakes.alpha = level;
        self.date();
        if let Some(g) = &mut self.growth {
            g.spend(growth);
        }
    }

    fn date(&mut self) {
        let worth = self.fade.worth(self.stakes.horizon);
        self.dates = Dates::new(self.stakes, self.direction, worth, self.prospects().unwrap_or(UNPLANNED));
    }

    /// What a regression at `bad`, and an unchanged version, will show.
    fn prospects(&self) -> Option<(Prospect, Prospect)> {
        let known = self.known.as_ref()?;
        known.difference.as_ref()?;
        let scale = self.scale(known, &[], (0.0, 0.0));
        let e = self.with_scale(0.0, 1.0, &scale);
        let (ok, bad) = (self.ok.rel.ln_1p(), self.bad.rel.ln_1p());
        let rho = known.model.correlation;
        let of = |distance: f64, ahead: f64| Prospect {
            distance,
            fixed: e.past + e.node + e.known,
            falling: e.time * self.frame.level_block as f64,
            power: 1,
            ahead,
        };
        Some((of(bad - ok, 0.0), of(bad, (1.0 + rho) / (1.0 - rho) - 1.0)))
    }

    /// What is known of an effect's variance, from every block of the canary's time.
    fn scale(&self, known: &Known, blocks: &[&Vec<Score>], squares: (f64, f64)) -> Scale {
        let canaries = self.groups.canaries;
        let recent_lag = lag_sums(deviations(blocks, canaries, self.groups.nodes).iter());
        let lag = (known.lag.0 + recent_lag.0, known.lag.1 + recent_lag.1);
        let past_blocks = known.difference.as_ref().map_or(blocks.len(), |d| d.influence.len());
        let inflation = inflation(lag, past_blocks) * known.model.persistence;
        let history = known.difference.as_ref().map_or((0.0, 0.0), |d| (d.squares(), d.influence.len() as f64 - 1.0));
        let weight = known.pooled.1.min(POOLED_FREEDOM_MAX);
        let freedom = history.1 + squares.1 + weight;
        let per_block = (history.0 + squares.0 + weight * known.pooled.0) / freedom.max(1.0) * inflation;
        let past = known.difference.as_ref().map_or(0.0, |d| per_block / d.influence.len() as f64);
        let compared = self.compared(known, blocks, (per_block / blocks.len().max(1) as f64, past, inflation));
        let node = compared.node + self.extrapolation(&known.model);
        Scale { per_block, freedom: freedom / inflation, compared: Compared { node, ..compared } }
    }

    /// What the canary shows if its highest, or its lowest, node is odd.
    fn rest(&self, blocks: f64, scale: &Scale) -> Option<Rest> {
        let (above, below) = scale.compared.odd?;
        let (c, b) = (self.groups.canaries as f64, (self.groups.nodes - self.groups.canaries) as f64);
        let sides = |c: f64| 1.0 / c + 1.0 / b;
        let wider = sides(c - 1.0) / sides(c);
        let without = |odd: Odd| {
            let e = self.with_scale(odd.rest, blocks, scale);
            let per_node = (e.time + e.past + e.node) / sides(c) + c * e.known;
            let apart = per_node * (1.0 + 1.0 / (c - 1.0));
            let log_density = |variance: f64| -0.5 * (variance.ln() + odd.apart.powi(2) / variance);
            Without {
                rest: Estimate {
                    time: e.time * wider,
                    past: e.past * wider,
                    node: e.node * wider,
                    known: e.known * wider,
                    ..e
                },
                concord: log_density(apart) - log_density(apart + ODD_SPREAD * ODD_SPREAD),
            }
        };
        Some(Rest { above: without(above), below: without(below) })
    }

    /// An effect with its variances, from as many settled blocks as `blocks`.
    fn with_scale(&self, effect: f64, blocks: f64, scale: &Scale) -> Estimate {
        let freedom =
            self.known.as_ref().map_or(0, |k| k.wander.drift.len()) + self.groups.nodes - self.groups.canaries;
        Estimate {
            effect,
            time: scale.per_block / blocks,
            past: scale.compared.past,
            time_freedom: scale.freedom,
            node: scale.compared.node,
            node_freedom: freedom as f64 + DRIFT_WEIGHT - 1.0,
            known: RESTART_SPREAD.powi(2) / self.frame.canaries as f64,
            looks: blocks * self.frame.level_block as f64,
            power: 1,
        }
    }

    /// The effect after the warm-up, without what went before.
    fn estimate(&self, part: Option<&Vec<Score>>) -> Option<(Estimate, Option<Rest>)> {
        let known = self.known.as_ref()?;
        let mut blocks: Vec<&Vec<Score>> = self.now.blocks.iter().chain(&self.now.pending).chain(part).collect();
        let first = blocks.first().zip(self.anchor.as_ref()).map(|(b, anchor)| add(b, anchor));
        if let (Some(place), Some(first)) = (blocks.first_mut(), &first) {
            *place = first;
        }
        let now = self.difference(known, &blocks)?;
        if blocks.len() < self.blocks_min(known) || !self.remembered(known) {
            return None;
        }
        let scale = self.scale(known, &blocks, (now.squares(), now.influence.len() as f64 - 1.0));
        let looks = (now.canary_weight / known.block_weight.max(1e-300)).max(0.05);
        let estimate = self.with_scale(now.effect - scale.compared.reference, looks, &scale);
        Some((estimate, self.rest(looks, &scale)))
    }

    /// Whether it was watched for long enough to be more than one state of its noise.
    fn remembered(&self, known: &Known) -> bool {
        (1.0 - known.model.correlation) * (self.next - self.fade.from) as f64 >= MEMORIES_MIN
    }

    fn difference(&self, known: &Known, blocks: &[&Vec<Score>]) -> Option<Difference> {
        Difference::new(blocks, self.groups.canaries, known.cut / (self.now.merged.max(1) as f64).sqrt())
    }

    /// Effects that the whole time shows, where a start-up counts only as far as it does not fade: by the line through it,
    /// and by the mean.
    fn settled(&self, part: Option<&Vec<Score>>) -> Option<([Estimate; 2], Option<Rest>)> {
        let known = self.known.as_ref()?;
        let warming = self.next <= self.frame.warmup;
        let (early, late) = if warming { (part, None) } else { (None, part) };
        let block_weight = known.block_weight.max(1e-300);
        let mut points: Vec<Point> = Vec::new();
        let start = self.start.blocks.iter().map(|(b, left)| (b, *left)).chain(early.map(|b| (b, self.left())));
        for (block, left) in start {
            if let Some(d) = Difference::new(&[block], self.groups.canaries, known.cut) {
                points.push(Point { effect: d.effect, left, weight: d.canary_weight / block_weight });
            }
        }
        let after: Vec<&Vec<Score>> = self.now.blocks.iter().chain(&self.now.pending).chain(late).collect();
        let now = self.difference(known, &after);
        let squares = now.as_ref().map_or((0.0, 0.0), |d| (d.squares(), d.influence.len() as f64 - 1.0));
        points.extend(now.map(|d| Point { effect: d.effect, left: 0.0, weight: d.canary_weight / block_weight }));
        let blocks = self.start.blocks.len() + after.len();
        if blocks < START_BLOCKS_MIN.max(self.blocks_min(known)) || !self.remembered(known) {
            return None;
        }
        let all: Vec<&Vec<Score>> = self.start.blocks.iter().map(|(b, _)| b).chain(after).chain(early).collect();
        let scale = self.scale(known, &all, squares);
        let sides = 1.0 / self.groups.canaries as f64 + 1.0 / (self.groups.nodes - self.groups.canaries) as f64;
        let fit = Settled::fit(&points, scale.compared.reference, known.cut * sides.sqrt());
        let estimate = |(effect, weight): (f64, f64)| self.with_scale(effect, weight, &scale);
        let (line, mean) = (fit.line()?, fit.mean()?);
        Some(([estimate(line), estimate(mean)], self.rest(mean.1, &scale)))
    }

    /// Blocks before which nothing is concluded: one where the past tells how calm they are, more where it has outliers.
    fn blocks_min(&self, known: &Known) -> usize {
        match (known.difference.is_some() && known.pooled.1 > 0.0, known.steady) {
            (true, true) if self.frame.warmup > 0 => 1,
            (true, false) => 3,
            _ => 2,
        }
    }

    /// What the canary's level is compared with: its own past, shrunk to the old nodes' by how much nodes differ.
    fn compared(&self, known: &Known, blocks: &[&Vec<Score>], (time, past, inflation): (f64, f64, f64)) -> Compared {
        let canaries = self.frame.canaries;
        let (c, b) = (canaries as f64, (self.frame.nodes - canaries) as f64);
        let sides = 1.0 / c + 1.0 / b;
        let noise = if known.difference.is_some() { past / sides } else { 0.0 };
        let excess = (known.model.node_variance - noise).max(0.0) * (b - 1.0);
        let between = (DRIFT_WEIGHT * LEVEL_SPREAD.powi(2) + excess) / (b + 2.0) * sides;
        let Some(difference) = &known.difference else {
            return Compared { reference: 0.0, past: 0.0, node: between, odd: None };
        };
        let kept = between / (between + past);
        let (old, canary) =
            (Nodes::between(known, blocks, &self.groups), Nodes::of_canary(known, blocks, &self.groups));
        let other = (time + kept * past + RESTART_SPREAD.powi(2) / c) / sides;
        let node = drift_variance(&[&old, &canary, &known.wander], inflation, other) * sides;
        let reference = difference.effect - (1.0 - kept) * (known.offset + difference.effect);
        let level = common_level(blocks, self.groups.canaries..self.groups.nodes);
        let odd = old.mean().and_then(|old| canary.extremes(old, level));
        Compared { reference, past: kept * past, node, odd }
    }

    /// Variance that comes from using the load slope away from the loads it was fitted on.
    fn extrapolation(&self, model: &LoadModel) -> f64 {
        if self.load_sum.1 <= 0.0 {
            return 0.0;
        }
        let load = self.load_sum.0 / self.load_sum.1;
        let canaries = &model.expected[..self.frame.canaries];
        let expected = mean(canaries.iter().map(|e| e.at(load))).unwrap_or(1.0).max(1e-9);
        let fitted = mean(model.mean_load[..self.frame.canaries].iter().copied()).unwrap_or(load);
        ((load - fitted).abs() * model.slope_error / expected).powi(2)
    }

    /// Weighs the level, with the block that is not full yet.
    fn weigh(&mut self, part: Option<Vec<Score>>) {
        let settled = self.next > self.frame.warmup;
        let main = if settled { self.estimate(part.as_ref()) } else { None };
        let whole = if self.start.blocks.is_empty() {
            main.map(|(e, rest)| ([e; 2], rest))
        } else {
            self.settled(part.as_ref())
        };
        let rest = main.or(whole.map(|w| (w.0[0], w.1))).and_then(|m| m.1);
        let (main, whole) = (main.map(|m| m.0), whole.map(|w| w.0));
        self.estimate = main.or(whole.map(|w| w[0]));
        self.half_width = self.estimate.map_or(f64::INFINITY, |e| {
            interval_half_width(e.variance(), e.freedom(), self.bad.rel.ln_1p(), self.frame.log_alpha)
        });
        let sure = |e: &Estimate| e.variance() < ERROR_MAX * ERROR_MAX;
        if let Some(whole) = whole.filter(|w| w.iter().all(sure)) {
            self.weigh_worse(whole, main.filter(sure), rest);
        }
        if let Some(main) = main.filter(sure) {
            let (sign, bad) = (self.worse_sign(main.effect), self.bad.rel.ln_1p());
            let (mixture, standing) = main.weigh(bad - sign * main.effect, bad);
            let elapsed = (self.next - self.frame.warmup) as f64;
            let within = self.dates.within.log_evalue(mixture, Some(standing), elapsed);
            self.evidence = Evidence { within, lean: mixture, ..self.evidence };
        }
    }

    /// Which way `effect` is a worsening.
    fn worse_sign(&self, effect: f64) -> f64 {
        match self.direction {
            Direction::Up => 1.0,
            Direction::Down => -1.0,
            Direction::Both => effect.signum(),
        }
    }

    /// Weighs what the line through a start-up shows, as far as the mean, or what follows the warm-up, shows it too.
    fn weigh_worse(&mut self, [line, mean]: [Estimate; 2], main: Option<Estimate>, rest: Option<Rest>) {
        let (ok, bad) = (self.ok.rel.ln_1p(), self.bad.rel.ln_1p());
        let worth = self.fade.worth(self.next);
        let started = !self.start.blocks.is_empty();
        let worse = |sign: f64, dates: &mut Deadlines| {
            let weigh = |e: Estimate| e.weigh(sign * e.effect - ok, 1.5 * (bad - ok));
            let (line, mean) = (weigh(line), weigh(mean));
            let late = main.map_or(0.0, |m| weigh(m).0);
            let guard = main.map(weigh).map_or((mean.0, mean.1.z), |m| (m.0.max(mean.0), m.1.z.max(mean.1.z)));
            let standing = Standing { z: line.1.z.min(guard.1), ..line.1 };
            let mixture = deadline::with_late(line.0.min(guard.0), started.then_some(late));
            let worse = dates.log_evalue(mixture, Some(standing), worth);
            let without = rest.map(|r| if sign > 0.0 { r.above } else { r.below });
            let odd = without.map(|w| weigh(w.rest).0 + w.concord);
            odd.map_or(worse, |odd| worse.min(odd - ODD_NODE.ln()))
        };
        self.evidence.worse = match self.direction {
            Direction::Up => worse(1.0, &mut self.dates.up),
            Direction::Down => worse(-1.0, &mut self.dates.down),
            Direction::Both => log_add_exp(worse(1.0, &mut self.dates.up), worse(-1.0, &mut self.dates.down)) - LOG_TWO,
        };
    }

    /// Whether it was never above zero on any node: nothing happens on both sides, or nothing is collected.
    pub(crate) fn idle(&self) -> bool {
        !self.active
    }

    /// Evidence on the level.
    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The growth, if that is judged.
    pub(crate) fn growth(&self) -> Option<&Growth> {
        self.growth.as_ref()
    }

    /// Figures on the level.
    pub(crate) fn report(&self) -> MetricReport {
        let (effect, half) = (self.estimate.map_or(0.0, |e| e.effect), self.half_width);
        MetricReport {
            name: self.name.clone(),
            unit: Unit::Ratio,
            estimate: effect.exp(),
            error: self.estimate.map_or(f64::INFINITY, |e| e.variance().sqrt()),
            low: (effect - half).exp(),
            high: (effect + half).exp(),
            ok: 1.0 + self.ok.rel,
            bad: 1.0 + self.bad.rel,
            evidence: self.evidence.worse,
            evidence_within: self.evidence.within,
            samples: self.samples,
            state: if self.estimate.is_some() { State::Open } else { State::Waiting },
        }
    }
}

impl Known {
    fn new(past: Vec<Vec<Score>>, model: LoadModel, (canaries, groups): (usize, &Groups)) -> Self {
        let blocks: Vec<&Vec<Score>> = past.iter().collect();
        let nodes = model.expected.len();
        let scatter = deviations(&blocks, 0, nodes);
        let sizes: Vec<f64> = scatter.iter().flatten().filter(|v| **v != 0.0).map(|v| v.abs()).collect();
        let cut = match (sizes.len() >= SCATTER_MIN, median(sizes)) {
            (true, Some(typical)) if typical > 0.0 => HUBER * 1.4826 * typical,
            _ => f64::INFINITY,
        };
        let merged: Vec<_> = past.iter().map(|b| groups.merge(b.clone(), cut)).collect();
        let difference = Difference::new(&merged.iter().collect::<Vec<_>>(), groups.canaries, cut);
        let difference = difference.filter(|d| d.influence.len() > 1);
        let expected: Vec<f64> = model
            .expected
            .iter()
            .zip(&model.mean_load)
            .map(|(e, q)| (e.at(*q) / model.common.at(*q)).max(1e-6).ln())
            .collect();
        let side = |range: std::ops::Range<usize>| mean(expected[range].iter().copied()).unwrap_or(0.0);
        let outliers = scatter.iter().flatten().filter(|v| v.abs() > 1.4 * cut).count() as f64;
        let cells = scatter.iter().map(Vec::len).sum::<usize>() as f64;
        let own = difference.as_ref().map(|d| d.canary_weight / d.influence.len() as f64);
        let old_weight = |b: &&Vec<Score>| b[canaries..].iter().map(|s| s.weight).sum::<f64>();
        let per_node = mean(blocks.iter().map(old_weight)).unwrap_or(0.0) / (nodes - canaries) as f64;
        Self {
            offset: side(0..canaries) - side(canaries..nodes),
            pooled: pooled_scatter(&scatter, canaries, cut),
            lag: lag_sums(scatter.iter()),
            block_weight: own.unwrap_or(per_node * canaries as f64),
            wander: Nodes::from(&blocks[..blocks.len() / 2], &blocks[blocks.len() / 2..], 0..nodes, 1.0),
            steady: outliers <= OUTLIERS_MAX * cells,
            cut,
            difference,
            past: merged,
            model,
        }
    }
}

/// What an effect is measured against.
#[derive(Clone, Copy, Debug)]
struct Compared {
    reference: f64,
    past: f64,
    node: f64,
    /// The canary node that is farthest above the old ones, and the one farthest below.
    odd: Option<(Odd, Odd)>,
}
