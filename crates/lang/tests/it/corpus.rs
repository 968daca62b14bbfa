//! Walks the reference corpus, whatever cases it holds, and the project's own data in the same layout.

mod case;
mod expectation;
mod expression;
mod real;
mod schema;
mod world;

use std::path::{Path, PathBuf};

/// What a set came to.
#[derive(Default)]
pub struct Tally {
    pub held: usize,
    pub uncertain: usize,
    pub failed: Vec<String>,
    pub remarks: Vec<String>,
}

impl Tally {
    pub fn note(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.held += 1,
            Err(why) => self.failed.push(format!("{name}: {why}")),
        }
    }

    fn print(&self, set: &str) {
        let total = self.held + self.uncertain + self.failed.len();
        let uncertain = if self.uncertain > 0 { format!(", {} uncertain", self.uncertain) } else { String::new() };
        println!("{set}: {} of {total} hold{uncertain}", self.held);
        self.failed.iter().for_each(|why| println!("  FAILS {why}"));
        self.remarks.iter().for_each(|remark| println!("  note  {remark}"));
    }
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn outside() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("SERIN_CORPUS").map_or_else(|| workspace.join("../shared/corpus"), PathBuf::from)
}

/// Folders right below a folder, sorted.
pub fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Every set of a corpus that has the layout of cases, expressions, schema fixtures and real files.
fn walk(root: &Path) -> Vec<(String, Tally)> {
    let mut sets = Vec::new();
    for set in folders(root) {
        match name(&set).as_str() {
            "expr" => sets.push(("expr".to_owned(), expression::walk(&set))),
            "schema" => sets.extend(schema::walk(&set)),
            "real" => {
                sets.push(("real".to_owned(), real::walk(&set)));
                sets.push(("real/peer".to_owned(), real::peers(&set)));
            }
            other => {
                for part in folders(&set) {
                    let label = format!("{other}/{}", name(&part));
                    sets.push((label, case::walk(&part)));
                }
            }
        }
    }
    sets
}

#[test]
fn own_data_hold() {
    let sets = walk(&own());
    assert!(sets.iter().any(|(_, tally)| tally.held > 0), "there are no data in {}", own().display());
    for (set, tally) in &sets {
        tally.print(set);
    }
    let failed: Vec<&String> = sets.iter().flat_map(|(_, tally)| &tally.failed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn corpus() {
    let root = outside();
    if !root.is_dir() {
        println!(
            "no corpus at {} (SERIN_CORPUS); the project's own data are walked by `own_data_hold`",
            root.display()
        );
        return;
    }
    for (set, tally) in walk(&root) {
        tally.print(&set);
    }
}
