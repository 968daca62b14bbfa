//! Carries out one job with the shell executor.
//!
//! Invariants: knows no pipeline, no database, no HTTP. A job's processes never outlive its run, nor the process that
//! runs it: a guard process sees to both (see [`guard`]). Nothing that a repository says is run outside of the job's own
//! shell. Memory does not grow with the trace. Masked values never reach a [`TraceSink`].

pub mod environment;
pub mod expand;
pub mod guard;
mod request;

pub use environment::HostEnvironment;
pub use request::{
    Afterwards, CancelToken, Dependency, GuardCommand, JobReport, JobRequest, Outcome, Report, Source, TraceSink,
};
