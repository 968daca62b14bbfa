//! Findings: new, fixed, remaining.

use std::collections::{BTreeMap, VecDeque};

use crate::coverage::ChangedLines;
use crate::fingerprint::Traced;
use crate::place::TreePath;

/// Renamed files: the path after the change, and the one before.
pub type Renames = BTreeMap<TreePath, TreePath>;

/// What a change does to findings; the numbers are indices into the lists that were compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingChange {
    /// Findings of the change that were not there before.
    pub new: Vec<usize>,
    /// Findings that were there before: after, before.
    pub remaining: Vec<(usize, usize)>,
    /// Findings that are gone, by their number before.
    pub fixed: Vec<usize>,
}

/// How closely a finding after the change must be like one before it, from the surest to the loosest.
#[derive(Clone, Copy)]
enum Likeness {
    /// Same file, line, surroundings and message.
    Same,
    /// Same file and line.
    Line,
    /// Same line and surroundings in any file: moved code.
    Moved,
    /// Same line in any file.
    Copied,
    /// Same file and surroundings: the line itself was edited.
    Edited,
}

const STEPS: [Likeness; 5] = [Likeness::Same, Likeness::Line, Likeness::Moved, Likeness::Copied, Likeness::Edited];

/// What must be equal: path, print, further print, message.
type Key<'a> = (Option<&'a TreePath>, [u8; 16], [u8; 16], &'a str);

fn key<'a>(likeness: Likeness, traced: &'a Traced, path: Option<&'a TreePath>) -> Key<'a> {
    const ANY: [u8; 16] = [0; 16];
    let (content, around) = (traced.content.0, traced.surroundings.0);
    match likeness {
        Likeness::Same => (path, content, around, traced.finding.message.as_str()),
        Likeness::Line => (path, content, ANY, ""),
        Likeness::Moved => (None, content, around, ""),
        Likeness::Copied => (None, content, ANY, ""),
        Likeness::Edited => (path, ANY, around, ""),
    }
}

/// Compares the findings of a change with those of its merge base.
#[must_use]
pub fn findings(base: &[Traced], head: &[Traced], renames: &Renames) -> FindingChange {
    let path_of = |traced: &Traced| traced.finding.location.as_ref().map(|at| at.path.clone());
    let base_paths: Vec<Option<TreePath>> = base.iter().map(path_of).collect();
    let head_paths: Vec<Option<TreePath>> =
        head.iter().map(|traced| path_of(traced).map(|path| renames.get(&path).cloned().unwrap_or(path))).collect();
    let mut left_base: Vec<usize> = in_order(base);
    let mut left_head: Vec<usize> = in_order(head);
    let mut remaining = Vec::new();
    for likeness in STEPS {
        let mut open: BTreeMap<Key<'_>, VecDeque<usize>> = BTreeMap::new();
        for index in &left_base {
            let at = key(likeness, &base[*index], base_paths[*index].as_ref());
            open.entry(at).or_default().push_back(*index);
        }
        let mut taken = vec![false; base.len()];
        left_head.retain(|index| {
            let at = key(likeness, &head[*index], head_paths[*index].as_ref());
            let Some(before) = open.get_mut(&at).and_then(VecDeque::pop_front) else { return true };
            taken[before] = true;
            remaining.push((*index, before));
            false
        });
        left_base.retain(|index| !taken[*index]);
    }
    remaining.sort_unstable();
    left_head.sort_unstable();
    left_base.sort_unstable();
    FindingChange { new: left_head, remaining, fixed: left_base }
}

/// Indices in order of place, so that of equal findings the first is matched with the first.
fn in_order(findings: &[Traced]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by_key(|index| {
        let at = findings[*index].finding.location.as_ref();
        (at.map(|at| (&at.path, at.line, at.column)), *index)
    });
    order
}

/// What counts as new where the merge base has no report: findings on the lines that the change touches.
#[must_use]
pub fn findings_without_base(head: &[Traced], changed: &ChangedLines) -> FindingChange {
    let touched = |traced: &Traced| {
        let at = traced.finding.location.as_ref()?;
        let ranges = changed.get(&at.path)?;
        let lines = at.line.max(1)..=at.end_line.max(at.line).max(1);
        let overlaps =
            |range: &std::ops::RangeInclusive<u32>| range.start() <= lines.end() && lines.start() <= range.end();
        ranges.iter().any(overlaps).then_some(())
    };
    let new = (0..head.len()).filter(|index| touched(&head[*index]).is_some()).collect();
    FindingChange { new, ..FindingChange::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Location};
    use crate::fingerprint::trace;

    /// Finds every line with `bad`, rule by the word after it.
    fn check(files: &[(&str, &str)]) -> Vec<Traced> {
        let mut found = Vec::new();
        for (path, text) in files {
            for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains("bad")) {
                let mut finding = Finding::new("check", "bad", &format!("bad line {line}"));
                let line = i64::try_from(number + 1).unwrap();
                finding.location = Some(Location::new(TreePath::parse(path).unwrap(), (Some(line), None), None));
                found.push(finding);
            }
        }
        trace(found, |path| files.iter().find(|(name, _)| *name == path.as_str()).map(|(_, text)| (*text).to_owned()))
    }

    fn counts(change: &FindingChange) -> (usize, usize, usize) {
        (change.new.len(), change.fixed.len(), change.remaining.len())
    }

    #[test]
    fn moved_renamed_fixed_and_added_are_told_apart() {
        let base = check(&[
            ("a.rs", "fn a() {\n bad one\n}\nfn b() {\n bad two\n bad three\n}\n"),
            ("old.rs", "top\nbad four\nend\n"),
        ]);
        // Code moved down, a file renamed, two and three fixed, five added.
        let head = check(&[
            ("a.rs", "fn b() {\n good\n}\nfn c() {\n bad five\n}\nfn a() {\n    bad one\n}\n"),
            ("new.rs", "// licence\ntop\nbad four\nend\n"),
        ]);
        let renames = Renames::from([(TreePath::parse("new.rs").unwrap(), TreePath::parse("old.rs").unwrap())]);
        for renames in [renames, Renames::new()] {
            let change = findings(&base, &head, &renames);
            assert_eq!(counts(&change), (1, 2, 2), "{change:?}");
            assert_eq!(head[change.new[0]].finding.message, "bad line bad five");
        }
    }

    #[test]
    fn one_more_of_the_same_is_one_new() {
        let base = check(&[("a", "bad x\nbad x\n"), ("b", "bad x\n")]);
        let head = check(&[("a", "bad x\nbad x\nbad x\n"), ("b", "bad x\n")]);
        let change = findings(&base, &head, &Renames::new());
        assert_eq!(counts(&change), (1, 0, 3));
        let new = head[change.new[0]].finding.location.as_ref().unwrap();
        assert_eq!(new.path.as_str(), "a");
        assert_eq!(counts(&findings(&head, &head, &Renames::new())), (0, 0, 4));
        assert_eq!(counts(&findings(&[], &head, &Renames::new())), (4, 0, 0));
        assert_eq!(counts(&findings(&head, &[], &Renames::new())), (0, 4, 0));
    }

    #[test]
    fn without_a_base_the_touched_lines_count() {
        let head = check(&[("a", "bad 1\nbad 2\nbad 3\n"), ("b", "bad 1\n")]);
        let changed = ChangedLines::from([(TreePath::parse("a").unwrap(), vec![2..=2, 9..=9])]);
        assert_eq!(findings_without_base(&head, &changed).new, [1]);
    }
}
