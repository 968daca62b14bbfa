//! Many containers as nodes: what looking at them costs, and how long a deployment takes against `docker run`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::{SysconfVar, sysconf};

use crate::docker::{Leftovers, docker};
use crate::project::Project;
use crate::server::Server;

/// Containers that are looked at.
pub const NODES: usize = 200;
/// Containers that are deployed against the clock.
const DEPLOYED: usize = 50;
/// Bounds: the server's part of a core, and its memory.
const CPU_PERCENT_MAX: f64 = 20.0;
const MEMORY_BYTES_MAX: u64 = 200 << 20;
/// How long processor time is counted.
const COUNTED: Duration = Duration::from_secs(30);
/// Between the deployment's end and the counting.
const SETTLE: Duration = Duration::from_secs(10);
/// A static busybox, the whole of the image (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY healthz /www/healthz\n\
                          ENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
const PIPELINE: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                        deploy: { stage: deploy, serin: { action: deploy, environment: production } }\n";

/// Measures and prints; says whether the bounds hold.
pub fn measure(serin: &Path, nodes: usize) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("serin-bench-").tempdir()?;
    let data = folder.path().join("data");
    let _leftovers = Leftovers::of(&data);
    let server = Server::start(serin, &data)?;
    let project = Project::new(&server, folder.path(), "bench-nodes")?;
    fs::copy(BUSYBOX, project.tree.join("busybox")).context("`apt-get install busybox-static`")?;
    project.write("Dockerfile", DOCKERFILE)?;
    project.write("healthz", "ok\n")?;
    project.write(".gitlab-ci.yml", PIPELINE)?;

    let deployed = deploy(&project, DEPLOYED)?;
    let looped = run_loop(&project)?;
    println!("| {DEPLOYED} containers | time |\n|---|---|");
    println!("| deployed as nodes, until all are healthy and serve | {:.1} s |", deployed.as_secs_f64());
    println!("| a loop of `docker run --detach` with the same options | {:.1} s |", looped.as_secs_f64());

    deploy(&project, nodes)?;
    thread::sleep(SETTLE);
    let engine: u32 = fs::read_to_string("/var/run/docker.pid").unwrap_or_default().trim().parse().unwrap_or(0);
    let (begun, server_before, engine_before) = (Instant::now(), cpu(server.pid())?, cpu(engine).unwrap_or_default());
    thread::sleep(COUNTED);
    let seconds = begun.elapsed().as_secs_f64();
    let percent = |before: Duration, after: Duration| (after - before).as_secs_f64() / seconds * 100.0;
    let server_percent = percent(server_before, cpu(server.pid())?);
    let memory = server.resident_at_rest()?;
    println!("\n| {nodes} containers looked at | |\n|---|---|");
    println!("| server, of one core | {server_percent:.1} % |");
    println!("| `dockerd`, of one core | {:.1} % |", percent(engine_before, cpu(engine).unwrap_or_default()));
    println!("| server, resident | {:.1} MiB |", memory as f64 / f64::from(1 << 20));
    let holds = server_percent < CPU_PERCENT_MAX && memory < MEMORY_BYTES_MAX;
    println!("\n{}: below 20 % of one core, below 200 MiB", if holds { "holds" } else { "DOES NOT HOLD" });
    Ok(holds)
}

/// Deploys so many nodes; how long the deployment's job took.
fn deploy(project: &Project<'_>, nodes: usize) -> Result<Duration> {
    let service = "service:\n  name: bench-nodes\n  image: { dockerfile: Dockerfile }\n  port: 8080\n  \
                   health: { path: /healthz, timeout: 300s, interval: 1s }\n  stop_timeout: 1s\n";
    let environment = format!("environments:\n  production: {{ platform: docker, nodes: {nodes} }}\n");
    project.write("serin.yml", &format!("{service}{environment}"))?;
    let pipeline = project.push()?;
    project.success(pipeline)?;
    let jobs = project.get(&format!("/pipelines/{pipeline}/jobs"))?;
    let job = jobs.as_array().into_iter().flatten().find(|job| job["name"] == "deploy").context("no deployment")?;
    let seconds = job["duration"].as_f64().context("the deployment has no duration")?;
    Ok(Duration::from_secs_f64(seconds))
}

/// The same containers by a plain loop.
fn run_loop(project: &Project<'_>) -> Result<Duration> {
    let image = docker(&["images", "-q", "--filter", "reference=serin/bench-nodes"])?;
    let image = image.lines().next().context("no image")?.to_owned();
    let label = format!("serin-bench={}", project.tree.display());
    let begun = Instant::now();
    let mut made = Vec::new();
    let options = ["--pids-limit=4096", "--security-opt=no-new-privileges", "--restart=unless-stopped"];
    for _ in 0..DEPLOYED {
        let run = [&["run", "--detach", "--label", &label], options.as_slice(), &[&image]].concat();
        made.push(docker(&run)?);
    }
    let took = begun.elapsed();
    let ids: Vec<&str> = made.iter().map(String::as_str).collect();
    docker(&[&["rm", "-f", "-v"], ids.as_slice()].concat())?;
    ensure!(ids.len() == DEPLOYED, "the loop made too few");
    Ok(took)
}

/// User and kernel time of a process so far (`utime`, `stime`, proc(5)).
fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("look at process {pid}"))?;
    let rest = stat.rsplit_once(") ").context("no name in the process's state")?.1;
    let mut fields = rest.split(' ').skip(11).map(|field| field.parse::<u64>().unwrap_or(0));
    let ticks = fields.next().unwrap_or(0) + fields.next().unwrap_or(0);
    let each_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100).max(1).unsigned_abs();
    Ok(Duration::from_secs_f64(ticks as f64 / each_second as f64))
}
