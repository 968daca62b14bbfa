//! A person's work tree, which Git pushes from.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::Server;

/// A work tree of one project.
pub struct WorkTree {
    folder: tempfile::TempDir,
}

impl WorkTree {
    /// An empty work tree whose `origin` is a project of the server.
    ///
    /// # Errors
    /// Where Git fails.
    pub async fn new(server: &Server, project: &str) -> Result<Self> {
        let tree = Self { folder: tempfile::tempdir()? };
        let address = server.url.replace("http://", &format!("http://admin:{}@", server.token));
        tree.git(&["init", "--quiet", "--initial-branch=main"]).await?;
        tree.git(&["config", "user.name", "Dana Developer"]).await?;
        tree.git(&["config", "user.email", "dana@example.org"]).await?;
        tree.git(&["remote", "add", "origin", &format!("{address}/{project}.git")]).await?;
        Ok(tree)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Where the file system fails.
    pub fn write(&self, path: &str, content: &str) -> Result<()> {
        let file: PathBuf = self.folder.path().join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, content)?)
    }

    /// Commits everything.
    ///
    /// # Errors
    /// Where Git fails.
    pub async fn commit(&self, message: &str) -> Result<()> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]).await?;
        Ok(())
    }

    /// Runs Git; what it says.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn git(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("git {}: {said}", arguments.join(" "));
        }
        Ok(format!("{}{said}", String::from_utf8_lossy(&output.stdout)))
    }
}
