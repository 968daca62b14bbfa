//! The pipeline state machine: which job runs next, and what a result, a click or a silent runner changes.
//!
//! The server rebuilds a [`Pipeline`] from its rows, lets [`step`] decide, stores the changed jobs together with the
//! effects in one transaction, and carries the effects out afterwards, at least once each and in their order: a request
//! for a resource must not come after its release.
//!
//! Invariants:
//! - pure: no I/O, clock, randomness, async or serde; the same state, event and time give the same effects;
//! - a refused event changes nothing;
//! - a job has one owner: each hand-over gives a higher fence, and only the holder of the latest one is heard;
//! - what follows from an event is decided within its step: afterwards every job either has run its course, is with
//!   a runner, the server, a resource group, a person or the clock, or waits for such a job;
//! - a step's work grows linearly with the pipeline's jobs and needs.

mod composite;
mod event;
mod pipeline;
mod process;
pub mod resource;
#[cfg(test)]
mod scene;
mod spec;
mod step;
mod topology;
mod wake;

pub use composite::composite;
pub use event::{Effect, Event, Outcome, Refusal};
pub use pipeline::{Job, Pipeline};
pub use spec::{Kind, Spec};
pub use step::{RUNNER_LOST_RETRIES_MAX, step};
pub use topology::Invalid;
pub use wake::{CANCEL_GRACE_MS, TIMEOUT_GRACE_MS, next_wake};
