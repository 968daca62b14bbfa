//! A person's project: a repository in a folder of its own, with a cache of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A repository and what `serin` keeps about it.
pub struct Project {
    folder: tempfile::TempDir,
    name: String,
}

/// How a call of `serin` ended.
pub struct Said {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

impl Project {
    /// An empty repository in a folder of that name, on that branch.
    pub fn new(name: &str, branch: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder, name: name.to_owned() };
        std::fs::create_dir_all(project.root()).unwrap();
        project.git(&["init", "-q", "-b", branch, "."]);
        project
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The folder above the project's.
    pub fn above(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A", "-f", "."]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.root(), args)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command
            .args(args)
            .current_dir(self.root())
            .env("SERIN_CACHE", self.folder.path().join("cache"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            // As on a machine without an engine; a test that wants one says so.
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env_remove("NO_COLOR");
        command
    }

    pub fn serin(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().unwrap())
    }
}

impl Said {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
