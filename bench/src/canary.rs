//! Canaries on real containers under real load: each version with one regression, and versions without any.
//!
//! A lane is a project with an environment of four containers under steady load through the gateway. It takes one
//! version after another from a common list: pushes it, and follows its canary to the verdict. Lanes run side by side.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::docker::{self, Leftovers};
use crate::project::Project;
use crate::server::Server;
use load::Load;

mod load;
pub mod service;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Lanes side by side.
    pub lanes: usize,
    /// Canaries of a version that is not worse.
    pub unchanged: usize,
    /// Whether the regressions are measured.
    pub regressions: bool,
    /// Minutes that a canary has.
    pub minutes: u64,
    /// Requests a second to each lane.
    pub rate: u64,
    /// Only versions whose name has this text.
    pub only: Option<String>,
}

/// The regressions, of a version as its users see it: rounds are three quarters of what a request costs. What they are, the
/// line of the version's tuning, and the judge's words for what has to be named.
const REGRESSIONS: [(&str, &str, &str); 7] = [
    ("leak of 2 % a minute", "leak-ppm 20000", "memory"),
    ("CPU +20 %", "cpu-rounds 1270000", "CPU use"),
    ("latency p99 +50 %", "slow-ms 150", "latency"),
    ("errors +0.5 percentage points", "errors-ppm 6000", "HTTP error ratio"),
    ("disk writes x 2", "disk-bytes 8192", "disk I/O"),
    ("network bytes x 2", "body-bytes 8384", "network I/O"),
    ("WARN lines x 3", "warn-ppm 60000", "WARN lines"),
];
const PRODUCTION: &str = "production";
const NODES: usize = 4;
/// How long images, containers and pipelines may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(300);
/// How long the old version serves before the first canary: as many ticks as the server remembers.
const HISTORY: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);
const DEPLOY: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                      deploy: { stage: deploy, serin: { action: deploy, environment: production } }\n";
const CANARY: &str = "stages: [package, detach, canary]\npackage: { stage: package, serin: { action: package } }\n\
                      detach: { stage: detach, serin: { action: detach, environment: production } }\n\
                      canary: { stage: canary, serin: { action: canary, environment: production } }\n";

struct Case {
    name: String,
    tuning: String,
    /// What the judge has to name; `None`: nothing is worse.
    worse: Option<&'static str>,
}

struct Outcome {
    verdict: String,
    seconds: f64,
    sentence: String,
}

/// Milliseconds since 1970.
pub fn clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

/// Measures and prints; says whether every regression was caught and nothing else.
pub fn measure(serin: &Path, plan: &Plan) -> Result<bool> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("serin-bench-").tempdir()?;
    let data = folder.path().join("data");
    let _leftovers = Leftovers::of(&data);
    let server = Server::start(serin, &data)?;
    let cases = Mutex::new(cases(plan));
    println!("| version | verdict | after | judge |\n|---|---|---|---|");
    let results: Vec<Result<bool>> = thread::scope(|scope| {
        let lane = |number| {
            let (server, cases, folder) = (&server, &cases, folder.path());
            scope.spawn(move || lane(server, (folder, number), plan, cases))
        };
        let lanes: Vec<_> = (0..plan.lanes.max(1)).map(lane).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| bail!("a lane panicked"))).collect()
    });
    let mut good = true;
    for result in results {
        good &= result?;
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!("\n{}, after {minutes:.0} min", if good { "holds" } else { "DOES NOT HOLD" });
    Ok(good)
}

fn cases(plan: &Plan) -> Vec<Case> {
    let regressions = REGRESSIONS.iter().filter(|_| plan.regressions);
    let worse = regressions.map(|(name, line, words)| Case {
        name: (*name).to_owned(),
        tuning: (*line).to_owned(),
        worse: Some(words),
    });
    let same = (1..=plan.unchanged).map(|number| Case {
        name: format!("unchanged, {number}"),
        tuning: String::new(),
        worse: None,
    });
    let wanted = |case: &Case| plan.only.as_ref().is_none_or(|text| case.name.contains(text.as_str()));
    let mut all: Vec<Case> = worse.chain(same).filter(wanted).collect();
    all.reverse();
    all
}

struct Lane<'a> {
    project: Project<'a>,
}

fn lane(server: &Server, (folder, number): (&Path, usize), plan: &Plan, cases: &Mutex<Vec<Case>>) -> Result<bool> {
    let lane = Lane { project: Project::new(server, folder, &format!("bench-lane-{number}"))? };
    lane.begin(plan)?;
    let environment = lane.environment()?;
    let address = environment["external_url"].as_str().context("the environment is served nowhere")?;
    let load = Load::start(address.trim_start_matches("http://"), plan.rate);
    thread::sleep(HISTORY);
    let mut good = true;
    loop {
        let next = cases.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(case) = next else { break };
        good &= tell(&case, &lane.canary(&case)?);
        lane.restore()?;
    }
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let counts = &load.counts;
    eprintln!(
        "{}: {} requests answered, {} with an error, {} not answered",
        lane.project.name,
        count(&counts.answered),
        count(&counts.errors),
        count(&counts.broken)
    );
    Ok(good)
}

fn tell(case: &Case, outcome: &Outcome) -> bool {
    let good = match case.worse {
        Some(words) => outcome.verdict == "fail" && outcome.sentence.contains(words),
        None => outcome.verdict != "fail",
    };
    let mark = if good { "" } else { " **wrong**" };
    println!("| {} | {}{mark} | {:.0} s | {} |", case.name, outcome.verdict, outcome.seconds, outcome.sentence);
    good
}

impl Lane<'_> {
    /// Makes the project and deploys the version that all are compared with.
    fn begin(&self, plan: &Plan) -> Result<()> {
        let program = std::env::current_exe()?;
        let dockerfile = docker::image_of(&program, &self.project.tree)?;
        let rest = "COPY tuning /tuning\nWORKDIR /\n";
        let entry = format!("ENTRYPOINT [\"/program\", \"{}\"]\n", service::ARGUMENT);
        self.project.write("Dockerfile", &format!("{dockerfile}{rest}{entry}"))?;
        self.project.write("serin.yml", &config(&self.project.name, plan))?;
        let pipeline = self.push(DEPLOY, "")?;
        self.project.success(pipeline)
    }

    /// Pushes a version; its pipeline's number.
    fn push(&self, pipeline: &str, tuning: &str) -> Result<i64> {
        self.project.write(".gitlab-ci.yml", pipeline)?;
        // Never the same tree twice: an unchanged version is built and brought like any other.
        self.project.write(service::TUNING, &format!("# {}\n{tuning}\n", clock_ms()))?;
        self.project.push()
    }

    fn environment(&self) -> Result<Value> {
        self.project.get(&format!("/environments/{PRODUCTION}"))
    }

    /// Brings a version and follows its canary to the verdict.
    fn canary(&self, case: &Case) -> Result<Outcome> {
        let pipeline = self.push(CANARY, &case.tuning)?;
        let mut begun = None;
        let mut deadline = Instant::now() + STEP_TIME_MAX;
        loop {
            let environment = self.environment()?;
            let rollout = &environment["rollout"];
            let is_mine = rollout["pipeline_id"] == pipeline;
            let phase = rollout["phase"].as_str().unwrap_or_default();
            if is_mine && phase == "canary" && begun.is_none() {
                begun = Some(Instant::now());
                deadline = Instant::now() + Duration::from_secs(3600);
            }
            if is_mine && !matches!(phase, "created" | "detaching" | "verifying" | "canary") {
                let text = |key: &str| rollout[key].as_str().unwrap_or_default().to_owned();
                let seconds = begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
                return Ok(Outcome { verdict: text("verdict"), seconds, sentence: text("verdict_text") });
            }
            ensure!(Instant::now() < deadline, "{}: the canary does not end: {rollout}", self.project.name);
            thread::sleep(LOOK);
        }
    }

    /// Has the version before again on all nodes.
    fn restore(&self) -> Result<()> {
        let path = format!("/environments/{PRODUCTION}/rollout");
        let deadline = Instant::now() + STEP_TIME_MAX;
        loop {
            let environment = self.environment()?;
            let rollout = &environment["rollout"];
            if rollout["current"] == false {
                break;
            }
            if matches!(rollout["phase"].as_str(), Some("held" | "deciding")) {
                self.project.post(&path, &json!({ "action": "roll_back" }))?;
            }
            ensure!(
                Instant::now() < deadline,
                "{}: the version before does not come back: {rollout}",
                self.project.name
            );
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

fn config(name: &str, plan: &Plan) -> String {
    let rest = plan.minutes * 60 - 30;
    format!(
        "service:\n  name: {name}\n  image: {{ dockerfile: Dockerfile }}\n  port: {}\n  \
         health: {{ path: /healthz, timeout: 60s, interval: 500ms }}\n  logs: {{ format: json }}\n  stop_timeout: 1s\n\
         environments:\n  {PRODUCTION}: {{ platform: docker, nodes: {NODES}, drain_timeout: 5s }}\n\
         canary:\n  nodes: 2\n  tick: 1s\n  steps: [{{ traffic: 10%, for: 30s }}, {{ traffic: 50%, for: {rest}s }}]\n  \
         tolerate: {{ cpu: 5%, disk: 20%, memory: 10%, latency.p99: 10%, http.errors: 0.1pp, log.error: 20% }}\n",
        service::PORT
    )
}
