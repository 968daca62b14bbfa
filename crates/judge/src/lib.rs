//! The canary judge: sequential statistics over every tick, a verdict with reasons.
//!
//! Invariants: pure, one state machine per canary. Knows no clock (time comes in as tick numbers), no randomness, no I/O.
//! Memory and time per tick do not grow with the number of ticks. No input panics: what cannot be is treated as not
//! reported. The first verdict other than `Continue` is final.
//!
//! The statistics: each judged quantity yields two e-processes (Vovk and Wang, arXiv 1912.06116), one against "the effect
//! is within `ok`" and one against "the effect is at or beyond `bad`". By Ville's inequality a threshold `1/alpha` on an
//! average of the former bounds the probability of ever failing a good change, however often one looks.

pub mod answer;
mod burst;
pub mod config;
mod deadline;
pub mod defaults;
mod dispersion;
mod estimate;
mod events;
pub mod explain;
mod growth;
mod histogram;
mod intake;
mod level;
mod load;
mod numeric;
mod past;
pub mod plan;
mod prospect;
mod rate;
pub mod sample;
mod scores;
mod shift;
mod slow;
mod startup;
mod verdict;

pub use answer::{Answer, MetricReport, Reason, State, Unit, Verdict};
pub use config::{Config, ConfigError, Direction, Kind, Margin, Metric, Role, SlopeMargin};
pub use defaults::{ToleranceError, default_metrics, tolerate};
pub use explain::{Language, explain, explain_plan};
pub use plan::{Feasibility, Flow, Lack, Shortfall, plan};
pub use sample::{Sample, Tick};
pub use verdict::Judge;
