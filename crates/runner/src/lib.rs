//! Carries out one job, in a shell of this machine or in containers of its Docker Engine.
//!
//! Invariants: knows no pipeline, no database, no HTTP. A job's processes never outlive its run, nor the process that
//! runs it: a guard process sees to both (see [`guard`]). Nothing that a repository says is run outside of the job's own
//! shell. Memory does not grow with the trace. Masked values never reach a [`TraceSink`].

mod cache;
mod collect;
mod coverage;
mod dotenv;
pub mod environment;
mod executor;
pub mod expand;
pub mod guard;
mod guards;
mod job;
mod limit;
mod mask;
mod process;
mod request;
mod script;
mod slot;
mod snapshot;
mod trace;
mod workspace;

pub use environment::HostEnvironment;
pub use executor::docker::{PROJECT as PROJECT_IN_CONTAINERS, TARGETS};
pub use executor::{Choice, ContainerLimits, ContainerSettings, Containers, Missing};
pub use guards::Guards;
pub use job::run;
pub use mask::Masker;
pub use request::{
    Afterwards, CancelToken, Dependency, GuardCommand, JobReport, JobRequest, Outcome, Report, Source, TraceSink,
};
pub use slot::Slot;
pub use snapshot::{Entry, Kind, Snapshot};
