//! Tests with a date, watched before it.
//!
//! Given what is known now, the chance that a test due at a date will reject, divided by its level, is a martingale with
//! mean one under the null (Doob), hence an e-process; so is the average over several dates, and with the mixture's e-value.
//! The mixture finds large effects early, the dates find small ones before the time is over. Whether a pass can be shown by
//! then is known in advance, so its tests put their level on few dates and are averaged.
//!
//! A regression may be of any size. It is looked for by one test with many dates that rejects at the first at which its
//! statistic is beyond that date's critical value. Its level is the chance of ever rejecting, which counts how alike the
//! statistic is from date to date (group-sequential, spent by information: Kim and DeMets, Biometrika 74, 1987; chance of
//! a first crossing: Siegmund, Sequential Analysis, 1985, chapter 4). The chance at the best date alone is never above the
//! chance of rejecting at all.

use crate::numeric::{log_add_exp, log_twice_normal_cdf};
use crate::prospect::{Prospect, critical, distribution, schedule};

/// Shares of the time at which a test for an effect whose size is not known is due.
const DATES: [f64; 15] = [0.04, 0.055, 0.07, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// Power of the information by which its level is spent.
const SPENDING: f64 = 1.5;
/// Dates for a pass where history tells nothing, with the parts of the level.
const WITHIN: [(f64, f64); 4] = [(0.14, 0.18), (0.27, 0.35), (0.55, 0.235), (1.0, LAST_PART)];
/// Part of the level that the last of them has.
pub(crate) const LAST_PART: f64 = 0.235;
/// Weight of the mixture, which finds what is larger than expected.
const MIXTURE: f64 = 0.12;
/// Weight, within the mixture, of what follows the warm-up alone, for effects that begin late.
const LATE_WEIGHT: f64 = 0.35;
/// Siegmund's constant: by how much a walk oversteps a boundary, in deviations of its steps.
const OVERSTEP: f64 = 0.583;
/// Halvings in which a critical value is found.
const HALVINGS: usize = 24;

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

/// What a test is to find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// A regression of any size.
    Worse,
    /// That there is none.
    Within,
}

impl Aim {
    /// Dates, as shares of `looks`, with the parts of `level`. A regression may be of any size; that there is none is
    /// expected to show by a date that is known.
    fn dates(self, prospect: Prospect, level: f64, looks: f64) -> Vec<(f64, f64)> {
        let grown = |share: f64| {
            let grown = prospect.information(share * looks) / prospect.information(looks);
            grown.powf(SPENDING / f64::from(prospect.power))
        };
        match self {
            Self::Worse => {
                let before = [0.0].into_iter().chain(DATES.map(grown));
                DATES.into_iter().zip(before).map(|(share, spent)| (share, grown(share) - spent)).collect()
            }
            Self::Within if prospect.distance > 0.0 => schedule(prospect, level, looks).to_vec(),
            Self::Within => WITHIN.to_vec(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Date {
    looks: f64,
    /// Value that the statistic must reach.
    critical: f64,
}

/// The dated test of one null.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines {
    /// Dates to come, the next one last.
    dates: Vec<Date>,
    level: f64,
    aim: Aim,
    /// Dates at which it has rejected.
    rejected: f64,
}

impl Deadlines {
    /// `level` is the error that this null may have in all, `looks` what the whole time is worth in ticks; `prospect` says
    /// how alike the statistic will be from date to date.
    pub(crate) fn new(aim: Aim, prospect: Prospect, level: f64, looks: f64) -> Self {
        let all = looks.max(1.0);
        let level_of_dates = level * (1.0 - MIXTURE);
        let mut dates: Vec<Date> = Vec::new();
        let mut before = f64::NEG_INFINITY;
        for (share, part) in aim.dates(prospect, level_of_dates, all) {
            let looks = (share * all).floor().max(1.0);
            let information = prospect.information(looks).ln();
            let plain = critical(level_of_dates * part);
            let critical = match (aim, dates.last()) {
                (Aim::Worse, Some(last)) => {
                    plain.min(first_crossing(level_of_dates * part, information - before, last.critical))
                }
                _ => plain,
            };
            dates.push(Date { looks, critical });
            before = information;
        }
        dates.reverse();
        Self { dates, level, aim, rejected: 0.0 }
    }

    /// Average of the mixture's e-value and the dated test's, in logarithms. `elapsed` counts as `looks` does.
    pub(crate) fn log_evalue(&mut self, mixture: f64, standing: Option<Standing>, elapsed: f64) -> f64 {
        while let Some(date) = self.dates.pop_if(|date| date.looks <= elapsed) {
            self.rejected += f64::from(standing.is_some_and(|s| s.z >= date.critical));
        }
        let mixture = MIXTURE.ln() + mixture;
        let chance = match (standing, self.aim) {
            (None, _) if self.dates.is_empty() => self.rejected.ln(),
            (None, _) => (self.level * (1.0 - MIXTURE) + self.rejected).ln(),
            (Some(_), Aim::Worse) if self.rejected > 0.0 => 0.0,
            (Some(s), Aim::Worse) => {
                let best = self.dates.iter().map(|d| d.deviation(s, elapsed)).fold(f64::NEG_INFINITY, f64::max);
                log_normal_cdf(best)
            }
            (Some(s), Aim::Within) => {
                let chances = self.dates.iter().map(|d| log_normal_cdf(d.deviation(s, elapsed)));
                chances.fold(self.rejected.ln(), log_add_exp)
            }
        };
        log_add_exp(mixture, chance - self.level.ln())
    }
}

impl Date {
    /// By how many deviations of what is still to come the statistic will probably be beyond the critical value.
    fn deviation(&self, s: Standing, elapsed: f64) -> f64 {
        let left = self.looks - elapsed;
        let then = s.fixed + s.falling * (s.looks / (s.looks + left)).powi(s.power);
        let kept = (then / (s.fixed + s.falling)).clamp(0.0, 1.0);
        (s.z * kept.sqrt() - self.critical) / (1.0 - kept).max(1e-9).sqrt()
    }
}

/// Value that a standard normal statistic is first beyond at a date with the chance `level`, where its information has
/// grown by `growth`, in logarithms, since the date before, at which `last` was wanted.
///
/// Siegmund's approximation counts how often a walk crosses a boundary that stays or falls; where the boundary rises, a
/// step has to be as much longer. It is raised by its next term, which makes it safe for low boundaries too.
fn first_crossing(level: f64, growth: f64, last: f64) -> f64 {
    let step = growth.max(1e-12).sqrt();
    let chance = |c: f64| {
        let overstep = (-OVERSTEP * c * step).exp();
        let crossing = 0.5 * c * growth * overstep;
        let rise = (c - last) / step;
        let met = if rise > 0.0 { crossing * longer(rise) } else { crossing + (last - c) * overstep };
        density(c) * met * (1.0 + 1.0 / (c * c))
    };
    let (mut low, mut high) = (0.5, 10.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if chance(middle) > level { low = middle } else { high = middle }
    }
    high
}

/// Mean of what a standard normal is beyond `rise`, over that beyond zero.
fn longer(rise: f64) -> f64 {
    (1.0 - rise * distribution(-rise) / density(rise)).max(0.0) * density(rise) / density(0.0)
}

fn log_normal_cdf(z: f64) -> f64 {
    if z == f64::NEG_INFINITY { z } else { log_twice_normal_cdf(z) - std::f64::consts::LN_2 }
}

/// Density of the standard normal.
fn density(z: f64) -> f64 {
    (-0.5 * (z * z + std::f64::consts::TAU.ln())).exp()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64 (Steele, Lea, Flood 2014), made normal (Box, Muller 1958).
    struct Normal(u64);

    impl Normal {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn next(&mut self) -> f64 {
            let radius = (-2.0 * self.uniform().max(1e-300).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        }
    }

    /// Share of runs of means, `effect` above the boundary, whose dated test ever reaches one over its level.
    fn found((aim, prospect): (Aim, Prospect), level: f64, effect: f64) -> f64 {
        const RUNS: u32 = 10_000;
        const LOOKS: u32 = 180;
        let mut random = Normal(7);
        let planned = Deadlines::new(aim, prospect, level, f64::from(LOOKS));
        let crosses = |_: &u32| {
            let mut test = planned.clone();
            let (node, mut sum) = (effect + prospect.fixed.sqrt() * random.next(), 0.0);
            (1..=LOOKS).any(|n| {
                sum += prospect.falling.sqrt() * random.next();
                let looks = f64::from(n);
                let variance = 1.0 / prospect.information(looks);
                let z = (node + sum / looks) / variance.sqrt();
                let standing =
                    Standing { z, fixed: prospect.fixed, falling: variance - prospect.fixed, looks, power: 1 };
                test.log_evalue(f64::NEG_INFINITY, Some(standing), looks) >= -level.ln()
            })
        };
        f64::from((0..RUNS).filter(crosses).count() as u32) / f64::from(RUNS)
    }

    #[test]
    fn level_is_kept_however_alike_the_dates_are() {
        for fixed in [0.0, 0.0004, 0.01] {
            for (aim, least) in [(Aim::Worse, 0.012), (Aim::Within, 0.004)] {
                let prospect = Prospect { distance: 0.09, fixed, falling: 0.03, power: 1, ahead: 0.0 };
                let share = found((aim, prospect), 0.02, 0.0);
                assert!((least..0.021).contains(&share), "{share} of {prospect:?} for {aim:?}");
            }
        }
    }

    #[test]
    fn effects_are_found_nearly_as_often_as_by_one_look_at_the_end() {
        let prospect = Prospect { distance: 0.09, fixed: 0.0004, falling: 0.03, power: 1, ahead: 0.0 };
        let once = distribution(prospect.at(180.0) - critical(0.005));
        let share = found((Aim::Worse, prospect), 0.005, 0.09);
        assert!(share > once - 0.09 && share < once, "{share} against {once}");
    }

    #[test]
    fn short_times_have_dates_too() {
        for looks in [-1.0, 0.0, 1.0, 3.0] {
            let mut test = Deadlines::new(Aim::Within, Prospect::unknown(3), 0.01, looks);
            assert!(!test.dates.is_empty() && test.dates.iter().all(|d| d.critical.is_finite()));
            assert!(test.log_evalue(0.0, None, 4.0) < 0.0 && test.dates.is_empty());
        }
    }
}
