//! The server: loads state, lets the pure cores decide, keeps what they decided, and carries the effects out.
//!
//! Invariants: a decision and its effects are kept in one transaction before anything is carried out; every effect may
//! be carried out twice; what is in memory alone can be rebuilt from the database, the repositories, the gateway and
//! the nodes. Knows nothing of HTML.

pub mod action;
pub mod api;
pub mod app;
pub mod auth;
pub mod clock;
pub mod delivery;
mod downstream;
pub mod error;
pub mod git_http;
pub mod hub;
pub mod merge_request;
pub mod metrics;
pub mod outbox;
pub mod pipeline;
pub mod project;
pub mod quality;
pub mod queue;
pub mod refs;
pub mod runner;
pub mod secret;
pub mod settings;

pub use app::{App, FirstStart};
pub use error::{Error, Result};
pub use settings::{DockerSettings, Settings};
