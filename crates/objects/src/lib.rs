//! Traces, artifacts and releases on a folder.
//!
//! Invariants: what is complete is never changed in place: artifacts and releases appear by a rename. Memory does not grow
//! with the size of a trace or an archive. Names inside archives are hostile: nothing is written outside of the folder
//! that the caller names. Knows no database and no HTTP: who may read what, and for how long, is decided elsewhere.

pub mod archive;
mod artifact;
pub mod digest;
mod error;
pub mod glob;
pub mod over;
mod release;
mod trace;
pub mod tree;

pub use artifact::{ArtifactName, Artifacts};
pub use error::Error;
pub use release::Releases;
pub use trace::{Appended, Lines, TRACE_READ_BYTES_MAX, TraceState, Traces};

use std::path::PathBuf;

use serin_model::JobId;

/// One attempt of a job: what traces and artifacts are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The job.
    pub job_id: JobId,
    /// The attempt, from 1 on.
    pub attempt: u32,
}

/// The whole store: one folder per kind below one folder.
#[derive(Clone, Debug)]
pub struct Objects {
    /// What jobs print.
    pub traces: Traces,
    /// What jobs leave behind.
    pub artifacts: Artifacts,
    /// What is deployed.
    pub releases: Releases,
}

impl Objects {
    /// Opens the store in `folder`, which is made if it is not there, and removes what a crash left half done.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        Ok(Self {
            traces: Traces::open(folder.join("traces"))?,
            artifacts: Artifacts::open(folder.join("artifacts"))?,
            releases: Releases::open(folder.join("releases"))?,
        })
    }
}

/// Runs work that waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Interrupted))
}
