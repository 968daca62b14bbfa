//! Random edits of a real repository, this one: what was there before is not called new.

use std::collections::BTreeMap;
use std::path::Path;

use serin_quality::compare::{Renames, findings};
use serin_quality::fingerprint::trace;
use serin_quality::{Finding, Location, Traced, TreePath};

const EDITS: u64 = 200;
const FINDINGS: usize = 500;

/// A generator that gives the same numbers every time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// A line with the number of the finding on it.
type Line = (String, Option<usize>);
type Tree = BTreeMap<String, Vec<Line>>;

fn sources(folder: &Path, found: &mut Tree, root: &Path) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found, root);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, text.lines().map(|line| (line.to_owned(), None)).collect());
        }
    }
}

/// Puts findings on lines that have text, as a check would: also on lines that stand in many places.
fn place_findings(tree: &mut Tree, dice: &mut Dice) {
    let names: Vec<String> = tree.keys().cloned().collect();
    let mut placed = 0;
    while placed < FINDINGS {
        let lines = tree.get_mut(&names[dice.below(names.len())]).unwrap();
        let at = dice.below(lines.len());
        let (text, finding) = &mut lines[at];
        if !text.trim().is_empty() && finding.is_none() {
            *finding = Some(placed);
            placed += 1;
        }
    }
}

fn check(tree: &Tree) -> (Vec<Traced>, Vec<usize>) {
    let (mut found, mut numbers) = (Vec::new(), Vec::new());
    for (path, lines) in tree {
        for (at, (_, number)) in lines.iter().enumerate() {
            let Some(number) = number else { continue };
            let line = i64::try_from(at + 1).unwrap();
            let mut finding = Finding::new("check", &format!("rule{}", number % 12), "this is not as it should be");
            finding.location = Some(Location::new(TreePath::parse(path).unwrap(), (Some(line), None), None));
            found.push(finding);
            numbers.push(*number);
        }
    }
    let text = |path: &TreePath| {
        let lines = tree.get(path.as_str())?;
        Some(lines.iter().map(|(text, _)| format!("{text}\n")).collect())
    };
    (trace(found, text), numbers)
}

/// One change of up to eight edits. Gives the renames that Git would find.
fn edit(tree: &mut Tree, dice: &mut Dice) -> Renames {
    let mut renames = Renames::new();
    for number in 0..=dice.below(8) {
        let names: Vec<String> = tree.keys().cloned().collect();
        let name = names[dice.below(names.len())].clone();
        let lines = tree.get_mut(&name).unwrap();
        let at = dice.below(lines.len());
        match dice.below(7) {
            0 => {
                let new = (0..=dice.below(30)).map(|line| (format!("    let inserted_{number}_{line} = {at};"), None));
                lines.splice(at..at, new.collect::<Vec<_>>());
            }
            1 => {
                let end = (at + dice.below(20)).min(lines.len());
                lines.drain(at..end);
            }
            2 => {
                let end = (at + dice.below(40)).min(lines.len());
                let moved: Vec<Line> = lines.drain(at..end).collect();
                let to = dice.below(lines.len());
                lines.splice(to..to, moved);
            }
            3 => {
                let end = (at + dice.below(40)).min(lines.len());
                lines[at..end].iter_mut().for_each(|(text, _)| text.insert_str(0, "        "));
            }
            4 => {
                let moved = tree.remove(&name).unwrap();
                let new = format!("moved/{number}/{name}");
                let (new_path, old) = (TreePath::parse(&new).unwrap(), TreePath::parse(&name).unwrap());
                let first = renames.remove(&old).unwrap_or(old);
                renames.insert(new_path, first);
                tree.insert(new, moved);
            }
            5 => lines[at].0.push_str(" // edited"),
            _ => {
                let end = (at + dice.below(40)).min(lines.len());
                let moved: Vec<Line> = lines.drain(at..end).collect();
                let other = names[dice.below(names.len())].clone();
                tree.entry(other).or_default().extend(moved);
            }
        }
        if tree.get(&name).is_some_and(Vec::is_empty) {
            tree.remove(&name);
        }
    }
    renames
}

#[test]
fn two_hundred_random_edits_call_next_to_nothing_new() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tree = Tree::new();
    for name in ["engine", "git", "judge", "lang", "model", "objects", "rollout"] {
        sources(&root.join(name).join("src"), &mut tree, root);
    }
    let mut dice = Dice(42);
    place_findings(&mut tree, &mut dice);
    let (base, before) = check(&tree);
    assert_eq!(before.len(), FINDINGS);
    let (mut kept, mut wrong) = (0, 0);
    for seed in 0..EDITS {
        let mut after = tree.clone();
        let renames = edit(&mut after, &mut Dice(seed + 1_000));
        let (head, numbers) = check(&after);
        let change = findings(&base, &head, &renames);
        kept += numbers.len();
        wrong += change.new.len();
    }
    assert!(kept > 90_000, "{kept} findings kept");
    println!("{wrong} of {kept} called new");
    assert!(wrong * 100 < kept, "{wrong} of {kept} findings called new");
}
