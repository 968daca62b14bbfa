//! Walks the `run` parts of the reference corpus, and of the project's own cases in the same layout, with `serin run`.

mod expectation;
mod scenario;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// Cases at the same time.
const WALKERS: usize = 4;

/// What a set came to.
#[derive(Default)]
struct Tally {
    held: usize,
    uncertain: Vec<String>,
    failed: Vec<String>,
}

struct Case {
    folder: PathBuf,
    expect: Value,
}

impl Case {
    fn read(folder: PathBuf) -> Option<Self> {
        let bytes = std::fs::read(folder.join("expect.json")).ok()?;
        let expect: Value = serde_json::from_slice(&bytes).unwrap();
        let runs = expect["scenarios"].as_array()?.iter().any(|scenario| scenario["run"].is_object());
        runs.then_some(Self { folder, expect })
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn is_uncertain(&self) -> bool {
        self.expect.get("uncertain").is_some_and(|value| *value != false && !value.is_null())
    }

    fn check(&self) -> Result<(), String> {
        let entry = self.expect["entry"].as_str().unwrap_or(".gitlab-ci.yml");
        for scenario in self.expect["scenarios"].as_array().into_iter().flatten() {
            if scenario["run"].is_object() {
                let name = scenario["name"].as_str().unwrap_or_default();
                scenario::check(&self.folder, entry, scenario).map_err(|why| format!("[{name}] {why}"))?;
            }
        }
        Ok(())
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn walk(part: &Path) -> Tally {
    let cases: Vec<Case> = folders(part).into_iter().filter_map(Case::read).collect();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..WALKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = case.check();
                    let mut tally = tally.lock().unwrap();
                    match outcome {
                        Ok(()) => tally.held += 1,
                        Err(why) if case.is_uncertain() => tally.uncertain.push(format!("{}: {why}", case.name())),
                        Err(why) => tally.failed.push(format!("{}: {why}", case.name())),
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

/// Walks every set of a corpus, prints what each came to, and returns the failures.
fn walk_all(root: &Path) -> Vec<String> {
    let mut failed = Vec::new();
    for set in folders(root) {
        for part in folders(&set) {
            let tally = walk(&part);
            let total = tally.held + tally.failed.len() + tally.uncertain.len();
            if total == 0 {
                continue;
            }
            let label = format!("{}/{}", name(&set), name(&part));
            println!("{label} (run): {} of {total} hold", tally.held);
            tally.failed.iter().for_each(|why| println!("  FAILS {why}"));
            tally.uncertain.iter().for_each(|why| println!("  uncertain {why}"));
            failed.extend(tally.failed.into_iter().map(|why| format!("{label}: {why}")));
        }
    }
    failed
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[test]
fn own_runs_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lang/tests/data");
    assert_eq!(walk_all(&root), Vec::<String>::new());
}

#[test]
fn corpus_runs_hold() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("SERIN_CORPUS").map_or_else(|| workspace.join("../shared/corpus"), PathBuf::from);
    if !root.is_dir() {
        println!("no corpus at {} (SERIN_CORPUS)", root.display());
        return;
    }
    assert_eq!(walk_all(&root), Vec::<String>::new());
}
