//! Levels: gauges and increments of running totals, per node against what its own past and load let one expect
//! (judge.md (iv)); growth of the level (judge.md (v)).

use crate::answer::{MetricReport, State, Unit};
use crate::config::{Config, Direction, Kind, Margin, Role, SlopeMargin};
use crate::deadline::{self, Deadlines, Standing, normal_equivalent};
use crate::events::{Evidence, Frame, RESTART_SPREAD, Stakes};
use crate::intake::Row;
use crate::load::{HUBER, LoadModel, Observation, Window, median};
use crate::numeric::{LOG_TWO, interval_half_width, log_add_exp, log_t_evalue, mean, variance};

/// Blocks kept; beyond that, neighbours are merged.
const BLOCKS_MAX: usize = 64;
/// Ticks of history from which on the canary's own time is not needed to learn the old version.
const HISTORY_TICKS_MIN: usize = 16;
/// Ticks of the baseline's warm-up that do in place of a history.
const START_TICKS_MIN: usize = 5;
/// Prior deviation of a node's drift against its past, and its weight in nodes.
const DRIFT: f64 = 0.01;
const DRIFT_WEIGHT: f64 = 3.0;
/// Prior deviation of the level between nodes that have no past.
const LEVEL_SPREAD: f64 = 0.05;
/// Most degrees of freedom that the scatter between all nodes may add.
const POOLED_FREEDOM_MAX: f64 = 40.0;
/// Scattered blocks without which no outlier is told.
const SCATTER_MIN: usize = 12;
/// Prior deviation of a node's growth, in parts a minute.
const SLOPE_DRIFT: f64 = 0.0002;

/// Deviation of one node from its expectation over a block: weighted sum and weight.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    sum: f64,
    weight: f64,
    level: f64,
    ticks: f64,
}

/// Scores per node and block.
#[derive(Clone, Debug, Default)]
struct Scores {
    blocks: Vec<Vec<Score>>,
    /// Blocks of the original length that one entry holds.
    merged: usize,
    pending: Vec<Vec<Score>>,
}

impl Scores {
    fn push(&mut self, block: Vec<Score>) {
        self.merged = self.merged.max(1);
        self.pending.push(block);
        if self.pending.len() < self.merged {
            return;
        }
        let first = self.pending.remove(0);
        let whole = self.pending.drain(..).fold(first, |a, b| add(&a, &b));
        self.blocks.push(whole);
        if self.blocks.len() == BLOCKS_MAX {
            self.blocks = self.blocks.chunks(2).map(|p| p.get(1).map_or(p[0].clone(), |b| add(&p[0], b))).collect();
            self.merged *= 2;
        }
    }
}

fn add(a: &[Score], b: &[Score]) -> Vec<Score> {
    let sum = |(a, b): (&Score, &Score)| Score {
        sum: a.sum + b.sum,
        weight: a.weight + b.weight,
        level: a.level + b.level,
        ticks: a.ticks + b.ticks,
    };
    a.iter().zip(b).map(sum).collect()
}

/// One judged level, with its growth if asked for.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    /// Name in reports.
    pub name: String,
    /// What a pass needs of it.
    pub role: Role,
    /// Margins of growth.
    pub slope: Option<SlopeMargin>,
    metric: usize,
    load: Option<usize>,
    ok: Margin,
    bad: Margin,
    direction: Direction,
    frame: Frame,
    window: Window,
    historic: usize,
    model: Option<LoadModel>,
    past: Scores,
    now: Scores,
    buffer: Vec<Observation>,
    before: Option<Observation>,
    load_sum: (f64, f64),
    samples: u64,
    dates: Dates,
    growth_dates: Dates,
    evidence: Evidence,
    growth_evidence: Evidence,
}

/// Dated tests of every null of a level.
#[derive(Clone, Debug)]
struct Dates {
    up: Deadlines,
    down: Deadlines,
    within: Deadlines,
}

impl Dates {
    fn new(stakes: Stakes, direction: Direction) -> Self {
        let alpha = if direction == Direction::Both { 0.5 * stakes.alpha } else { stakes.alpha };
        let worse = Deadlines::new(deadline::WORSE, alpha, stakes.looks);
        let within = Deadlines::new(deadline::WITHIN, stakes.beta, stakes.looks);
        Self { up: worse.clone(), down: worse, within }
    }
}

/// Estimate of the effect with its two variances: of time and of nodes.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    effect: f64,
    time: f64,
    /// Part of `time` that the past contributes and that no longer falls.
    time_past: f64,
    /// Power of the number of blocks by which the rest falls.
    power: i32,
    time_freedom: f64,
    node: f64,
    node_freedom: f64,
}

impl Estimate {
    fn variance(&self) -> f64 {
        self.time + self.node
    }

    /// Welch and Satterthwaite's degrees of freedom.
    fn freedom(&self) -> f64 {
        let v = self.variance();
        v * v
            / (self.time.powi(2) / self.time_freedom.max(1.0) + self.node.powi(2) / self.node_freedom.max(1.0) + 1e-300)
    }

    fn evalue(&self, distance: f64, spread: f64) -> f64 {
        log_t_evalue(distance, self.variance(), self.freedom(), spread)
    }

    fn standing(&self, distance: f64, looks: f64) -> Standing {
        let z = normal_equivalent(distance / self.variance().sqrt(), self.freedom());
        Standing { z, fixed: self.node + self.time_past, falling: self.time - self.time_past, looks, power: self.power }
    }
}

impl Level {
    pub(crate) fn new(config: &Config, index: usize, stakes: Stakes) -> Self {
        let metric = &config.metrics[index];
        let (load, slope) = match &metric.kind {
            Kind::Gauge { load, slope } => (load.as_deref(), *slope),
            Kind::Counter { load } => (load.as_deref(), None),
            _ => (None, None),
        };
        Self {
            name: metric.name.clone(),
            role: metric.role,
            slope,
            metric: index,
            load: load.and_then(|name| config.metrics.iter().position(|m| m.name == name)),
            ok: metric.ok,
            bad: metric.bad,
            direction: metric.direction,
            frame: Frame::new(config),
            window: Window::default(),
            historic: 0,
            model: None,
            past: Scores::default(),
            now: Scores::default(),
            buffer: Vec::new(),
            before: None,
            load_sum: (0.0, 0.0),
            samples: 0,
            dates: Dates::new(stakes, metric.direction),
            growth_dates: Dates::new(stakes, Direction::Up),
            evidence: Evidence::default(),
            growth_evidence: Evidence::default(),
        }
    }

    fn observation(&self, row: &Row) -> Observation {
        let column = |metric: usize| (0..self.frame.nodes).map(|n| row.value(metric, n)).collect();
        Observation { level: column(self.metric), load: self.load.map(column).unwrap_or_default() }
    }

    /// Takes a tick of history.
    pub(crate) fn remember(&mut self, row: &Row) {
        self.window.push(self.observation(row));
        self.historic += 1;
    }

    /// Takes a tick of the canary's time.
    pub(crate) fn push(&mut self, row: &Row) {
        let tick = self.observation(row);
        if row.tick < self.frame.warmup || (self.model.is_none() && !self.prepare()) {
            self.learn_from_baseline(tick);
            return;
        }
        for load in tick.load[..tick.load.len().min(self.frame.canaries)].iter().flatten() {
            self.load_sum = (self.load_sum.0 + load, self.load_sum.1 + 1.0);
        }
        self.samples += tick.level[..self.frame.canaries].iter().flatten().count() as u64;
        self.buffer.push(tick);
        if self.buffer.len() < self.frame.level_block {
            return;
        }
        let ticks = std::mem::take(&mut self.buffer);
        if let Some(model) = &self.model {
            let block = score(model, self.before.as_ref(), &ticks);
            self.now.push(block);
        }
        self.before = ticks.last().cloned();
        self.weigh((row.tick - self.frame.warmup + 1) as f64);
    }

    /// With little history, the old nodes' first ticks beside the canary serve as one.
    fn learn_from_baseline(&mut self, mut tick: Observation) {
        if self.historic < HISTORY_TICKS_MIN {
            tick.level[..self.frame.canaries].fill(None);
            self.window.push(tick);
        }
    }

    fn prepare(&mut self) -> bool {
        if self.window.len() < START_TICKS_MIN {
            return false;
        }
        let Frame { nodes, canaries, level_block, .. } = self.frame;
        self.model = LoadModel::fit(&self.window, nodes, canaries, self.load.is_some());
        let Some(model) = &self.model else { return false };
        let ticks: Vec<_> = self.window.iter().cloned().collect();
        for (i, block) in ticks.chunks_exact(level_block).enumerate() {
            let before = i.checked_sub(1).map(|i| &ticks[(i + 1) * level_block - 1]);
            self.past.push(score(model, before, block));
        }
        true
    }

    fn estimate(&self) -> Option<Estimate> {
        let model = self.model.as_ref()?;
        let cut = self.cut();
        let shorter = (self.now.merged.max(1) as f64).sqrt();
        let now = Difference::new(&self.now.blocks, self.frame.canaries, cut / shorter)?;
        let past = Difference::new(&self.past.blocks, self.frame.canaries, cut);
        let nodes = self.node_effects();
        let inflation = self.inflation(&now, past.as_ref());
        let (squares, freedom) = [Some(&now), past.as_ref()]
            .into_iter()
            .flatten()
            .fold((0.0, 0.0), |s, d| (s.0 + d.squares(), s.1 + d.influence.len() as f64 - 1.0));
        let (pooled, pooled_freedom) = self.pooled_scatter(cut);
        let weight = pooled_freedom.min(POOLED_FREEDOM_MAX);
        let freedom = freedom + weight;
        let per_block = (squares + weight * pooled) / freedom.max(1.0);
        let count = |d: &Difference| 1.0 / d.influence.len() as f64;
        let (c, b) = (self.frame.canaries as f64, nodes.drift.len().max(1) as f64);
        let restart = RESTART_SPREAD.powi(2) / c;
        let (reference, node) = match &past {
            Some(past) => (past.effect, nodes.variance(inflation) * (1.0 / c + 1.0 / b) + restart),
            None => {
                let between = (DRIFT_WEIGHT * LEVEL_SPREAD.powi(2) + (b - 1.0) * model.node_variance) / (b + 2.0);
                (0.0, between * (1.0 / c + 1.0 / b) + restart)
            }
        };
        Some(Estimate {
            effect: now.effect - reference,
            time: per_block * inflation * (count(&now) + past.as_ref().map_or(0.0, count)),
            time_past: per_block * inflation * past.as_ref().map_or(0.0, count),
            power: 1,
            time_freedom: freedom / inflation,
            node: node + self.extrapolation(model),
            node_freedom: b + 2.0,
        })
    }

    /// Variance of a block of canary minus baseline that the scatter of all nodes' blocks in the past lets one expect,
    /// with its degrees of freedom.
    fn pooled_scatter(&self, cut: f64) -> (f64, f64) {
        let nodes = self.frame.nodes;
        self.scatter(deviations(&self.past.blocks, 0, nodes), cut)
    }

    fn pooled_growth_scatter(&self, model: &LoadModel) -> (f64, f64) {
        let history: Vec<Vec<f64>> = self.past.blocks.iter().map(|b| relative(b, model)).collect();
        self.scatter(two_way(&history, 0, self.frame.nodes), f64::INFINITY)
    }

    fn scatter(&self, columns: Vec<Vec<f64>>, cut: f64) -> (f64, f64) {
        let Frame { nodes, canaries, .. } = self.frame;
        let used = columns.iter().filter(|c| c.iter().any(|v| *v != 0.0)).count() as f64;
        let blocks = self.past.blocks.len() as f64;
        let freedom = (used - 1.0) * (blocks - 1.0);
        if freedom < 4.0 {
            return (0.0, 0.0);
        }
        let sizes = columns.iter().flatten().map(|v| v.clamp(-cut, cut).powi(2));
        let (c, b) = (canaries as f64, (nodes - canaries) as f64);
        (sizes.sum::<f64>() / freedom * (1.0 / c + 1.0 / b), freedom)
    }

    /// Where a block of one node counts as an outlier, from the scatter in the past.
    fn cut(&self) -> f64 {
        let scatter = deviations(&self.past.blocks, 0, self.frame.nodes);
        let sizes: Vec<f64> = scatter.into_iter().flatten().filter(|v| *v != 0.0).map(f64::abs).collect();
        match (sizes.len() >= SCATTER_MIN, median(sizes)) {
            (true, Some(typical)) if typical > 0.0 => HUBER * 1.4826 * typical,
            _ => f64::INFINITY,
        }
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

    /// How far the old nodes have drifted from their past, each.
    fn node_effects(&self) -> Nodes {
        let total = |blocks: &[Vec<Score>], n: usize| {
            blocks.iter().fold((0.0, 0.0), |s, b| (s.0 + b[n].sum, s.1 + b[n].weight))
        };
        let mut nodes = Nodes::default();
        for n in self.frame.canaries..self.frame.nodes {
            let (now, past) = (total(&self.now.blocks, n), total(&self.past.blocks, n));
            if now.1 > 0.0 && past.1 > 0.0 {
                nodes.drift.push(now.0 / now.1 - past.0 / past.1);
                nodes.noise.push(mean_variance(&self.now.blocks, n) + mean_variance(&self.past.blocks, n));
            }
        }
        nodes
    }

    /// Inflation of the variance of a mean by the correlation of neighbouring blocks, pooled over the nodes.
    fn inflation(&self, now: &Difference, past: Option<&Difference>) -> f64 {
        let (mut lagged, mut square) = (0.0, 0.0);
        let old = self.frame.canaries..self.frame.nodes;
        for (blocks, from) in [(&self.past.blocks, 0), (&self.now.blocks, old.start)] {
            let z = deviations(blocks, from, self.frame.nodes);
            for column in z {
                lagged += column.windows(2).map(|p| p[0] * p[1]).sum::<f64>();
                square += column.iter().map(|v| v * v).sum::<f64>();
            }
        }
        let blocks = past.map_or(now.influence.len(), |p| p.influence.len()).max(2) as f64;
        let r = (lagged / square.max(1e-300) + 1.0 / blocks).clamp(0.0, 0.8);
        (1.0 + r) / (1.0 - r)
    }

    /// Weighs level and growth after a block.
    fn weigh(&mut self, elapsed: f64) {
        if let Some(e) = self.estimate() {
            let (ok, bad) = (self.ok.rel.ln_1p(), self.bad.rel.ln_1p());
            let blocks = self.looks();
            let worse = |sign: f64| {
                (e.evalue(sign * e.effect - ok, 1.5 * (bad - ok)), e.standing(sign * e.effect - ok, blocks))
            };
            let within = |sign: f64| (e.evalue(bad - sign * e.effect, bad), e.standing(bad - sign * e.effect, blocks));
            let dates = &mut self.dates;
            let mut up = || dates.up.log_evalue(worse(1.0).0, Some(worse(1.0).1), elapsed);
            let mut down = || dates.down.log_evalue(worse(-1.0).0, Some(worse(-1.0).1), elapsed);
            self.evidence.worse = match self.direction {
                Direction::Up => up(),
                Direction::Down => down(),
                Direction::Both => log_add_exp(up(), down()) - LOG_TWO,
            };
            let nearest = match self.direction {
                Direction::Up => 1.0,
                Direction::Down => -1.0,
                Direction::Both => e.effect.signum(),
            };
            let (mixture, standing) = within(nearest);
            self.evidence.within = dates.within.log_evalue(mixture, Some(standing), elapsed);
        }
        self.weigh_growth(elapsed);
    }

    fn weigh_growth(&mut self, elapsed: f64) {
        let (Some(margin), Some((e, above))) = (self.slope, self.growth()) else { return };
        let looks = self.looks();
        let weigh = |distance: f64, spread: f64| (e.evalue(distance, spread), e.standing(distance, looks));
        let (mixture, mut standing) = weigh(e.effect - margin.ok, 1.5 * (margin.bad - margin.ok));
        if !above {
            standing.z = standing.z.min(0.0);
        }
        let mixture = if above { mixture } else { 0.0 };
        self.growth_evidence.worse = self.growth_dates.up.log_evalue(mixture, Some(standing), elapsed);
        let (mixture, standing) = weigh(margin.bad - e.effect, margin.bad);
        self.growth_evidence.within = self.growth_dates.within.log_evalue(mixture, Some(standing), elapsed);
    }

    fn looks(&self) -> f64 {
        (self.now.blocks.len() * self.now.merged.max(1) * self.frame.level_block) as f64
    }

    /// Evidence on the level, and on its growth if that is judged.
    pub(crate) fn evidence(&self) -> (Evidence, Option<Evidence>) {
        (self.evidence, self.slope.map(|_| self.growth_evidence))
    }

    /// Figures on the level.
    pub(crate) fn report(&self, evidence: Evidence, log_alpha: f64) -> MetricReport {
        let estimate = self.estimate();
        let (effect, half) = estimate.map_or((0.0, f64::INFINITY), |e| {
            (e.effect, interval_half_width(e.variance(), e.freedom(), self.bad.rel.ln_1p(), log_alpha))
        });
        MetricReport {
            name: self.name.clone(),
            unit: Unit::Ratio,
            estimate: effect.exp(),
            error: estimate.map_or(f64::INFINITY, |e| e.variance().sqrt()),
            low: (effect - half).exp(),
            high: (effect + half).exp(),
            ok: 1.0 + self.ok.rel,
            bad: 1.0 + self.bad.rel,
            evidence: evidence.worse,
            evidence_within: evidence.within,
            samples: self.samples,
            state: if estimate.is_some() { State::Open } else { State::Waiting },
        }
    }

    /// Growth a minute of the canary's level over the baseline's.
    fn growth(&self) -> Option<(Estimate, bool)> {
        let model = self.model.as_ref()?;
        let blocks: Vec<Vec<f64>> = self.now.blocks.iter().map(|b| relative(b, model)).collect();
        let n = blocks.len();
        if n < 5 {
            return None;
        }
        let canaries = self.frame.canaries;
        let gap = |y: &[f64]| Some(mean_known(&y[..canaries])? - mean_known(&y[canaries..])?);
        let d: Vec<f64> = blocks.iter().map(|y| gap(y)).collect::<Option<_>>()?;
        let step = self.frame.level_block as f64 * self.now.merged.max(1) as f64 * self.frame.tick_minutes;
        let line = Line::fit(&d, step);
        let past: Vec<f64> = self.past.blocks.iter().filter_map(|b| gap(&relative(b, model))).collect();
        let reference = mean(past.iter().copied()).unwrap_or(0.0);
        let old: Vec<(f64, Vec<f64>)> = (canaries..self.frame.nodes)
            .filter_map(|i| {
                let y: Vec<f64> = blocks.iter().map(|b| b[i]).collect();
                y.iter().all(|v| v.is_finite()).then(|| Line::fit(&y, step)).map(|l| (l.slope, l.residuals))
            })
            .collect();
        let slopes: Vec<f64> = old.iter().map(|o| o.0).collect();
        let past_squares = past.iter().map(|v| (v - reference).powi(2)).sum::<f64>();
        let freedom = (n - 2) as f64 + (past.len() as f64 - 1.0).max(0.0);
        let (pooled, pooled_freedom) = self.pooled_growth_scatter(model);
        let weight = pooled_freedom.min(POOLED_FREEDOM_MAX);
        let freedom = freedom + weight;
        let per_block = (line.squares() + past_squares + weight * pooled) / freedom;
        let inflation = self.growth_inflation(&old, past.len(), model);
        let b = old.len().max(1) as f64;
        let own = old.iter().map(|o| o.1.iter().map(|r| r * r).sum::<f64>()).sum::<f64>() / b / (n - 2) as f64;
        let excess = (variance(&slopes) - own / line.sxx * inflation).max(0.0) * (b - 1.0);
        let drift = (DRIFT_WEIGHT * SLOPE_DRIFT.powi(2) + excess) / (b + 2.0);
        let last = (n / 3).max(2);
        let above = mean(d[n - last..].iter().copied())? - reference > self.ok.rel.ln_1p();
        let estimate = Estimate {
            effect: line.slope,
            time: per_block * inflation / line.sxx,
            time_past: 0.0,
            power: 3,
            time_freedom: freedom / inflation,
            node: drift * (1.0 / canaries as f64 + 1.0 / b),
            node_freedom: b + 2.0,
        };
        Some((estimate, above))
    }

    fn growth_inflation(&self, old: &[(f64, Vec<f64>)], past: usize, model: &LoadModel) -> f64 {
        let history: Vec<Vec<f64>> = self.past.blocks.iter().map(|b| relative(b, model)).collect();
        let mut columns = two_way(&history, 0, self.frame.nodes);
        columns.extend(old.iter().map(|o| o.1.clone()));
        let (mut lagged, mut square) = (0.0, 0.0);
        for column in columns {
            lagged += column.windows(2).map(|p| p[0] * p[1]).sum::<f64>();
            square += column.iter().map(|v| v * v).sum::<f64>();
        }
        let r = (lagged / square.max(1e-300) + 1.0 / past.max(2) as f64).clamp(0.0, 0.8);
        (1.0 + r) / (1.0 - r)
    }

    /// Figures on the growth.
    pub(crate) fn growth_report(&self, evidence: Evidence, log_alpha: f64) -> Option<MetricReport> {
        let margin = self.slope?;
        let growth = self.growth();
        let (effect, half) = growth.map_or((0.0, f64::INFINITY), |(e, _)| {
            (e.effect, interval_half_width(e.variance(), e.freedom(), margin.bad, log_alpha))
        });
        Some(MetricReport {
            name: format!("{}:slope", self.name),
            unit: Unit::PerMinute,
            estimate: effect,
            error: growth.map_or(f64::INFINITY, |(e, _)| e.variance().sqrt()),
            low: effect - half,
            high: effect + half,
            ok: margin.ok,
            bad: margin.bad,
            evidence: evidence.worse,
            evidence_within: evidence.within,
            samples: self.samples,
            state: if growth.is_some() { State::Open } else { State::Waiting },
        })
    }
}

#[derive(Clone, Debug, Default)]
struct Nodes {
    drift: Vec<f64>,
    noise: Vec<f64>,
}

impl Nodes {
    /// Variance of a node's drift beyond what its noise explains, shrunk to the prior.
    fn variance(&self, inflation: f64) -> f64 {
        let n = self.drift.len() as f64;
        let noise = mean(self.noise.iter().copied()).unwrap_or(0.0) * inflation;
        let excess = (variance(&self.drift) - noise).max(0.0) * (n - 1.0).max(0.0);
        (DRIFT_WEIGHT * DRIFT.powi(2) + excess) / (n + 2.0).max(DRIFT_WEIGHT)
    }
}

/// Canary minus baseline over blocks.
#[derive(Clone, Debug)]
struct Difference {
    effect: f64,
    influence: Vec<f64>,
}

impl Difference {
    /// `cut` is where Huber's weights begin, in deviation of a block of one node.
    fn new(blocks: &[Vec<Score>], canaries: usize, cut: f64) -> Option<Self> {
        let used: Vec<&Vec<Score>> = blocks
            .iter()
            .filter(|b| b[..canaries].iter().any(|s| s.weight > 0.0) && b[canaries..].iter().any(|s| s.weight > 0.0))
            .collect();
        if used.len() < 2 {
            return None;
        }
        let nodes = used[0].len();
        let (canary, mut influence) = side(&used, 0..canaries, cut)?;
        let (old, others) = side(&used, canaries..nodes, cut)?;
        influence.iter_mut().zip(others).for_each(|(a, b)| *a -= b);
        Some(Self { effect: canary - old, influence })
    }

    fn squares(&self) -> f64 {
        self.influence.iter().map(|u| u * u).sum()
    }
}

/// Huber's location of one side's log deviation, and what each block moves it by.
fn side(blocks: &[&Vec<Score>], nodes: std::ops::Range<usize>, cut: f64) -> Option<(f64, Vec<f64>)> {
    let points = || blocks.iter().flat_map(|b| &b[nodes.clone()]).filter(|s| s.weight > 0.0);
    let mut centre = median(points().map(|s| s.sum / s.weight).collect())?;
    for _ in 0..8 {
        let (top, bottom) = points().fold((0.0, 0.0), |t, s| {
            let y = s.sum / s.weight;
            let w = s.weight * (cut / (y - centre).abs().max(1e-300)).min(1.0);
            (t.0 + w * y, t.1 + w)
        });
        centre = top / bottom;
    }
    let inside: f64 = points().filter(|s| (s.sum / s.weight - centre).abs() <= cut).map(|s| s.weight).sum();
    let half: f64 = 0.5 * points().map(|s| s.weight).sum::<f64>();
    let scale = blocks.len() as f64 / inside.max(half) / (1.0 + centre).max(0.05);
    let influence = blocks
        .iter()
        .map(|b| {
            let used = b[nodes.clone()].iter().filter(|s| s.weight > 0.0);
            used.map(|s| s.weight * (s.sum / s.weight - centre).clamp(-cut, cut)).sum::<f64>() * scale
        })
        .collect();
    Some(((1.0 + centre).max(1e-3).ln(), influence))
}

/// Deviations of a node's block means from its own and the block's mean.
fn deviations(blocks: &[Vec<Score>], from: usize, to: usize) -> Vec<Vec<f64>> {
    let y: Vec<Vec<f64>> = blocks
        .iter()
        .map(|b| b.iter().map(|s| if s.weight > 0.0 { s.sum / s.weight } else { f64::NAN }).collect())
        .collect();
    two_way(&y, from, to)
}

fn two_way(blocks: &[Vec<f64>], from: usize, to: usize) -> Vec<Vec<f64>> {
    let block_means: Vec<f64> = blocks.iter().map(|y| mean_known(&y[from..to]).unwrap_or(0.0)).collect();
    (from..to)
        .map(|n| {
            let column: Vec<f64> = blocks.iter().zip(&block_means).map(|(y, m)| y[n] - m).collect();
            let own = mean_known(&column).unwrap_or(0.0);
            column.into_iter().map(|v| if v.is_finite() { v - own } else { 0.0 }).collect()
        })
        .collect()
}

/// Variance of a node's mean over blocks.
fn mean_variance(blocks: &[Vec<Score>], node: usize) -> f64 {
    let y: Vec<f64> = blocks.iter().map(|b| b[node]).filter(|s| s.weight > 0.0).map(|s| s.sum / s.weight).collect();
    variance(&y) / y.len().max(1) as f64
}

fn mean_known(values: &[f64]) -> Option<f64> {
    mean(values.iter().copied().filter(|v| v.is_finite()))
}

/// Log of the block's level over the node's past level.
fn relative(block: &[Score], model: &LoadModel) -> Vec<f64> {
    block
        .iter()
        .zip(model.expected.iter().zip(&model.mean_load))
        .map(|(s, (e, load))| match s.ticks > 0.0 {
            true => (s.level / s.ticks / e.at(*load).max(1e-12)).max(1e-12).ln(),
            false => f64::NAN,
        })
        .collect()
}

/// Least squares over equally spaced points.
struct Line {
    slope: f64,
    residuals: Vec<f64>,
    sxx: f64,
}

impl Line {
    fn fit(y: &[f64], step: f64) -> Self {
        let n = y.len() as f64;
        let centre = 0.5 * (n - 1.0);
        let at = |i: usize| (i as f64 - centre) * step;
        let level = y.iter().sum::<f64>() / n;
        let sxx: f64 = (0..y.len()).map(|i| at(i).powi(2)).sum();
        let slope = y.iter().enumerate().map(|(i, v)| at(i) * v).sum::<f64>() / sxx;
        let residuals = y.iter().enumerate().map(|(i, v)| v - level - slope * at(i)).collect();
        Self { slope, residuals, sxx }
    }

    fn squares(&self) -> f64 {
        self.residuals.iter().map(|r| r * r).sum()
    }
}

/// Deviation of every node from its expectation over the ticks of a block; robust against single spikes.
fn score(model: &LoadModel, before: Option<&Observation>, ticks: &[Observation]) -> Vec<Score> {
    (0..model.expected.len()).map(|node| score_node(model, node, before, ticks)).collect()
}

fn score_node(model: &LoadModel, node: usize, before: Option<&Observation>, ticks: &[Observation]) -> Score {
    let expected = model.expected[node];
    let rho = model.correlation;
    let mut last = before.and_then(|t| t.of(node));
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(ticks.len());
    let mut score = Score::default();
    for tick in ticks {
        let Some((level, load)) = tick.of(node) else {
            last = None;
            continue;
        };
        score.level += level;
        score.ticks += 1.0;
        let first = (1.0 - rho * rho).sqrt();
        points.push(match last {
            Some((l, q)) => (level - rho * l, expected.at(load) - rho * expected.at(q)),
            None => (first * level, first * expected.at(load)),
        });
        last = Some((level, load));
    }
    let weight: f64 = points.iter().map(|p| p.1 * p.1).sum();
    if !(weight > 0.0) || 2 * points.len() < ticks.len() {
        return Score::default();
    }
    score.weight = weight;
    score.sum = weight * (location(&points, HUBER * model.noise[node]) - 1.0);
    score
}

/// Huber's estimate of the factor between the two columns, from the weighted median.
fn location(points: &[(f64, f64)], cut: f64) -> f64 {
    let ratios: Vec<f64> = points.iter().filter(|p| p.1.abs() > 1e-12).map(|p| p.0 / p.1).collect();
    let Some(mut factor) = median(ratios) else { return 1.0 };
    if cut <= 0.0 {
        let (xy, xx) = points.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 * p.1, s.1 + p.1 * p.1));
        return xy / xx;
    }
    for _ in 0..5 {
        let (xy, xx) = points.iter().fold((0.0, 0.0), |s, (x, m)| {
            let weight = (cut / (x - factor * m).abs().max(1e-300)).min(1.0);
            (s.0 + weight * x * m, s.1 + weight * m * m)
        });
        factor = xy / xx;
    }
    factor
}
