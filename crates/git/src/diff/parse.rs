//! Reads `git diff-tree`: first the raw list, then the patch in the same order.
//!
//! Paths are taken from the raw list alone, where NULs end them; the patch's own headers, which quote paths, are only
//! counted. Inside a hunk every line begins with a blank, `+`, `-` or `\`, so content cannot pose as a header.

use std::mem;

use super::{Diff, DiffLimits, FileDiff, FileStatus, Hunk, Line, LineKind};

pub(super) struct Parser {
    diff: Diff,
    limits: DiffLimits,
    /// How many patches are still to come for the file at `at`; a change of type has two.
    parts_left: usize,
    at: Option<usize>,
    place: Option<Place>,
    line: Vec<u8>,
    kept_lines: usize,
}

/// Where in a hunk the next line belongs.
struct Place {
    old: usize,
    new: usize,
    old_left: usize,
    new_left: usize,
}

impl Parser {
    /// Reads the raw list; `None` where it is malformed.
    pub(super) fn new(raw: &[u8], limits: DiffLimits) -> Option<Self> {
        let mut diff = Diff::default();
        let mut fields = raw.split(|&b| b == 0).filter(|field| !field.is_empty());
        while let Some(field) = fields.next() {
            let file = raw_file(field, &mut fields)?;
            if diff.files.len() < limits.files_max {
                diff.files.push(file);
            } else {
                diff.more_files = true;
            }
        }
        Some(Self { diff, limits, parts_left: 0, at: None, place: None, line: Vec::new(), kept_lines: 0 })
    }

    /// Takes the next bytes of the patch; `false` once every listed file has been read.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.extend(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = mem::take(&mut self.line);
            if !self.take(&line) {
                return false;
            }
            self.line = line;
            self.line.clear();
        }
        self.extend(bytes);
        true
    }

    /// Takes a last line without a newline.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            let line = mem::take(&mut self.line);
            self.take(&line);
        }
    }

    /// Marks what has not been read as cut off.
    pub(super) fn cut(&mut self) {
        let first = self.at.unwrap_or(0);
        for file in self.diff.files.iter_mut().skip(first) {
            file.too_large = true;
            file.misses_lines = true;
        }
    }

    pub(super) fn finish(self) -> Diff {
        self.diff
    }

    /// Keeps at most a line's limit, its mark included.
    fn extend(&mut self, bytes: &[u8]) {
        const HEADER_BYTES_MAX: usize = 1024;
        let room = self.limits.line_bytes_max.max(HEADER_BYTES_MAX) + 1;
        let take = room.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..take]);
    }

    fn take(&mut self, line: &[u8]) -> bool {
        if self.place.is_some() && self.take_content(line) {
            return true;
        }
        if line.starts_with(b"diff --git ") {
            return self.next_file();
        }
        if let Some(hunk) = line.strip_prefix(b"@@ ") {
            self.open_hunk(hunk);
        } else if line.starts_with(b"Binary files ")
            && let Some(file) = self.file()
        {
            file.binary = true;
        }
        true
    }

    fn next_file(&mut self) -> bool {
        self.place = None;
        if self.parts_left > 0 {
            self.parts_left -= 1;
            return true;
        }
        let next = self.at.map_or(0, |at| at + 1);
        let Some(file) = self.diff.files.get(next) else { return false };
        self.parts_left = usize::from(file.status == FileStatus::TypeChanged);
        self.kept_lines = 0;
        self.at = Some(next);
        true
    }

    fn file(&mut self) -> Option<&mut FileDiff> {
        self.diff.files.get_mut(self.at?)
    }

    /// Reads `-3,4 +5,6 @@ context`.
    fn open_hunk(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        let Some((ranges, context)) = text.split_once(" @@") else { return };
        let mut ranges = ranges.split(' ').map(|range| range_of(range.trim_start_matches(['-', '+'])));
        let (Some(Some((old, old_left))), Some(Some((new, new_left)))) = (ranges.next(), ranges.next()) else { return };
        self.place = Some(Place { old, new, old_left, new_left });
        let full = self.kept_lines >= self.limits.file_lines_max;
        let Some(file) = self.file() else { return };
        if full {
            file.too_large = true;
            file.misses_lines = true;
            return;
        }
        let context = context.trim().to_owned();
        file.hunks.push(Hunk { old_start: old, new_start: new, context, lines: Vec::new() });
    }

    /// Whether the line belongs to the hunk.
    fn take_content(&mut self, line: &[u8]) -> bool {
        let Some(place) = self.place.as_mut() else { return false };
        let kind = match line.first() {
            Some(b'\\') => {
                self.mark_no_newline();
                return true;
            }
            Some(b' ') => LineKind::Context,
            Some(b'+') => LineKind::Added,
            Some(b'-') => LineKind::Removed,
            _ => return false,
        };
        let Some((old, new)) = place.advance(kind) else { return false };
        self.push(kind, old, new, &line[1..]);
        true
    }

    fn push(&mut self, kind: LineKind, old: Option<usize>, new: Option<usize>, text: &[u8]) {
        let full = self.kept_lines >= self.limits.file_lines_max;
        let cut = text.len().min(self.limits.line_bytes_max);
        let Some(file) = self.file() else { return };
        match kind {
            LineKind::Added => file.added += 1,
            LineKind::Removed => file.removed += 1,
            LineKind::Context => {}
        }
        if full {
            file.too_large = true;
            file.misses_lines = true;
            return;
        }
        file.too_large |= cut < text.len();
        let text = String::from_utf8_lossy(&text[..cut]).into_owned();
        if let Some(hunk) = file.hunks.last_mut() {
            hunk.lines.push(Line { kind, old, new, text, no_newline: false });
        }
        self.kept_lines += 1;
    }

    fn mark_no_newline(&mut self) {
        let last = self.file().filter(|file| !file.too_large).and_then(|file| file.hunks.last_mut());
        if let Some(line) = last.and_then(|hunk| hunk.lines.last_mut()) {
            line.no_newline = true;
        }
    }
}

impl Place {
    /// The line's numbers; `None` where the hunk is already full.
    fn advance(&mut self, kind: LineKind) -> Option<(Option<usize>, Option<usize>)> {
        let (old, new) = (kind != LineKind::Added, kind != LineKind::Removed);
        if (old && self.old_left == 0) || (new && self.new_left == 0) {
            return None;
        }
        let numbers = (old.then_some(self.old), new.then_some(self.new));
        self.old += usize::from(old);
        self.old_left -= usize::from(old);
        self.new += usize::from(new);
        self.new_left -= usize::from(new);
        Some(numbers)
    }
}

fn range_of(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, length)) => Some((start.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

/// Reads `:mode mode id id status` and the one or two paths behind it.
fn raw_file<'a>(field: &[u8], paths: &mut impl Iterator<Item = &'a [u8]>) -> Option<FileDiff> {
    let text = std::str::from_utf8(field.strip_prefix(b":")?).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let &[old_mode, new_mode, _, _, status] = words.as_slice() else { return None };
    let (status, pair) = match status.as_bytes().first()? {
        b'A' => (FileStatus::Added, false),
        b'D' => (FileStatus::Deleted, false),
        b'M' => (FileStatus::Modified, false),
        b'T' => (FileStatus::TypeChanged, false),
        b'R' => (FileStatus::Renamed, true),
        _ => return None,
    };
    let old_path = String::from_utf8_lossy(paths.next()?).into_owned();
    let new_path = if pair { String::from_utf8_lossy(paths.next()?).into_owned() } else { old_path.clone() };
    Some(FileDiff {
        old_path,
        new_path,
        status,
        old_mode: old_mode.to_owned(),
        new_mode: new_mode.to_owned(),
        binary: false,
        hunks: Vec::new(),
        too_large: false,
        misses_lines: false,
        added: 0,
        removed: 0,
    })
}
