//! A person's work tree, which Git pushes from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::Server;

/// A work tree of one project.
pub struct WorkTree {
    folder: tempfile::TempDir,
}

/// What a program said, and whether it went well.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit code was 0.
    pub good: bool,
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub text: String,
}

impl WorkTree {
    /// An empty work tree whose `origin` is a project of the server.
    ///
    /// # Errors
    /// Where Git fails.
    pub async fn new(server: &Server, project: &str) -> Result<Self> {
        let tree = Self { folder: tempfile::Builder::new().prefix("serin-e2e-tree-").tempdir()? };
        let address = server.url.replace("http://", &format!("http://admin:{}@", server.token));
        tree.git(&["init", "--quiet", "--initial-branch=main"]).await?;
        tree.git(&["config", "user.name", "Dana Developer"]).await?;
        tree.git(&["config", "user.email", "dana@example.org"]).await?;
        tree.git(&["remote", "add", "origin", &format!("{address}/{project}.git")]).await?;
        Ok(tree)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Where the file system fails.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.path().join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, content)?;
        Ok(file)
    }

    /// Commits everything; the commit's id.
    ///
    /// # Errors
    /// Where Git fails.
    pub async fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--message", message]).await?;
        Ok(self.git(&["rev-parse", "HEAD"]).await?.trim().to_owned())
    }

    /// Writes a pipeline file, commits all, pushes to `main`; the commit's id.
    ///
    /// # Errors
    /// Where Git fails.
    pub async fn push_pipeline(&self, pipeline: &str) -> Result<String> {
        self.write(".gitlab-ci.yml", pipeline)?;
        let commit = self.commit("Pipeline").await?;
        self.git(&["push", "--quiet", "origin", "HEAD:main"]).await?;
        Ok(commit)
    }

    /// Runs Git; what it says.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn git(&self, arguments: &[&str]) -> Result<String> {
        let said = self.try_git(arguments).await?;
        ensure!(said.good, "git {}: {}", arguments.join(" "), said.text);
        Ok(said.text)
    }

    /// Runs Git, which may fail.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub async fn try_git(&self, arguments: &[&str]) -> Result<Said> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(Said::of(&output))
    }
}

impl Said {
    /// What a program's output says.
    #[must_use]
    pub fn of(output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (good, code) = (output.status.success(), output.status.code());
        Self { good, code, text: text(&output.stdout) + &text(&output.stderr) }
    }
}
