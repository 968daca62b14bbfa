//! The folder that reports are about, and the commit that it is compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serin_quality::compare::Renames;
use serin_quality::{ChangedLines, Places, Ratio, TreePath};

/// Bytes of a source file that findings are traced in.
const SOURCE_BYTES_MAX: u64 = 2 << 20;

/// Files and bytes in which repeated lines are looked for, as the server does.
const DUPLICATES_FILES_MAX: usize = 2_000;
const DUPLICATES_BYTES_MAX: usize = 16 << 20;

/// A folder, perhaps below Git.
pub(super) struct Repository {
    folder: PathBuf,
    /// The commit that is compared with.
    base: Option<String>,
}

impl Repository {
    /// Opens the folder; `against` is compared with at its merge base with HEAD.
    pub(super) fn open(folder: &Path, against: Option<&str>) -> Result<Self> {
        let folder = folder.canonicalize().with_context(|| format!("there is no folder `{}`", folder.display()))?;
        let mut repository = Self { folder, base: None };
        if let Some(against) = against {
            ensure!(!against.starts_with('-'), "`{against}` is no commit");
            let base = repository.git(&["merge-base", against, "HEAD"]);
            let base = base.with_context(|| format!("`{against}` and HEAD have no commit in common"))?;
            repository.base = Some(base.trim().to_owned());
        }
        Ok(repository)
    }

    /// Whether it is compared with a commit.
    pub(super) fn is_compared(&self) -> bool {
        self.base.is_some()
    }

    /// The commit that is compared with.
    pub(super) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Whether the folder is just what the commit that is compared with holds.
    pub(super) fn is_base(&self) -> bool {
        let head = self.git(&["rev-parse", "HEAD"]).unwrap_or_default();
        let changes = self.git(&["status", "--porcelain", "--untracked-files=normal", "--", "."]);
        self.base.as_deref() == Some(head.trim()) && changes.is_ok_and(|changes| changes.is_empty())
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("git").arg("-C").arg(&self.folder).args(arguments).output().context("start `git`")?;
        if !output.status.success() {
            bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Where reports may say that things are: below the folder, or below one of the roots that jobs worked in.
    pub(super) fn places(&self, roots: &[PathBuf]) -> Places {
        let roots = roots.iter().chain([&self.folder]).map(|root| root.to_string_lossy().into_owned());
        let places = Places::new(roots);
        match self.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"]) {
            Ok(files) => places.with_files(files.split('\0').filter(|path| !path.is_empty())),
            Err(_) => places,
        }
    }

    /// A file's text as it is in the folder.
    pub(super) fn now(&self, path: &TreePath) -> Option<String> {
        let place = self.folder.join(path.as_str()).canonicalize().ok()?;
        let facts = place.metadata().ok()?;
        let inside = place.starts_with(&self.folder) && facts.is_file() && facts.len() <= SOURCE_BYTES_MAX;
        let bytes = std::fs::read(place).ok().filter(|_| inside)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file's text at the commit that is compared with; without one, as it is in the folder.
    pub(super) fn before(&self, path: &TreePath) -> Option<String> {
        match &self.base {
            Some(base) => self.git(&["cat-file", "blob", &format!("{base}:./{path}")]).ok(),
            None => self.now(path),
        }
    }

    /// The lines that the folder has and the commit has not, and renamed files.
    pub(super) fn touched(&self) -> Result<(ChangedLines, Renames)> {
        let Some(base) = &self.base else { return Ok(Default::default()) };
        let flags = ["--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "-M", "--relative"];
        let prefixes = ["--src-prefix=a/", "--dst-prefix=b/"];
        let options = [&["-c", "core.quotePath=false", "diff"], flags.as_slice(), &prefixes, &[base.as_str(), "--"]];
        let (mut lines, renames) = parse(&self.git(&options.concat())?);
        // Git's difference is silent about files that it does not know yet.
        for path in self.git(&["ls-files", "-z", "--others", "--exclude-standard"])?.split('\0') {
            let count = TreePath::parse(path).and_then(|path| Some((self.now(&path)?.lines().count(), path)));
            if let Some((count, path)) = count.filter(|(count, _)| *count > 0) {
                lines.insert(path, vec![1..=u32::try_from(count).unwrap_or(u32::MAX)]);
            }
        }
        Ok((lines, renames))
    }

    /// How many changed lines repeat others of the changed files; `None`: the change is too large to look at.
    pub(super) fn duplicated(&self, touched: &ChangedLines) -> Option<Ratio> {
        let (mut files, mut bytes) = (BTreeMap::new(), 0);
        for path in touched.iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(path, _)| path) {
            let Some(text) = self.now(path) else { continue };
            bytes += text.len();
            if files.len() == DUPLICATES_FILES_MAX || bytes > DUPLICATES_BYTES_MAX {
                return None;
            }
            files.insert(path.clone(), text);
        }
        Some(serin_quality::duplicates::duplicated(&files, touched))
    }
}

/// Reads a patch without context.
fn parse(patch: &str) -> (ChangedLines, Renames) {
    let (mut lines, mut renames) = (ChangedLines::new(), Renames::new());
    let (mut old, mut path) = (None, None);
    // Lines of a hunk may look like a header; their number is known.
    let mut left = 0_u32;
    for line in patch.lines() {
        if left > 0 && (line.starts_with('+') || line.starts_with('-')) {
            left -= 1;
        } else if let Some(from) = line.strip_prefix("rename from ") {
            old = TreePath::parse(from);
        } else if let Some(to) = line.strip_prefix("rename to ") {
            renames.extend(TreePath::parse(to).zip(old.take()));
        } else if let Some(to) = line.strip_prefix("+++ ") {
            path = to.strip_prefix("b/").and_then(TreePath::parse);
        } else if let Some((removed, added)) = line.strip_prefix("@@ ").and_then(hunk) {
            left = removed.1 + added.1;
            if let (Some(path), true) = (&path, added.1 > 0) {
                let end = added.0.saturating_add(added.1 - 1);
                lines.entry(path.clone()).or_default().push(added.0..=end);
            }
        }
    }
    (lines, renames)
}

type Span = (u32, u32);

/// Reads `-1,2 +3,4 @@ …`.
fn hunk(text: &str) -> Option<(Span, Span)> {
    let mut words = text.split(' ');
    let span = |word: &str| {
        let (start, count) = word.split_once(',').unwrap_or((word, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((span(words.next()?.strip_prefix('-')?)?, span(words.next()?.strip_prefix('+')?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_read() {
        let patch = "diff --git a/old.rs b/new.rs\nsimilarity index 90%\nrename from old.rs\nrename to new.rs\n\
                     --- a/old.rs\n+++ b/new.rs\n@@ -1 +1,2 @@ fn x\n-a\n++++ b/not/a/header\n+c\n@@ -9,2 +11,0 @@\n-x\n-y\n\
                     diff --git a/gone b/gone\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n";
        let (lines, renames) = parse(patch);
        let (new, old) = (TreePath::parse("new.rs").unwrap(), TreePath::parse("old.rs").unwrap());
        assert_eq!(lines, ChangedLines::from([(new.clone(), vec![1..=2])]));
        assert_eq!(renames, Renames::from([(new, old)]));
    }
}
