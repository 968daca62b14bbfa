//! What the old version lets one expect of a level: intercept, load, and the memory of its noise.
//!
//! `x = a + c_i * load + u`, `u` a first-order autoregression; fitted by quasi-differences (Cochrane and Orcutt 1949) with
//! Huber's weights, so that spikes and slow waves in the noise do not blur the slope.

use std::collections::VecDeque;

use crate::numeric::{mean, variance};

/// Ticks of history kept.
pub(crate) const HISTORY_TICKS_MAX: usize = 256;
/// Largest autocorrelation that quasi-differences remove; what is left is measured between blocks.
const CORRELATION_MAX: f64 = 0.95;
/// Largest factor for correlation beyond that.
const PERSISTENCE_MAX: f64 = 2.5;
/// Huber's constant, in robust deviations.
pub(crate) const HUBER: f64 = 2.5;
/// Samples of a node without which its own level is not believed.
const NODE_TICKS_MIN: usize = 4;

/// Most nodes that the load's slope and the noise's memory, common to all, are learnt from.
const SLOPE_NODES_MAX: usize = 24;

/// Level and load of every node in one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observation {
    /// Levels.
    pub level: Vec<Option<f64>>,
    /// Loads; empty without a load metric.
    pub load: Vec<Option<f64>>,
}

impl Observation {
    /// Level and load of a node, load 0 without a load metric.
    pub(crate) fn of(&self, node: usize) -> Option<(f64, f64)> {
        let load = if self.load.is_empty() { Some(0.0) } else { self.load[node] };
        Some((self.level[node]?, load?))
    }
}

/// The newest ticks of history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    ticks: VecDeque<Observation>,
}

impl Window {
    pub(crate) fn push(&mut self, tick: Observation) {
        if self.ticks.len() == HISTORY_TICKS_MAX {
            self.ticks.pop_front();
        }
        self.ticks.push_back(tick);
    }

    pub(crate) fn len(&self) -> usize {
        self.ticks.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.ticks.iter()
    }

    fn series(&self, node: usize) -> Vec<Option<(f64, f64)>> {
        self.ticks.iter().map(|t| t.of(node)).collect()
    }
}

/// What to expect of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    /// Level without load.
    pub intercept: f64,
    /// Level per unit of load.
    pub slope: f64,
}

impl Expected {
    /// Expected level under a load.
    pub(crate) fn at(&self, load: f64) -> f64 {
        self.intercept + self.slope * load
    }
}

/// The fitted model.
#[derive(Clone, Debug)]
pub(crate) struct LoadModel {
    /// Per node; canary nodes without history get the baseline's mean.
    pub expected: Vec<Expected>,
    /// What an old node shows on average.
    pub common: Expected,
    /// Autocorrelation that quasi-differences remove.
    pub correlation: f64,
    /// Variance that correlation beyond what is removed adds, as a factor.
    pub persistence: f64,
    /// Robust deviation of the quasi-differenced noise, per node.
    pub noise: Vec<f64>,
    /// Standard error of the common load slope.
    pub slope_error: f64,
    /// Mean load per node.
    pub mean_load: Vec<f64>,
    /// Variance between nodes of the log level, given the load.
    pub node_variance: f64,
}

/// A node's series, centred.
struct Centred {
    level: f64,
    load: f64,
    points: Vec<Option<(f64, f64)>>,
}

impl LoadModel {
    /// Fits the model; `None` if the baseline has too little data or no level above zero.
    pub(crate) fn fit(window: &Window, nodes: usize, canaries: usize, with_load: bool) -> Option<Self> {
        let series: Vec<_> = (0..nodes).map(|n| centre(window.series(n))).collect();
        let old: Vec<_> = series[canaries..].iter().flatten().collect();
        let level = mean(old.iter().map(|s| s.level))?;
        let load = mean(old.iter().map(|s| s.load))?;
        if level <= 0.0 {
            return None;
        }
        let known = series.iter().flatten().count();
        let some: Vec<_> = series.iter().flatten().step_by(known.div_ceil(SLOPE_NODES_MAX).max(1)).collect();
        let (slope, slope_error, raw) = common_slope(&some, with_load, level / load.max(1e-9));
        let intercept = level - slope * load;
        let mut model = Self {
            expected: Vec::new(),
            common: Expected { intercept, slope },
            correlation: raw.min(CORRELATION_MAX),
            persistence: ((1.0 - CORRELATION_MAX) / (1.0 - raw)).clamp(1.0, PERSISTENCE_MAX),
            noise: Vec::new(),
            slope_error,
            mean_load: series.iter().map(|s| s.as_ref().map_or(load, |s| s.load)).collect(),
            node_variance: 0.0,
        };
        model.place_nodes(&series, canaries, Expected { intercept, slope });
        model.measure_noise(&series);
        Some(model)
    }

    fn place_nodes(&mut self, series: &[Option<Centred>], canaries: usize, common: Expected) {
        let own = |s: &Centred| {
            if common.slope > 0.0 && s.load > 0.0 {
                Expected { slope: ((s.level - common.intercept) / s.load).max(0.0), ..common }
            } else {
                Expected { intercept: s.level, slope: 0.0 }
            }
        };
        let old: Vec<_> = series[canaries..].iter().flatten().collect();
        let logs: Vec<_> = old.iter().map(|s| (s.level.max(1e-12) / common.at(s.load).max(1e-12)).ln()).collect();
        self.node_variance = variance(&logs);
        self.expected = series.iter().map(|s| s.as_ref().map_or(common, &own)).collect();
    }

    fn measure_noise(&mut self, series: &[Option<Centred>]) {
        let rho = self.correlation;
        let per_node = |s: &Centred, e: &Expected| {
            let r: Vec<_> = s.points.iter().map(|p| p.map(|(x, q)| x + s.level - e.at(q + s.load))).collect();
            robust_deviation(differences(&r, rho))
        };
        let noise: Vec<_> =
            series.iter().zip(&self.expected).map(|(s, e)| s.as_ref().map(|s| per_node(s, e))).collect();
        let typical = mean(noise.iter().flatten().copied()).unwrap_or(0.0);
        self.noise = noise.iter().map(|n| 0.5 * n.unwrap_or(typical) + 0.5 * typical).collect();
    }
}

fn centre(series: Vec<Option<(f64, f64)>>) -> Option<Centred> {
    let n = series.iter().flatten().count();
    if n < NODE_TICKS_MIN {
        return None;
    }
    let level = mean(series.iter().flatten().map(|p| p.0))?;
    let load = mean(series.iter().flatten().map(|p| p.1))?;
    Some(Centred { level, load, points: series.iter().map(|p| p.map(|(x, q)| (x - level, q - load))).collect() })
}

/// Slope, its standard error, autocorrelation of the residuals.
fn common_slope(series: &[&Centred], with_load: bool, steepest: f64) -> (f64, f64, f64) {
    let mut slope = 0.0;
    let mut error = 0.0;
    let mut correlation = 0.0;
    for _ in 0..3 {
        if with_load {
            (slope, error) = robust_slope(series, f64::min(correlation, CORRELATION_MAX), steepest);
        }
        correlation = autocorrelation(series, slope);
    }
    (slope, error, correlation)
}

fn robust_slope(series: &[&Centred], rho: f64, steepest: f64) -> (f64, f64) {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for s in series {
        let levels: Vec<_> = s.points.iter().map(|p| p.map(|p| p.0)).collect();
        let loads: Vec<_> = s.points.iter().map(|p| p.map(|p| p.1)).collect();
        points.extend(differences(&levels, rho).into_iter().zip(differences(&loads, rho)));
    }
    let mut slope = 0.0;
    let mut cut = f64::INFINITY;
    let (mut sxx, mut deviation) = (0.0, 0.0);
    for _ in 0..4 {
        let mut sxy = 0.0;
        sxx = 0.0;
        for (x, q) in &points {
            let weight = (cut / (x - slope * q).abs().max(1e-12)).min(1.0);
            sxx += weight * q * q;
            sxy += weight * q * x;
        }
        slope = (sxy / sxx.max(1e-12)).clamp(0.0, steepest.max(0.0));
        deviation = robust_deviation(points.iter().map(|(x, q)| x - slope * q).collect());
        if deviation <= 0.0 {
            // Most points lie on the line, or are nought on both axes: there is no scale to weigh the others by.
            let squares = points.iter().map(|(x, q)| (x - slope * q).powi(2));
            deviation = mean(squares).unwrap_or(0.0).sqrt();
            break;
        }
        cut = HUBER * deviation;
    }
    (slope, 1.2 * deviation / sxx.max(1e-12).sqrt())
}

fn autocorrelation(series: &[&Centred], slope: f64) -> f64 {
    let (mut lagged, mut square, mut n) = (0.0, 0.0, 0.0);
    for s in series {
        let r: Vec<_> = s.points.iter().map(|p| p.map(|(x, q)| x - slope * q)).collect();
        for pair in r.windows(2) {
            if let (Some(a), Some(b)) = (pair[0], pair[1]) {
                lagged += a * b;
                square += 0.5 * (a * a + b * b);
                n += 1.0;
            }
        }
    }
    let raw = lagged / f64::max(square, 1e-300);
    let length = f64::max(n / series.len().max(1) as f64, 4.0);
    (raw + (1.0 + 3.0 * raw.max(0.0)) / length).clamp(0.0, 0.99)
}

/// Quasi-differences of consecutive reported values.
fn differences(values: &[Option<f64>], rho: f64) -> Vec<f64> {
    values.windows(2).filter_map(|p| Some(p[1]? - rho * p[0]?)).collect()
}

/// Median absolute deviation, scaled to a normal's standard deviation.
fn robust_deviation(values: Vec<f64>) -> f64 {
    let Some(centre) = median(values.clone()) else { return 0.0 };
    median(values.into_iter().map(|v| (v - centre).abs()).collect()).unwrap_or(0.0) * 1.4826
}

/// Median; `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(if even { 0.5 * (lower + upper) } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three nodes over the given loads, whose level is by `of`.
    fn fit(loads: impl Iterator<Item = f64>, of: impl Fn(usize, f64) -> f64) -> LoadModel {
        let mut window = Window::default();
        for (tick, load) in loads.enumerate() {
            let shares = [0.8 * load, load, 1.2 * load];
            let level = shares.iter().enumerate().map(|(node, q)| Some(of(tick + node, *q))).collect();
            window.push(Observation { level, load: shares.map(Some).to_vec() });
        }
        LoadModel::fit(&window, 3, 1, true).unwrap()
    }

    #[test]
    fn a_level_that_is_nothing_but_load_has_its_slope() {
        let loads = || (0..60).map(|tick| 10.0 + f64::from(tick * 7 % 5));
        let exact = fit(loads(), |_, load| 4096.0 * load);
        assert!((exact.common.slope - 4096.0).abs() < 1e-6, "{exact:?}");
        assert!(exact.slope_error < 1e-6 && exact.common.intercept.abs() < 1e-3, "{exact:?}");
    }

    #[test]
    fn where_most_is_nought_the_rest_tells_the_error() {
        let point =
            |tick: usize| if tick.is_multiple_of(6) { (100.0 + 10.0 * (tick % 4) as f64, 1.0) } else { (0.0, 0.0) };
        let points = (0..240).map(|tick| Some(point(tick))).collect();
        let (slope, error) = robust_slope(&[&Centred { level: 18.0, load: 0.17, points }], 0.0, 1e3);
        assert!((slope - 110.0).abs() < 1.0, "{slope}");
        assert!((0.3..3.0).contains(&error), "{error}");
    }
}
