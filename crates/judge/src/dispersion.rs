//! How much more than Poisson the old nodes' counts scatter, from blocks of ticks (judge.md (i)).

use std::collections::VecDeque;

/// Counts and exposure per node, summed over blocks of ticks; the newest blocks are kept.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    ring: VecDeque<Vec<(f64, f64)>>,
    current: Vec<(f64, f64)>,
    totals: Vec<(f64, f64)>,
    filled: usize,
    length: usize,
    max: usize,
}

impl Blocks {
    pub(crate) fn new(nodes: usize, length: usize, max: usize) -> Self {
        let empty = vec![(0.0, 0.0); nodes];
        Self { ring: VecDeque::new(), current: empty.clone(), totals: empty, filled: 0, length, max }
    }

    /// Adds a tick; true if it completes a block.
    pub(crate) fn push(&mut self, cells: &[(f64, f64)]) -> bool {
        for (sums, cell) in self.current.iter_mut().zip(cells) {
            *sums = (sums.0 + cell.0, sums.1 + cell.1);
        }
        for (sums, cell) in self.totals.iter_mut().zip(cells) {
            *sums = (sums.0 + cell.0, sums.1 + cell.1);
        }
        self.filled += 1;
        if self.filled < self.length {
            return false;
        }
        self.filled = 0;
        let empty = vec![(0.0, 0.0); self.current.len()];
        let full = std::mem::replace(&mut self.current, empty);
        self.keep(full);
        true
    }

    /// Adds a whole block.
    pub(crate) fn push_block(&mut self, cells: Vec<(f64, f64)>) {
        for (sums, cell) in self.totals.iter_mut().zip(&cells) {
            *sums = (sums.0 + cell.0, sums.1 + cell.1);
        }
        self.keep(cells);
    }

    fn keep(&mut self, block: Vec<(f64, f64)>) {
        if self.ring.len() == self.max {
            self.ring.pop_front();
        }
        self.ring.push_back(block);
    }

    /// Sums per node over all ticks.
    pub(crate) fn totals(&self) -> &[(f64, f64)] {
        &self.totals
    }
}

/// What is believed before data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prior {
    /// Dispersion.
    pub value: f64,
    /// How many degrees of freedom that belief is worth.
    pub weight: f64,
    /// Whether events are a fixed share of their exposure, which lets the dispersion fall below one.
    pub thinning: bool,
}

/// Pearson's statistic of counts against block rate times node factor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispersion {
    squares: f64,
    expected: f64,
    freedom: f64,
    cells: f64,
    events: f64,
    exposure: f64,
    lagged: f64,
    standard: f64,
    pairs: f64,
}

impl Dispersion {
    pub(crate) fn add(&mut self, blocks: &Blocks) {
        let nodes = blocks.totals.len();
        let used: Vec<usize> = (0..nodes).filter(|n| blocks.ring.iter().any(|b| b[*n].1 > 0.0)).collect();
        if blocks.ring.len() < 2 || used.len() < 2 {
            return;
        }
        let mut mu: Vec<Vec<f64>> = Vec::with_capacity(blocks.ring.len());
        for block in &blocks.ring {
            let (k, e) = used.iter().fold((0.0, 0.0), |s, n| (s.0 + block[*n].0, s.1 + block[*n].1));
            mu.push(used.iter().map(|n| if e > 0.0 { block[*n].1 * k / e } else { 0.0 }).collect());
            self.events += k;
            self.exposure += e;
        }
        for (j, n) in used.iter().enumerate() {
            let seen: f64 = blocks.ring.iter().map(|b| b[*n].0).sum();
            let predicted: f64 = mu.iter().map(|m| m[j]).sum();
            let factor = seen / predicted.max(1e-9);
            let mut before = None;
            for (block, m) in blocks.ring.iter().zip(&mu) {
                let expected = m[j] * factor;
                let residual = block[*n].0 - expected;
                self.squares += residual.powi(2);
                self.expected += expected;
                let standard = residual / expected.max(1e-9).sqrt();
                if let Some(before) = before.filter(|_| expected > 0.0) {
                    self.lagged += before * standard;
                    self.pairs += 1.0;
                }
                self.standard += if expected > 0.0 { standard * standard } else { 0.0 };
                before = (expected > 0.0).then_some(standard);
            }
        }
        self.freedom += (blocks.ring.len() - 1) as f64 * (used.len() - 1) as f64;
        self.cells += (blocks.ring.len() * used.len()) as f64;
    }

    /// Inflation by the correlation of neighbouring blocks, as far as it is beyond chance.
    fn persistence(&self) -> f64 {
        if self.pairs < 8.0 || self.standard <= 0.0 {
            return 1.0;
        }
        let centring = self.freedom.max(1.0) / self.cells.max(1.0);
        let r = self.lagged / self.standard + (1.0 - centring) * 0.5 - 1.0 / self.pairs.sqrt();
        let r = r.clamp(0.0, 0.6);
        (1.0 + r) / (1.0 - r)
    }

    /// Whether there was anything to measure.
    pub(crate) fn informed(&self) -> bool {
        self.freedom > 0.0
    }

    /// Dispersion, shrunk to the prior and raised by its own uncertainty.
    pub(crate) fn estimate(&self, prior: Prior) -> f64 {
        let freedom = self.freedom.max(1.0);
        let raw = self.squares / self.expected.max(1e-9) * self.cells / freedom;
        let floor = if prior.thinning { (1.0 - self.events / self.exposure.max(1e-9)).max(0.3) } else { 1.0 };
        let weight = (self.expected / 20.0).min(1.0) * self.freedom;
        let shrunk = (prior.weight * prior.value + weight * raw) / (prior.weight + weight);
        let shrunk = shrunk * self.persistence();
        (shrunk * (1.0 + 0.5 * (2.0 / freedom.max(2.0)).sqrt())).max(floor)
    }
}
