//! All that a job depends on, as a digest: what it does, its variables, the tree, what earlier jobs hand it.

use std::path::Path;

use anyhow::{Context as _, Result};
use serin_model::plan::{Job, Variable};
use serin_objects::digest::{Sha256, sha256_hex};
use serin_runner::{Kind, Snapshot};

/// Variables that differ from run to run.
const VOLATILE: [&str; 9] = [
    "CI_PIPELINE_ID",
    "CI_PIPELINE_IID",
    "CI_PIPELINE_CREATED_AT",
    "CI_JOB_ID",
    "CI_JOB_STARTED_AT",
    "CI_CONCURRENT_ID",
    "PARENT_PIPELINE_ID",
    "CI_PIPELINE_URL",
    "CI_JOB_URL",
];

/// The digest of a snapshot's names, modes and contents, without its `.git`.
pub fn of_tree(snapshot: &Snapshot) -> Result<String> {
    let mut entries: Vec<_> = snapshot.entries().iter().filter(|entry| !entry.path.starts_with(".git")).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut state = Sha256::default();
    for entry in entries {
        let content = match &entry.kind {
            Kind::Folder { mode } => format!("folder {mode:o}"),
            Kind::Link { target } => format!("link {}", target.display()),
            Kind::File => of_file(&snapshot.folder().join(&entry.path))?,
        };
        state.update(entry.path.as_os_str().as_encoded_bytes());
        state.update(format!("\0{content}\n").as_bytes());
    }
    Ok(state.finish_hex())
}

fn of_file(path: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;
    let read = || Ok::<_, std::io::Error>((std::fs::read(path)?, path.metadata()?.permissions().mode()));
    let (bytes, mode) = read().with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(format!("file {mode:o} {}", sha256_hex(&bytes)))
}

/// The digest of a job with those variables, on that tree, after jobs that left those archives.
pub fn of_job(job: &Job, variables: &[Variable], (tree, archives): (&str, &[&Path])) -> Result<String> {
    let mut state = Sha256::default();
    state.update(format!("{:?}\n{tree}\n", job.work).as_bytes());
    for variable in variables.iter().filter(|variable| !VOLATILE.contains(&variable.key.as_str())) {
        state.update(format!("{variable:?}\n").as_bytes());
    }
    for archive in archives {
        state.update(format!("{}\n", of_file(archive)?).as_bytes());
    }
    Ok(state.finish_hex())
}

/// Whether a job may be left out: one that changes something elsewhere may not.
#[must_use]
pub fn may_be_left_out(job: &Job) -> bool {
    job.environment.is_none() && job.resource_group.is_none()
}
