//! The Docker Engine of the tests: the machine's own where one answers, else one that is started here and stopped again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{setup, step};

/// How long an engine may take to answer.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long an engine may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// An engine that answers; one that was started here is stopped when this is dropped.
pub struct Engine {
    host: Option<String>,
    started: Option<(Child, PathBuf)>,
}

impl Engine {
    /// Finds an engine, or starts one.
    pub fn find_or_start() -> Result<Self> {
        if answers(None) {
            eprintln!("engine: Docker Engine answers");
            return Ok(Self { host: None, started: None });
        }
        let folder = folder()?;
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let socket = folder.join("docker.sock");
        let host = format!("unix://{}", socket.display());
        let log = folder.join("dockerd.log");
        let output = std::fs::File::create(&log).with_context(|| format!("write {}", log.display()))?;
        let mut command = setup::as_root()?;
        command
            .arg(setup::find("dockerd").context("there is no `dockerd`")?)
            .arg(format!("--host={host}"))
            .arg(format!("--group={}", own_group()?));
        for (flag, name) in [("data-root", "data"), ("exec-root", "exec"), ("pidfile", "dockerd.pid")] {
            command.arg(format!("--{flag}={}", folder.join(name).display()));
        }
        let told = step::describe(&command);
        step::announce("engine", &told);
        let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
        let mut engine = Self { started: Some((child.with_context(|| format!("start {told}"))?, folder)), host: None };
        let begun = Instant::now();
        while !answers(Some(&host)) {
            let ended = engine.started.as_mut().is_some_and(|(child, _)| matches!(child.try_wait(), Ok(Some(_))));
            if ended || begun.elapsed() > START_LIMIT {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
                bail!("`{told}` gives no answer; its log ends so:\n{last}");
            }
            std::thread::sleep(LOOK);
        }
        engine.host = Some(host);
        Ok(engine)
    }

    /// Tells a command where the engine is.
    pub fn env<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match &self.host {
            Some(host) => command.env("DOCKER_HOST", host),
            None => command,
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((child, folder)) = &mut self.started else { return };
        if let Err(error) = stop(child, folder) {
            eprintln!("warning: the Docker Engine of the tests is left running: {error:#}");
        }
    }
}

/// Stops by the engine's own number: what was started may be `sudo`.
fn stop(child: &mut Child, folder: &Path) -> Result<()> {
    let pid = std::fs::read_to_string(folder.join("dockerd.pid")).context("read its number")?;
    let pid: u32 = pid.trim().parse().context("no number of a process")?;
    let status = setup::as_root()?.args(["kill", "-TERM", &pid.to_string()]).status()?;
    ensure!(status.success(), "`kill {pid}` failed");
    let begun = Instant::now();
    while begun.elapsed() < STOP_LIMIT {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    bail!("it did not end within {} s", STOP_LIMIT.as_secs())
}

/// Outside the checkout, so that images outlive a run.
fn folder() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("serin").join("docker"))
}

fn own_group() -> Result<String> {
    let output = Command::new("id").arg("-g").output().context("ask `id -g`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn answers(host: Option<&str>) -> bool {
    let mut command = Command::new("docker");
    command.args(["version", "--format", "{{.Server.Version}}"]);
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
