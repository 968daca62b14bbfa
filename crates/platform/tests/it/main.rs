//! The crate over its public interface, with real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod docker;
mod faults;
mod logs;
mod shop;
mod world;
