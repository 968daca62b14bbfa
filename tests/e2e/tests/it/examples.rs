//! The example pipelines, by `serin run` and on the server: the same jobs end in the same way, in the same order.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serin_e2e::{Server, WorkTree};
use tokio::process::Command;

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Each job's status by its name, those of child pipelines behind their trigger job's.
type Statuses = BTreeMap<String, String>;

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What `serin run` makes of the work tree.
async fn here(tree: &WorkTree, arguments: &[&str]) -> Result<Value> {
    let cache = tempfile::tempdir()?;
    let output = Command::new(serin_e2e::server::program()?)
        // Their images cannot be pulled where tests run without the internet.
        .args(["run", "--executor", "shell", "--format", "json"])
        .args(arguments)
        .current_dir(tree.path())
        .env("SERIN_CACHE", cache.path())
        .output()
        .await?;
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}", said());
    serde_json::from_slice(&output.stdout).with_context(said)
}

fn statuses_here(outcome: &Value, prefix: &str, all: &mut Statuses) {
    for job in outcome["jobs"].as_array().into_iter().flatten() {
        let name = format!("{prefix}{}", word(&job["name"]));
        all.insert(name.clone(), word(&job["status"]));
        if job["child"].is_object() {
            statuses_here(&job["child"], &format!("{name} › "), all);
        }
    }
}

async fn statuses_there(server: &Server, project: &str, pipeline: &Value) -> Result<Statuses> {
    let mut all = Statuses::new();
    let mut open = vec![(String::new(), pipeline["id"].clone())];
    while let Some((prefix, id)) = open.pop() {
        for kind in ["jobs", "bridges"] {
            let list = server.get(&format!("/projects/{project}/pipelines/{id}/{kind}?per_page=100")).await?;
            for job in list.as_array().context("no list")? {
                let name = format!("{prefix}{}", word(&job["name"]));
                all.insert(name.clone(), word(&job["status"]));
                let child = &job["downstream_pipeline"]["id"];
                if child.is_i64() {
                    open.push((format!("{name} › "), child.clone()));
                }
            }
        }
    }
    Ok(all)
}

/// The jobs of the work tree's own pipeline, each with those that must be over before it starts.
async fn constraints(tree: &WorkTree) -> Result<Vec<(String, Vec<String>)>> {
    let mut list = Command::new(serin_e2e::server::program()?);
    let output = list.args(["list", "--format", "json", "--branch", "main"]).current_dir(tree.path()).output().await?;
    let jobs: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let before = |at: usize| match jobs[at]["needs"].as_array() {
        Some(needs) => needs.iter().map(|need| word(&need["job"])).collect(),
        // The list is in the order of the stages.
        None => {
            jobs[..at].iter().filter(|job| job["stage"] != jobs[at]["stage"]).map(|job| word(&job["name"])).collect()
        }
    };
    Ok((0..jobs.len()).map(|at| (word(&jobs[at]["name"]), before(at))).collect())
}

/// When each job of the pipeline started and ended on the server.
async fn times_there(server: &Server, project: &str, pipeline: &Value) -> Result<BTreeMap<String, (String, String)>> {
    let mut all = BTreeMap::new();
    for kind in ["jobs", "bridges"] {
        let list = server.get(&format!("/projects/{project}/pipelines/{}/{kind}?per_page=100", pipeline["id"])).await?;
        for job in list.as_array().context("no list")? {
            all.insert(word(&job["name"]), (word(&job["started_at"]), word(&job["finished_at"])));
        }
    }
    Ok(all)
}

/// Asserts that both kept the order that the file asks for.
async fn in_order(
    server: &Server,
    tree: &WorkTree,
    (outcome, project, pipeline): (&Value, &str, &Value),
) -> Result<()> {
    let times = times_there(server, project, pipeline).await?;
    for (name, before) in constraints(tree).await? {
        if order(outcome, &name).is_none() {
            assert!(times[&name].0.is_empty(), "`{name}` waits for a person here, and ran there");
            continue;
        }
        for earlier in before {
            assert!(order(outcome, &earlier) < order(outcome, &name), "`{earlier}` before `{name}`, here");
            let (ended, started) = (&times[&earlier].1, &times[&name].0);
            assert!(!ended.is_empty() && ended <= started, "`{earlier}` ended {ended}, `{name}` started {started}");
        }
    }
    Ok(())
}

/// Runs an example in both places; what `serin run` said.
async fn both(example: &str) -> Result<(WorkTree, Value)> {
    let server = Server::start_with(&["--executor", "shell"]).await?;
    let tree = server.project(example).await?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    copy(&examples.join(example), tree.path())?;
    let commit = tree.commit("Example").await?;
    tree.git(&["push", "--quiet", "origin", "HEAD:main"]).await?;
    let outcome = here(&tree, &["--branch", "main"]).await?;
    let pipeline = server.finished(example, &commit).await?;
    let mut mine = Statuses::new();
    statuses_here(&outcome, "", &mut mine);
    assert_eq!(mine, statuses_there(&server, example, &pipeline).await?);
    assert_eq!(outcome["status"], pipeline["status"]);
    in_order(&server, &tree, (&outcome, example, &pipeline)).await?;
    Ok((tree, outcome))
}

fn order(outcome: &Value, name: &str) -> Option<u64> {
    outcome["jobs"].as_array()?.iter().find(|job| job["name"] == name)?["order"].as_u64()
}

#[tokio::test]
async fn a_rust_workspace() -> Result<()> {
    let (_tree, outcome) = both("rust-workspace").await?;
    assert!(order(&outcome, "test") < order(&outcome, "build") && order(&outcome, "build") < order(&outcome, "verify"));
    Ok(())
}

#[tokio::test]
async fn a_python_package_with_a_matrix_and_reports() -> Result<()> {
    let (_tree, outcome) = both("python-package").await?;
    let test = outcome["jobs"].as_array().and_then(|jobs| jobs.iter().find(|job| job["name"] == "test: [all]"));
    let test = test.context("no test")?;
    assert_eq!(test["coverage"], 100.0);
    assert!(test["reports"]["junit"].is_string() && test["reports"]["coverage_report"].is_string(), "{test}");
    Ok(())
}

#[tokio::test]
async fn a_monorepo_with_child_pipelines_and_changes() -> Result<()> {
    let (tree, outcome) = both("monorepo").await?;
    assert!(order(&outcome, "generate") < order(&outcome, "each-tool"));
    tree.write("services/cart/build.sh", "echo \"$GREETING from cart\" # changed\n")?;
    let outcome = here(&tree, &["--since", "HEAD"]).await?;
    let mut all = Statuses::new();
    statuses_here(&outcome, "", &mut all);
    assert!(all.contains_key("cart › test-cart") && !all.contains_key("mail"), "{all:?}");
    Ok(())
}
