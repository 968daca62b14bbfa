//! `serin judge` over the data of a real Prometheus, and over a file of the same samples.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serin_e2e::server::program;
use tokio::process::{Child, Command};

/// Seconds between two samples.
const STEP: i64 = 15;
/// Ticks before the canary's traffic, and after.
const HISTORY: i64 = 100;
const CANARY: i64 = 120;
/// How long Prometheus may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A Prometheus over a folder of recorded data.
struct Prometheus {
    _process: Child,
    address: String,
}

impl Prometheus {
    async fn start(folder: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        std::fs::write(folder.join("prometheus.yml"), "global: {}\n")?;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--storage.tsdb.retention.time=10y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("prometheus does not start; `cargo xtask setup` installs it")?;
        let address = format!("http://127.0.0.1:{port}");
        let ready = async {
            while !reqwest::get(format!("{address}/-/ready")).await.is_ok_and(|r| r.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(READY_LIMIT, ready).await.context("prometheus is not ready")?;
        Ok(Self { _process: process, address })
    }
}

/// Pseudo-random, in [-1, 1].
fn noise(node: i64, tick: i64, salt: u64) -> f64 {
    let seed = (tick + 10_000) as u64 * 64 + node as u64 + salt * 7_919_777;
    let mixed = (seed ^ (seed >> 9)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Six nodes in OpenMetrics; the first two are the canary, whose memory grows by `leak` a tick.
fn recorded(since: i64, leak: f64) -> Result<String> {
    let mut requests = String::from("# TYPE http_requests counter\n");
    let mut cpu = String::from("# TYPE process_cpu_seconds counter\n");
    let mut memory = String::from("# TYPE process_resident_memory_bytes gauge\n");
    for node in 0..6 {
        let (mut answered, mut failed, mut used) = (0.0, 0.0, 0.0);
        for tick in -HISTORY - 8..CANARY {
            let at = since + tick * STEP;
            let new = node < 2 && tick >= 0;
            let load = (300.0 + 20.0 * noise(node, tick, 1)).round();
            answered += load;
            failed += if noise(node, tick, 2) > 0.4 { 1.0 } else { 0.0 };
            used += 0.001 * load + 0.01 * noise(node, tick, 3);
            let grown = if new { 1.0 + leak * tick as f64 } else { 1.0 };
            let resident = 2e8 * grown * (1.0 + 0.01 * noise(node, tick, 4));
            writeln!(requests, "http_requests_total{{instance=\"web-{node}\",code=\"200\"}} {answered} {at}")?;
            writeln!(requests, "http_requests_total{{instance=\"web-{node}\",code=\"503\"}} {failed} {at}")?;
            writeln!(cpu, "process_cpu_seconds_total{{instance=\"web-{node}\"}} {used} {at}")?;
            writeln!(memory, "process_resident_memory_bytes{{instance=\"web-{node}\"}} {resident} {at}")?;
        }
    }
    Ok(format!("{requests}{cpu}{memory}# EOF\n"))
}

/// Records, then judges; the canary began some hours ago.
async fn judged(leak: f64, more: &[&str]) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let since = (now - 3 * 3_600) / STEP * STEP;
    std::fs::write(folder.path().join("samples.om"), recorded(since, leak)?)?;
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([folder.path().join("samples.om"), folder.path().join("data")])
        .output()
        .await
        .context("promtool does not start; `cargo xtask setup` installs it")?;
    ensure!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
    let prometheus = Prometheus::start(folder.path()).await?;
    let output = Command::new(program()?)
        .args(["judge", "--prometheus", &prometheus.address, "--canary", "web-0", "--canary", "web-1"])
        .args(["--since", &format!("@{since}"), "--for", "30m", "--history", "25m", "--step", "15s"])
        .args(["--query", "requests=sum by (instance) (increase(http_requests_total[30s])) / 2"])
        .args(["--query", "http_errors=sum by (instance) (increase(http_requests_total{code=~\"5..\"}[30s])) / 2"])
        .args(["--query", "cpu_pct=100 * rate(process_cpu_seconds_total[1m])"])
        .args(["--query", "mem_bytes=process_resident_memory_bytes"])
        .args(more)
        .output()
        .await?;
    Ok(output)
}

#[tokio::test]
async fn prometheus_without_a_change_passes() -> Result<()> {
    let output = judged(0.0, &[]).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.starts_with("canary web-0, web-1 against web-2, web-3, web-4, web-5\n"), "{out}");
    assert!(out.contains("pass: within tolerance on every metric"), "{out}");
    Ok(())
}

#[tokio::test]
async fn prometheus_with_a_leak_fails_and_says_so() -> Result<()> {
    let output = judged(0.01, &["--language", "zh", "--tolerate", "mem_bytes=15%"]).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{out}{err}");
    assert!(out.contains("灰度节点的内存"), "{out}");
    Ok(())
}

#[tokio::test]
async fn prometheus_without_such_series_says_what_to_look_at() -> Result<()> {
    let output = judged(0.0, &["--query", "queue:gauge=http_requests_total"]).await?;
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("several series for `web-") && err.contains("sum by (instance)"), "{err}");
    Ok(())
}

#[tokio::test]
async fn file_is_replayed_to_its_verdict() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("samples.jsonl");
    let mut text = String::from(concat!(
        r#"{"type":"header","schema":1,"alpha":0.01,"beta":0.05,"tick_seconds":15,"horizon_ticks":40,"#,
        r#""canary":["c"],"baseline":["a","b"],"metrics":[{"name":"requests","kind":"count","role":"exposure"},"#,
        r#"{"name":"http_errors","kind":"proportion","margin":{"ok":{"rel":0.5},"bad":{"rel":2.0}}}]}"#,
        "\n"
    ));
    for tick in -20..40 {
        let wrong = if tick < 0 { 1 } else { 30 };
        writeln!(
            text,
            r#"{{"type":"tick","tick":{tick},"nodes":{{"a":{{"requests":100,"http_errors":[1,100]}},"b":{{"requests":100,"http_errors":[1,100]}},"c":{{"requests":100,"http_errors":[{wrong},100]}}}}}}"#
        )?;
    }
    std::fs::write(&file, text)?;
    let output = Command::new(program()?).arg("judge").arg("--replay").arg(&file).output().await?;
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{out}");
    assert!(out.starts_with("canary c against a, b\n"), "{out}");
    assert!(out.contains("fail: the HTTP error ratio on the canary is"), "{out}");
    std::fs::write(&file, "{}\n")?;
    let refused = Command::new(program()?).arg("judge").arg("--replay").arg(&file).output().await?;
    assert_eq!(refused.status.code(), Some(1));
    Ok(())
}
