//! How much more than Poisson the old nodes' counts scatter, from blocks of ticks (judge.md (i)).
//!
//! Pearson's statistic needs every block again whenever a node's share changes; multiplied out it needs sums alone.

/// Blocks from which on older ones are forgotten by half.
const BLOCKS_MAX: f64 = 64.0;

/// Counts and exposure per node, summed over all ticks and, for their scatter, over blocks of ticks.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    current: Vec<(f64, f64)>,
    totals: Vec<(f64, f64)>,
    filled: usize,
    length: usize,
    blocks: f64,
    events: f64,
    exposure: f64,
    nodes: Vec<NodeSums>,
}

/// One node over blocks: `k` events where the blocks' common rate lets one expect `mu`.
#[derive(Clone, Copy, Debug, Default)]
struct NodeSums {
    exposure: f64,
    k: f64,
    mu: f64,
    kk: f64,
    k_mu: f64,
    mu_mu: f64,
    kk_per_mu: f64,
    /// Of neighbouring blocks: products of counts, mixed, and of expectations, each over the root of the expectations.
    lag: [f64; 3],
    pairs: f64,
    before: Option<(f64, f64)>,
}

impl NodeSums {
    fn add(&mut self, k: f64, exposure: f64, mu: f64) {
        self.exposure += exposure;
        self.k += k;
        self.mu += mu;
        self.kk += k * k;
        self.k_mu += k * mu;
        self.mu_mu += mu * mu;
        if mu <= 0.0 {
            self.before = None;
            return;
        }
        self.kk_per_mu += k * k / mu;
        if let Some((k0, mu0)) = self.before.replace((k, mu)) {
            let root = (mu * mu0).sqrt();
            self.lag = [self.lag[0] + k * k0 / root, self.lag[1] + (k * mu0 + k0 * mu) / root, self.lag[2] + root];
            self.pairs += 1.0;
        }
    }

    fn halve(&mut self) {
        let sums = [&mut self.exposure, &mut self.k, &mut self.mu, &mut self.kk, &mut self.k_mu, &mut self.mu_mu];
        sums.into_iter().chain([&mut self.kk_per_mu, &mut self.pairs]).for_each(|v| *v *= 0.5);
        self.lag.iter_mut().for_each(|v| *v *= 0.5);
    }
}

impl Blocks {
    pub(crate) fn new(nodes: usize, length: usize) -> Self {
        let empty = vec![(0.0, 0.0); nodes];
        Self {
            current: empty.clone(),
            totals: empty,
            filled: 0,
            length,
            blocks: 0.0,
            events: 0.0,
            exposure: 0.0,
            nodes: vec![NodeSums::default(); nodes],
        }
    }

    /// Adds a tick; true if it completes a block.
    pub(crate) fn push(&mut self, cells: &[(f64, f64)]) -> bool {
        for ((sums, total), cell) in self.current.iter_mut().zip(&mut self.totals).zip(cells) {
            *sums = (sums.0 + cell.0, sums.1 + cell.1);
            *total = (total.0 + cell.0, total.1 + cell.1);
        }
        self.filled += 1;
        if self.filled < self.length {
            return false;
        }
        self.filled = 0;
        let mut full = std::mem::take(&mut self.current);
        self.keep(&full);
        full.fill((0.0, 0.0));
        self.current = full;
        true
    }

    /// Adds a whole block.
    pub(crate) fn push_block(&mut self, cells: &[(f64, f64)]) {
        for (sums, cell) in self.totals.iter_mut().zip(cells) {
            *sums = (sums.0 + cell.0, sums.1 + cell.1);
        }
        self.keep(cells);
    }

    fn keep(&mut self, block: &[(f64, f64)]) {
        let (k, e) = block.iter().fold((0.0, 0.0), |s, c| (s.0 + c.0, s.1 + c.1));
        let rate = if e > 0.0 { k / e } else { 0.0 };
        for (sums, cell) in self.nodes.iter_mut().zip(block) {
            sums.add(cell.0, cell.1, cell.1 * rate);
        }
        (self.events, self.exposure, self.blocks) = (self.events + k, self.exposure + e, self.blocks + 1.0);
        if self.blocks >= BLOCKS_MAX {
            self.nodes.iter_mut().for_each(NodeSums::halve);
            (self.events, self.exposure, self.blocks) = (0.5 * self.events, 0.5 * self.exposure, 0.5 * self.blocks);
        }
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
        let used = blocks.nodes.iter().filter(|n| n.exposure > 0.0).count() as f64;
        if blocks.blocks < 2.0 || used < 2.0 {
            return;
        }
        self.events += blocks.events;
        self.exposure += blocks.exposure;
        for n in blocks.nodes.iter().filter(|n| n.k > 0.0 && n.mu > 0.0) {
            let f = n.k / n.mu;
            self.squares += (n.kk - 2.0 * f * n.k_mu + f * f * n.mu_mu).max(0.0);
            self.expected += n.k;
            self.standard += (n.kk_per_mu / f - 2.0 * n.k + f * n.mu).max(0.0);
            self.lagged += n.lag[0] / f - n.lag[1] + f * n.lag[2];
            self.pairs += n.pairs;
        }
        self.freedom += (blocks.blocks - 1.0) * (used - 1.0);
        self.cells += blocks.blocks * used;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's statistic and the lagged products, block by block.
    fn directly(blocks: &[[(f64, f64); 3]]) -> (f64, f64, f64) {
        let rate = |b: &[(f64, f64); 3]| b.iter().map(|c| c.0).sum::<f64>() / b.iter().map(|c| c.1).sum::<f64>();
        let (mut squares, mut standard, mut lagged) = (0.0, 0.0, 0.0);
        for n in 0..3 {
            let mu: Vec<f64> = blocks.iter().map(|b| b[n].1 * rate(b)).collect();
            let factor = blocks.iter().map(|b| b[n].0).sum::<f64>() / mu.iter().sum::<f64>();
            let z: Vec<f64> =
                blocks.iter().zip(&mu).map(|(b, m)| (b[n].0 - m * factor) / (m * factor).sqrt()).collect();
            squares += blocks.iter().zip(&mu).map(|(b, m)| (b[n].0 - m * factor).powi(2)).sum::<f64>();
            standard += z.iter().map(|z| z * z).sum::<f64>();
            lagged += z.windows(2).map(|p| p[0] * p[1]).sum::<f64>();
        }
        (squares, standard, lagged)
    }

    #[test]
    fn sums_are_pearsons_statistic() {
        let blocks = [
            [(3.0, 100.0), (5.0, 110.0), (9.0, 90.0)],
            [(6.0, 120.0), (2.0, 100.0), (4.0, 95.0)],
            [(1.0, 80.0), (7.0, 100.0), (3.0, 105.0)],
            [(4.0, 100.0), (4.0, 100.0), (8.0, 100.0)],
        ];
        let mut sums = Blocks::new(3, 1);
        blocks.iter().for_each(|b| assert!(sums.push(b)));
        let mut d = Dispersion::default();
        d.add(&sums);
        let (squares, standard, lagged) = directly(&blocks);
        for (a, b) in [(d.squares, squares), (d.standard, standard), (d.lagged, lagged)] {
            assert!((a - b).abs() < 1e-9, "{a} against {b}");
        }
        assert_eq!((d.freedom, d.cells, d.pairs), (6.0, 12.0, 9.0));
    }
}
