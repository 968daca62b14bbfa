//! `cargo xtask tidy`: what neither the compiler nor clippy tells about the checkout.
//!
//! Rules are functions from text to findings; only `run` and `Checkout::read` touch the file system.

mod documents;
mod layers;
mod purity;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::metadata;

/// Largest file that the rules read; a larger one is itself a finding.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Checks the checkout at `root` and prints what is wrong.
pub fn run(root: &Path) -> Result<ExitCode> {
    let (checkout, mut findings) = Checkout::read(root)?;
    let packages = metadata::read(root)?;
    findings.extend(layers::check(&checkout, &packages));
    findings.extend(purity::check(&checkout, root, &packages));
    findings.extend(sources::check(&checkout));
    findings.extend(documents::check(&checkout));
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        eprintln!("tidy: {} files are in order", checkout.files.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}

/// Something that is not in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// Makes a finding; `line` counts from 1, 0 stands for the file as a whole.
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// The files that git knows or would take, by path from the root with `/`.
#[derive(Debug, Default)]
struct Checkout {
    /// Text files with their text; binary files with nothing.
    files: BTreeMap<String, String>,
}

impl Checkout {
    fn read(root: &Path) -> Result<(Self, Vec<Finding>)> {
        let mut checkout = Self::default();
        let mut findings = Vec::new();
        for path in paths(root)? {
            let place = root.join(&path);
            // Deleted and not yet committed, or a link that leads elsewhere.
            let Ok(facts) = place.symlink_metadata() else { continue };
            if !facts.is_file() {
                continue;
            }
            if facts.len() > FILE_BYTES_MAX {
                findings.push(Finding::new(&path, 0, format!("larger than {} MiB", FILE_BYTES_MAX >> 20)));
                continue;
            }
            let bytes = std::fs::read(&place).with_context(|| format!("read `{path}`"))?;
            checkout.files.insert(path, String::from_utf8(bytes).unwrap_or_default());
        }
        Ok((checkout, findings))
    }

    /// Returns a file's text; nothing where there is no such file.
    fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Tells whether a path is a file or a folder with files in it.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }

    /// Iterates over the files with the extension.
    fn with_extension(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        let ending = format!(".{extension}");
        self.files.iter().filter(move |(path, _)| path.ends_with(&ending)).map(|(p, t)| (p.as_str(), t.as_str()))
    }
}

/// Lists files by git; without a repository (an unpacked archive) by walking.
fn paths(root: &Path) -> Result<Vec<String>> {
    if !root.join(".git").exists() {
        let mut found = Vec::new();
        walk(root, root, &mut found)?;
        return Ok(found);
    }
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root)
        .output()
        .context("start `git ls-files`")?;
    ensure!(output.status.success(), "`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path: PathBuf = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                walk(root, &path, found)?;
            }
        } else if let Ok(relative) = path.strip_prefix(root) {
            found.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

#[cfg(test)]
impl Checkout {
    /// Makes a checkout out of paths and texts.
    fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_as_there() {
        let checkout = Checkout::of(&[("docs/a/b.md", ""), ("docsy.md", "")]);
        assert!(checkout.has("docs") && checkout.has("docs/a") && checkout.has("docs/a/b.md") && checkout.has(""));
        assert!(!checkout.has("doc") && !checkout.has("docs/a/b") && !checkout.has("z"));
    }

    #[test]
    fn findings_name_their_place() {
        assert_eq!(Finding::new("a.rs", 3, "bad").to_string(), "a.rs:3: bad");
        assert_eq!(Finding::new("a.rs", 0, "bad").to_string(), "a.rs: bad");
    }
}
