//! Seeded simulations and what they are made of; a dev-dependency only.
//!
//! Invariants: no real clock, no real randomness, no threads; a seed decides a whole run, and a failing one is printed
//! so that `SIM_SEED=` replays it.

pub mod engine_world;
pub mod random;
pub mod rollout_world;
