//! A difference as a page shows it.

use serin_git::{Diff, FileDiff, FileStatus, LineKind, Repository};
use serin_model::CommitId;
use serin_server::error::Result;
use serin_store::merge_request::MergeRequest;

use crate::text::Text;

/// Lines of a file that is shown unfolded.
const OPEN_LINES_MAX: usize = 400;
/// Lines of all files that are shown unfolded.
const OPEN_LINES_TOTAL_MAX: usize = 3_000;

/// A file of a difference.
pub(crate) struct FileView {
    pub(crate) anchor: String,
    pub(crate) path: String,
    pub(crate) old_path: Option<String>,
    pub(crate) word: &'static str,
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) binary: bool,
    pub(crate) cut: bool,
    pub(crate) open: bool,
    pub(crate) hunks: Vec<HunkView>,
}

/// A changed place.
pub(crate) struct HunkView {
    pub(crate) old_start: usize,
    pub(crate) new_start: usize,
    pub(crate) context: String,
    pub(crate) lines: Vec<LineView>,
}

/// A line.
pub(crate) struct LineView {
    pub(crate) class: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) text: String,
}

/// The commits between which a merge request's changes lie.
///
/// # Errors
/// Where the repository fails.
pub(crate) async fn ends(git: &Repository, request: &MergeRequest) -> Result<(CommitId, CommitId)> {
    let head = CommitId(request.head_commit.clone());
    let merged = request.merge_commit.as_ref().filter(|_| request.state == "merged");
    let before = match merged {
        Some(merged) => git.commit(&CommitId(merged.clone())).await?.parents.into_iter().next(),
        None => None,
    };
    let target = before.unwrap_or_else(|| CommitId(request.target_commit.clone()));
    let base = git.merge_base(&target, &head).await?;
    Ok((base.unwrap_or(target), head))
}

/// The files of a difference.
pub(crate) fn views(diff: Diff, t: &'static Text) -> Vec<FileView> {
    let mut unfolded = 0;
    let files = diff.files.into_iter().enumerate().map(|(index, file)| {
        let lines = file.hunks.iter().map(|hunk| hunk.lines.len()).sum::<usize>();
        let open = lines <= OPEN_LINES_MAX && unfolded + lines <= OPEN_LINES_TOTAL_MAX;
        unfolded += if open { lines } else { 0 };
        view(file, (index, open), t)
    });
    files.collect()
}

fn view(file: FileDiff, (index, open): (usize, bool), t: &'static Text) -> FileView {
    let word = match file.status {
        FileStatus::Added => t.changes_added,
        FileStatus::Deleted => t.changes_deleted,
        FileStatus::Modified => t.changes_modified,
        FileStatus::Renamed => t.changes_renamed,
        FileStatus::TypeChanged => t.changes_type,
    };
    let path = if file.status == FileStatus::Deleted { file.old_path.clone() } else { file.new_path };
    let hunks = file.hunks.into_iter().map(|hunk| HunkView {
        old_start: hunk.old_start,
        new_start: hunk.new_start,
        context: hunk.context,
        lines: hunk.lines.into_iter().map(line).collect(),
    });
    FileView {
        anchor: format!("file-{index}"),
        old_path: (file.status == FileStatus::Renamed).then_some(file.old_path),
        path,
        word,
        added: file.added,
        removed: file.removed,
        binary: file.binary,
        cut: file.too_large,
        open,
        hunks: hunks.collect(),
    }
}

fn line(line: serin_git::Line) -> LineView {
    let (class, sign) = match line.kind {
        LineKind::Context => ("same", ""),
        LineKind::Added => ("add", "+"),
        LineKind::Removed => ("del", "−"),
    };
    let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = if line.no_newline { format!("{}⏎̸", line.text) } else { line.text };
    LineView { class, sign, old: number(line.old), new: number(line.new), text }
}
