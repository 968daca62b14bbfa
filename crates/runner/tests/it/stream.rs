use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use serin_model::plan::Variable;
use serin_runner::{CancelToken, Outcome, TraceSink};

use crate::desk::{Desk, Kept, pid_in, run, runs, until};

#[tokio::test]
async fn masked_values_are_hidden_wherever_they_appear() {
    let desk = Desk::new();
    let masked = |key: &str, value: &str| Variable { masked: true, ..Variable::plain(key, value) };
    let mut job = desk.job(&[
        "printf 'x%s' \"${TOKEN%????}\"; sleep 0.05; printf '%sy\\n' \"${TOKEN#????????}\"",
        "echo \"$URL\"",
        "echo token-12",
        "set -x; echo $TOKEN",
        "cat \"$KEY\" 2>/dev/null",
    ]);
    job.variables.push(masked("TOKEN", "token-123456"));
    job.variables.push(masked("URL", "https://u:$TOKEN@host"));
    job.variables.push(Variable { file: true, ..masked("KEY", "-----BEGIN\nline-of-the-key\n") });
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    for secret in ["token-123456", "line-of-the-key", "https://u"] {
        assert!(!trace.contains(secret), "{secret} in {trace}");
    }
    assert!(trace.contains("x[MASKED]y\n") && trace.contains("\ntoken-12\n"), "{trace}");
}

/// Counts, and remembers the largest piece.
#[derive(Default)]
struct Counted {
    bytes: AtomicU64,
    largest: AtomicUsize,
}

#[async_trait]
impl TraceSink for Counted {
    async fn append(&self, bytes: &[u8]) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.largest.fetch_max(bytes.len(), Ordering::Relaxed);
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_trace_of_200_megabytes_without_a_line_end_needs_little_memory() {
    let desk = Desk::new();
    let counted = Counted::default();
    let mut job = desk.job(&["head -c 200000000 /dev/zero | tr '\\0' 'a'"]);
    job.variables.push(Variable { masked: true, ..Variable::plain("SECRET", "zzzzzzzzzzzz") });
    job.script.coverage = Some("total (\\d+)".into());
    let before = resident_kib();
    let report = serin_runner::run(job, &counted, CancelToken::new()).await;
    let grown = resident_kib() - before;
    assert_eq!(report.outcome, Outcome::Success);
    assert!(counted.bytes.load(Ordering::Relaxed) > 200_000_000);
    assert!(counted.largest.load(Ordering::Relaxed) <= 128 << 10, "{counted:?}", counted = counted.largest);
    assert!(grown < 16 << 10, "resident set grew by {grown} KiB");
}

#[tokio::test]
async fn the_trace_is_live() {
    let desk = Desk::new();
    let kept = Kept::default();
    let sink = kept.clone();
    let job = desk.job(&["printf 'no line end yet'", "while ! test -e \"$DESK/go\"; do sleep 0.01; done"]);
    let running = tokio::spawn(async move { serin_runner::run(job, &sink, CancelToken::new()).await });
    until("the text arrives while the job runs", || kept.text().contains("\nno line end yet")).await;
    fs::write(desk.path("go"), "").unwrap();
    assert_eq!(running.await.unwrap().outcome, Outcome::Success);
}

/// Takes nothing while its gate is closed.
struct Gated {
    open: tokio::sync::watch::Receiver<bool>,
    bytes: AtomicU64,
}

#[async_trait]
impl TraceSink for Gated {
    async fn append(&self, bytes: &[u8]) {
        self.open.clone().wait_for(|open| *open).await.unwrap();
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_sink_that_waits_makes_the_job_wait_and_cancel_still_ends_it() {
    let desk = Desk::new();
    let (gate, open) = tokio::sync::watch::channel(true);
    let sink = std::sync::Arc::new(Gated { open, bytes: AtomicU64::new(0) });
    let cancel = CancelToken::new();
    let job = desk.job(&[
        "echo $$ > \"$DESK/shell\"",
        "while ! test -e \"$DESK/go\"; do sleep 0.01; done",
        "head -c 50000000 /dev/zero",
        "touch \"$DESK/ended\"",
    ]);
    let (counting, token) = (std::sync::Arc::clone(&sink), cancel.clone());
    let running = tokio::spawn(async move { serin_runner::run(job, &*counting, token).await });
    let shell = pid_in(&desk, "shell").await;
    gate.send(false).unwrap();
    fs::write(desk.path("go"), "").unwrap();
    let writer = |pid: &str| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    until("the script writes", || {
        let child = writer(&shell);
        fs::read_to_string(format!("/proc/{}/comm", child.trim())).is_ok_and(|name| name == "head\n")
    })
    .await;
    cancel.cancel();
    until("the script is ended", || !runs(&shell)).await;
    assert!(!desk.path("ended").exists());
    gate.send(true).unwrap();
    assert_eq!(running.await.unwrap().outcome, Outcome::Canceled);
    assert!(sink.bytes.load(Ordering::Relaxed) < 1_000_000);
}
