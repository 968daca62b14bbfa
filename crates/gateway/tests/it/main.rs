//! The gateway as a process, in front of real sockets.

#![allow(clippy::unwrap_used, reason = "what the tests lean on fails by panicking, as they do")]

mod change;
mod drain;
mod forward;
mod http;
mod node;
mod process;
mod refuse;
mod restart;
mod split;
mod stats;
mod table;
