//! Runs nodes: one instance slot of a service each, started from a release, watched, measured, stopped.
//!
//! Invariants:
//! - a node outlives the server that started it; a server that starts again adopts what it finds;
//! - a node is addressed by its key and fenced by its generation: an older generation never replaces a newer one;
//! - no process is signalled by a remembered number alone: its start time has to match as well;
//! - states are pushed: [`Platform::changes`] wakes without a polling interval.
//!
//! Two platforms: supervised processes of this machine, and containers of a Docker Engine.
//!
//! Knows no pools, no rollouts, no traffic, no HTTP API. [`Platform`] is what a further platform implements; the integration
//! tests hold a conformance suite over `&dyn Platform`.

mod docker;
mod error;
mod health;
mod layout;
mod level;
mod lines;
mod node;
mod process;
mod protocol;
pub mod supervisor;

pub use docker::{DockerPlatform, Engine, Host, Policy, Tls};
pub use error::Error;
pub use node::{Container, NodeKey, NodeSpec, NodeState, Observation, Platform, Secret, Usage};
pub use process::{ProcessPlatform, SupervisorCommand};
