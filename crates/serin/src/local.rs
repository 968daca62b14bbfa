//! `serin run`: a pipeline of the folder that a person works in, with its state in memory.
//!
//! Invariants: the same `lang`, `engine` and `runner` decide and act as on the server; one loop owns all state and hears
//! of everything by messages; jobs work in copies, never in the person's folder; what was started ends with the run.

pub mod child;
pub mod fingerprint;
pub mod folders;
pub mod lines;
pub mod live;
pub mod output;
pub mod pipeline;
pub mod previous;
pub mod request;
pub mod selection;
pub mod session;
pub mod slots;
pub mod summary;
pub mod watch;
pub mod worker;
