//! A checkout from a repository on this machine, without copying its objects.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use super::{Checkout, Workspace, git};
use crate::environment::HostEnvironment;

/// Bytes of a list of refs or files that Git prints.
pub(super) const LIST_BYTES_MAX: usize = 64 << 20;
/// Bytes of Git's words that a message repeats.
const WORDS_BYTES_MAX: usize = 500;

/// Fills the project folder with the files of the commit, and gives it a `.git` with its refs and a detached `HEAD`.
pub(crate) async fn check_out(workspace: &Workspace, checkout: &Checkout) -> Result<(), String> {
    let commit = checkout.commit.0.as_str();
    if !matches!(commit.len(), 40 | 64) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("`{commit}` is no commit id"));
    }
    let control = workspace.control();
    lay_out(&control, checkout).map_err(|error| format!("cannot make `{}`: {error}", control.display()))?;
    let mut files = git(&checkout.host);
    files.arg("--git-dir").arg(&control).arg("--work-tree").arg(&workspace.project);
    files.args(["read-tree", "--reset", "-u", commit]).current_dir(&workspace.project);
    let (files, refs) = tokio::join!(files.output(), refs(&checkout.git_dir, &checkout.host));
    succeeded(files).map_err(|words| format!("cannot check out commit {commit}: {words}"))?;
    make_own(&control, &workspace.project.join(".git"), &packed_refs(&refs?))
        .map_err(|error| format!("cannot make `.git`: {error}"))
}

/// The branches and tags of a repository, each with its object.
pub(super) async fn refs(git_dir: &Path, host: &HostEnvironment) -> Result<Vec<u8>, String> {
    let mut refs = git(host);
    refs.arg("--git-dir").arg(git_dir);
    refs.args(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"]);
    succeeded(refs.output().await).map_err(|words| format!("cannot list the refs: {words}"))
}

/// Files of the project folder that were not in the commit, relative to it.
pub(crate) async fn untracked(workspace: &Workspace, host: &HostEnvironment) -> Result<Vec<PathBuf>, String> {
    let mut command = git(host);
    command.arg("--git-dir").arg(workspace.control()).arg("--work-tree").arg(&workspace.project);
    command.args(["ls-files", "--others", "-z"]).current_dir(&workspace.project);
    let list = succeeded(command.output().await).map_err(|words| format!("cannot list untracked files: {words}"))?;
    if list.len() > LIST_BYTES_MAX {
        return Err("too many untracked files".to_owned());
    }
    let paths = list.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// Makes a Git folder that has no objects of its own.
pub(super) fn lay_out(control: &Path, checkout: &Checkout) -> io::Result<()> {
    let mut objects = std::fs::canonicalize(checkout.git_dir.join("objects"))?.into_os_string().into_vec();
    if objects.contains(&b'\n') || objects.starts_with(b"\"") {
        return Err(io::Error::other("the repository's path holds a line end or begins with a quote"));
    }
    objects.push(b'\n');
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        std::fs::create_dir_all(control.join(folder))?;
    }
    std::fs::write(control.join("HEAD"), format!("{}\n", checkout.commit))?;
    std::fs::write(control.join("config"), config(checkout))?;
    std::fs::write(control.join("objects/info/alternates"), objects)?;
    let shallow = checkout.git_dir.join("shallow");
    if shallow.is_file() {
        std::fs::copy(shallow, control.join("shallow"))?;
    }
    Ok(())
}

fn config(checkout: &Checkout) -> String {
    let sha256 = checkout.commit.0.len() == 64;
    let (version, extensions) = if sha256 { (1, "[extensions]\n\tobjectFormat = sha256\n") } else { (0, "") };
    format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n{extensions}\
         [remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        quoted(&checkout.remote)
    )
}

/// A value of Git's configuration (git-config(1), "Syntax").
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n").replace('\0', "");
    format!("\"{escaped}\"")
}

/// The repository's branches as remote branches, and its tags.
pub(super) fn packed_refs(list: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(list.len() + list.len() / 4);
    if list.len() > LIST_BYTES_MAX {
        return out;
    }
    for line in list.split(|byte| *byte == b'\n') {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
        let (object, name) = line.split_at(space + 1);
        out.extend(object);
        match name.strip_prefix(b"refs/heads/") {
            Some(branch) => {
                out.extend(b"refs/remotes/origin/");
                out.extend(branch);
            }
            None => out.extend(name),
        }
        out.push(b'\n');
    }
    out
}

/// Gives the project folder a Git folder of its own, which the script may do with what it likes.
pub(super) fn make_own(control: &Path, own: &Path, packed_refs: &[u8]) -> io::Result<()> {
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        std::fs::create_dir_all(own.join(folder))?;
    }
    for file in ["HEAD", "config", "objects/info/alternates", "index", "shallow"] {
        match std::fs::copy(control.join(file), own.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::write(own.join("packed-refs"), packed_refs)
}

/// The output of a Git command that ended well, or its words.
pub(super) fn succeeded(result: io::Result<Output>) -> Result<Vec<u8>, String> {
    let output = result.map_err(|error| format!("cannot run `git`: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.trim().chars().take(WORDS_BYTES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_become_those_of_a_clone() {
        let list = b"1111 refs/heads/main\n2222 refs/heads/--upload-pack=x\n3333 refs/tags/v1\n";
        let expected = "1111 refs/remotes/origin/main\n2222 refs/remotes/origin/--upload-pack=x\n3333 refs/tags/v1\n";
        assert_eq!(String::from_utf8(packed_refs(list)).unwrap(), expected);
    }

    #[test]
    fn a_remote_cannot_end_its_line() {
        assert_eq!(quoted("a\"\n[core]\\"), r#""a\"\n[core]\\""#);
    }
}
