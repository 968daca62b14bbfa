//! What a runner is told about a job, and what it says about it afterwards.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serin_model::plan::{Script, Variable};
use serin_model::{CommitId, FailureReason, JobId};

pub use tokio_util::sync::CancellationToken as CancelToken;

use crate::environment::HostEnvironment;
use crate::executor::Containers;
use crate::guards::Guards;
use crate::slot::Slot;

/// One attempt of one job, complete: nothing else is asked for while it runs.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The job.
    pub job_id: JobId,
    /// Its attempt, from 1 on.
    pub attempt: u32,
    /// Its name, for the trace.
    pub name: String,
    /// Where the project's files come from.
    pub source: Source,
    /// A folder that this run alone uses: the checkout becomes `builds_dir/project`, and everything else that the run
    /// makes stands beside it in `builds_dir/project.tmp`, until the next run in the same folder.
    pub builds_dir: PathBuf,
    /// Whether the checkout stays after the job.
    pub afterwards: Afterwards,
    /// The job's variables, complete and in order (a later one wins), before the runner expands them.
    pub variables: Vec<Variable>,
    /// What to do.
    pub script: Script,
    /// Milliseconds that everything but `after_script` may take.
    pub timeout_ms: i64,
    /// Archives to unpack before the script, in this order.
    pub dependencies: Vec<Dependency>,
    /// Folder of this project's caches, apart for protected and unprotected refs; `None`: no caches.
    pub caches_dir: Option<PathBuf>,
    /// Where the process comes from that kills the job's processes when nobody else can.
    pub guard: Guards,
    /// What the job sees of the machine.
    pub host: HostEnvironment,
    /// Where containers come from, if any do.
    pub containers: Containers,
    /// The nodes that the job is to test, as its variable `SERIN_TARGET_URLS` names them; a job in a container is led there.
    pub targets: Vec<SocketAddr>,
}

/// Where the files of a job come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A commit of a repository on this machine; its objects are borrowed, nothing is copied.
    LocalRepository {
        /// The repository's Git folder.
        git_dir: PathBuf,
        /// The commit to check out.
        commit: CommitId,
        /// The ref that the pipeline runs for, for people.
        ref_name: String,
    },
    /// A copy of a folder that a person works in: tracked files and new ones, without ignored ones.
    WorkingTree {
        /// Top of the work tree.
        folder: PathBuf,
    },
    /// A workspace that is put in order before each of its jobs; [`JobRequest::builds_dir`] is the slot's.
    Slot(Arc<Slot>),
    /// An empty folder.
    None,
}

/// What becomes of the checkout after the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Afterwards {
    /// It is removed, in the background.
    #[default]
    Remove,
    /// It stays, until the next run in the same folder.
    Keep,
}

/// Artifacts of an earlier job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The earlier job.
    pub job_id: JobId,
    /// Its name, for the trace.
    pub name: String,
    /// Its archive.
    pub archive: PathBuf,
}

/// The program that becomes a job's guard: [`crate::guard::main`] under whatever name the binary has for it.
///
/// `/proc/self/exe` is this very program, also after its file was replaced by an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, such as `job-guard`.
    pub args: Vec<OsString>,
}

/// Takes a job's trace, masked and in order.
#[async_trait]
pub trait TraceSink: Send + Sync {
    /// Takes the next bytes; the job waits as long as this waits.
    async fn append(&self, bytes: &[u8]);
}

/// How a job went.
#[derive(Clone, Debug, PartialEq)]
pub struct JobReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The archive of `artifacts`, below [`JobRequest::builds_dir`]; the caller moves it away.
    pub artifacts: Option<PathBuf>,
    /// The files of `artifacts:reports`, below [`JobRequest::builds_dir`]; without `dotenv`.
    pub reports: Vec<Report>,
    /// Variables of `artifacts:reports:dotenv`, in order; a later one wins.
    pub dotenv: Vec<(String, String)>,
    /// Percentage that `coverage` found in the last matching line of the trace.
    pub coverage: Option<f64>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Badly.
    Failed {
        /// Why.
        reason: FailureReason,
        /// The script's exit code, where there is one.
        exit_code: Option<i32>,
    },
    /// On request.
    Canceled,
}

/// The files of one kind of report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// GitLab's word, such as `junit`.
    pub kind: String,
    /// A zip archive of the files.
    pub archive: PathBuf,
}
