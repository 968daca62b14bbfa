//! The `git` executable on working trees and on kept clones of other projects.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Bytes of one answer of `git`.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Bytes of one message of `git` that are shown.
const MESSAGE_BYTES_MAX: u64 = 4 << 10;

/// A folder in which `git` is run.
#[derive(Clone, Debug)]
pub struct Git {
    folder: PathBuf,
}

impl Git {
    /// `git` in that folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `git` writes; an error holds its message.
    pub fn bytes<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        // A hook that calls Serin has these set, and they would lead every other folder back to its repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command
            .args(["--no-optional-locks", "--literal-pathspecs", "-c", "core.fsmonitor=false"])
            .args(["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=15"])
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:ssh:file")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start `git`; is it installed?")?;
        let mut message = child.stderr.take().context("`git` has no standard error")?;
        let messages = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = message.by_ref().take(MESSAGE_BYTES_MAX).read_to_end(&mut text);
            let _ = std::io::copy(&mut message, &mut std::io::sink());
            text
        });
        let mut answer = Vec::new();
        let mut stdout = child.stdout.take().context("`git` has no standard output")?.take(ANSWER_BYTES_MAX + 1);
        stdout.read_to_end(&mut answer)?;
        drop(stdout);
        let status = child.wait()?;
        let message = messages.join().unwrap_or_default();
        if answer.len() as u64 > ANSWER_BYTES_MAX {
            bail!("`git` answered more than {ANSWER_BYTES_MAX} bytes");
        }
        if !status.success() {
            let message = String::from_utf8_lossy(&message);
            let first = message.lines().next().unwrap_or("it failed and does not say why");
            bail!("git: {}", without_credentials(first.trim()));
        }
        Ok(answer)
    }

    /// What `git` writes, as text without the last line's end.
    pub fn text<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        let bytes = self.bytes(arguments)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    /// Paths that `git` writes, each ended by a zero byte.
    pub fn paths<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Vec<String>> {
        let bytes = self.bytes(arguments)?;
        let paths = bytes.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    /// The commit that a branch, a tag or the beginning of an id stands for.
    #[must_use]
    pub fn commit(&self, reference: &str) -> Option<String> {
        if !is_reference(reference) {
            return None;
        }
        let names = ["refs/heads/", "refs/tags/", "refs/remotes/origin/", ""];
        names.into_iter().find_map(|prefix| {
            let revision = format!("{prefix}{reference}^{{commit}}");
            self.text(["rev-parse", "--verify", "--quiet", "--end-of-options", &revision]).ok()
        })
    }

    /// A file of a commit.
    pub fn file(&self, commit: &str, path: &str) -> Result<Vec<u8>> {
        self.bytes(["cat-file", "blob", &format!("{commit}:{path}")])
    }

    /// The paths of a commit's files.
    pub fn files(&self, commit: &str) -> Result<Vec<String>> {
        self.paths(["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit])
    }
}

/// A message without the name and password of addresses in it.
fn without_credentials(message: &str) -> String {
    let mut parts = message.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.split(['/', ' ', '\'', '"']).next().unwrap_or_default();
        let shown = authority.rfind('@').map_or(part, |at| &part[at + 1..]);
        out.push_str("://");
        out.push_str(shown);
    }
    out
}

/// Whether a text from a file can be the name of a commit, and nothing else that `git` understands.
fn is_reference(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "._/-+#~@=".contains(c);
    let special = text.starts_with(['-', '.', '/']) || text.contains("..") || text.contains("@{") || text.contains('~');
    !text.is_empty() && text.len() <= 255 && text.chars().all(plain) && !special
}

#[cfg(test)]
mod tests {
    use super::{is_reference, without_credentials};

    #[test]
    fn passwords_are_not_told() {
        let message = "fatal: unable to access 'https://me:se@cret@host/a/b/': no http://x";
        assert_eq!(without_credentials(message), "fatal: unable to access 'https://host/a/b/': no http://x");
    }

    #[test]
    fn names_of_commits() {
        for good in ["main", "v1.0", "feature/x", "a+b", "0123abc", "@", "r#1"] {
            assert!(is_reference(good), "{good}");
        }
        for bad in ["", "-x", "--exec=x", "a..b", "HEAD@{1}", ":/text", "HEAD~1", "a b", "x^", "a\nb"] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
