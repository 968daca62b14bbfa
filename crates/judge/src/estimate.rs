//! An effect with the parts of its variance, and what it is worth against a boundary.

use crate::deadline::{Standing, normal_equivalent};
use crate::numeric::log_t_evalue;

/// Estimate of an effect on a level or its growth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// The effect: log ratio, or growth a minute.
    pub effect: f64,
    /// Variance that falls with time.
    pub time: f64,
    /// Variance of the past that it is compared with.
    pub past: f64,
    /// Degrees of freedom of both.
    pub time_freedom: f64,
    /// Variance between nodes, measured on the old ones.
    pub node: f64,
    /// Its degrees of freedom.
    pub node_freedom: f64,
    /// Variance taken as known: what a mere restart does.
    pub known: f64,
    /// Looks behind it.
    pub looks: f64,
    /// Power of the looks by which `time` falls.
    pub power: i32,
}

impl Estimate {
    /// Whole variance.
    pub(crate) fn variance(&self) -> f64 {
        self.time + self.past + self.node + self.known
    }

    /// Welch and Satterthwaite's degrees of freedom.
    pub(crate) fn freedom(&self) -> f64 {
        let time = (self.time + self.past).powi(2) / self.time_freedom.max(1.0);
        let node = self.node.powi(2) / self.node_freedom.max(1.0);
        self.variance().powi(2) / (time + node + 1e-300)
    }

    /// Mixture e-value of lying `distance` beyond a boundary, and the statistic for dated tests.
    pub(crate) fn weigh(&self, distance: f64, spread: f64) -> (f64, Standing) {
        let freedom = self.freedom();
        let standing = Standing {
            z: normal_equivalent(distance / self.variance().sqrt(), freedom),
            fixed: self.past + self.node + self.known,
            falling: self.time,
            looks: self.looks,
            power: self.power,
        };
        (log_t_evalue(distance, self.variance(), freedom, spread), standing)
    }
}

/// Inflation of the variance of a mean whose blocks have lagged products `lagged` and squares `square`, estimated from
/// series of `blocks` blocks (the second term undoes the bias of centring).
pub(crate) fn inflation((lagged, square): (f64, f64), blocks: usize) -> f64 {
    let r = (lagged / square.max(1e-300) + 1.0 / blocks.max(2) as f64).clamp(0.0, 0.8);
    (1.0 + r) / (1.0 - r)
}

/// Lagged products and squares of centred series.
pub(crate) fn lag_sums<'a>(columns: impl Iterator<Item = &'a Vec<f64>>) -> (f64, f64) {
    columns.fold((0.0, 0.0), |(lagged, square), c| {
        let products: f64 = c.windows(2).map(|p| p[0] * p[1]).sum();
        (lagged + products, square + c.iter().map(|v| v * v).sum::<f64>())
    })
}

/// Variance of a block of canary minus baseline that the scatter of all nodes' blocks lets one expect, with its degrees
/// of freedom; `cut` limits single blocks.
pub(crate) fn pooled_scatter(columns: &[Vec<f64>], canaries: usize, cut: f64) -> (f64, f64) {
    let used = columns.iter().filter(|c| c.iter().any(|v| *v != 0.0)).count() as f64;
    let blocks = columns.first().map_or(0, Vec::len) as f64;
    let freedom = (used - 1.0) * (blocks - 1.0);
    if freedom < 4.0 {
        return (0.0, 0.0);
    }
    let squares: f64 = columns.iter().flatten().map(|v| v.clamp(-cut, cut).powi(2)).sum();
    let (c, b) = (canaries as f64, columns.len() as f64 - canaries as f64);
    (squares / freedom * (1.0 / c + 1.0 / b), freedom)
}

/// Most degrees of freedom that the scatter between all nodes may add.
pub(crate) const POOLED_FREEDOM_MAX: f64 = 40.0;
