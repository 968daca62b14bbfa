//! A copy of the folder that a person works in.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serin_model::CommitId;

use super::local::{lay_out, make_own, succeeded};
use super::{Checkout, Workspace, git};
use crate::environment::HostEnvironment;

/// Copies tracked and new files of the work tree at `folder`, not the ignored ones, and borrows its repository.
pub(crate) async fn copy_work_tree(
    workspace: &Workspace,
    folder: &Path,
    host: &HostEnvironment,
) -> Result<CommitId, String> {
    let ask = |args: &'static [&'static str]| {
        let mut command = git(host);
        command.arg("-C").arg(folder).args(args);
        async move { succeeded(command.output().await).map_err(|words| format!("cannot read the work tree: {words}")) }
    };
    let list = ask(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).await?;
    let commit = CommitId(text(ask(&["rev-parse", "--verify", "HEAD"]).await?));
    let git_dir = PathBuf::from(text(ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).await?));
    let remote = git_dir.display().to_string();
    let checkout = Checkout { git_dir, commit: commit.clone(), remote, host: host.clone() };
    let (from, to) = (folder.to_owned(), workspace.project.clone());
    tokio::task::spawn_blocking(move || copy_all(&list, &from, &to))
        .await
        .map_err(|_| "the program is ending".to_owned())?
        .map_err(|error| format!("cannot copy the work tree: {error}"))?;
    let control = workspace.control();
    lay_out(&control, &checkout).map_err(|error| format!("cannot make `{}`: {error}", control.display()))?;
    let mut index = git(host);
    index.arg("--git-dir").arg(&control).args(["read-tree", commit.0.as_str()]);
    succeeded(index.output().await).map_err(|words| format!("cannot read commit {commit}: {words}"))?;
    make_own(&control, &workspace.project.join(".git"), b"").map_err(|error| format!("cannot make `.git`: {error}"))?;
    Ok(commit)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

fn copy_all(list: &[u8], from: &Path, to: &Path) -> io::Result<()> {
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = Path::new(OsStr::from_bytes(name));
        if name.components().any(|part| !matches!(part, Component::Normal(_))) {
            continue;
        }
        copy_one(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

/// Copies a file or a link; what was deleted meanwhile, or is a folder (a submodule), is left out.
fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(metadata) = from.symlink_metadata() else { return Ok(()) };
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
    }
    if metadata.is_file() {
        std::fs::copy(from, to)?;
    }
    Ok(())
}
