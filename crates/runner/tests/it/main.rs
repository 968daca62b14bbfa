//! Jobs with real processes, a real Git repository and the real guard.

#![allow(clippy::unwrap_used, reason = "what a test sets up must work")]

mod artifacts;
mod containers;
mod desk;
mod guard;
mod script;
mod sources;
mod stream;
