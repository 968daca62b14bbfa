//! A difference as a page shows it.

use std::collections::BTreeMap;

use serin_git::{Diff, FileDiff, FileStatus, LineKind, Repository};
use serin_model::CommitId;
use serin_server::error::Result;
use serin_server::quality::FileDetails;
use serin_store::merge_request::MergeRequest;
use serin_wire::quality::Finding;

use crate::mark::{self, Mark};
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
    /// How many new findings it has.
    pub(crate) findings: usize,
    /// How many of its changed lines no test runs.
    pub(crate) untested: u32,
    /// Findings on lines that are not shown.
    pub(crate) further: Vec<NoteView>,
}

/// A finding at its line.
pub(crate) struct NoteView {
    pub(crate) mark: Mark,
    pub(crate) line: u32,
    pub(crate) what: String,
    pub(crate) message: String,
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
    /// Whether a test ran it; `None`: it cannot run, or nothing tells.
    pub(crate) ran: Option<bool>,
    pub(crate) notes: Vec<NoteView>,
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

/// What is known of files' lines, by path after the change.
pub(crate) type Notes = BTreeMap<String, FileDetails>;

/// A file's anchor: the same on every page and after every push.
pub(crate) fn anchor(path: &str) -> String {
    // FNV-1a, 64 bits.
    let hash = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("f{hash:016x}")
}

/// The files of a difference, with what is known of their lines.
pub(crate) fn views(diff: Diff, notes: &Notes, t: &'static Text) -> Vec<FileView> {
    let mut unfolded = 0;
    let nothing = FileDetails::default();
    let files = diff.files.into_iter().map(|file| {
        let lines = file.hunks.iter().map(|hunk| hunk.lines.len()).sum::<usize>();
        let open = lines <= OPEN_LINES_MAX && unfolded + lines <= OPEN_LINES_TOTAL_MAX;
        unfolded += if open { lines } else { 0 };
        let known = notes.get(&file.new_path).filter(|_| file.status != FileStatus::Deleted).unwrap_or(&nothing);
        view(file, (known, open), t)
    });
    files.collect()
}

fn view(file: FileDiff, (known, open): (&FileDetails, bool), t: &'static Text) -> FileView {
    let word = match file.status {
        FileStatus::Added => t.changes_added,
        FileStatus::Deleted => t.changes_deleted,
        FileStatus::Modified => t.changes_modified,
        FileStatus::Renamed => t.changes_renamed,
        FileStatus::TypeChanged => t.changes_type,
    };
    let path = if file.status == FileStatus::Deleted { file.old_path.clone() } else { file.new_path };
    let mut left = by_line(&known.findings);
    let hunks: Vec<HunkView> = file
        .hunks
        .into_iter()
        .map(|hunk| HunkView {
            old_start: hunk.old_start,
            new_start: hunk.new_start,
            context: hunk.context,
            lines: hunk.lines.into_iter().map(|one| line(one, known, &mut left)).collect(),
        })
        .collect();
    FileView {
        anchor: anchor(&path),
        old_path: (file.status == FileStatus::Renamed).then_some(file.old_path),
        path,
        word,
        added: file.added,
        removed: file.removed,
        binary: file.binary,
        cut: file.too_large,
        open,
        hunks,
        findings: known.findings.len(),
        untested: known.missed.iter().map(|(from, to)| to - from + 1).sum(),
        further: left.into_values().flatten().map(note).collect(),
    }
}

fn by_line(findings: &[Finding]) -> BTreeMap<u32, Vec<&Finding>> {
    let mut lines: BTreeMap<u32, Vec<&Finding>> = BTreeMap::new();
    findings.iter().for_each(|finding| lines.entry(finding.line).or_default().push(finding));
    lines
}

fn note(finding: &Finding) -> NoteView {
    NoteView {
        mark: mark::severity(&finding.severity),
        line: finding.line,
        what: format!("{} {}", finding.tool, finding.rule),
        message: finding.message.clone(),
    }
}

fn line(line: serin_git::Line, known: &FileDetails, left: &mut BTreeMap<u32, Vec<&Finding>>) -> LineView {
    let (class, sign) = match line.kind {
        LineKind::Context => ("same", ""),
        LineKind::Added => ("add", "+"),
        LineKind::Removed => ("del", "−"),
    };
    let at = line.new.and_then(|number| u32::try_from(number).ok());
    let within = |ranges: &[(u32, u32)]| {
        let at = at.unwrap_or_default();
        let next = ranges.partition_point(|(from, _)| *from <= at);
        next > 0 && ranges.get(next - 1).is_some_and(|(_, to)| at <= *to)
    };
    let ran = match (within(&known.ran), within(&known.missed)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let notes = at.and_then(|at| left.remove(&at)).unwrap_or_default();
    let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = if line.no_newline { format!("{}⏎̸", line.text) } else { line.text };
    LineView {
        class,
        sign,
        old: number(line.old),
        new: number(line.new),
        text,
        ran,
        notes: notes.into_iter().map(note).collect(),
    }
}
