//! One attempt of one job: the runner, its log, what it leaves.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serin_engine::Outcome;
use serin_model::FailureReason;
use serin_runner::{CancelToken, JobReport, JobRequest, TraceSink};

use super::folders::Folders;
use super::output::{Feed, Output};
use super::request;

/// An attempt to carry out.
pub struct Run {
    /// What the runner is told.
    pub request: JobRequest,
    /// The job's name, as people see it.
    pub name: String,
    /// Where its log goes.
    pub log: PathBuf,
    /// Where its archives go.
    pub artifacts: PathBuf,
    /// What people see.
    pub output: Arc<Output>,
    /// Tells it to stop.
    pub stop: CancelToken,
    /// Whether its workspace stays.
    pub keep: bool,
}

/// How an attempt ended.
pub struct Ended {
    /// In the engine's words.
    pub outcome: Outcome,
    /// The archive of its artifacts.
    pub archive: Option<PathBuf>,
    /// Its reports, by kind.
    pub reports: Vec<(String, PathBuf)>,
    /// Variables that it hands on.
    pub dotenv: Vec<(String, String)>,
    /// What `coverage` found.
    pub coverage: Option<f64>,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// Where it worked, if that stays.
    pub workspace: Option<PathBuf>,
}

impl Run {
    /// Carries the attempt out.
    pub async fn carry_out(self) -> Ended {
        let builds = self.request.builds_dir.clone();
        let sink = match Sink::new(&self.log, Arc::clone(&self.output), self.name.clone()) {
            Ok(sink) => sink,
            Err(error) => return Ended::broken(format!("cannot write `{}`: {error}", self.log.display())),
        };
        let report = serin_runner::run(self.request, &sink, self.stop).await;
        let tail = sink.finish();
        let ended =
            Ended::of(report, tail, &self.artifacts).unwrap_or_else(|error| Ended::broken(format!("{error:#}")));
        let project = self.keep.then(|| builds.join("project"));
        Ended { workspace: project, ..ended }
    }
}

impl Ended {
    fn of(report: JobReport, tail: Vec<String>, artifacts: &Path) -> anyhow::Result<Self> {
        let outcome = match report.outcome {
            serin_runner::Outcome::Success => Outcome::Success,
            serin_runner::Outcome::Failed { reason, exit_code } => Outcome::Failed { reason, exit_code },
            serin_runner::Outcome::Canceled => Outcome::Canceled,
        };
        let archive =
            report.artifacts.map(|archive| request::keep(artifacts, &archive, "artifacts.zip")).transpose()?;
        let mut reports = Vec::new();
        for found in report.reports {
            let name = format!("{}.zip", found.kind);
            reports.push((found.kind, request::keep(artifacts, &found.archive, &name)?));
        }
        Ok(Self { outcome, archive, reports, dotenv: report.dotenv, coverage: report.coverage, tail, workspace: None })
    }

    /// A script that ended with an exit code other than 0.
    pub fn script_failure(exit_code: Option<i32>) -> Outcome {
        Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code }
    }

    fn broken(message: String) -> Self {
        let outcome = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
        Self {
            outcome,
            archive: None,
            reports: Vec::new(),
            dotenv: Vec::new(),
            coverage: None,
            tail: vec![message],
            workspace: None,
        }
    }
}

/// Writes a trace to its file, and its lines to people.
struct Sink {
    file: Mutex<BufWriter<File>>,
    feed: Feed,
    output: Arc<Output>,
    name: String,
}

impl Sink {
    fn new(log: &Path, output: Arc<Output>, name: String) -> std::io::Result<Self> {
        Ok(Self { file: Mutex::new(BufWriter::new(Folders::open_log(log)?)), feed: Feed::default(), output, name })
    }

    fn finish(&self) -> Vec<String> {
        if let Err(error) = self.file.lock().unwrap_or_else(PoisonError::into_inner).flush() {
            tracing::warn!(%error, "a job's log is not whole");
        }
        self.feed.finish(&self.output, &self.name)
    }
}

#[async_trait]
impl TraceSink for Sink {
    async fn append(&self, bytes: &[u8]) {
        if let Err(error) = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes) {
            tracing::warn!(%error, "a job's log is not whole");
        }
        self.feed.push(bytes, &self.output, &self.name);
    }
}
