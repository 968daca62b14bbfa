//! The rollout in a simulated world.

mod simulation;
