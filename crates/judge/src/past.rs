//! How much traffic and how many events history had, for the plan.

use crate::config::{Config, Kind};
use crate::intake::{Cell, Row};
use crate::plan::Flow;

/// Sums over history.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    ticks: f64,
    /// Per metric.
    sums: Vec<Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    events: f64,
    canary: f64,
    baseline: f64,
}

impl Past {
    pub(crate) fn new(metrics: usize) -> Self {
        Self { ticks: 0.0, sums: vec![Sums::default(); metrics] }
    }

    /// Takes a tick of history.
    pub(crate) fn see(&mut self, row: &Row, config: &Config) {
        self.ticks += f64::from(u8::from(row.seen.contains(&true)));
        for (metric, sums) in self.sums.iter_mut().enumerate() {
            let by = match &config.metrics[metric].kind {
                Kind::Count { exposure: Some(by) } => config.metrics.iter().position(|m| m.name == *by),
                _ => None,
            };
            for (node, cell) in row.cells(metric).iter().enumerate() {
                let (events, exposure) = match cell {
                    Cell::Value(v) => (*v, by.and_then(|by| row.value(by, node)).unwrap_or(0.0)),
                    Cell::Pair(bad, total) => (*bad, *total),
                    Cell::Buckets(place) => (0.0, row.buckets(*place).total),
                    Cell::Absent | Cell::Started => continue,
                };
                sums.events += events;
                *(if node < config.canary.len() { &mut sums.canary } else { &mut sums.baseline }) += exposure;
            }
        }
    }

    /// Traffic per metric of events; nothing without history.
    pub(crate) fn flows(&self, config: &Config, canary_share: Option<f64>) -> Vec<Flow> {
        let seconds = self.ticks * config.tick_ms as f64 / 1000.0;
        let flow = |(metric, sums): (&crate::config::Metric, &Sums)| {
            let total = sums.canary + sums.baseline;
            let canary = canary_share.map_or(sums.canary, |share| share.clamp(0.0, 1.0) * total);
            Flow {
                metric: metric.name.clone(),
                canary_per_second: canary / seconds,
                baseline_per_second: (total - canary) / seconds,
                event_share: sums.events / total.max(1.0),
            }
        };
        config.metrics.iter().zip(&self.sums).filter(|_| seconds > 0.0).map(flow).collect()
    }
}
