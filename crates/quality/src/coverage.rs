//! Which lines tests ran.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::finding::LINE_MAX;
use crate::place::TreePath;

/// Lines in one piece of a file's record.
const PIECE_LINES: u32 = 64;
/// Pieces of one coverage together: 128 million lines, about 80 MB.
pub const PIECES_MAX: usize = 2_000_000;
/// Files of one coverage.
pub const FILES_MAX: usize = 200_000;

/// The lines of every file that could run, and those that did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    files: BTreeMap<TreePath, FileCoverage>,
    pieces: usize,
}

/// The lines of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCoverage {
    pieces: BTreeMap<u32, Piece>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Piece {
    could: u64,
    did: u64,
}

/// What a coverage cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {max} {unit}")]
pub struct Full {
    /// The limit.
    pub max: usize,
    /// What is counted.
    pub unit: &'static str,
}

/// Lines that ran, of lines that could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ratio {
    /// Lines that ran.
    pub covered: u64,
    /// Lines that could.
    pub total: u64,
}

impl Ratio {
    /// The share from 0 to 1; `None` where there is no line.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.total > 0).then(|| self.covered as f64 / self.total as f64)
    }
}

/// The lines that a change adds or rewrites, by file, each range in the file after the change.
pub type ChangedLines = BTreeMap<TreePath, Vec<RangeInclusive<u32>>>;

impl Coverage {
    /// Notes that a line could run, and whether it did; a line is covered if any report says so.
    ///
    /// # Errors
    /// Where the limits are reached.
    pub fn record(&mut self, path: &TreePath, line: u32, ran: bool) -> Result<(), Full> {
        self.file(path)?;
        let Some(file) = self.files.get_mut(path) else { return Ok(()) };
        self.pieces += file.record(line, ran);
        Self::bounded(self.pieces)
    }

    fn bounded(pieces: usize) -> Result<(), Full> {
        if pieces > PIECES_MAX { Err(Full { max: PIECES_MAX, unit: "pieces of 64 lines" }) } else { Ok(()) }
    }

    /// Notes that a file is measured, although it may have no line that could run.
    ///
    /// # Errors
    /// Where there are too many files.
    pub fn file(&mut self, path: &TreePath) -> Result<(), Full> {
        if !self.files.contains_key(path) {
            if self.files.len() == FILES_MAX {
                return Err(Full { max: FILES_MAX, unit: "files" });
            }
            self.files.insert(path.clone(), FileCoverage::default());
        }
        Ok(())
    }

    /// Takes the lines of one file over.
    ///
    /// # Errors
    /// Where the limits are reached.
    pub fn add(&mut self, path: &TreePath, lines: &FileCoverage) -> Result<(), Full> {
        self.file(path)?;
        let Some(file) = self.files.get_mut(path) else { return Ok(()) };
        for (index, piece) in &lines.pieces {
            let known = file.pieces.entry(*index).or_insert_with(|| {
                self.pieces += 1;
                Piece::default()
            });
            known.could |= piece.could;
            known.did |= piece.did;
        }
        Self::bounded(self.pieces)
    }

    /// Takes another report's lines over.
    ///
    /// # Errors
    /// Where the limits are reached.
    pub fn merge(&mut self, other: &Self) -> Result<(), Full> {
        other.files.iter().try_for_each(|(path, lines)| self.add(path, lines))
    }

    /// Every measured file.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &FileCoverage)> {
        self.files.iter()
    }

    /// One file.
    #[must_use]
    pub fn of(&self, path: &TreePath) -> Option<&FileCoverage> {
        self.files.get(path)
    }

    /// Whether no file is measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The whole.
    #[must_use]
    pub fn ratio(&self) -> Ratio {
        sum(self.files.values().map(FileCoverage::ratio))
    }

    /// The changed lines that could run.
    #[must_use]
    pub fn changed(&self, lines: &ChangedLines) -> Ratio {
        sum(lines.iter().filter_map(|(path, ranges)| Some(self.files.get(path)?.within(ranges))))
    }
}

fn sum(ratios: impl Iterator<Item = Ratio>) -> Ratio {
    ratios.fold(Ratio::default(), |sum, one| Ratio { covered: sum.covered + one.covered, total: sum.total + one.total })
}

impl FileCoverage {
    /// Notes a line; lines that no file has are left out. Gives the number of new pieces.
    pub fn record(&mut self, line: u32, ran: bool) -> usize {
        if line == 0 || line > LINE_MAX {
            return 0;
        }
        let before = self.pieces.len();
        let piece = self.pieces.entry(line / PIECE_LINES).or_default();
        let bit = 1 << (line % PIECE_LINES);
        piece.could |= bit;
        piece.did |= if ran { bit } else { 0 };
        self.pieces.len() - before
    }

    /// Whether a line ran; `None`: it could not.
    #[must_use]
    pub fn line(&self, line: u32) -> Option<bool> {
        let piece = self.pieces.get(&(line / PIECE_LINES))?;
        let bit = 1 << (line % PIECE_LINES);
        (piece.could & bit != 0).then_some(piece.did & bit != 0)
    }

    /// Every line that could run, in order, and whether it did.
    pub fn lines(&self) -> impl Iterator<Item = (u32, bool)> {
        self.pieces.iter().flat_map(|(index, piece)| {
            (0..PIECE_LINES)
                .filter(|bit| piece.could >> bit & 1 == 1)
                .map(move |bit| (index * PIECE_LINES + bit, piece.did >> bit & 1 == 1))
        })
    }

    /// The whole file.
    #[must_use]
    pub fn ratio(&self) -> Ratio {
        sum(self
            .pieces
            .values()
            .map(|piece| Ratio { covered: piece.did.count_ones().into(), total: piece.could.count_ones().into() }))
    }

    fn within(&self, ranges: &[RangeInclusive<u32>]) -> Ratio {
        sum(self
            .lines()
            .filter(|(line, _)| ranges.iter().any(|range| range.contains(line)))
            .map(|(_, ran)| Ratio { covered: ran.into(), total: 1 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn changed_lines_are_counted_as_by_hand() {
        let mut coverage = Coverage::default();
        // Lines 1, 2, 64, 65, 128 of a could run; 2 and 128 did.
        for (line, ran) in [(1, false), (2, true), (64, false), (65, false), (128, true), (2, false), (0, true)] {
            coverage.record(&path("a"), line, ran).unwrap();
        }
        coverage.record(&path("b"), 9, true).unwrap();
        coverage.record(&path("b"), u32::MAX, true).unwrap();
        assert_eq!(coverage.ratio(), Ratio { covered: 3, total: 6 });
        let changed = ChangedLines::from([(path("a"), vec![2..=64, 128..=300]), (path("c"), vec![1..=5])]);
        assert_eq!(coverage.changed(&changed), Ratio { covered: 2, total: 3 });
        assert_eq!(coverage.of(&path("a")).unwrap().line(64), Some(false));
        assert_eq!(coverage.of(&path("a")).unwrap().line(3), None);
        let mut twice = coverage.clone();
        twice.merge(&coverage).unwrap();
        assert_eq!(twice, coverage);
    }

    #[test]
    fn scattered_lines_reach_a_limit_and_no_more_memory() {
        let mut coverage = Coverage::default();
        let mut result = Ok(());
        for file in 0..100 {
            for piece in 0..60_000 {
                result = result.and(coverage.record(&path(&format!("f{file}")), piece * 64 + 1, true));
            }
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, Err(Full { max: PIECES_MAX, unit: "pieces of 64 lines" }));
    }
}
