//! The tiny service in a work tree, ready to be deployed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Server, WorkTree};

/// Its program's name in the work tree.
pub const PROGRAM: &str = "serin-e2e-service";

/// A pipeline that packages each commit and releases it.
pub const RELEASE_PIPELINE: &str = "\
stages: [package, production]
package: { stage: package, serin: { action: package } }
production: { stage: production, serin: { action: release, environment: production } }
";

/// Puts the program and its `serin.yml` into the work tree.
///
/// # Errors
/// Where the file system fails.
pub fn put(tree: &WorkTree, program: &str, environments: &str) -> Result<()> {
    let file = tree.path().join(PROGRAM);
    fs::copy(program, &file).with_context(|| format!("copy `{program}`"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    let service = format!(
        "service:\n  name: tiny\n  command: [./{PROGRAM}]\n  \
         health: {{ path: /healthz, timeout: 30s, interval: 100ms }}\n  logs: {{ format: json }}\n  stop_timeout: 5s\n"
    );
    tree.write("serin.yml", service + environments)?;
    Ok(())
}

/// Pids of all its nodes on the server.
#[must_use]
pub fn pids(data: &Path) -> std::collections::BTreeSet<u32> {
    crate::process::running(data, PROGRAM)
}

/// Whether every node of the environment is healthy, serves, and runs that commit.
#[must_use]
pub fn runs(environment: &Value, commit: &str, nodes: usize) -> bool {
    let good = |node: &Value| node["state"] == "healthy" && node["traffic"] == "serving" && node["sha"] == commit;
    environment["nodes"].as_array().is_some_and(|all| all.len() == nodes && all.iter().all(good))
}

/// Where the gateway serves an environment.
///
/// # Errors
/// Where it serves it nowhere.
pub async fn address(server: &Server, project: &str, environment: &str) -> Result<String> {
    let path = format!("/projects/{project}/environments/{environment}");
    let environment = server.wait(&path, |environment| environment["external_url"].is_string()).await?;
    environment["external_url"].as_str().map(str::to_owned).context("no address")
}
