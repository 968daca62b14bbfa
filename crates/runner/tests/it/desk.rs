//! What a test needs to run a job.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serin_model::plan::{Script, Variable};
use serin_model::{CommitId, JobId};
use serin_runner::{Afterwards, CancelToken, GuardCommand, HostEnvironment, JobReport, JobRequest, Source, TraceSink};

/// Longest time that a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for one test, and jobs in it.
pub struct Desk {
    folder: tempfile::TempDir,
}

/// Keeps a trace.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl TraceSink for Kept {
    async fn append(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }
}

impl Kept {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

pub fn guard() -> GuardCommand {
    GuardCommand { program: env!("CARGO_BIN_EXE_serin-job-guard").into(), args: Vec::new() }
}

pub fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A job without sources that runs `script`; `$DESK` is the test's folder.
    pub fn job(&self, script: &[&str]) -> JobRequest {
        JobRequest {
            targets: Vec::new(),
            job_id: JobId(1),
            attempt: 1,
            name: "job".to_owned(),
            source: Source::None,
            builds_dir: self.path("builds"),
            afterwards: Afterwards::Keep,
            variables: vec![Variable::plain("DESK", self.folder.path().to_str().unwrap())],
            script: Script { script: lines(script), ..Script::default() },
            timeout_ms: 60_000,
            dependencies: Vec::new(),
            caches_dir: Some(self.path("caches")),
            guard: guard().into(),
            host: HostEnvironment::of_this_process(),
            containers: serin_runner::Containers::none(),
        }
    }

    /// A repository with one commit of these files, and its only commit on branch `branch`.
    pub fn repository(&self, branch: &str, files: &[(&str, &str)]) -> Source {
        let work = self.path("work");
        fs::create_dir_all(&work).unwrap();
        git(&work, &["init", "-q", "."]);
        for (name, content) in files {
            let path = work.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        git(&work, &["add", "-A", "."]);
        git(&work, &["commit", "-q", "-m", "first"]);
        let commit = git(&work, &["rev-parse", "HEAD"]);
        git(&work, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
        Source::LocalRepository { git_dir: work.join(".git"), commit: CommitId(commit), ref_name: branch.to_owned() }
    }
}

pub fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a job to its end and returns its report and trace.
pub async fn run(request: JobRequest) -> (JobReport, String) {
    let kept = Kept::default();
    let sink = kept.clone();
    let running = tokio::spawn(async move { serin_runner::run(request, &sink, CancelToken::new()).await });
    let report = tokio::time::timeout(PATIENCE * 2, running).await.unwrap().unwrap();
    (report, kept.text())
}

/// Waits until `holds` holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs; one that only waits to be reaped does not.
pub fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A process id that a script writes to a file of the desk.
pub async fn pid_in(desk: &Desk, name: &str) -> String {
    let path = desk.path(name);
    until("a process id is written", || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))).await;
    desk.text(name).trim().to_owned()
}

pub fn host_with(name: &str, value: &str) -> HostEnvironment {
    let mine = std::env::vars_os().filter(|(key, _)| key == "PATH" || key == "HOME");
    HostEnvironment::from_entries(mine.chain([(OsString::from(name), OsString::from(value))]))
}
