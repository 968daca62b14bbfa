//! A real `serin serve` on a fresh data folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{LOOK_EVERY, PATIENCE, WorkTree, process};

/// Rounds in which all that a server started is ended.
const END_ROUNDS_MAX: usize = 200;

/// A running server; it ends with this value, its nodes and its gateway as well.
pub struct Server {
    /// Its address, without a slash at its end.
    pub url: String,
    /// The address that logs the administrator in once.
    pub login: String,
    /// The administrator's token.
    pub token: String,
    folder: tempfile::TempDir,
    http: reqwest::Client,
    child: Child,
    variables: Vec<(String, String)>,
}

/// The program under test, built beside the tests; built now where it is missing.
///
/// # Errors
/// Where it cannot be built.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).context("the test program has no folder")?;
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => built(folder, "dev"),
        Some(name) => built(folder, name),
    }
}

/// The program as the README's first command builds it; built where it is missing.
///
/// # Errors
/// Where it cannot be built.
pub fn demo_program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).context("the test program is in no target folder")?;
    built(&target.join("demo"), "demo")
}

fn built(folder: &Path, profile: &str) -> Result<PathBuf> {
    let program = folder.join("serin");
    if program.exists() {
        return Ok(program);
    }
    let target = folder.parent().context("the program is in no target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["build", "--locked", "--package", "serin", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("start `cargo build`")?;
    ensure!(status.success(), "`serin` cannot be built");
    Ok(program)
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with more flags.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_with(flags: &[&str]) -> Result<Self> {
        Self::start_in(flags, &[]).await
    }

    /// Starts a server with more flags and variables of the environment; a later start has these variables as well.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_in(flags: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self::start_on(tempfile::Builder::new().prefix("serin-e2e-").tempdir()?, (flags, variables)).await
    }

    /// Starts a server whose data folder has this `serin.toml`.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_with_settings(settings: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("serin-e2e-").tempdir()?;
        std::fs::create_dir(folder.path().join("data"))?;
        std::fs::write(folder.path().join("data/serin.toml"), settings)?;
        Self::start_on(folder, (&[], &[])).await
    }

    async fn start_on(folder: tempfile::TempDir, (flags, variables): (&[&str], &[(&str, &str)])) -> Result<Self> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(own).collect();
        let (child, said) = launch(folder.path(), "127.0.0.1:0", (flags, &variables)).await?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {said}"));
        let http = reqwest::Client::new();
        Ok(Self { url: text("url")?, login: text("login")?, token: text("token")?, folder, http, child, variables })
    }

    /// Everything that the server keeps.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server's process.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// Kills the server with SIGKILL; nodes and gateway stay.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Starts the server again, on the same folder and address.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        let address = self.url.trim_start_matches("http://").to_owned();
        (self.child, _) = launch(self.folder.path(), &address, (&[], &self.variables)).await?;
        Ok(())
    }

    /// What the server logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// Sends a request with the administrator's token to an address below the server's.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, String)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).header("private-token", &self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| format!("ask for {path}"))?;
        Ok((answer.status(), String::from_utf8_lossy(&answer.bytes().await?).into_owned()))
    }

    /// Asks the API for a text.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn text(&self, path: &str) -> Result<String> {
        success(path, self.ask(Method::GET, &format!("/api/v4{path}"), None).await?)
    }

    /// Asks the API for a file.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn file(&self, path: &str) -> Result<Vec<u8>> {
        let request = self.http.get(format!("{}/api/v4{path}", self.url)).header("private-token", &self.token);
        Ok(request.send().await?.error_for_status()?.bytes().await?.to_vec())
    }

    /// Asks the API.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(path).await?)?)
    }

    /// Sends JSON to the API.
    ///
    /// # Errors
    /// Where the answer is no success.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let answer = self.ask(Method::POST, &format!("/api/v4{path}"), Some(body)).await?;
        Ok(serde_json::from_str(&success(path, answer)?)?)
    }

    /// Waits until the API's answer is as wanted; an answer that is no success is waited out as well.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn wait(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            match &answer {
                Ok(answer) if wanted(answer) => return Ok(answer.clone()),
                _ if tokio::time::Instant::now() > until => bail!("{path} stayed {answer:?}\n{}", tail(&self.log())),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Makes a project with the default branch `main`, and a work tree of it.
    ///
    /// # Errors
    /// Where one of them cannot be made.
    pub async fn project(&self, path: &str) -> Result<WorkTree> {
        self.post("/projects", json!({ "path": path, "default_branch": "main" })).await?;
        WorkTree::new(self, path).await
    }

    /// Waits for the pipeline of a commit to be made.
    ///
    /// # Errors
    /// Where there is none in time.
    pub async fn pipeline(&self, project: &str, commit: &str) -> Result<Value> {
        let of_commit = |pipeline: &Value| pipeline["sha"] == commit;
        let list = format!("/projects/{project}/pipelines");
        let found = self.wait(&list, |all| all.as_array().is_some_and(|all| all.iter().any(of_commit))).await?;
        let found = found.as_array().and_then(|all| all.iter().find(|pipeline| of_commit(pipeline)));
        found.cloned().context("no pipeline")
    }

    /// Waits until a pipeline is in one of the states, and gives it.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn pipeline_until(&self, project: &str, pipeline: &Value, states: &[&str]) -> Result<Value> {
        let path = format!("/projects/{project}/pipelines/{}", pipeline["id"]);
        self.wait(&path, |pipeline| states.iter().any(|state| pipeline["status"] == *state)).await
    }

    /// Waits for the pipeline of a commit to end.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub async fn finished(&self, project: &str, commit: &str) -> Result<Value> {
        let pipeline = self.pipeline(project, commit).await?;
        self.pipeline_until(project, &pipeline, &["success", "failed", "canceled", "skipped"]).await
    }

    /// A job of a pipeline.
    ///
    /// # Errors
    /// Where the pipeline has no such job.
    pub async fn job(&self, project: &str, pipeline: &Value, name: &str) -> Result<Value> {
        let jobs = self.get(&format!("/projects/{project}/pipelines/{}/jobs", pipeline["id"])).await?;
        let found = jobs.as_array().and_then(|jobs| jobs.iter().find(|job| job["name"] == name));
        found.cloned().with_context(|| format!("no job `{name}` in {jobs}"))
    }

    /// Waits until a job of a pipeline is in one of the states, and gives it.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn job_until(&self, project: &str, job: &Value, states: &[&str]) -> Result<Value> {
        let path = format!("/projects/{project}/jobs/{}", job["id"]);
        self.wait(&path, |job| states.iter().any(|state| job["status"] == *state)).await
    }

    /// A job's trace.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn trace(&self, project: &str, job: &Value) -> Result<String> {
        self.text(&format!("/projects/{project}/jobs/{}/trace", job["id"])).await
    }

    /// Waits until a job's trace has these words.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn trace_until(&self, project: &str, job: &Value, words: &str) -> Result<String> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let trace = self.trace(project, job).await?;
            if trace.contains(words) {
                return Ok(trace);
            }
            ensure!(tokio::time::Instant::now() < until, "the trace never had `{words}`:\n{trace}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.start_kill();
        for _ in 0..END_ROUNDS_MAX {
            let left = process::below(self.folder.path());
            if left.is_empty() {
                return;
            }
            for pid in left {
                let _ = process::kill(pid);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

async fn launch(
    folder: &Path,
    listen: &str,
    (flags, variables): (&[&str], &[(String, String)]),
) -> Result<(Child, Value)> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("server.log"))?;
    let mut child = Command::new(program()?)
        .args(["serve", "--listen", listen, "--format", "json", "--data"])
        .arg(folder.join("data"))
        .args(flags)
        .envs(variables.iter().map(|(key, value)| (key, value)))
        .env_remove("SERIN_URL")
        .env_remove("SERIN_JOBS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    let line = tokio::time::timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await??;
    let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let line = line.with_context(|| format!("the server ended at once:\n{}", tail(&log)))?;
    Ok((child, serde_json::from_str(&line)?))
}

fn success(path: &str, (status, body): (StatusCode, String)) -> Result<String> {
    ensure!(status.is_success(), "{path}: {status}: {body}");
    Ok(body)
}

fn tail(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
