//! A small service with known truth.

use serin_judge::{Config, Metric, Sample, Tick};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().max(1e-300).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Poisson; rounded normal for large means.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let limit = (-mean).exp();
        let (mut product, mut n) = (self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            n += 1.0;
        }
        n
    }
}

/// What the new version does differently.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    /// Bytes that memory grows by in a tick.
    pub leak: f64,
    /// ERROR lines more per request.
    pub error_lines: f64,
    /// HTTP errors more per request.
    pub errors: f64,
    /// Factor on latency, as logarithm.
    pub slower: f64,
}

/// Nodes of one service on one machine; the canary nodes are fresh processes.
pub struct Service {
    pub requests_per_tick: f64,
    pub change: Change,
    /// Factor on everyone's latency before the deploy, as logarithm.
    pub busy_past: f64,
    random: Random,
    levels: Vec<f64>,
    totals: Vec<f64>,
    pub canaries: usize,
}

impl Service {
    pub fn new(seed: u64, nodes: usize, canaries: usize, requests_per_tick: f64) -> Self {
        let mut random = Random::new(seed);
        let levels = (0..nodes).map(|_| 30e6 * (0.03 * random.normal()).exp()).collect();
        Self {
            requests_per_tick,
            change: Change::default(),
            busy_past: 0.0,
            random,
            levels,
            totals: vec![0.0; nodes],
            canaries,
        }
    }

    pub fn config(&self, ticks: u32, metrics: Vec<Metric>) -> Config {
        let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
        Config {
            alpha: 0.01,
            beta: 0.05,
            tick_ms: 1000,
            horizon_ticks: ticks,
            warmup_ticks: 4,
            canary: names("c", self.canaries),
            baseline: names("b", self.levels.len() - self.canaries),
            metrics,
        }
    }

    pub fn tick(&mut self, tick: i64) -> Tick {
        let nodes = (0..self.levels.len()).map(|n| self.node(n, tick)).collect();
        Tick { tick, nodes }
    }

    fn node(&mut self, n: usize, tick: i64) -> (String, Vec<(String, Sample)>) {
        let canary = n < self.canaries;
        let name = if canary { format!("c{n}") } else { format!("b{}", n - self.canaries) };
        let change = if canary && tick >= 0 { self.change } else { Change::default() };
        let slower = change.slower + if tick < 0 { self.busy_past } else { 0.0 };
        let r = &mut self.random;
        let requests = r.poisson(self.requests_per_tick);
        let errors = r.poisson(requests * (0.0005 + change.errors)).min(requests);
        let mut counts = vec![0_u64; 120];
        for _ in 0..requests as u64 {
            let bucket = 16.0 * ((3.0 + slower + 0.5 * r.normal()) / std::f64::consts::LN_2);
            counts[bucket.clamp(0.0, 119.0) as usize] += 1;
        }
        let age = if canary && tick >= 0 { tick as f64 + 1.0 } else { 300.0 };
        let old = 1.0 + 0.3 * (1.0 - (-age / 30.0).exp());
        let memory = self.levels[n] * old * (1.0 + 0.003 * r.normal()) + change.leak * tick.max(0) as f64;
        let cpu = (2.0 + 0.1 * requests + r.normal()).max(0.0);
        self.totals[n] += 2e3 * requests * (0.1 * r.normal()).exp();
        let warn = r.poisson(0.01 * requests);
        let error_lines = r.poisson(requests * (0.0002 + change.error_lines));
        let samples = [
            ("requests", Sample::Count(requests)),
            ("http_errors", Sample::Proportion { bad: errors, total: requests }),
            ("latency_ms", Sample::Histogram { first: 0, counts }),
            ("log_warn", Sample::Count(warn)),
            ("log_error", Sample::Count(error_lines)),
            ("cpu_pct", Sample::Gauge(cpu)),
            ("mem_bytes", Sample::Gauge(memory)),
            ("disk_bytes", Sample::Counter(self.totals[n])),
            ("net_bytes", Sample::Counter(3.0 * self.totals[n])),
        ];
        (name, samples.map(|(k, v)| (k.to_owned(), v)).into())
    }
}
