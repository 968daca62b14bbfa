//! The nouns of Serin: ids, time, limits, plans, statuses, services.
//!
//! Invariants: plain data, no I/O, no clock, no randomness, no serde. Every other crate may use this one.

pub mod freeze;
pub mod id;
pub mod limit;
pub mod plan;
pub mod quality;
pub mod service;
pub mod status;
pub mod time;

pub use id::{
    CommitId, Digest, EnvironmentId, JobId, MergeRequestId, NodeName, PipelineId, PoolName, ProjectId, RolloutId,
    TreeId, UserId,
};
pub use status::{FailureReason, Status};
pub use time::Timestamp;
