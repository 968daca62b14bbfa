//! What the journeys through the pages stand on: a real server, a real browser, and a person's work tree.
//!
//! Invariants: every journey has a server, a browser profile and a data folder of its own; ports are free ones that the
//! programs choose themselves; every program that was started ends with the value that started it.

pub mod browser;
pub mod server;
pub mod tree;

pub use browser::Browser;
pub use server::Server;
pub use tree::WorkTree;

use std::time::Duration;

/// Time that anything on a page has to appear.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
