//! Real projects' files: each compiles, or names exactly the remote thing that it lacks.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use serin_lang::Severity;

use super::world::World;
use super::{Tally, folders, name};

pub fn walk(set: &Path) -> Tally {
    let mut tally = Tally::default();
    for part in folders(set).into_iter().filter(|part| name(part) != "peer") {
        for folder in folders(&part) {
            let entry = ".gitlab-ci.yml";
            let outcome = compile(&folder, entry, set, &mut tally);
            tally.note(&name(&folder), outcome);
        }
    }
    tally
}

fn compile(folder: &Path, entry: &str, set: &Path, tally: &mut Tally) -> Result<(), String> {
    let compiled = World::new(folder, json!({})).compile(entry)?;
    let errors: Vec<_> = compiled.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    if errors.is_empty() {
        return Ok(());
    }
    let lacks =
        errors.iter().all(|found| found.message.contains("cannot be included") && found.message.contains("reachable"));
    if lacks {
        let first = &errors[0].message;
        tally.remarks.push(format!("{}: lacks {} remote files, first: {first}", name(folder), errors.len()));
        return Ok(());
    }
    if let Some(error) = refused_by_peer(&name(folder), set)
        && errors.iter().all(|found| found.message.split('`').skip(1).step_by(2).any(|word| error.contains(word)))
    {
        tally.remarks.push(format!("{}: refused here and there: {error}", name(folder)));
        return Ok(());
    }
    let shown: Vec<String> =
        errors.iter().take(4).map(|found| format!("{}:{}: {}", found.file, found.line, found.message)).collect();
    Err(shown.join(" | "))
}

/// The error of another tool on the same file, where one is recorded.
fn refused_by_peer(folder: &str, set: &Path) -> Option<String> {
    let bytes = std::fs::read(set.join(format!("peer/{folder}.json"))).ok()?;
    let peer: Value = serde_json::from_slice(&bytes).ok()?;
    (peer["ok"] == false).then(|| peer["error"].to_string())
}

/// Projects of which the other tool lists other jobs, and why; docs/gitlab-ci-local.md tells them too.
const DIFFERS: [(&str, &str); 7] = [
    ("Kitware+CMake", "`workflow:rules` want no pipeline, which it does not heed"),
    ("coq+coq", "it does not read `only` and `except`"),
    ("gnutls+libtasn1", "it does not read `only` and `except`"),
    ("haskell+cabal", "`workflow:rules` want no pipeline, which it does not heed"),
    ("libssh+libssh-mirror", "it does not read `only` and `except`"),
    ("pulp-platform+snitch", "it takes `changes` without a known difference for false"),
    ("redox-os+relibc", "`workflow:rules` want no pipeline, which it does not heed"),
];

/// The names that another tool lists for the same files, where they are recorded.
pub fn peers(set: &Path) -> Tally {
    let mut tally = Tally::default();
    for folder in folders(&set.join("given")) {
        let name = name(&folder);
        let Ok(bytes) = std::fs::read(set.join(format!("peer/{name}.json"))) else { continue };
        let peer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let outcome = World::new(&folder, json!({})).compile(".gitlab-ci.yml").and_then(|compiled| {
            let ours: Vec<&str> = compiled.plan.iter().flat_map(|plan| &plan.jobs).map(|job| &*job.name).collect();
            compare(&name, &ours, &peer, &mut tally)
        });
        tally.note(&name, outcome);
    }
    tally
}

fn compare(folder: &str, names: &[&str], peer: &Value, tally: &mut Tally) -> Result<(), String> {
    let jobs = peer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if jobs.is_empty() && peer["ok"] == false {
        tally.remarks.push(format!("{folder}: {} jobs here, refused there: {}", names.len(), peer["error"]));
        return Ok(());
    }
    let plain = |name: &str| name.replace(", ", ",");
    let ours: BTreeSet<String> = names.iter().map(|name| plain(name)).collect();
    let theirs: BTreeSet<String> = jobs.iter().filter_map(|job| job["name"].as_str()).map(plain).collect();
    if ours == theirs {
        return Ok(());
    }
    let only =
        |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).take(4).cloned().collect::<Vec<_>>().join("; ");
    let difference = format!(
        "{} jobs here, {} there; only here: {}; only there: {}",
        ours.len(),
        theirs.len(),
        only(&ours, &theirs),
        only(&theirs, &ours)
    );
    match DIFFERS.iter().find(|(known, _)| *known == folder) {
        Some((_, why)) => {
            tally.remarks.push(format!("{folder}: {difference}: {why}"));
            Ok(())
        }
        None => Err(difference),
    }
}
