//! What earlier runs came to, and taking over their results.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::folders::Folders;
use super::pipeline::Record;
use super::worker::Ended;

/// The file that a run leaves.
const FILE: &str = "run.json";

/// Earlier runs of the project, the latest first.
#[derive(Debug, Default)]
pub struct Previous {
    runs: Vec<Value>,
}

/// A job of an earlier run that succeeded, or failed as it was allowed to.
#[derive(Debug)]
pub struct Known {
    run: u64,
    job: Value,
}

/// Keeps what a run came to.
pub fn keep(folders: &Folders, outcome: &Value) -> Result<()> {
    let path = folders.run.join(FILE);
    std::fs::write(&path, outcome.to_string()).with_context(|| format!("cannot write `{}`", path.display()))
}

impl Previous {
    /// Reads what the kept runs came to.
    #[must_use]
    pub fn of(project: &Path) -> Self {
        let numbers = super::folders::numbers(&project.join("runs"));
        let read = |number: &u64| {
            let bytes = std::fs::read(project.join("runs").join(number.to_string()).join(FILE)).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        Self { runs: numbers.iter().rev().filter_map(read).collect() }
    }

    /// The jobs that the latest run was asked for by name; `None`: there is no earlier run.
    #[must_use]
    pub fn selected(&self) -> Option<Vec<String>> {
        let names = self.runs.first()?["selected"].as_array().cloned().unwrap_or_default();
        Some(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// What did not fail in the latest run.
    #[must_use]
    pub fn unfailed(&self, path: &str) -> Option<Known> {
        let run = self.runs.first()?;
        let job = find(run, path)?;
        let good = job["status"] == "success" || job["allowed_to_fail"] == true;
        (good && job["child"].is_null()).then(|| Known { run: run["number"].as_u64().unwrap_or(0), job: job.clone() })
    }

    /// A success of the very same job with the very same inputs.
    #[must_use]
    pub fn unchanged(&self, path: &str, fingerprint: &str) -> Option<Known> {
        self.runs.iter().find_map(|run| {
            let job = find(run, path)?;
            let same = job["status"] == "success" && job["fingerprint"] == fingerprint;
            let origin = job["taken_from_run"].as_u64().or(run["number"].as_u64()).unwrap_or(0);
            (same && is_whole(job)).then(|| Known { run: origin, job: job.clone() })
        })
    }
}

/// Whether what the job left is still there.
fn is_whole(job: &Value) -> bool {
    job["artifacts"].as_str().is_none_or(|path| Path::new(path).is_file())
}

fn find<'a>(pipeline: &'a Value, path: &str) -> Option<&'a Value> {
    pipeline["jobs"].as_array()?.iter().find_map(|job| {
        if job["path"] == path { Some(job) } else { job.get("child").and_then(|child| find(child, path)) }
    })
}

impl Known {
    /// Takes over what the job left, into the folder of the present run's job.
    pub fn take_over(&self, artifacts: &Path, record: &mut Record) -> Result<()> {
        let kept = |path: &Value| path.as_str().map(|path| link(Path::new(path), artifacts)).transpose();
        record.archive = kept(&self.job["artifacts"])?;
        for (kind, path) in self.job["reports"].as_object().into_iter().flatten() {
            if let Some(path) = kept(path)? {
                record.reports.push((kind.clone(), path));
            }
        }
        let pairs = self.job["dotenv"].as_array().cloned().unwrap_or_default();
        let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
        record.dotenv = pairs.iter().filter_map(pair).collect();
        record.coverage = self.job["coverage"].as_f64();
        record.taken = Some(self.run);
        Ok(())
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> serin_engine::Outcome {
        if self.job["status"] == "success" {
            return serin_engine::Outcome::Success;
        }
        let exit_code = self.job["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok());
        Ended::script_failure(exit_code)
    }
}

/// A file of an earlier run in the present one, so that it outlives the earlier.
fn link(from: &Path, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let to = folder.join(from.file_name().unwrap_or_default());
    std::fs::hard_link(from, &to)
        .or_else(|_| std::fs::copy(from, &to).map(drop))
        .with_context(|| format!("cannot take over `{}`", from.display()))?;
    Ok(to)
}
