//! The delivery state machine: one progressive change of an environment, from the first drained node to the last.
//!
//! The server keeps one [`Rollout`] per environment, lets [`step`] decide, stores the state together with the effects
//! in one transaction, and carries the effects out afterwards, at least once each. What the nodes shall run and what the
//! gateway shall route is not in the effects: reconcilers read it from the projections ([`Rollout::desired_nodes`],
//! [`Rollout::desired_routes`], [`Rollout::desired_watch`]) and apply it again and again, so that a crash anywhere is
//! harmless. A rollout that is over goes on describing its environment until the next one takes its place
//! ([`Rollout::standing`]).
//!
//! Invariants:
//! - pure: no I/O, clock, randomness or async; the same state, event and time give the same state and effects;
//! - a refused event changes nothing, and an observation or verdict that comes twice or too late changes nothing;
//! - the nodes under canary traffic never get more than the approved step's share together;
//! - no serving node is taken out when fewer than the minimum would go on serving;
//! - no pool of a release begins before its terms hold, people and calendar, unless a person overrides them;
//! - a node's process is replaced only after the gateway has proved that it sends the node nothing new;
//! - a rollout that neither is over nor moves by itself waits for a person, and says so.

mod act;
mod action;
mod canary;
mod choose;
mod consent;
mod effect;
mod entry;
mod event;
mod fleet;
mod health;
mod release;
mod restore;
mod rollout;
mod route;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod scene;
mod settings;
mod slot;
mod step;
mod wake;

pub use action::Action;
pub use consent::{Approval, Freeze, Override, Terms};
pub use effect::{Assignment, Effect, Milestone, Tone};
pub use entry::{Entry, HISTORY_ENTRIES_MAX};
pub use event::{Event, Refusal, Verdict};
pub use rollout::{Cause, Ground, Judgement, Kind, Outcome, Pause, Phase, Rollout, Target, Watch};
pub use route::{DesiredNode, DesiredRoute, PPM};
pub use settings::Settings;
pub use slot::{Drain, Goal, Known, Seat, Slot, Standing, Traffic};
pub use step::step;
