//! A bare repository as the server has it, and a client's work tree beside it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serin_git::{Repository, Signature};
use serin_model::CommitId;

pub struct World {
    pub repository: Repository,
    pub work: PathBuf,
    pub folder: tempfile::TempDir,
}

impl World {
    /// An empty bare repository and an empty work tree whose `origin` is its path.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::create(folder.path().join("1.git"), "main").await.unwrap();
        let work = folder.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let world = Self { repository, work, folder };
        world.git(["init", "--quiet", "--initial-branch=main"]);
        world.git(["remote", "add", "origin", world.repository.path().to_str().unwrap()]);
        world
    }

    /// Runs the client's `git` and demands success.
    pub fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = client(&self.work, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything in the work tree.
    pub fn commit(&self, message: &str) -> CommitId {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        CommitId(self.git(["rev-parse", "HEAD"]))
    }

    /// Commits one file and brings it into the bare repository as `branch`, past the crate under test.
    pub fn publish(&self, branch: &str, path: &str, content: impl AsRef<[u8]>) -> CommitId {
        self.write(path, content);
        let id = self.commit(&format!("change {path}"));
        self.send(branch);
        id
    }

    pub fn send(&self, branch: &str) {
        self.git(["push", "--quiet", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
    }

    /// Writes an object into the bare repository, unchecked.
    pub fn object(&self, kind: &str, content: &[u8]) -> String {
        let file = self.folder.path().join("object");
        std::fs::write(&file, content).unwrap();
        let git_dir = format!("--git-dir={}", self.repository.path().display());
        let file = file.to_str().unwrap();
        self.git([&git_dir, "hash-object", "--literally", "-w", "-t", kind, file])
    }

    /// A commit in the bare repository whose tree is the given raw bytes, unchecked.
    pub fn commit_of_tree(&self, entries: &[(&str, &[u8], &str)]) -> CommitId {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(mode.as_bytes());
            tree.push(b' ');
            tree.extend_from_slice(name);
            tree.push(0);
            tree.extend((0..20).map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap()));
        }
        let tree = self.object("tree", &tree);
        let commit = format!("tree {tree}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nhostile\n");
        CommitId(self.object("commit", commit.as_bytes()))
    }
}

pub fn client<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    command(folder, arguments).output().unwrap()
}

pub fn command<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.envs([
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.org"),
        ("GIT_AUTHOR_DATE", "@1700000000 +0000"),
        ("GIT_COMMITTER_NAME", "Ben"),
        ("GIT_COMMITTER_EMAIL", "ben@example.org"),
        ("GIT_COMMITTER_DATE", "@1700000001 +0000"),
    ]);
    command
}

pub fn signature(name: &str) -> Signature {
    Signature { name: name.to_owned(), email: "x@example.org".to_owned(), time_ms: 1_700_000_000_000 }
}
