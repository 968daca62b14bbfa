//! A project on the server under measurement, with a work tree.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::git::git;
use crate::server::Server;

/// How long a pipeline may take to appear, and to end.
const PIPELINE_TIME_MAX: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);

/// A project and its work tree.
pub struct Project<'a> {
    /// Its path on the server.
    pub name: String,
    /// The work tree.
    pub tree: PathBuf,
    server: &'a Server,
}

impl<'a> Project<'a> {
    /// Makes it, with the branch `main` and a work tree below `folder`.
    pub fn new(server: &'a Server, folder: &Path, name: &str) -> Result<Self> {
        let project = Self { name: name.to_owned(), tree: folder.join(name), server };
        let client = &server.client;
        client.post("/api/v4/projects", &json!({ "path": name, "default_branch": "main" }))?;
        std::fs::create_dir_all(&project.tree)?;
        git(&project.tree, &["init", "--quiet", "--initial-branch", "main"])?;
        let remote = format!("http://admin:{}@{}/{name}.git", client.token, client.address);
        git(&project.tree, &["remote", "add", "origin", &remote])?;
        Ok(project)
    }

    /// Writes a file of the work tree.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.tree.join(path), text)?)
    }

    /// Commits everything and pushes it; its pipeline's number.
    pub fn push(&self) -> Result<i64> {
        git(&self.tree, &["add", "."])?;
        git(&self.tree, &["commit", "--quiet", "--message", "A version"])?;
        git(&self.tree, &["push", "--quiet", "origin", "main"])?;
        let commit = git(&self.tree, &["rev-parse", "HEAD"])?;
        let deadline = Instant::now() + PIPELINE_TIME_MAX;
        loop {
            let all = self.get("/pipelines")?;
            let mut of_commit = all.as_array().into_iter().flatten().filter(|one| one["sha"] == commit.as_str());
            if let Some(id) = of_commit.next().and_then(|pipeline| pipeline["id"].as_i64()) {
                return Ok(id);
            }
            ensure!(Instant::now() < deadline, "{}: no pipeline", self.name);
            thread::sleep(LOOK);
        }
    }

    /// Waits until the pipeline has succeeded.
    pub fn success(&self, pipeline: i64) -> Result<()> {
        let deadline = Instant::now() + PIPELINE_TIME_MAX;
        loop {
            let status = self.get(&format!("/pipelines/{pipeline}"))?["status"].clone();
            match status.as_str() {
                Some("success") => return Ok(()),
                Some("failed" | "canceled" | "skipped") => bail!("{}: the pipeline is {status}", self.name),
                _ => ensure!(Instant::now() < deadline, "{}: the pipeline does not end", self.name),
            }
            thread::sleep(LOOK);
        }
    }

    /// Asks the API for something of the project's.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.server.client.get(&format!("/api/v4/projects/{}{path}", self.name))
    }

    /// Sends the API something of the project's.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.server.client.post(&format!("/api/v4/projects/{}{path}", self.name), body)
    }
}
