//! A folder with a repository, and the binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether the binary is asked for colours.
#[derive(Clone, Copy)]
pub enum Colors {
    Off,
    On,
}

/// A project's folder below a temporary one, which is also the home.
pub struct Folder {
    home: tempfile::TempDir,
    pub path: PathBuf,
}

impl Folder {
    /// A repository of branch `main` with one commit of these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("shop");
        let folder = Self { home, path };
        folder.repository(&folder.path.clone(), files);
        folder
    }

    /// A further repository beside it.
    pub fn beside(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = self.home.path().join(name);
        self.repository(&path, files);
        path
    }

    fn repository(&self, path: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(path).unwrap();
        self.git(path, &["init", "--quiet", "-b", "main"]);
        for (name, text) in files {
            let file = path.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        self.git(path, &["add", "--all"]);
        self.git(path, &["commit", "--quiet", "--message", "The first one"]);
    }

    /// `git` in a folder.
    pub fn git(&self, path: &Path, arguments: &[&str]) {
        let status = self.command("git").args(arguments).current_dir(path).status().unwrap();
        assert!(status.success(), "git {arguments:?}");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")])
            .envs([("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z"), ("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")]);
        command
    }

    /// What a command of the binary writes.
    pub fn output(&self, arguments: &[&str], colors: Colors) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_serin"));
        match colors {
            Colors::On => command.env("CLICOLOR_FORCE", "1"),
            Colors::Off => command.env("NO_COLOR", "1"),
        };
        command.args(arguments).current_dir(&self.path).output().unwrap()
    }

    /// Standard output of a command that succeeds.
    #[track_caller]
    pub fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments, Colors::Off);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The whole output of a command, as a snapshot holds it; escapes are written out.
    pub fn shown(&self, arguments: &[&str], colors: Colors) -> String {
        let output = self.output(arguments, colors);
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap().replace('\u{1b}', "␛");
            text.replace(self.home.path().to_str().unwrap(), "HOME")
        };
        format!(
            "$ serin {}\nexit code {}\n--- stdout\n{}--- stderr\n{}",
            arguments.join(" "),
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr)
        )
    }
}
