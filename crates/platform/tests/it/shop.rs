//! The example service and its two changes: what the demo relies on.

use crate::world::{World, get, is_healthy, poll, spec, wait};
use serin_platform::{NodeSpec, Observation, Platform};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REQUESTS: u64 = 300;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A working copy of the shop with these changes applied.
fn copy(changes: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_files(&examples().join("shop"), dir.path());
    run(Command::new("git").args(["init", "--quiet"]).current_dir(dir.path()));
    for change in changes {
        let patch = examples().join("shop-changes").join(change);
        for check in [&["apply", "--check"][..], &["apply"]] {
            run(Command::new("git").args(check).arg(&patch).current_dir(dir.path()));
        }
    }
    dir
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if !entry.file_type().unwrap().is_dir() {
            fs::copy(source, target).unwrap();
        } else if entry.file_name() != "target" {
            copy_files(&source, &target);
        }
    }
}

/// Builds the shop and runs it as a node, its integration tests and some traffic against it.
async fn under_traffic(changes: &[&str]) -> (Observation, Observation) {
    let dir = copy(changes);
    let cargo = ["build", "--release", "--locked", "--offline", "--target-dir", "target"];
    run(Command::new(env!("CARGO")).args(cargo).current_dir(dir.path()).env_remove("CARGO_TARGET_DIR"));
    let world = World::new();
    let command = vec!["./target/release/shop".to_owned()];
    let node = NodeSpec { release_dir: dir.path().to_owned(), command, ..spec("ok", 1) };
    world.platform.apply(&node).await.unwrap();
    let before = wait(&world.platform, "a-1", is_healthy).await;
    let url = format!("http://{}", before.address.unwrap());
    run(Command::new(dir.path().join("target/release/shop-check")).env("SERIN_TARGET_URLS", url));
    for number in 0..REQUESTS {
        assert!(get(before.address, &format!("/api/products/{}", number % 240 + 1)).await.contains("\"price\""));
    }
    let after = poll(&world.platform, "a-1", |seen| seen.usage.log_lines >= REQUESTS).await;
    (before, after)
}

#[test]
fn both_changes_apply_one_after_the_other_and_alone() {
    copy(&["good.patch", "bad.patch"]);
    copy(&["bad.patch"]);
}

#[tokio::test]
async fn the_shop_runs_and_stays_small() {
    let (before, after) = under_traffic(&["good.patch"]).await;
    let growth = after.usage.memory_private_bytes.saturating_sub(before.usage.memory_private_bytes);
    assert!(growth < 1024 * 1024, "{growth} bytes");
    assert_eq!((after.usage.log_error, after.restarts), (0, 0));
    assert!(after.usage.log_warn > 0, "the integration tests ask for what there is not");
}

#[tokio::test]
async fn the_bad_change_leaks_and_complains() {
    let (before, after) = under_traffic(&["good.patch", "bad.patch"]).await;
    let growth = after.usage.memory_private_bytes.saturating_sub(before.usage.memory_private_bytes);
    assert!(growth > REQUESTS * 4 * 1024, "{growth} bytes");
    assert!(after.usage.log_error > REQUESTS / 10, "{after:?}");
}
