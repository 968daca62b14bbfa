//! A copy of the folder that a person works in.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
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

/// Makes the folder `to` hold the listed files of `from`; what an earlier copy left there and is still the same stays.
fn copy_all(list: &[u8], from: &Path, to: &Path) -> io::Result<()> {
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.map(|name| Path::new(OsStr::from_bytes(name)));
    let inside = |name: &&Path| name.components().all(|part| matches!(part, Component::Normal(_)));
    let names: BTreeSet<&Path> = names.filter(inside).collect();
    remove_others(to, &names)?;
    names.into_iter().try_for_each(|name| copy_one(&from.join(name), &to.join(name)))
}

/// Removes what an earlier copy left and none of the names leads to.
fn remove_others(to: &Path, names: &BTreeSet<&Path>) -> io::Result<()> {
    let folders: BTreeSet<&Path> = names.iter().flat_map(|name| name.ancestors().skip(1)).collect();
    let mut open = vec![PathBuf::new()];
    while let Some(above) = open.pop() {
        for entry in std::fs::read_dir(to.join(&above))? {
            let entry = entry?;
            let path = above.join(entry.file_name());
            let is_folder = entry.file_type()?.is_dir();
            match is_folder {
                true if folders.contains(path.as_path()) => open.push(path),
                false if names.contains(path.as_path()) => {}
                _ => crate::slot::remove(&entry.path())?,
            }
        }
    }
    Ok(())
}

/// Copies a file or a link; what was deleted meanwhile, or is a folder (a submodule), is left out.
fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(metadata) = from.symlink_metadata() else { return crate::slot::remove(to) };
    if to.symlink_metadata().is_ok_and(|copy| is_copy(&metadata, &copy)) {
        return Ok(());
    }
    crate::slot::remove(to)?;
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

/// Whether a file is a copy made earlier, and its source was left alone since: nothing can be done to a file that does
/// not move its time of change, which no program sets.
fn is_copy(source: &Metadata, copy: &Metadata) -> bool {
    let look = |metadata: &Metadata| (metadata.mode(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    source.is_file() && copy.is_file() && look(source) == look(copy) && source.ctime() + CLOCK_STEP_S < copy.ctime()
}

/// Seconds that a file system's clock may stand still.
const CLOCK_STEP_S: i64 = 2;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::copy_all;

    #[test]
    fn an_earlier_copy_becomes_what_the_folder_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::create_dir_all(&to).unwrap();
        for name in ["same", "changed", "deep/file", "file to folder", "folder to file"] {
            fs::write(from.join(name), "one").unwrap();
        }
        symlink("same", from.join("link")).unwrap();
        copy_all(b"same\0changed\0deep/file\0file to folder\0link\0", &from, &to).unwrap();
        fs::write(to.join("stranger"), "x").unwrap();
        fs::create_dir_all(to.join("folder to file/x")).unwrap();
        let modified = from.join("changed").metadata().unwrap().modified().unwrap();
        fs::write(from.join("changed"), "two").unwrap();
        fs::File::options().write(true).open(from.join("changed")).unwrap().set_modified(modified).unwrap();
        fs::remove_file(from.join("file to folder")).unwrap();
        fs::create_dir(from.join("file to folder")).unwrap();
        fs::write(from.join("file to folder/inner"), "three").unwrap();
        fs::remove_file(from.join("link")).unwrap();
        symlink("changed", from.join("link")).unwrap();
        copy_all(b"same\0changed\0gone\0file to folder/inner\0folder to file\0link\0", &from, &to).unwrap();
        let mut found: Vec<String> = walkdir(&to);
        found.sort();
        assert_eq!(found, ["changed=two", "file to folder/inner=three", "folder to file=one", "link=two", "same=one"]);
    }

    fn walkdir(root: &std::path::Path) -> Vec<String> {
        let names = super::walk(root).unwrap();
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let names = names.map(|name| String::from_utf8(name.to_vec()).unwrap());
        names.map(|name| format!("{name}={}", fs::read_to_string(root.join(&name)).unwrap())).collect()
    }
}
