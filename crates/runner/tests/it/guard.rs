use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serin_model::FailureReason;
use serin_runner::{CancelToken, JobRequest, Outcome};

use crate::desk::{Desk, Kept, guard, lines, pid_in, run, runs, until};

/// Leaves a daemon: a session of its own, forked twice, deaf to SIGTERM and SIGHUP.
const DAEMON: &str = "( setsid sh -c 'trap \"\" TERM HUP; ( echo $$ > \"$DESK/daemon\"; \
                      while :; do sleep 1; done ) >/dev/null 2>&1 & exec sleep 1000' & ) ; \
                      while ! [ -s \"$DESK/daemon\" ]; do sleep 0.01; done";

/// Every process whose environment names the test's folder.
fn left(desk: &Desk) -> Vec<String> {
    let word = format!("DESK={}", desk.path("").to_str().unwrap().trim_end_matches('/'));
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of_desk = processes.filter(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == word.as_bytes())
    });
    of_desk.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|pid| runs(pid)).collect()
}

struct Running {
    cancel: CancelToken,
    kept: Kept,
    task: tokio::task::JoinHandle<serin_runner::JobReport>,
}

fn start(request: JobRequest) -> Running {
    let (cancel, kept) = (CancelToken::new(), Kept::default());
    let (token, sink) = (cancel.clone(), kept.clone());
    let task = tokio::spawn(async move { serin_runner::run(request, &sink, token).await });
    Running { cancel, kept, task }
}

#[tokio::test]
async fn a_daemon_is_gone_when_its_job_ends() {
    let desk = Desk::new();
    let (report, trace) = run(desk.job(&[DAEMON, "echo left"])).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert!(!runs(&desk.text("daemon")));
    assert_eq!(left(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_background_process_that_holds_the_output_does_not_hold_the_job() {
    let desk = Desk::new();
    let (report, _) = run(desk.job(&["sleep 1000 &", "echo $! > \"$DESK/sleeper\""])).await;
    assert_eq!(report.outcome, Outcome::Success);
    assert!(!runs(&desk.text("sleeper")));
}

#[tokio::test]
async fn cancel_ends_everything_and_after_script_still_runs() {
    let desk = Desk::new();
    let mut job = desk.job(&[DAEMON, "echo ready", "sleep 1000"]);
    job.script.after_script = lines(&["echo \"after $CI_JOB_STATUS\""]);
    let running = start(job);
    let kept = running.kept.clone();
    until("the script waits", || kept.text().contains("\nready\n")).await;
    running.cancel.cancel();
    let report = running.task.await.unwrap();
    assert_eq!(report.outcome, Outcome::Canceled);
    assert!(kept.text().contains("\nafter canceled\n"), "{}", kept.text());
    assert_eq!(left(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_time_out_ends_everything_and_no_after_script_runs() {
    let desk = Desk::new();
    let mut job = desk.job(&["trap '' TERM", "sleep 1000 & echo $! > \"$DESK/sleeper\"", "wait"]);
    job.timeout_ms = 1_000;
    job.script.after_script = lines(&["echo after"]);
    let (report, trace) = run(job).await;
    let expected = Outcome::Failed { reason: FailureReason::JobExecutionTimeout, exit_code: None };
    assert_eq!(report.outcome, expected);
    assert!(!runs(&desk.text("sleeper")) && !trace.contains("\nafter\n"), "{trace}");
    assert!(trace.contains("longer than its timeout"), "{trace}");
}

#[tokio::test]
async fn a_fork_bomb_is_ended() {
    let desk = Desk::new();
    let bomb = "spawn() { [ $1 -gt 0 ] && { spawn $(($1 - 1)) & spawn $(($1 - 1)) & } ; sleep 1000; }; \
                spawn 5 & echo ready; wait";
    let running = start(desk.job(&[bomb]));
    let kept = running.kept.clone();
    until("the bomb grows", || kept.text().contains("\nready\n") && left(&desk).len() > 20).await;
    running.cancel.cancel();
    assert_eq!(running.task.await.unwrap().outcome, Outcome::Canceled);
    assert_eq!(left(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn signals_reach_the_processes_of_a_job() {
    let desk = Desk::new();
    let (report, trace) = run(desk.job(&["grep -E '^Sig(Blk|Ign)' /proc/self/status", "timeout 0.05 sleep 100"])).await;
    let expected = Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(124) };
    assert_eq!(report.outcome, expected, "{trace}");
    for field in ["SigBlk:\t", "SigIgn:\t"] {
        let (_, rest) = trace.split_once(&format!("\n{field}")).unwrap();
        let mask = u64::from_str_radix(rest.split_once('\n').unwrap().0, 16).unwrap();
        // The C library's own signals, 32 and up, are its business.
        assert_eq!(mask & 0x7fff_ffff, 0, "{field}{trace}");
    }
}

#[tokio::test]
async fn a_job_that_is_dropped_leaves_nothing() {
    let desk = Desk::new();
    let running = start(desk.job(&[DAEMON, "echo ready", "sleep 1000"]));
    let kept = running.kept.clone();
    until("the script waits", || kept.text().contains("\nready\n")).await;
    running.task.abort();
    until("nothing is left", || left(&desk).is_empty()).await;
}

#[tokio::test]
async fn a_job_that_kills_its_guard_fails_and_leaves_nothing() {
    let desk = Desk::new();
    let running = start(desk.job(&[DAEMON, "kill -KILL $PPID", "sleep 1000"]));
    let kept = running.kept.clone();
    let report = tokio::time::timeout(Duration::from_secs(30), running.task).await.unwrap().unwrap();
    let expected = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
    assert_eq!(report.outcome, expected, "{}", kept.text());
    assert_eq!(left(&desk), Vec::<String>::new());
}

/// The runner's part is played by a process that is killed with SIGKILL: its end of the guard's pipe closes.
#[tokio::test]
async fn the_guard_ends_everything_when_the_runner_is_killed() {
    let desk = Desk::new();
    let spec = spec(&desk, &format!("{DAEMON}; echo $$ > \"$DESK/shell\"; sleep 1000"));
    let file = desk.path("spec");
    std::fs::write(&file, spec).unwrap();
    // `sleep` holds the writing end of the guard's input, as a runner does.
    let command = "( cat \"$1\"; exec sleep 1000 ) | \"$2\" >/dev/null 2>&1 & echo $! > \"$3\"; wait";
    let mut runner = Command::new("bash")
        .args(["-c", command, "bash"])
        .args([&file, &guard().program, &desk.path("guard")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (daemon, shell) = (pid_in(&desk, "daemon").await, pid_in(&desk, "shell").await);
    let guard = pid_in(&desk, "guard").await;
    assert!(runs(&daemon) && runs(&shell) && runs(&guard));
    kill_tree_but(runner.id(), &guard);
    runner.wait().unwrap();
    until("nothing is left", || !runs(&daemon) && !runs(&shell) && !runs(&guard)).await;
    assert_eq!(left(&desk), Vec::<String>::new());
}

/// Kills a process and its children with SIGKILL, except one.
fn kill_tree_but(root: u32, spared: &str) {
    let output = Command::new("ps").args(["-o", "pid=", "--ppid", &root.to_string()]).output().unwrap();
    let children = String::from_utf8(output.stdout).unwrap();
    let doomed = children.split_whitespace().filter(|pid| *pid != spared).chain([]);
    for pid in doomed.map(str::to_owned).chain([root.to_string()]) {
        let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}

/// The guard's input as the protocol has it: a job, the length of what follows, and program, folder, arguments and
/// environment, each with its length.
fn spec(desk: &Desk, script: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, text: &str| {
        out.write_all(&u32::try_from(text.len()).unwrap().to_be_bytes()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    };
    put(&mut out, "/bin/bash");
    put(&mut out, "/");
    out.extend(2_u32.to_be_bytes());
    put(&mut out, "-c");
    put(&mut out, script);
    out.extend(2_u32.to_be_bytes());
    for (name, value) in [("DESK", desk.path("").to_str().unwrap().trim_end_matches('/')), ("PATH", "/usr/bin:/bin")] {
        put(&mut out, name);
        put(&mut out, value);
    }
    let length = u32::try_from(out.len()).unwrap().to_be_bytes();
    [&b"J"[..], &length, &out].concat()
}

#[tokio::test]
async fn a_kept_guard_serves_jobs_one_after_the_other_and_keeps_them_apart() {
    let desk = Desk::new();
    let guards = serin_runner::Guards::kept(guard());
    let job = |script: &[&str]| JobRequest { guard: guards.clone(), ..desk.job(script) };
    let (report, trace) = run(job(&["echo $PPID > \"$DESK/first\"", DAEMON, "seq 20000", "echo end-of-first"])).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert!(trace.contains("\nend-of-first\n") && !runs(&desk.text("daemon")), "{trace}");
    std::fs::remove_file(desk.path("daemon")).unwrap();
    let (_, trace) = run(job(&["echo $PPID > \"$DESK/second\"", "cat missing"])).await;
    assert_eq!(desk.text("first"), desk.text("second"));
    assert!(!trace.contains("end-of-first"), "{trace}");
    let (report, _) = run(job(&["kill -KILL $PPID", "sleep 1000"])).await;
    assert!(matches!(report.outcome, Outcome::Failed { reason: FailureReason::RunnerSystemFailure, .. }));
    let mut late = job(&["trap '' TERM", "sleep 1000"]);
    late.timeout_ms = 100;
    assert_ne!(run(late).await.0.outcome, Outcome::Success);
    let (report, trace) = run(job(&["echo $PPID > \"$DESK/third\"", "echo fresh"])).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert_ne!(desk.text("first"), desk.text("third"));
    drop(guards);
    until("the kept guard ends", || !runs(&desk.text("third"))).await;
    assert_eq!(left(&desk), Vec::<String>::new());
}
