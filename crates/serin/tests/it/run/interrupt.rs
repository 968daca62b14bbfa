//! What ends with a run, however it is ended.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::project;
use crate::project::Project;

/// Longest time that something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// A job that leaves a daemon deaf to SIGTERM, and never ends.
const PIPELINE: &str = "a:\n  script:\n    - setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1; done' >/dev/null 2>&1 &\n    \
                        - touch \"$READY\"\n    - sleep 1000\n  after_script: [touch \"$AFTER\"]\n";

struct Running {
    project: Project,
    child: Child,
}

impl Running {
    fn start() -> Self {
        let project = project(PIPELINE);
        let variable = |key: &str, name: &str| format!("{key}={}", project.above().join(name).display());
        let (ready, after) = (variable("READY", "ready"), variable("AFTER", "after"));
        let child = project
            .command(&["run", "--var", &ready, "--var", &after])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self { project, child };
        running.until("the job runs", || running.project.above().join("ready").exists());
        running.until("the job's processes are found", || running.left() >= 2);
        running
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Processes whose environment names the test's folder, the program itself aside.
    fn left(&self) -> usize {
        let word = format!("READY={}", self.project.above().join("ready").display());
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let mine = |entry: &std::fs::DirEntry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == word.as_bytes())
        };
        processes.filter(mine).count()
    }

    /// What has that name below the caches.
    fn named(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.project.above().join("cache")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                found.extend((entry.file_name() == name).then(|| entry.path()));
                open.extend(Some(entry.path()).filter(|path| path.is_dir()));
            }
        }
        found
    }
}

#[test]
fn an_interrupt_ends_everything_after_after_script() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut running = Running::start();
        running.signal(signal);
        let status = running.child.wait().unwrap();
        assert_eq!(status.code(), Some(code));
        assert!(running.project.above().join("after").exists());
        assert_eq!((running.left(), running.named("snapshot").len()), (0, 0));
    }
}

#[test]
fn nothing_outlives_a_run_that_is_killed() {
    let mut running = Running::start();
    running.signal(Signal::SIGKILL);
    running.child.wait().unwrap();
    running.until("nothing is left", || running.left() == 0);
    let left = running.named("project");
    assert_eq!(left.len(), 1);
    std::fs::write(left[0].join("left-over"), "").unwrap();
    running.project.write(".gitlab-ci.yml", "b: {script: 'test ! -e left-over'}");
    assert_eq!(running.project.serin(&["run"]).code, 0);
    assert_eq!(running.named("left-over").len(), 0, "the next run takes the workspaces away");
}
