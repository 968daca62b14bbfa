//! One job from its first line of trace to its last.

mod leave;
mod prepare;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serin_model::FailureReason;
use tokio::time::Instant;

use crate::collect::Wanted;
use crate::coverage::Coverage;
use crate::environment::Environment;
use crate::executor::Executor;
use crate::executor::docker::Trouble;
use crate::guard::Spec;
use crate::limit;
use crate::mask::Masker;
use crate::process::{self, Ending};
use crate::request::{Afterwards, CancelToken, JobReport, JobRequest, Outcome, Report, Source, TraceSink};
use crate::script::Shell;
use crate::trace::Trace;
use crate::workspace::{STEP, Workspace};

/// Time that `after_script` has (GitLab, `after_script`).
const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Carries out one job. Dropping the future ends the job's processes as well.
pub async fn run(request: JobRequest, sink: &dyn TraceSink, cancel: CancelToken) -> JobReport {
    let workspace = prepare::workspace(&request);
    let afterwards = request.afterwards;
    let started = Instant::now();
    let mut job = match Job::new(request, workspace.clone(), sink, cancel).await {
        Ok(job) => job,
        Err(message) => {
            let mut trace = Trace::new(sink, Masker::new([]), None);
            trace.error(&format!("Job failed (system failure): {message}")).await;
            return JobReport::of(Outcome::system_failure());
        }
    };
    let result = job.carry_out().await;
    job.executor.close().await;
    job.last_words(&result, started.elapsed()).await;
    if afterwards == Afterwards::Remove {
        tokio::task::spawn_blocking(move || {
            for folder in [&workspace.project, &workspace.temporary(), &workspace.variables(), &workspace.control()] {
                if let Err(error) = serin_objects::tree::remove(folder) {
                    tracing::warn!(%error, "a job's folder stays");
                }
            }
        });
    }
    let coverage = job.trace.coverage();
    JobReport { outcome: outcome_of(&result), coverage, ..job.report }
}

impl JobReport {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, artifacts: None, reports: Vec::<Report>::new(), dotenv: Vec::new(), coverage: None }
    }
}

impl Outcome {
    fn system_failure() -> Self {
        Self::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None }
    }
}

/// Why a job does not go on to success.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Halt {
    ExitCode(i32),
    TimedOut,
    Canceled,
    MissingDependency(String),
    System(String),
}

fn outcome_of(result: &Result<(), Halt>) -> Outcome {
    let failed = |reason, exit_code| Outcome::Failed { reason, exit_code };
    match result {
        Ok(()) => Outcome::Success,
        Err(Halt::Canceled) => Outcome::Canceled,
        Err(Halt::ExitCode(code)) => failed(FailureReason::ScriptFailure, Some(*code)),
        Err(Halt::TimedOut) => failed(FailureReason::JobExecutionTimeout, None),
        Err(Halt::MissingDependency(_)) => failed(FailureReason::MissingDependency, None),
        Err(Halt::System(_)) => Outcome::system_failure(),
    }
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Canceled => Self::Canceled,
            Trouble::TimedOut => Self::TimedOut,
            Trouble::Missing(message) | Trouble::Failed(message) => Self::System(message),
        }
    }
}

fn is_false(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "false" | "f" | "0")
}

fn ended(ending: Ending) -> Result<(), Halt> {
    match ending {
        Ending::Exited(0) => Ok(()),
        Ending::Exited(code) => Err(Halt::ExitCode(code)),
        Ending::TimedOut => Err(Halt::TimedOut),
        Ending::Canceled => Err(Halt::Canceled),
        Ending::Failed(message) => Err(Halt::System(message)),
    }
}

struct Job<'a> {
    request: JobRequest,
    workspace: Workspace,
    environment: Environment,
    executor: Executor,
    trace: Trace<'a>,
    cancel: CancelToken,
    deadline: Instant,
    report: JobReport,
}

impl<'a> Job<'a> {
    async fn new(
        request: JobRequest,
        workspace: Workspace,
        sink: &'a dyn TraceSink,
        cancel: CancelToken,
    ) -> Result<Self, String> {
        let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or_default());
        let deadline = Instant::now() + timeout.min(Duration::from_secs(u64::from(u32::MAX)));
        let executor = Executor::choose(&request, &workspace).await?;
        let environment = prepare::folders_and_environment(&request, &workspace, &executor).await?;
        let masked = request.variables.iter().filter(|variable| variable.masked).map(|variable| &variable.value);
        let expanded = environment.variables().iter().filter(|variable| variable.masked && !variable.file);
        let masker = Masker::new(masked.chain(expanded.map(|variable| &variable.value)).map(String::as_str));
        let pattern = request.script.coverage.as_deref().map(Coverage::new);
        let (coverage, bad_pattern) = match pattern.transpose() {
            Ok(coverage) => (coverage, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut trace = Trace::new(sink, masker, coverage);
        trace.line(&format!("Running with serin {}", env!("CARGO_PKG_VERSION"))).await;
        if let Some(error) = bad_pattern {
            trace.warning(&format!("`coverage` cannot be understood: {error}")).await;
        }
        let report = JobReport::of(Outcome::Success);
        Ok(Self { request, workspace, environment, executor, trace, cancel, deadline, report })
    }

    async fn carry_out(&mut self) -> Result<(), Halt> {
        self.prepare().await?;
        let commands: Vec<String> =
            self.request.script.before_script.iter().chain(&self.request.script.script).cloned().collect();
        self.trace.section("step_script", "Executing \"step_script\" stage of the job script").await;
        let limit = self.time_limit("RUNNER_SCRIPT_TIMEOUT").map(|limit| Instant::now() + limit);
        let deadline = limit.map_or(self.deadline, |limit| limit.min(self.deadline));
        let cancel = self.cancel.clone();
        let mut result = self.shell(STEP, &commands, (deadline, &cancel)).await;
        self.trace.section_end("step_script").await;
        let afterwards = self.after_script(&result).await;
        if result.is_ok() && self.environment.get("AFTER_SCRIPT_IGNORE_ERRORS").is_some_and(is_false) {
            result = afterwards;
        }
        self.leave(&mut result).await;
        result
    }

    /// Runs `after_script`, unless the job's time is over.
    async fn after_script(&mut self, result: &Result<(), Halt>) -> Result<(), Halt> {
        let commands = self.request.script.after_script.clone();
        let status = match result {
            Ok(()) => "success",
            Err(Halt::Canceled) => "canceled",
            Err(Halt::System(_)) => return Ok(()),
            Err(Halt::TimedOut) if Instant::now() >= self.deadline => return Ok(()),
            Err(Halt::ExitCode(_) | Halt::MissingDependency(_) | Halt::TimedOut) => "failed",
        };
        if commands.is_empty() {
            return Ok(());
        }
        self.environment.set("CI_JOB_STATUS", status);
        self.trace.section("after_script", "Running after_script").await;
        let limit = self.time_limit("RUNNER_AFTER_SCRIPT_TIMEOUT").unwrap_or(AFTER_SCRIPT_TIMEOUT);
        let ended = self.shell("after", &commands, (Instant::now() + limit, &CancelToken::new())).await;
        match &ended {
            Ok(()) => {}
            Err(Halt::ExitCode(code)) => {
                self.trace.warning(&format!("after_script failed with exit code {code}")).await;
            }
            Err(Halt::TimedOut) => {
                self.trace.warning(&format!("after_script took longer than {} s and was ended", limit.as_secs())).await;
            }
            Err(halt) => self.trace.warning(&format!("after_script could not be run: {halt:?}")).await,
        }
        self.trace.section_end("after_script").await;
        ended
    }

    /// A limit that a variable sets; what is no duration sets none.
    fn time_limit(&self, key: &str) -> Option<Duration> {
        self.environment.get(key).and_then(limit::parse)
    }

    /// Runs commands in a shell of their own, in the project folder.
    async fn shell(
        &mut self,
        name: &str,
        commands: &[String],
        (deadline, cancel): (Instant, &CancelToken),
    ) -> Result<(), Halt> {
        let stop = process::Stop { deadline, cancel };
        let shell = match &mut self.executor {
            Executor::Shell { shell, .. } => shell,
            Executor::Docker(room) => {
                let text = Shell::unknown().script(commands);
                let ending = room.script((name, text), &self.environment, stop, &mut self.trace).await;
                return ended(ending);
            }
        };
        let file = self.workspace.write_script(name, &shell.script(commands)).map_err(|error| {
            Halt::System(format!("cannot write `{}`: {error}", self.workspace.script(name).display()))
        })?;
        let spec = Spec {
            program: shell.program.clone().into(),
            args: shell.args(&file),
            folder: self.workspace.project.clone(),
            environment: self.environment.entries().map_err(Halt::System)?,
        };
        ended(process::run(&self.request.guard, spec, stop, &mut self.trace).await)
    }

    /// Patterns after expansion, and the files that Git does not track where they are wanted.
    async fn wanted(&mut self, paths: &[String], exclude: &[String], with_untracked: bool) -> Wanted {
        let places = self.executor.places(&self.request.builds_dir, &self.workspace);
        let expanded = |texts: &[String]| {
            texts.iter().map(|text| below_project(self.environment.expand(text), &places.project)).collect()
        };
        let (paths, exclude) = (expanded(paths), expanded(exclude));
        let mut files = Vec::new();
        if with_untracked {
            match self.untracked().await {
                Ok(found) => files = found,
                Err(message) => self.trace.warning(&message).await,
            }
        }
        Wanted { paths, exclude, files }
    }

    /// Files of the project folder that are not the project's own.
    async fn untracked(&self) -> Result<Vec<PathBuf>, String> {
        let Source::Slot(slot) = self.request.source.clone() else {
            return crate::workspace::untracked(&self.workspace, &self.request.host).await;
        };
        let project = self.workspace.project.clone();
        let found = blocking(move || slot.new_files(&project)).await?;
        found.map_err(|error| format!("cannot list untracked files: {error}"))
    }

    async fn last_words(&mut self, result: &Result<(), Halt>, elapsed: Duration) {
        let message = match result {
            Ok(()) => {
                self.trace.good("Job succeeded").await;
                return;
            }
            Err(Halt::ExitCode(code)) => format!("Job failed: exit code {code}"),
            Err(Halt::TimedOut) => format!("Job failed: it took longer than its timeout ({} s)", elapsed.as_secs()),
            Err(Halt::Canceled) => "Job failed: canceled".to_owned(),
            Err(Halt::MissingDependency(message)) => format!("Job failed: {message}"),
            Err(Halt::System(message)) => format!("Job failed (system failure): {message}"),
        };
        self.trace.error(&message).await;
    }
}

/// Runs work that waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|_| "the work on files was given up".to_owned())
}

/// `$CI_PROJECT_DIR/x` is `x`, wherever the job sees its project folder.
fn below_project(text: String, project: &Path) -> String {
    let rest = project.to_str().and_then(|project| text.trim().strip_prefix(project));
    match rest {
        Some("") => ".".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/').to_owned(),
        _ => text,
    }
}
