//! The pages of a merge request with thousands of changed files and findings: time to the last byte.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use crate::chromium::Browser;
use crate::git::git;
use crate::server::Server;
use crate::statistics::quantile;

/// Changed files, and every how many of them has two findings.
const FILES: usize = 5_000;
const FINDING_EVERY: usize = 5;
/// How often a page is asked for.
const VISITS: usize = 20;
/// Bound of a page's median.
const PAGE_TIME_MAX: Duration = Duration::from_millis(300);
/// How long the pipeline may take.
const PIPELINE_TIME_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
const PIPELINE: &str = "\
check:
  rules: [{ if: $CI_PIPELINE_SOURCE == 'merge_request_event' }]
  script: 'true'
  artifacts:
    reports:
      codequality: quality.json
      coverage_report: { coverage_format: cobertura, path: cobertura.xml }
";

/// Measures and prints; says whether the bound holds.
pub fn measure(serin: &Path) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("serin-bench-").tempdir()?;
    let server = Server::start(serin, &folder.path().join("data"))?;
    let tree = folder.path().join("tree");
    prepare(&server, &tree)?;
    wait_for_end(&server)?;
    let request = "/bench/-/merge_requests/1";
    let last = format!("{request}/changes?page={}", FILES / 100);
    println!("| page, {VISITS} visits | first visit | median | largest | bytes |\n|---|---|---|---|---|");
    let mut holds = true;
    for path in [request, &format!("{request}/changes"), &last] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..VISITS {
            let clock = Instant::now();
            bytes = server.client.page(path)?.len();
            times.push(clock.elapsed());
        }
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let median = quantile(&times, 0.5);
        let (first, most) = (ms(times[0]), ms(quantile(&times, 1.0)));
        println!("| `{path}` | {first:.0} ms | {:.0} ms | {most:.0} ms | {bytes} |", ms(median));
        holds &= median < PAGE_TIME_MAX;
    }
    println!("\n{}: median below 300 ms", if holds { "holds" } else { "DOES NOT HOLD" });
    in_chromium(&server, &[request, &format!("{request}/changes"), &last])?;
    Ok(holds)
}

/// The same pages in a real browser: the page's own work, and its frames while it is scrolled.
fn in_chromium(server: &Server, paths: &[&str]) -> Result<()> {
    let browser = Browser::start(&server.client)?;
    println!(
        "\n| page in Chromium | elements | loaded | script | style and layout | all tasks | frames of the scroll | median | 95 % | longest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for path in paths {
        let address = format!("http://{}{path}", server.client.address);
        // The first visit fills caches; the one that is told is of a page whose style sheet is known.
        browser.visit(&address)?;
        let visit = browser.visit(&address)?;
        let frame = |part: f64| {
            let rank = (visit.frames.len() as f64 * part).ceil() as usize;
            visit.frames.get(rank.max(1) - 1).copied().unwrap_or_default()
        };
        println!(
            "| `{path}` | {} | {:.0} ms ({:.0} ms of it until the last byte) | {:.0} ms | {:.0} ms | {:.0} ms | {} | {:.1} ms | {:.1} ms | {:.1} ms |",
            visit.nodes,
            visit.loaded,
            visit.response,
            visit.script,
            visit.style + visit.layout,
            visit.task,
            visit.frames.len(),
            frame(0.5),
            frame(0.95),
            frame(1.0)
        );
    }
    Ok(())
}

/// A merge request that adds the files; its job hands in reports that lie in the tree.
fn prepare(server: &Server, tree: &Path) -> Result<()> {
    server.client.post("/api/v4/projects", &json!({ "path": "bench", "default_branch": "main" }))?;
    std::fs::create_dir(tree)?;
    git(tree, &["init", "--quiet", "--initial-branch", "main"])?;
    let client = &server.client;
    git(tree, &["remote", "add", "origin", &format!("http://admin:{}@{}/bench.git", client.token, client.address)])?;
    std::fs::write(tree.join(".gitlab-ci.yml"), PIPELINE)?;
    git(tree, &["add", "."])?;
    git(tree, &["commit", "--quiet", "--message", "Start"])?;
    git(tree, &["push", "--quiet", "origin", "main"])?;
    git(tree, &["checkout", "--quiet", "-b", "large"])?;
    let (mut findings, mut coverage) = (Vec::new(), String::new());
    for number in 0..FILES {
        let path = format!("src/d{:02}/f{number:04}.rs", number % 50);
        let file = tree.join(&path);
        std::fs::create_dir_all(file.parent().map_or_else(PathBuf::new, Path::to_path_buf))?;
        let lines: String = (1..=10).map(|line| format!("let value_{line} = call_{number}({line});\n")).collect();
        std::fs::write(file, lines)?;
        let _ = write!(coverage, "<class filename='{path}'><lines>");
        (1..=10).for_each(|line| {
            let _ = write!(coverage, "<line number='{line}' hits='{}'/>", line % 3);
        });
        coverage.push_str("</lines></class>");
        for line in [3, 7].into_iter().filter(|_| number % FINDING_EVERY == 0) {
            let location = json!({ "path": path, "lines": { "begin": line } });
            findings.push(
                json!({ "check_name": "rule", "severity": "minor", "description": "a finding", "location": location }),
            );
        }
    }
    std::fs::write(tree.join("quality.json"), json!(findings).to_string())?;
    let whole = format!("<coverage><packages><package><classes>{coverage}</classes></package></packages></coverage>");
    std::fs::write(tree.join("cobertura.xml"), whole)?;
    git(tree, &["add", "."])?;
    git(tree, &["commit", "--quiet", "--message", "Large"])?;
    git(tree, &["push", "--quiet", "-o", "merge_request.create", "origin", "large"])?;
    Ok(())
}

fn wait_for_end(server: &Server) -> Result<()> {
    let deadline = Instant::now() + PIPELINE_TIME_MAX;
    loop {
        let request = server.client.get("/api/v4/projects/bench/merge_requests?state=opened")?;
        match request[0]["head_pipeline"]["status"].as_str() {
            Some("success") => return Ok(()),
            Some(status @ ("failed" | "canceled" | "skipped")) => bail!("the pipeline ended badly: {status}"),
            status if Instant::now() > deadline => bail!("the pipeline did not end: {status:?}"),
            _ => thread::sleep(LOOK),
        }
    }
}
