//! Tests with a date, watched before it.
//!
//! A fixed-sample test of level `a` at a later tick yields an e-process at once: the conditional probability, given what is
//! known now, that it will reject, divided by `a`. Under the null that is a martingale with mean one (Doob); at the date it
//! is `1/a` or zero, and stays so. An average with the mixture e-value is again an e-process. The mixture finds large
//! effects early, the dated tests find small ones before the time is over, at the price of a fixed-sample test.

use crate::numeric::{log_add_exp, log_twice_normal_cdf, normal_quantile};
use crate::prospect::{Aim, Prospect, schedule};

/// Dates for failing where history tells nothing, as shares of the time's worth, with their weights; the rest of the
/// weight is the mixture's.
const WORSE: &[(f64, f64)] = &[(0.07, 0.1), (0.2, 0.15), (0.45, 0.2), (1.0, 0.4)];
/// The same for passing, as shares of the time after the warm-up.
const WITHIN: &[(f64, f64)] = &[(0.14, 0.15), (0.27, 0.3), (0.55, 0.2), (1.0, 0.2)];

/// Weight, within the mixture, of what follows the warm-up alone, for effects that begin late.
const LATE_WEIGHT: f64 = 0.35;

/// A statistic that is standard normal at the null's boundary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    /// Its value, positive against the null.
    pub z: f64,
    /// Part of its variance that time does not reduce.
    pub fixed: f64,
    /// Part that falls with the number of looks.
    pub falling: f64,
    /// Looks so far.
    pub looks: f64,
    /// Power of the looks by which it falls: 1 for a mean, 3 for a slope.
    pub power: i32,
}

#[derive(Clone, Copy, Debug)]
struct Date {
    looks: f64,
    weight: f64,
    /// Level of the test and the value that its statistic must reach.
    level: f64,
    critical: f64,
    outcome: Option<f64>,
}

/// The dated tests of one null.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines {
    dates: Vec<Date>,
    mixture: f64,
}

impl Deadlines {
    /// `level` is the error that this null may have in all, `looks` what the whole time is worth in ticks.
    pub(crate) fn new(aim: Aim, prospect: Option<Prospect>, level: f64, looks: f64) -> Self {
        match (prospect, aim) {
            (Some(prospect), _) => Self::on(&schedule(prospect, aim, level, looks), level, looks),
            (None, Aim::Worse) => Self::on(WORSE, level, looks),
            (None, Aim::Within) => Self::on(WITHIN, level, looks),
        }
    }

    fn on(schedule: &[(f64, f64)], level: f64, looks: f64) -> Self {
        let dates = schedule.iter().map(|(share, weight)| Date {
            looks: (share * looks).floor().max(1.0),
            weight: *weight,
            level: level * weight,
            critical: -normal_quantile(level * weight),
            outcome: None,
        });
        Self { dates: dates.collect(), mixture: 1.0 - schedule.iter().map(|d| d.1).sum::<f64>() }
    }

    /// Average of the mixture's e-value and the dated tests', in logarithms. `elapsed` counts as `looks` does.
    pub(crate) fn log_evalue(&mut self, mixture: f64, standing: Option<Standing>, elapsed: f64) -> f64 {
        let dated = self.dates.iter_mut().map(|d| {
            let probability = d.log_probability(standing, elapsed);
            d.weight.ln() - d.level.ln() + probability
        });
        dated.fold(self.mixture.ln() + mixture, log_add_exp)
    }
}

impl Date {
    fn log_probability(&mut self, standing: Option<Standing>, elapsed: f64) -> f64 {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        let Some(s) = standing else {
            if elapsed >= self.looks {
                self.outcome = Some(f64::NEG_INFINITY);
            }
            return self.level.ln();
        };
        let left = self.looks - elapsed;
        if left <= 0.0 {
            let outcome = if s.z >= self.critical { 0.0 } else { f64::NEG_INFINITY };
            self.outcome = Some(outcome);
            return outcome;
        }
        let then = s.fixed + s.falling * (s.looks / (s.looks + left)).powi(s.power);
        let kept = (then / (s.fixed + s.falling)).clamp(0.0, 1.0);
        let room = (1.0 - kept).max(1e-9).sqrt();
        log_twice_normal_cdf((s.z * kept.sqrt() - self.critical) / room) - std::f64::consts::LN_2
    }
}

/// Average of the evidence of the whole time and that of what follows the warm-up, in logarithms.
pub(crate) fn with_late(whole: f64, late: Option<f64>) -> f64 {
    let Some(late) = late else { return whole };
    log_add_exp((1.0 - LATE_WEIGHT).ln() + whole, LATE_WEIGHT.ln() + late)
}

/// Normal equivalent of a t-statistic (Wallace 1959).
pub(crate) fn normal_equivalent(t: f64, freedom: f64) -> f64 {
    let nu = freedom.max(1.0);
    (8.0 * nu + 1.0) / (8.0 * nu + 3.0) * (nu * (t * t / nu).ln_1p()).sqrt() * t.signum()
}
