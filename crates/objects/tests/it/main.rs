//! The store on a real folder.

#![allow(clippy::unwrap_used, reason = "what a test sets up must work")]

mod archives;
mod artifacts;
mod releases;
mod traces;
