//! Growth of a level: a leak shows as a slope of canary minus baseline (judge.md (v)).
//!
//! The slope of the canary alone would blame it for the daily load; a level that only climbs back to the old one is a
//! cache filling up.

use crate::answer::{MetricReport, State, Unit};
use crate::config::{Direction, SlopeMargin};
use crate::estimate::{Estimate, POOLED_FREEDOM_MAX, inflation, lag_sums, pooled_scatter};
use crate::events::{Evidence, Frame, Stakes};
use crate::level::Dates;
use crate::numeric::{interval_half_width, mean, variance};
use crate::prospect::Prospect;
use crate::scores::{Groups, Line, Score, Scores, mean_known, relative, two_way};

/// Prior deviation of a node's growth, in parts a minute, and its weight in nodes.
const DRIFT: f64 = 0.0002;
const DRIFT_WEIGHT: f64 = 3.0;
/// Blocks without which no slope is fitted.
const BLOCKS_MIN: usize = 5;

/// What is planned by where history tells nothing.
const UNPLANNED: Prospect = Prospect::unknown(3);

/// One judged growth.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    frame: Frame,
    groups: Groups,
    margin: SlopeMargin,
    /// Log of the level over the old one up to which growth is a refill.
    refill: f64,
    past: Past,
    stakes: Stakes,
    dates: Dates,
    estimate: Option<Estimate>,
    half_width: f64,
    evidence: Evidence,
    refilling: bool,
    samples: u64,
}

/// What history taught.
#[derive(Clone, Debug, Default)]
struct Past {
    reference: f64,
    squares: f64,
    blocks: usize,
    pooled: (f64, f64),
    lag: (f64, f64),
}

impl Growth {
    pub(crate) fn new(frame: Frame, margin: SlopeMargin, refill: f64, stakes: Stakes) -> Self {
        Self {
            groups: Groups::new(frame.canaries, frame.nodes),
            frame,
            margin,
            refill,
            past: Past::default(),
            stakes,
            dates: Dates::new(stakes, Direction::Up, stakes.looks, (UNPLANNED, UNPLANNED)),
            estimate: None,
            half_width: f64::INFINITY,
            evidence: Evidence::default(),
            refilling: true,
            samples: 0,
        }
    }

    fn gap(canaries: usize, y: &[f64]) -> Option<f64> {
        Some(mean_known(&y[..canaries])? - mean_known(&y[canaries..])?)
    }

    /// Takes the blocks of history.
    pub(crate) fn learn(&mut self, blocks: &[Vec<Score>]) {
        let history: Vec<Vec<f64>> = blocks.iter().map(|b| relative(b)).collect();
        let gaps: Vec<f64> = history.iter().filter_map(|y| Self::gap(self.frame.canaries, y)).collect();
        let reference = mean(gaps.iter().copied()).unwrap_or(0.0);
        let columns = two_way(&history, 0, self.frame.nodes);
        self.past = Past {
            reference,
            squares: gaps.iter().map(|v| (v - reference).powi(2)).sum(),
            blocks: gaps.len(),
            pooled: pooled_scatter(&columns, self.frame.canaries, f64::INFINITY),
            lag: lag_sums(columns.iter()),
        };
    }

    /// Expected statistic of a regression when the time is over.
    pub(crate) fn expected(&self) -> Option<f64> {
        self.prospect().map(|p| p.at(self.stakes.looks))
    }

    /// What an unchanged version will show against growth at `bad`.
    pub(crate) fn outlook(&self) -> Option<Prospect> {
        self.prospect().map(|worse| Prospect { distance: self.margin.bad, ..worse })
    }

    /// Fixes which false alarms it may cost, before anything is weighed.
    pub(crate) fn spend(&mut self, alpha: f64) {
        self.stakes.alpha = alpha;
        let worse = self.prospect().unwrap_or(UNPLANNED);
        self.dates = Dates::new(self.stakes, Direction::Up, self.stakes.looks, (worse, UNPLANNED));
    }

    /// What a growth at `bad` will show: the variance of a slope falls with the third power of time. A pass is not planned by
    /// it, as the saw-teeth of a collector make early slopes worse than that.
    fn prospect(&self) -> Option<Prospect> {
        let (per_block, freedom) = self.past.pooled;
        if freedom <= 0.0 {
            return None;
        }
        let minutes = self.frame.level_block as f64 * self.frame.tick_minutes;
        let inflation = inflation(self.past.lag, self.past.blocks);
        let looks = (self.frame.level_block as f64).powi(3);
        let sides = 1.0 / self.groups.canaries as f64 + 1.0 / (self.groups.nodes - self.groups.canaries) as f64;
        Some(Prospect {
            distance: self.margin.bad - self.margin.ok,
            fixed: DRIFT.powi(2) * sides,
            falling: 12.0 * per_block * inflation * looks / minutes.powi(2),
            power: 3,
            ahead: 0.0,
        })
    }

    /// Weighs the growth after a block.
    pub(crate) fn weigh(&mut self, now: &Scores, elapsed: f64) {
        let Some((e, above)) = self.fit(now) else { return };
        self.estimate = Some(e);
        self.half_width = interval_half_width(e.variance(), e.freedom(), self.margin.bad, self.frame.log_alpha);
        self.refilling = !above;
        self.samples = elapsed as u64 * self.frame.canaries as u64;
        let margin = self.margin;
        let (mut mixture, mut standing) = e.weigh(e.effect - margin.ok, 1.5 * (margin.bad - margin.ok));
        if !above {
            mixture = mixture.min(0.0);
            standing.z = standing.z.min(0.0);
        }
        self.evidence.worse = self.dates.up.log_evalue(mixture, Some(standing), elapsed);
        let (mixture, standing) = e.weigh(margin.bad - e.effect, margin.bad);
        self.evidence.within = self.dates.within.log_evalue(mixture, Some(standing), elapsed);
        self.evidence.lean = mixture;
    }

    /// Growth a minute of the canary's level over the baseline's, and whether the level has passed the old one.
    fn fit(&self, now: &Scores) -> Option<(Estimate, bool)> {
        let blocks: Vec<Vec<f64>> = now.blocks.iter().map(|b| relative(b)).collect();
        let n = blocks.len();
        if n < BLOCKS_MIN {
            return None;
        }
        let gaps: Vec<f64> = blocks.iter().map(|y| Self::gap(self.groups.canaries, y)).collect::<Option<_>>()?;
        let ticks = (self.frame.level_block * now.merged.max(1)) as f64;
        let line = Line::fit(&gaps, ticks * self.frame.tick_minutes);
        let old = self.old_lines(&blocks, ticks * self.frame.tick_minutes);
        let lag = lag_sums(old.iter().map(|l| &l.residuals));
        let inflation = inflation((self.past.lag.0 + lag.0, self.past.lag.1 + lag.1), self.past.blocks.max(n));
        let weight = self.past.pooled.1.min(POOLED_FREEDOM_MAX);
        let freedom = (n - 2) as f64 + (self.past.blocks as f64 - 1.0).max(0.0) + weight;
        let per_block = (line.squares() + self.past.squares + weight * self.past.pooled.0) / freedom;
        let last = (n / 3).max(2);
        let above = mean(gaps[n - last..].iter().copied())? - self.past.reference > self.refill;
        let estimate = Estimate {
            effect: line.slope,
            time: per_block * inflation / line.sxx,
            past: 0.0,
            time_freedom: freedom / inflation,
            node: self.drift(&old, line.sxx, inflation),
            node_freedom: old.len() as f64 + 2.0,
            known: 0.0,
            looks: n as f64 * ticks,
            power: 3,
        };
        Some((estimate, above))
    }

    fn old_lines(&self, blocks: &[Vec<f64>], step: f64) -> Vec<Line> {
        (self.groups.canaries..self.groups.nodes)
            .map(|i| blocks.iter().map(|b| b[i]).collect::<Vec<f64>>())
            .filter(|y| y.iter().all(|v| v.is_finite()))
            .map(|y| Line::fit(&y, step))
            .collect()
    }

    /// Variance that the old nodes' own growth shows beyond its noise, shrunk to the prior.
    fn drift(&self, old: &[Line], sxx: f64, inflation: f64) -> f64 {
        let slopes: Vec<f64> = old.iter().map(|l| l.slope).collect();
        let b = old.len().max(1) as f64;
        let points = old.first().map_or(3, |l| l.residuals.len()) as f64;
        let noise = old.iter().map(Line::squares).sum::<f64>() / b / (points - 2.0) / sxx * inflation;
        let excess = (variance(&slopes) - noise).max(0.0) * (b - 1.0) * self.groups.size;
        let sides = 1.0 / self.frame.canaries as f64 + 1.0 / (b * self.groups.size);
        (DRIFT_WEIGHT * DRIFT.powi(2) + excess) / (b + 2.0) * sides
    }

    /// Whether the level is not above the old one yet: its growth may be a cache that fills up.
    pub(crate) fn refilling(&self) -> bool {
        self.refilling
    }

    /// Evidence on the growth.
    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// Figures on the growth of the level called `name`.
    pub(crate) fn report(&self, name: &str) -> MetricReport {
        let (effect, half) = (self.estimate.map_or(0.0, |e| e.effect), self.half_width);
        MetricReport {
            name: format!("{name}:slope"),
            unit: Unit::PerMinute,
            estimate: effect,
            error: self.estimate.map_or(f64::INFINITY, |e| e.variance().sqrt()),
            low: effect - half,
            high: effect + half,
            ok: self.margin.ok,
            bad: self.margin.bad,
            evidence: self.evidence.worse,
            evidence_within: self.evidence.within,
            samples: self.samples,
            state: if self.estimate.is_some() { State::Open } else { State::Waiting },
        }
    }
}
