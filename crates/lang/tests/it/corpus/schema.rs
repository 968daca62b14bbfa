//! Fixtures of the official schema: each root key alone, as GitLab's own test does.

use std::path::{Path, PathBuf};

use serin_lang::{Diagnostic, Severity, SourceFile, check_fragment, fragments};

use super::Tally;

/// Fixtures whose root keys each hold a whole document.
const WRAPPED: [&str; 4] = [
    "workflow/auto_cancel/on_job_failure.yml",
    "workflow/auto_cancel/on_new_commit.yml",
    "negative_tests/job_inputs.yml",
    "negative_tests/spec_inputs.yml",
];

pub fn walk(set: &Path) -> Vec<(String, Tally)> {
    let mut sets = Vec::new();
    for (label, folder, positive) in [
        ("schema/yaml positive", "yaml_tests/positive_tests", true),
        ("schema/yaml negative", "yaml_tests/negative_tests", false),
        ("schema/json positive", "json_tests/positive_tests", true),
        ("schema/json negative", "json_tests/negative_tests", false),
    ] {
        let mut tally = Tally::default();
        let mut found = Vec::new();
        files(&set.join(folder), &mut found);
        found.sort();
        for path in found {
            let name = path.strip_prefix(set).unwrap_or(&path).to_string_lossy().into_owned();
            let outcome = if positive { accepted(&path, &name, &mut tally) } else { refused(&path, &name, &mut tally) };
            tally.note(&name, outcome);
        }
        sets.push((label.to_owned(), tally));
    }
    sets
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn read(path: &Path, name: &str) -> SourceFile {
    SourceFile::new(name, std::fs::read(path).unwrap())
}

/// What is found in each root key, by its name; of a wrapped file, in the document that the key holds.
fn blobs(file: &SourceFile, name: &str) -> Vec<(String, Vec<Diagnostic>)> {
    let wrapped = WRAPPED.iter().any(|end| name.ends_with(end)) && !name.contains("workflow/rules/");
    let mut blobs = Vec::new();
    for (key, inner) in fragments(file) {
        let found = if wrapped { inner } else { of_key(file, &key) };
        blobs.push((key, found));
    }
    blobs
}

/// The findings between a root key and the next.
fn of_key(file: &SourceFile, key: &str) -> Vec<Diagnostic> {
    serin_lang::check_key(file, key)
}

fn accepted(path: &Path, name: &str, tally: &mut Tally) -> Result<(), String> {
    let file = read(path, name);
    let broken: Vec<String> = check_fragment(&file)
        .iter()
        .filter(|found| found.severity == Severity::Error && found.message.contains("YAML"))
        .map(|found| found.message.clone())
        .collect();
    if !broken.is_empty() {
        return Err(broken.join(" | "));
    }
    for (key, found) in blobs(&file, name) {
        if let Some(error) = found.iter().find(|found| found.severity == Severity::Error) {
            // The schema takes any text for an expression; GitLab itself refuses this one, whatever the fixture says.
            if error.message.contains("invalid expression syntax") {
                tally.remarks.push(format!("refused as by GitLab: {name}, line {}: {}", error.line, error.message));
                continue;
            }
            return Err(format!("`{key}`, line {}: {}", error.line, error.message));
        }
    }
    Ok(())
}

fn refused(path: &Path, name: &str, tally: &mut Tally) -> Result<(), String> {
    let file = read(path, name);
    let mut silent = Vec::new();
    for (key, found) in blobs(&file, name) {
        // A wrapper that holds nothing wrong is still no job.
        let found = if found.is_empty() { of_key(&file, &key) } else { found };
        match found.iter().find(|found| found.severity == Severity::Error).or(found.first()) {
            None => silent.push(key),
            Some(first) if first.severity == Severity::Warning => {
                tally.remarks.push(format!("warned only: {name}, line {}: {}", first.line, first.message));
            }
            Some(_) => {}
        }
    }
    if silent.is_empty() { Ok(()) } else { Err(format!("nothing is said about {silent:?}")) }
}
