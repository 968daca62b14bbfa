//! `serin demo` tells its story, with a crash and without, on processes and on containers.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

async fn told(flags: &[&str]) -> Result<Value> {
    let output = tokio::process::Command::new(serin_e2e::server::demo_program()?)
        .args(["demo", "--exit", "--format", "json"])
        .args(flags)
        .env("NO_COLOR", "1")
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).with_context(|| format!("no table:\n{said}"))
}

fn good_change_spoiled_nothing(report: &Value) {
    let good =
        report["requests"].as_array().and_then(|all| all.iter().find(|traffic| traffic["chapter"] == "good change"));
    assert_eq!(good.map(|traffic| &traffic["failed"]), Some(&Value::from(0)), "{report}");
    assert!(report["bad_nodes_max"].as_u64().is_some_and(|nodes| nodes <= 2), "{report}");
}

#[tokio::test]
async fn the_demo_holds() -> Result<()> {
    let report = told(&[]).await?;
    good_change_spoiled_nothing(&report);
    assert_eq!(report["crashed"], false);
    Ok(())
}

#[tokio::test]
async fn the_demo_holds_although_its_server_is_killed() -> Result<()> {
    let report = told(&["--crash"]).await?;
    good_change_spoiled_nothing(&report);
    assert_eq!(report["crashed"], true);
    Ok(())
}

#[tokio::test]
async fn the_demo_holds_on_containers() -> Result<()> {
    let before = node_containers()?;
    let report = told(&["--platform", "docker"]).await?;
    good_change_spoiled_nothing(&report);
    let versions: BTreeSet<&str> =
        report["versions"].as_object().into_iter().flatten().filter_map(|(_, v)| v.as_str()).collect();
    assert_eq!(versions.len(), 1, "{report}");
    assert!(versions.iter().all(|digest| digest.starts_with("sha256:")), "{report}");
    assert!(report["image"].as_str().is_some_and(|image| image.starts_with("sha256:")), "{report}");
    assert_eq!(node_containers()?.difference(&before).count(), 0, "the demo left containers behind");
    Ok(())
}

fn node_containers() -> Result<BTreeSet<String>> {
    let output = std::process::Command::new("docker").args(["ps", "-aq", "--filter", "label=serin.node"]).output()?;
    anyhow::ensure!(output.status.success(), "docker ps: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect())
}
