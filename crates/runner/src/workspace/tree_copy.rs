//! A copy of the folder that a person works in.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serin_model::CommitId;

use super::local::{LIST_BYTES_MAX, lay_out, make_own, packed_refs, refs, succeeded};
use super::{Checkout, Workspace, git};
use crate::environment::HostEnvironment;

/// Copies tracked and new files of the work tree at `folder`, not the ignored ones, and borrows its repository.
pub(crate) async fn copy_work_tree(
    workspace: &Workspace,
    folder: &Path,
    host: &HostEnvironment,
) -> Result<CommitId, String> {
    copy_files(workspace, folder, list(folder, host).await?).await?;
    let commit = CommitId(text(ask(folder, host, &["rev-parse", "--verify", "HEAD"]).await?));
    borrow_repository(workspace, (folder, &commit), host).await?;
    Ok(commit)
}

/// Copies a folder that need be no repository: one that is the top of a repository with a commit as
/// [`copy_work_tree`] does, one within a repository without its history, any other with all of its files.
pub(crate) async fn copy_folder(workspace: &Workspace, folder: &Path, host: &HostEnvironment) -> Result<(), String> {
    let top = ask(folder, host, &["rev-parse", "--show-prefix"]).await;
    let Ok(prefix) = top else {
        let walked = folder.to_owned();
        let list = blocking(move || walk(&walked)).await?;
        return copy_files(workspace, folder, list).await;
    };
    let (files, head) = tokio::join!(list(folder, host), ask(folder, host, &["rev-parse", "--verify", "HEAD"]));
    copy_files(workspace, folder, files?).await?;
    match head {
        Ok(head) if text(prefix).is_empty() => {
            borrow_repository(workspace, (folder, &CommitId(text(head))), host).await
        }
        _ => Ok(()),
    }
}

/// The names of tracked and new files, each ended by a zero byte.
async fn list(folder: &Path, host: &HostEnvironment) -> Result<Vec<u8>, String> {
    ask(folder, host, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).await
}

async fn ask(folder: &Path, host: &HostEnvironment, args: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = git(host);
    command.arg("-C").arg(folder).args(args);
    succeeded(command.output().await).map_err(|words| format!("cannot read the work tree: {words}"))
}

async fn copy_files(workspace: &Workspace, folder: &Path, list: Vec<u8>) -> Result<(), String> {
    let (from, to) = (folder.to_owned(), workspace.project.clone());
    blocking(move || copy_all(&list, &from, &to)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| "the program is ending".to_owned())?
        .map_err(|error| format!("cannot copy the work tree: {error}"))
}

/// Gives the copy a `.git` whose `HEAD` is the commit, and whose index is its tree.
async fn borrow_repository(
    workspace: &Workspace,
    (folder, commit): (&Path, &CommitId),
    host: &HostEnvironment,
) -> Result<(), String> {
    let git_dir = ask(folder, host, &["rev-parse", "--path-format=absolute", "--git-common-dir"]).await?;
    let git_dir = PathBuf::from(text(git_dir));
    let remote = git_dir.display().to_string();
    let refs = refs(&git_dir, host).await?;
    let checkout = Checkout { git_dir, commit: commit.clone(), remote, host: host.clone() };
    let control = workspace.control();
    lay_out(&control, &checkout).map_err(|error| format!("cannot make `{}`: {error}", control.display()))?;
    let mut index = git(host);
    index.arg("--git-dir").arg(&control).args(["read-tree", commit.0.as_str()]);
    succeeded(index.output().await).map_err(|words| format!("cannot read commit {commit}: {words}"))?;
    make_own(&control, &workspace.project.join(".git"), &packed_refs(&refs))
        .map_err(|error| format!("cannot make `.git`: {error}"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

/// All files below a folder, as [`list`] has them.
fn walk(folder: &Path) -> io::Result<Vec<u8>> {
    let mut list = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(above) = open.pop() {
        for entry in std::fs::read_dir(folder.join(&above))? {
            let entry = entry?;
            let path = above.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else {
                list.extend(path.as_os_str().as_bytes());
                list.push(0);
            }
        }
        if list.len() > LIST_BYTES_MAX {
            return Err(io::Error::other("it has too many files"));
        }
    }
    Ok(list)
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
        crate::slot::copy(from, to)?;
    }
    Ok(())
}
