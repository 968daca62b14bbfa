//! A real `serin serve` on a fresh data folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{LOOK_EVERY, PATIENCE};

/// A running server; it ends with this value.
pub struct Server {
    /// Its address, without a slash at its end.
    pub url: String,
    /// The address that logs the administrator in once.
    pub login: String,
    /// The administrator's token.
    pub token: String,
    child: Child,
    data: tempfile::TempDir,
}

/// The program under test, built beside the tests.
///
/// # Errors
/// Where it is not there.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).context("the test program has no folder")?;
    let program = folder.join("serin");
    if !program.exists() {
        bail!("`{}` is not there; run `cargo build -p serin` first", program.display());
    }
    Ok(program)
}

impl Drop for Server {
    /// Ends the server, and the gateway and nodes that would outlive it.
    fn drop(&mut self) {
        let server = self.child.id().map(|id| id.to_string());
        let ids = server.into_iter().chain(below(self.data.path()));
        let ids: Vec<String> = ids.collect();
        // What has ended meanwhile is no failure.
        let _ = std::process::Command::new("kill").arg("-9").args(ids).stderr(Stdio::null()).status();
    }
}

/// Processes that work in a folder or were started with a path below it.
fn below(folder: &Path) -> Vec<String> {
    let name = folder.as_os_str().as_encoded_bytes();
    let mentions = |text: &[u8]| text.windows(name.len()).any(|part| part == name);
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let ours = processes.filter(|entry| {
        let works = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        works || std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| mentions(&line))
    });
    ours.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start() -> Result<Self> {
        let data = tempfile::tempdir()?;
        let log = std::fs::File::create(data.path().join("server.log"))?;
        let mut child = Command::new(program()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--format", "json", "--data"])
            .arg(data.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let line = tokio::time::timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await??;
        let said: Value = serde_json::from_str(&line.context("the server ended at once")?)?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {said}"));
        Ok(Self { url: text("url")?, login: text("login")?, token: text("token")?, child, data })
    }

    /// Asks the API.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = reqwest::Client::new().get(format!("{}/api/v4{path}", self.url));
        let answer = request.header("private-token", &self.token).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Sends JSON to the API.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let request = reqwest::Client::new().post(format!("{}/api/v4{path}", self.url)).json(&body);
        let answer = request.header("private-token", &self.token).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("POST {path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until the API's answer is as wanted; what is not there yet is waited for.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn wait(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if let Ok(answer) = &answer
                && wanted(answer)
            {
                return Ok(answer.clone());
            }
            if tokio::time::Instant::now() > until {
                bail!("{path} stayed {answer:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
