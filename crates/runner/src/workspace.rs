//! The folder that a job works in, and its files from a repository on this machine.
//!
//! The checkout borrows the repository's objects; neither configuration nor hooks nor filters of anyone are in force while
//! it is made, only what Git itself does with a tree.

mod local;
mod tree_copy;

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serin_model::CommitId;

use crate::environment::HostEnvironment;

pub(crate) use local::{check_out, untracked};
pub(crate) use tree_copy::{copy_folder, copy_work_tree};

/// The script of each job; see [`Workspace::write_script`].
pub(crate) const STEP: &str = "step";

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

    /// The workspace of a slot: a job that wants no files leaves those of the slot alone, and has a folder without any.
    pub(crate) fn of_slot(builds_dir: &Path, strategy: Strategy) -> Self {
        let name = if strategy == Strategy::Fresh { "project" } else { "empty" };
        Self { project: builds_dir.join(name), ..Self::below(builds_dir) }
    }

    /// Makes the folders; what an earlier run left goes, but for the checkout where `strategy` keeps it.
    pub(crate) fn make(&self, strategy: Strategy) -> Result<(), String> {
        if strategy != Strategy::None {
            serin_objects::tree::remove(&self.project).map_err(|error| error.to_string())?;
        }
        self.make_beside()?;
        folder(&self.project).map_err(|error| format!("cannot make `{}`: {error}", self.project.display()))
    }

    /// Makes the folders of a job in a slot, whose project folder is put in order later where it has files.
    pub(crate) fn make_in_slot(&self, strategy: Strategy) -> Result<(), String> {
        self.make_beside()?;
        let made = if strategy == Strategy::Fresh { folder(&self.project) } else { emptied(&self.project) };
        made.map_err(|error| format!("cannot make `{}`: {error}", self.project.display()))
    }

    /// Removes all that stands in the project folder.
    pub(crate) fn empty_project(&self) -> io::Result<()> {
        emptied(&self.project)
    }

    fn make_beside(&self) -> Result<(), String> {
        let make = || {
            let kept = [self.temporary(), self.results(), self.variables()];
            folder(&self.beside)?;
            for entry in std::fs::read_dir(&self.beside)? {
                let path = entry?.path();
                if !kept.contains(&path) && path != self.script(STEP) {
                    crate::slot::remove(&path)?;
                }
            }
            kept.iter().try_for_each(|path| emptied(path))
        };
        make().map_err(|error: io::Error| format!("cannot make `{}`: {error}", self.beside.display()))
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

    /// Where a script of the job stands.
    pub(crate) fn script(&self, name: &str) -> PathBuf {
        self.beside.join(format!("{name}.sh"))
    }

    /// Writes a script of the job over that of the job before, where that is a plain file of our own and nobody else's.
    pub(crate) fn write_script(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.script(name);
        let mut file = match serin_objects::over::open(&path) {
            Some(file) => file,
            None => {
                crate::slot::remove(&path)?;
                File::create_new(&path)?
            }
        };
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        Ok(path)
    }

    /// Git's own folder of the checkout, out of the way of the script.
    pub(crate) fn control(&self) -> PathBuf {
        self.beside.join("git")
    }
}

/// Makes a folder of the owner, in place of whatever else may stand there.
fn folder(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// As [`folder`], without anything in it.
fn emptied(path: &Path) -> io::Result<()> {
    folder(path)?;
    let entries = std::fs::read_dir(path).or_else(|_| {
        crate::slot::remove(path)?;
        folder(path)?;
        std::fs::read_dir(path)
    })?;
    for entry in entries {
        crate::slot::remove(&entry?.path())?;
    }
    Ok(())
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
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::{STEP, Strategy, Workspace};

    #[test]
    fn a_script_is_written_over_the_last_one_and_over_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::below(folder.path());
        let other = folder.path().join("other");
        let (path, inode) = (workspace.script(STEP), || workspace.script(STEP).metadata().unwrap().ino());
        let written = |text: &str| {
            workspace.make(Strategy::None).unwrap();
            assert_eq!(fs::read_to_string(workspace.write_script(STEP, text).unwrap()).unwrap(), text);
            assert_eq!(path.symlink_metadata().unwrap().mode() & 0o170_600, 0o100_600);
        };
        written("a long script\n");
        let before = inode();
        written("short\n");
        assert_eq!(inode(), before);
        fs::write(&other, "other's").unwrap();
        let spoil: [&dyn Fn(); 5] = [
            &|| fs::hard_link(&other, &path).unwrap(),
            &|| symlink(&other, &path).unwrap(),
            &|| fs::create_dir(&path).unwrap(),
            &|| nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            &|| {
                fs::write(&path, "x").unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o200)).unwrap();
            },
        ];
        for spoil in spoil {
            crate::slot::remove(&path).unwrap();
            spoil();
            written("again\n");
            assert_eq!(fs::read_to_string(&other).unwrap(), "other's");
        }
    }

    #[test]
    fn strategies() {
        assert_eq!(Strategy::parse(None), Ok(Strategy::Fresh));
        assert_eq!(Strategy::parse(Some("none")), Ok(Strategy::None));
        assert!(Strategy::parse(Some("pull")).unwrap_err().contains("`pull`"));
    }
}
