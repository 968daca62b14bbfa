//! From a push to the first process of its first job.
//!
//! Three points in time on one clock: before `git push` is started; when the server's repository has the new ref (time
//! stamp of the ref's file, written by the `git` that the server runs); and when the job's shell runs its first command.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::git::git;
use crate::server::Server;
use crate::statistics::quantile;

/// Bounds of the median and of the 95th percentile, from the ref's move to the job's first command.
const MEDIAN_MAX: Duration = Duration::from_millis(100);
const P95_MAX: Duration = Duration::from_millis(200);
/// Bound of the resident memory of a server that does nothing.
const RESIDENT_BYTES_MAX: u64 = 100 << 20;
/// How long a job may take to start, and to end.
const JOB_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks; looks do not enter the figures.
const LOOK: Duration = Duration::from_millis(2);
const BRANCH: &str = "main";

/// One push.
struct Push {
    /// From the start of `git push` to the job's first command.
    from_command: Duration,
    /// From the ref's move to the job's first command.
    from_ref: Duration,
    /// How long `git push` took.
    command: Duration,
}

/// Measures and prints; says whether the bounds hold.
pub fn measure(serin: &Path, pushes: usize) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("serin-bench-").tempdir()?;
    let data = folder.path().join("data");
    let server = Server::start(serin, &data)?;
    let idle = server.resident_at_rest()?;
    let bench = Bench::new(&server, folder.path())?;
    // The first push makes the branch, and files and code warm.
    bench.push(0)?;
    let samples = (1..=pushes).map(|number| bench.push(number)).collect::<Result<Vec<_>>>()?;
    let after = server.resident_at_rest()?;
    Ok(report(&samples, (idle, after)))
}

fn report(samples: &[Push], (idle, after): (u64, u64)) -> bool {
    let row = |name: &str, of: fn(&Push) -> Duration| {
        let all: Vec<Duration> = samples.iter().map(of).collect();
        let (median, p95, most) = (quantile(&all, 0.5), quantile(&all, 0.95), quantile(&all, 1.0));
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("| {name} | {:.1} ms | {:.1} ms | {:.1} ms |", ms(median), ms(p95), ms(most));
        (median, p95)
    };
    println!("| {} pushes, one after the other | median | p95 | largest |\n|---|---|---|---|", samples.len());
    let (median, p95) = row("ref moved on the server → job's first command", |push| push.from_ref);
    row("`git push` started → job's first command", |push| push.from_command);
    row("`git push` started → ended", |push| push.command);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("\n| resident memory of the server, at rest | |\n|---|---|");
    println!("| after its first start | {:.1} MiB |\n| after the pushes | {:.1} MiB |", mib(idle), mib(after));
    let bounds = [
        ("median below 100 ms", median < MEDIAN_MAX),
        ("p95 below 200 ms", p95 < P95_MAX),
        ("idle below 100 MiB", idle.max(after) < RESIDENT_BYTES_MAX),
    ];
    println!();
    for (name, holds) in bounds {
        println!("{}: {name}", if holds { "holds" } else { "DOES NOT HOLD" });
    }
    bounds.iter().all(|(_, holds)| *holds)
}

struct Bench<'a> {
    server: &'a Server,
    folder: &'a Path,
}

impl<'a> Bench<'a> {
    /// Makes a project and a clone of it.
    fn new(server: &'a Server, folder: &'a Path) -> Result<Self> {
        let bench = Self { server, folder };
        server.client.post("/api/v4/projects", &json!({ "path": "bench", "default_branch": BRANCH }))?;
        std::fs::create_dir(folder.join("starts"))?;
        std::fs::create_dir(bench.clone_folder())?;
        bench.git(&["init", "--quiet", "--initial-branch", BRANCH])?;
        let client = &server.client;
        let remote = format!("http://admin:{}@{}/bench.git", client.token, client.address);
        bench.git(&["remote", "add", "origin", &remote])?;
        let starts = folder.join("starts");
        // bash tells the time by itself: no further process.
        let pipeline = format!(
            "start:\n  script:\n    - began=$EPOCHREALTIME\n    - read -r number < number\n    \
             - printf '%s' \"$began\" > '{0}/new'\n    - mv '{0}/new' '{0}/'\"$number\"\n",
            starts.display()
        );
        std::fs::write(bench.clone_folder().join(".gitlab-ci.yml"), pipeline)?;
        Ok(bench)
    }

    fn clone_folder(&self) -> std::path::PathBuf {
        self.folder.join("clone")
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        git(&self.clone_folder(), arguments)
    }

    fn push(&self, number: usize) -> Result<Push> {
        std::fs::write(self.clone_folder().join("number"), format!("{number}\n"))?;
        self.git(&["add", "."])?;
        self.git(&["commit", "--quiet", "--message", &format!("Push {number}")])?;
        let commit = self.git(&["rev-parse", "HEAD"])?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let clock = Instant::now();
        self.git(&["push", "--quiet", "origin", BRANCH])?;
        let command = clock.elapsed();
        let first = self.first_command(number)?;
        let moved = self.ref_moved()?;
        self.wait_for_end(&commit)?;
        let since = |earlier: Duration| {
            first.checked_sub(earlier).with_context(|| format!("push {number}: the job began before the push"))
        };
        Ok(Push { from_command: since(start)?, from_ref: since(moved)?, command })
    }

    /// Returns when the job's shell ran its first command, since 1970.
    fn first_command(&self, number: usize) -> Result<Duration> {
        let file = self.folder.join("starts").join(number.to_string());
        let deadline = Instant::now() + JOB_TIME_MAX;
        while !file.exists() {
            if Instant::now() > deadline {
                let jobs = self.server.client.get("/api/v4/projects/bench/pipelines")?;
                bail!("the job of push {number} did not start within {} s: {jobs}", JOB_TIME_MAX.as_secs());
            }
            thread::sleep(LOOK);
        }
        let told = std::fs::read_to_string(&file)?;
        // Some locales write a comma.
        let seconds: f64 = told.replace(',', ".").parse().with_context(|| format!("`{told}` is no time"))?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// Returns when the server's repository got the ref, since 1970.
    fn ref_moved(&self) -> Result<Duration> {
        let file = self.folder.join("data/repositories/1.git/refs/heads").join(BRANCH);
        let modified = std::fs::metadata(&file).with_context(|| format!("look at `{}`", file.display()))?.modified()?;
        Ok(modified.duration_since(UNIX_EPOCH)?)
    }

    /// Waits for the pipeline's end, so that pushes do not disturb one another.
    fn wait_for_end(&self, commit: &str) -> Result<()> {
        let deadline = Instant::now() + JOB_TIME_MAX;
        loop {
            let pipelines = self.server.client.get("/api/v4/projects/bench/pipelines")?;
            let all = pipelines.as_array().context("the server lists no pipelines")?;
            let status = all.iter().find(|one| one["sha"] == commit).and_then(|one| one["status"].as_str());
            match status {
                Some("success") => return Ok(()),
                Some("failed" | "canceled" | "skipped") => bail!("the pipeline of {commit} ended badly: {status:?}"),
                _ if Instant::now() > deadline => bail!("the pipeline of {commit} did not end: {status:?}"),
                _ => thread::sleep(LOOK),
            }
        }
    }
}
