//! The crate over its public interface, with real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod containers;
mod deaf;
mod docker;
mod engine;
mod faults;
mod furnish;
mod hosts;
mod logs;
mod shop;
mod world;
