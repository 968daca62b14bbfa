//! The gateway: the HTTP proxy in front of the nodes, a process of its own.
//!
//! Invariants:
//! - The route table is on disk before [`Client::apply`] returns; a restarted gateway serves the last one, with the
//!   same listeners, whether a server is alive or not.
//! - After [`Client::apply`] has returned, no new request reaches a node that the table gives no weight. A pick and its
//!   in-flight count happen under one lock, so an in-flight count of zero is final for a drained node.
//! - Over any run of requests each node's count stays within one of its exact share; repeats are not counted, and what
//!   was not a canary's at first never comes to a canary.
//! - A request that may have reached a service is repeated on another node only if its method is idempotent.
//! - It decides nothing about rollouts: weights and states come from the server, counters go back.

mod balance;
mod client;
mod control;
mod error;
mod gateway;
mod launch;
mod listener;
mod preamble;
mod process;
mod proxy;
mod routes;
mod socket;
mod state_file;
mod stats;
mod table;
mod upgrade;
mod wire;

pub use client::Client;
pub use error::Error;
pub use launch::{GatewayCommand, ensure_running};
pub use process::run;
pub use routes::{Applied, EnvironmentRoutes, Info, ListenFailure, NodeRoute, NodeState, Routes};
pub use state_file::kept_routes;
pub use stats::{EnvironmentStats, Latency, NodeErrors, NodeStats, Stats};
