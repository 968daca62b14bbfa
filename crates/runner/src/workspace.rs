//! The folder that a job works in, and its files from a repository on this machine.
//!
//! The checkout borrows the repository's objects; neither configuration nor hooks nor filters of anyone are in force while
//! it is made, only what Git itself does with a tree.

mod local;
mod tree_copy;

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serin_model::CommitId;

use crate::environment::HostEnvironment;

pub(crate) use local::{check_out, untracked};
pub(crate) use tree_copy::copy_work_tree;

/// Where everything of one run stands.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The checkout.
    pub(crate) project: PathBuf,
    /// What the run makes beside it.
    pub(crate) beside: PathBuf,
}

/// `GIT_STRATEGY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// `clone` and `fetch`: a fresh checkout; nothing of an earlier job is in it.
    Fresh,
    /// `none`: what stands in the folder stays, and no files are got.
    None,
    /// `empty`: an empty folder.
    Empty,
}

impl Strategy {
    pub(crate) fn parse(word: Option<&str>) -> Result<Self, String> {
        match word {
            None | Some("" | "fetch" | "clone") => Ok(Self::Fresh),
            Some("none") => Ok(Self::None),
            Some("empty") => Ok(Self::Empty),
            Some(other) => Err(format!("unknown GIT_STRATEGY `{other}`: write `fetch`, `clone`, `none` or `empty`")),
        }
    }
}

impl Workspace {
    pub(crate) fn below(builds_dir: &Path) -> Self {
        Self { project: builds_dir.join("project"), beside: builds_dir.join("project.tmp") }
    }

    /// Makes the folders; what an earlier run left goes, but for the checkout where `strategy` keeps it.
    pub(crate) fn make(&self, strategy: Strategy) -> Result<(), String> {
        let text = |error: serin_objects::Error| error.to_string();
        serin_objects::tree::remove(&self.beside).map_err(text)?;
        if strategy != Strategy::None {
            serin_objects::tree::remove(&self.project).map_err(text)?;
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for folder in [&self.project, &self.temporary(), &self.results()] {
            builder.create(folder).map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
        }
        Ok(())
    }

    /// The job's own `TMPDIR`.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.beside.join("tmp")
    }

    /// File variables.
    pub(crate) fn variables(&self) -> PathBuf {
        self.beside.join("variables")
    }

    /// Archives for the caller.
    pub(crate) fn results(&self) -> PathBuf {
        self.beside.join("results")
    }

    /// Git's own folder of the checkout, out of the way of the script.
    pub(crate) fn control(&self) -> PathBuf {
        self.beside.join("git")
    }
}

/// What is checked out, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    pub(crate) git_dir: PathBuf,
    pub(crate) commit: CommitId,
    /// The address that `origin` gets.
    pub(crate) remote: String,
    pub(crate) host: HostEnvironment,
}

/// A `git` that trusts nobody's configuration.
fn git(host: &HostEnvironment) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("git");
    let path = host.get("PATH").cloned().unwrap_or_else(OsString::new);
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.attributesFile=/dev/null"])
        .args(["-c", "core.untrackedCache=false", "-c", "submodule.recurse=false", "-c", "protocol.allow=never"])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::Strategy;

    #[test]
    fn strategies() {
        assert_eq!(Strategy::parse(None), Ok(Strategy::Fresh));
        assert_eq!(Strategy::parse(Some("none")), Ok(Strategy::None));
        assert!(Strategy::parse(Some("pull")).unwrap_err().contains("`pull`"));
    }
}
