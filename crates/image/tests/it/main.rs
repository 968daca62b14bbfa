//! Builds on this machine's engine, and on an old one that this test plays.

#![allow(clippy::unwrap_used, reason = "what a test sets up must work")]

mod builds;
mod old_engine;
