//! How far a quantile of the canary's requests lies from the old nodes' of the same ticks, through a start-up.
//!
//! Places of a quantile, unlike counts of slow requests, can be drawn on by a line: a start-up that fades in latency does
//! not fade alike in the share of requests beyond a fixed limit.

use std::f64::consts::LN_2;

use crate::estimate::Estimate;
use crate::histogram::Histogram;
use crate::startup::{Point, Settled};

/// Slow requests of the canary that place its quantile well enough.
const EVENTS_MIN: f64 = 16.0;
/// Ticks between two places at least.
const TICKS_MIN: u32 = 4;
/// Places without which no line is drawn.
const PLACES_MIN: u32 = 3;
/// Buckets to either side between which the density at the quantile is read.
const AROUND: f64 = 2.0;
/// Smallest density that is believed: slow requests per log latency, relative to their number.
const DENSITY_MIN: f64 = 0.3;
/// Degrees of freedom of a dispersion measured on the old nodes.
const FREEDOM: f64 = 40.0;

/// Places of one quantile.
#[derive(Clone, Debug)]
pub(crate) struct Shift {
    quantile: f64,
    buckets_per_octave: f64,
    canary: Histogram,
    old: Histogram,
    /// The old nodes' requests of all ticks.
    all: Histogram,
    left: f64,
    ticks: u32,
    places: u32,
    fit: Settled,
    /// Slow requests to be expected on both sides.
    events: (f64, f64),
}

/// Noise of a share of slow requests, in its logarithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareNoise {
    /// What the canary showed before the deploy.
    pub offset: f64,
    /// Deviation between nodes.
    pub spread: f64,
    /// Dispersion of the counts.
    pub dispersion: f64,
    /// Nodes that it was measured on.
    pub nodes: f64,
}

impl Shift {
    pub(crate) fn new(quantile: f64, buckets_per_octave: f64) -> Self {
        Self {
            quantile,
            buckets_per_octave,
            canary: Histogram::default(),
            old: Histogram::default(),
            all: Histogram::default(),
            left: 0.0,
            ticks: 0,
            places: 0,
            fit: Settled::default(),
            events: (0.0, 0.0),
        }
    }

    /// The canary's requests since the last place, to be added to.
    pub(crate) fn canary(&mut self) -> &mut Histogram {
        &mut self.canary
    }

    /// Ends a tick in which the share `left` of a start-up is left.
    pub(crate) fn end_tick(&mut self, old: &Histogram, left: f64) {
        self.old.merge(old);
        self.all.merge(old);
        self.left += left;
        self.ticks += 1;
        let rare = self.quantile.min(1.0 - self.quantile);
        let slow = (self.canary.total * rare, self.old.total * rare);
        if self.ticks < TICKS_MIN || slow.0.min(slow.1) < EVENTS_MIN {
            return;
        }
        if let (Some(canary), Some(old)) = (self.canary.quantile(self.quantile), self.old.quantile(self.quantile)) {
            let effect = (canary - old) * LN_2 / self.buckets_per_octave;
            self.fit.add_point(Point { effect, left: self.left / f64::from(self.ticks), weight: slow.0 }, 0.0);
            self.events = (self.events.0 + slow.0, self.events.1 + slow.1);
            self.places = self.places.saturating_add(1);
        }
        self.canary.clear();
        self.old.clear();
        (self.left, self.ticks) = (0.0, 0);
    }

    /// Shift of the quantile's logarithm, by the line through a start-up and by the mean; `worth` is how many ticks of a
    /// settled node the time is worth.
    pub(crate) fn estimates(&self, noise: ShareNoise, worth: f64) -> Option<[Estimate; 2]> {
        if self.places < PLACES_MIN {
            return None;
        }
        let density = self.density()?;
        let per_event = noise.dispersion * (1.0 + self.events.0 / self.events.1.max(1.0)) / density.powi(2);
        let estimate = |(effect, weight): (f64, f64)| Estimate {
            effect: effect - noise.offset / density,
            time: per_event / weight.max(1e-9),
            past: 0.0,
            time_freedom: FREEDOM,
            node: (noise.spread / density).powi(2),
            node_freedom: noise.nodes,
            known: 0.0,
            looks: worth,
            power: 1,
        };
        Some([estimate(self.fit.line()?), estimate(self.fit.mean()?)])
    }

    /// By how much the logarithm of the slow requests' share falls per unit of log latency.
    fn density(&self) -> Option<f64> {
        let place = self.all.quantile(self.quantile)?;
        let share = |edge: f64| self.all.above(edge).max(0.5).ln();
        let width = 2.0 * AROUND * LN_2 / self.buckets_per_octave;
        Some(((share(place - AROUND) - share(place + AROUND)) / width).max(DENSITY_MIN))
    }
}
