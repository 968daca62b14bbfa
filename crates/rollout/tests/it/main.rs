//! The rollout from outside: properties of every step, and whole runs in a simulated world.

mod properties;
mod simulation;
