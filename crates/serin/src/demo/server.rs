//! The demo's server: a process of its own, started, killed, started again, and cleared away.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serin_platform::{DockerPlatform, Engine, NodeKey, Platform, Policy, ProcessPlatform, SupervisorCommand};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::story::PROJECT;
use crate::terminal;

/// How long a server may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Lines of the server's log that are shown after a failure.
const LOG_LINES: usize = 30;

/// What `serin serve --format json` says at its start.
#[derive(Debug, Deserialize)]
struct Started {
    url: String,
    token: Option<String>,
    login: Option<String>,
}

/// A server under the demo's hand.
pub struct Server {
    data: PathBuf,
    address: SocketAddr,
    url: String,
    token: String,
    login: String,
    child: Child,
}

impl Server {
    /// Starts a server on a fresh data folder below `folder`.
    pub async fn start(folder: &Path, listen: SocketAddr) -> Result<Self> {
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        let (child, started) = launch(&data, listen).await?;
        let address = started.url.trim_start_matches("http://").parse()?;
        let (Some(token), Some(login)) = (started.token, started.login) else {
            bail!("the server's first start gave no token");
        };
        Ok(Self { data, address, url: started.url, token, login, child })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A link that logs in once.
    pub fn login_url(&self) -> String {
        self.login.clone()
    }

    /// Kills the server with SIGKILL, waits a moment, and starts it again on the same folder and address.
    pub async fn crash(&mut self, down: Duration) -> Result<()> {
        self.child.kill().await?;
        tokio::time::sleep(down).await;
        let (child, _) = launch(&self.data, self.address).await?;
        self.child = child;
        Ok(())
    }

    /// Ends the server, then its nodes and its gateway.
    pub async fn stop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended by itself.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        if tokio::time::timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        if let Err(error) = self.clear_nodes().await {
            terminal::error(&error);
        }
        let gateway = serin_gateway::Client::new(self.data.join("gateway"));
        if gateway.info().await.is_ok()
            && let Err(error) = gateway.shutdown().await
        {
            terminal::error(&error.into());
        }
    }

    async fn clear_nodes(&self) -> Result<()> {
        let dir = self.data.join("nodes");
        let program = std::env::current_exe()?;
        let supervisor = SupervisorCommand { program, args: vec!["node-supervisor".to_owned()] };
        let platform = ProcessPlatform::new(dir.clone(), supervisor)?;
        let environments = dir.join("nodes");
        for entry in std::fs::read_dir(&environments).into_iter().flatten() {
            let environment = entry?.file_name().to_string_lossy().into_owned();
            let observed = platform.observe(&environment).await?;
            let keys: Vec<NodeKey> = observed.into_iter().map(|node| node.key).collect();
            futures_util::future::join_all(keys.iter().map(|key| platform.remove(key))).await;
        }
        self.clear_containers().await
    }

    /// Removes the containers of this server, and the images that it built.
    async fn clear_containers(&self) -> Result<()> {
        let dir = self.data.join("nodes").join("docker");
        if !dir.exists() {
            return Ok(());
        }
        let engine = Engine::connect().await?;
        DockerPlatform::new(&dir, (engine.clone(), "Docker Engine"), Policy::default()).await?.remove_all().await?;
        Ok(engine.remove_images("org.opencontainers.image.source", &format!("{}/{PROJECT}", self.url)).await?)
    }

    /// Prints the end of the server's log.
    pub fn show_log(&self) {
        let Ok(text) = std::fs::read_to_string(self.data.join("serve.log")) else { return };
        let lines: Vec<&str> = text.lines().collect();
        terminal::note("The server's last log lines:");
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            terminal::note(&format!("  {line}"));
        }
    }
}

async fn launch(data: &Path, listen: SocketAddr) -> Result<(Child, Started)> {
    let log = File::options().create(true).append(true).open(data.join("serve.log"))?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", "--format", "json", "--listen", &listen.to_string(), "--data"])
        .arg(data)
        .env_remove("SERIN_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start `serin serve`")?;
    let stdout = child.stdout.take().context("the server has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let first = tokio::time::timeout(START_LIMIT, lines.next_line()).await;
    let Ok(Ok(Some(line))) = first else {
        let log = std::fs::read_to_string(data.join("serve.log")).unwrap_or_default();
        bail!("the server did not start:\n{log}");
    };
    Ok((child, serde_json::from_str(&line)?))
}
