//! What goes over the wire: serde types of the REST API and of the judge's streams.
//!
//! Invariants: data alone, no decisions, no I/O; fields have GitLab's names where GitLab has them.

pub mod judge;
pub mod quality;
pub mod rest;
