//! What two commits differ in, bounded.

mod parse;

use serin_model::CommitId;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    command::{CALL_TIME_MAX, Call, Process, read_head},
    error::{Error, Result},
    name::checked_id,
    repository::Repository,
};

const NAME: &str = "diff-tree";
const LISTING: [&str; 5] = ["-r", "-z", "--raw", "--no-abbrev", "-M"];
const BUFFER_BYTES: usize = 64 << 10;

/// How much of a difference is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffLimits {
    /// Files listed.
    pub files_max: usize,
    /// Lines kept of one file.
    pub file_lines_max: usize,
    /// Bytes kept of one line; the rest of a longer one is cut off.
    pub line_bytes_max: usize,
    /// Bytes read of the whole patch.
    pub patch_bytes_max: u64,
}

impl Default for DiffLimits {
    fn default() -> Self {
        Self { files_max: 1_000, file_lines_max: 5_000, line_bytes_max: 2_048, patch_bytes_max: 8 << 20 }
    }
}

/// What two commits differ in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The files, in path order.
    pub files: Vec<FileDiff>,
    /// Whether there are more files than the limit; those are not in `files`.
    pub more_files: bool,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// The path before; the same as `new_path` unless the file was renamed or copied.
    pub old_path: String,
    /// The path after.
    pub new_path: String,
    /// What happened to it.
    pub status: FileStatus,
    /// The mode before, such as `100644`; `000000` where there was none.
    pub old_mode: String,
    /// The mode after.
    pub new_mode: String,
    /// Whether it is not text; there are no hunks then.
    pub binary: bool,
    /// The changed places, in order.
    pub hunks: Vec<Hunk>,
    /// Whether lines, or ends of lines, are missing from `hunks` because a limit was reached.
    pub too_large: bool,
    /// Whether whole lines are missing, so that not every changed line is known.
    pub misses_lines: bool,
    /// Lines added, as far as they were read.
    pub added: usize,
    /// Lines removed, as far as they were read.
    pub removed: usize,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its content or mode changed.
    Modified,
    /// It moved, perhaps with changes.
    Renamed,
    /// It turned from a file to a link or submodule, or back.
    TypeChanged,
}

/// One changed place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The first line before, from 1; 0 where nothing was.
    pub old_start: usize,
    /// The first line after, from 1; 0 where nothing is.
    pub new_start: usize,
    /// What `git` says the place is in, such as a function's head.
    pub context: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happened to it.
    pub kind: LineKind,
    /// Its number before.
    pub old: Option<usize>,
    /// Its number after.
    pub new: Option<usize>,
    /// Its text without the newline; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether the file ends here without a newline.
    pub no_newline: bool,
}

/// What happened to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// Nothing.
    Context,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

impl Repository {
    /// What changed from `base` to `head`, renames found. For a merge request hand in the merge base as `base`.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed; a difference over the limits is no error.
    pub async fn diff(&self, base: &CommitId, head: &CommitId, limits: DiffLimits) -> Result<Diff> {
        self.diff_of(base, head, &[], limits).await
    }

    /// The files that differ, without their changed places, at most that many of them.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn diff_list(&self, base: &CommitId, head: &CommitId, files_max: usize) -> Result<Diff> {
        let (base, head) = (checked_id(base.as_str())?, checked_id(head.as_str())?);
        let raw = self.call(NAME).args(LISTING).args([base, head]).output().await?;
        let limits = DiffLimits { files_max, ..DiffLimits::default() };
        Ok(parse::Parser::new(&raw, limits).ok_or_else(|| Error::answer(NAME, &raw))?.finish())
    }

    /// What changed in some paths alone, a renamed file being named by both of its paths; no path: in all.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed; a difference over the limits is no error.
    pub async fn diff_of(&self, base: &CommitId, head: &CommitId, paths: &[&str], limits: DiffLimits) -> Result<Diff> {
        let (base, head) = (checked_id(base.as_str())?, checked_id(head.as_str())?);
        // Every call takes its paths literally.
        let behind: Vec<&str> = std::iter::once("--").chain(paths.iter().copied()).collect();
        let listing = self.call(NAME).args(LISTING).args([base, head]).args(&behind);
        // Both start at once; the patch waits in its pipe until the list has been read.
        let patch = self.patch_call([base, head]).args(&behind).start()?;
        let raw = listing.output().await?;
        let mut parser = parse::Parser::new(&raw, limits).ok_or_else(|| Error::answer(NAME, &raw))?;
        let late = |_| Error::TimedOut { command: NAME, limit: CALL_TIME_MAX };
        let whole = read_patch(patch, &mut parser, limits.patch_bytes_max);
        tokio::time::timeout(CALL_TIME_MAX, whole).await.map_err(late)??;
        Ok(parser.finish())
    }

    fn patch_call(&self, commits: [&str; 2]) -> Call {
        let call = self.call(NAME).args(["-r", "--patch", "-M", "--no-ext-diff", "--no-textconv", "--no-color"]);
        call.args(["--src-prefix=a/", "--dst-prefix=b/", "--unified=3"]).args(commits)
    }

    /// The paths that differ between two commits, a renamed file by both its paths, in path order.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn changed_files(&self, base: &CommitId, head: &CommitId) -> Result<Vec<String>> {
        let (base, head) = (checked_id(base.as_str())?, checked_id(head.as_str())?);
        let call = self.call(NAME).args(["-r", "-z", "--name-only", "--no-renames", base, head]);
        let output = call.output().await?;
        let paths = output.split(|&b| b == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }
}

/// Feeds the patch to the parser until it has enough; dropping the child ends it.
async fn read_patch(mut process: Process, parser: &mut parse::Parser, bytes_max: u64) -> Result<()> {
    let (stdin, stdout, stderr) = process.pipes()?;
    drop(stdin);
    let complaint = tokio::spawn(read_head(stderr));
    let mut stdout = BufReader::with_capacity(BUFFER_BYTES, stdout);
    let mut read: u64 = 0;
    loop {
        let bytes = stdout.fill_buf().await.map_err(Error::io("read from `git diff-tree`"))?;
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        read += length as u64;
        if read > bytes_max {
            parser.cut();
            return Ok(());
        }
        if !parser.feed(bytes) {
            return Ok(());
        }
        stdout.consume(length);
    }
    if process.wait().await?.success() {
        parser.end();
        return Ok(());
    }
    Err(Error::Failed { command: NAME, message: complaint.await.unwrap_or_default().trim().to_owned() })
}
