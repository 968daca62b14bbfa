//! What the tests of the whole program stand on: a real `serin serve`, a person's work tree, steady traffic.
//!
//! Invariants: every test has a server and a data folder of its own; ports are free ones that the programs choose; all
//! that a server started, nodes and gateway included, ends with the value that started it; nothing but Git, HTTP, the
//! command line and signals reaches the server.

pub mod engine;
pub mod image;
pub mod load;
pub mod process;
pub mod registry;
pub mod server;
pub mod service;
pub mod tree;

pub use engine::Engine;
pub use load::Load;
pub use registry::Registry;
pub use server::Server;
pub use tree::{Said, WorkTree};

use std::time::Duration;

/// Time that anything has to happen.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
