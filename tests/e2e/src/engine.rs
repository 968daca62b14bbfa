//! A Docker Engine of a test's own, which may be killed (it needs root, as every engine does).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::{LOOK_EVERY, PATIENCE, process};

/// An engine with folders of its own; it ends with this value, and its containers with it.
pub struct Engine {
    folder: tempfile::TempDir,
    child: Child,
    bridge: Bridge,
    flags: &'static [&'static str],
}

/// A network of containers that no other engine has.
struct Bridge(String);

impl Bridge {
    fn make() -> Result<Self> {
        let own = std::process::id();
        let bridge = Self(format!("serin{}", own % 1_000_000));
        let address = format!("10.{}.{}.1/24", 200 + own % 50, own / 50 % 250);
        for arguments in [
            &["link", "add", "name", &bridge.0, "type", "bridge"][..],
            &["address", "add", &address, "dev", &bridge.0],
            &["link", "set", &bridge.0, "up"],
        ] {
            ensure!(as_root("ip").args(arguments).status()?.success(), "`ip {}` failed", arguments.join(" "));
        }
        Ok(bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = as_root("ip").args(["link", "delete", &self.0]).status();
    }
}

impl Engine {
    /// Starts one.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one with more flags; a later start has them as well.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_with(flags: &'static [&'static str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("serin-engine-").tempdir()?;
        let bridge = Bridge::make()?;
        let child = launch(folder.path(), &bridge, flags)?;
        let mut engine = Self { folder, child, bridge, flags };
        engine.answers().await?;
        Ok(engine)
    }

    /// What `DOCKER_HOST` is to be.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// Where it has ended.
    pub async fn kill(&mut self) -> Result<()> {
        let killed = as_root("kill").args(["-KILL", &self.pid()?.to_string()]).status()?;
        ensure!(killed.success(), "the engine cannot be killed");
        self.child.wait().await?;
        // Its containerd died with it; where nobody takes zombies away, the next engine would wait for it.
        let left = self.folder.path().join("exec/containerd/containerd.pid");
        ensure!(as_root("rm").arg("-f").arg(left).status()?.success(), "its containerd's number stays");
        Ok(())
    }

    /// Kills it with all that it runs, as when its machine goes down.
    ///
    /// # Errors
    /// Where it has ended.
    pub async fn go_down(&mut self) -> Result<()> {
        self.kill().await?;
        end_containers(self.folder.path());
        Ok(())
    }

    /// Starts it again on its folders.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.child = launch(self.folder.path(), &self.bridge, self.flags)?;
        self.answers().await
    }

    /// Runs the engine's own client.
    ///
    /// # Errors
    /// Where it fails.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = std::process::Command::new("docker");
        let output = command.args(arguments).env("DOCKER_HOST", self.host()).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("dockerd.pid")
    }

    fn pid(&self) -> Result<u32> {
        Ok(std::fs::read_to_string(self.pid_file()).context("the engine has ended")?.trim().parse()?)
    }

    async fn answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.docker(&["version"]).is_err() {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("the engine gives no answer:\n{log}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers may outlive their engine. It unmounts and ends its own containerd when it is asked to end, not when
        // it is killed.
        let left = self.docker(&["ps", "-aq"]).unwrap_or_default();
        for id in left.split_whitespace() {
            let _ = self.docker(&["rm", "-f", "-v", id]);
        }
        if let Ok(pid) = self.pid() {
            let _ = as_root("kill").args(["-TERM", &pid.to_string()]).status();
        }
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK_EVERY);
        }
        sweep(self.folder.path());
        let _ = as_root("rm").arg("-rf").arg(self.folder.path()).status();
    }
}

/// Ends what an engine that was killed left: its containers and their mounts.
fn sweep(folder: &Path) {
    end_containers(folder);
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for path in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(path).starts_with(folder) {
            let _ = as_root("umount").args(["-l", path]).status();
        }
    }
}

/// Ends containers and their supervisors, which outlive an engine that was killed.
fn end_containers(folder: &Path) {
    let supervisors = process::running(folder, "containerd-shim-runc-v2");
    for pid in process::children(&supervisors).into_iter().chain(supervisors) {
        let _ = as_root("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
    }
}

fn as_root(program: &str) -> std::process::Command {
    if nix::unistd::geteuid().is_root() {
        return std::process::Command::new(program);
    }
    let mut command = std::process::Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn launch(folder: &Path, bridge: &Bridge, flags: &[&str]) -> Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = as_root("dockerd");
    command.arg(format!("--host=unix://{}", folder.join("docker.sock").display()));
    command.arg(format!("--group={}", nix::unistd::getegid()));
    for (flag, name) in [("data-root", "data"), ("exec-root", "exec"), ("pidfile", "dockerd.pid")] {
        command.arg(format!("--{flag}={}", folder.join(name).display()));
    }
    // No rules of a firewall: another engine may have its own here.
    command.args([&format!("--bridge={}", bridge.0), "--iptables=false", "--ip6tables=false"]).args(flags);
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("`apt-get install docker.io`")
}
