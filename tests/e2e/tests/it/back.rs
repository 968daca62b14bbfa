//! The way back after a release has ended, and nodes that `serin.yml` no longer names.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use serin_e2e::{Load, Server, WorkTree, process, service};

const PROJECT: &str = "tiny";
const PRODUCTION: &str = "/projects/tiny/environments/production";

async fn begun(server: &Server) -> Result<WorkTree> {
    server.post("/projects", json!({ "path": PROJECT, "default_branch": "main" })).await?;
    WorkTree::new(server, PROJECT).await
}

/// Pushes a version in an environment of that shape; its commit.
async fn push(tree: &WorkTree, version: &str, (environment, pipeline): (&str, &str)) -> Result<String> {
    let rest =
        format!("environments:\n  production: {{ {environment} }}\nrelease: {{ order: automatic, watch: 0s }}\n");
    service::put(tree, env!("CARGO_BIN_EXE_serin-e2e-service"), &rest)?;
    tree.write("service.txt", format!("version {version}\n"))?;
    tree.push_pipeline(pipeline).await
}

async fn runs(server: &Server, commit: &str, nodes: usize) -> Result<Value> {
    let over = |one: &Value| one["rollout"]["phase"] == "succeeded" && service::runs(one, commit, nodes);
    server.wait(PRODUCTION, over).await
}

/// The version that is offered to go back to.
fn offered(environment: &Value) -> Option<&str> {
    let actions = environment["rollout"]["actions"].as_array()?;
    actions.iter().find(|one| one["action"] == "roll_back")?["digest"].as_str()
}

async fn roll_back(server: &Server, digest: &str) -> Result<(StatusCode, String)> {
    let command = json!({ "action": "roll_back", "digest": digest });
    server.ask(Method::POST, &format!("/api/v4{PRODUCTION}/rollout"), Some(command)).await
}

#[tokio::test]
async fn after_a_release_one_click_brings_the_version_before_back_and_twice_is_two_versions() -> Result<()> {
    let server = Server::start().await?;
    let tree = begun(&server).await?;
    let shape = ("pools: { a: { nodes: 2 }, b: { nodes: 1 } }", service::RELEASE_PIPELINE);
    let first = push(&tree, "one", shape).await?;
    let one = runs(&server, &first, 3).await?;
    assert_eq!(offered(&one), None, "nothing ran before");
    let second = push(&tree, "two", shape).await?;
    let two = runs(&server, &second, 3).await?;
    let third = push(&tree, "three", shape).await?;
    let three = runs(&server, &third, 3).await?;
    let load = Load::start(&service::address(&server, PROJECT, "production").await?, 4);

    let digest = offered(&three).context("no way back")?.to_owned();
    assert_eq!(two["digest"], digest.as_str());
    let (status, said) = roll_back(&server, one["digest"].as_str().context("digest")?).await?;
    assert_eq!((status, said.contains("is the version before")), (StatusCode::CONFLICT, true), "{said}");
    let page = server.ask(Method::GET, "/tiny/-/environments/production", None).await?.1;
    assert!(page.contains("confirm=roll_back") && page.contains(&digest), "{page}");
    assert_eq!(roll_back(&server, &digest).await?.0, StatusCode::OK);
    // A second click on the same page is no way back of the way back.
    let (status, said) = roll_back(&server, &digest).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    let back = runs(&server, &second, 3).await?;
    let timeline = back["rollout"]["timeline"].to_string();
    assert!(timeline.contains("an older version is wanted back by admin"), "{timeline}");
    let notices = server.get(&format!("/projects/{PROJECT}/notices")).await?.to_string();
    assert!(notices.contains("admin rolls `production` back to"), "{notices}");

    let digest = offered(&back).context("no way back")?.to_owned();
    assert_eq!(one["digest"], digest.as_str(), "not the one that was left");
    assert_eq!(roll_back(&server, &digest).await?.0, StatusCode::OK);
    let oldest = runs(&server, &first, 3).await?;
    assert_eq!(offered(&oldest), None);
    let counts = load.counts();
    assert!(counts.failed.is_empty() && counts.good > 0, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn nodes_that_are_no_longer_named_serve_until_a_version_without_them_runs_then_they_end() -> Result<()> {
    let server = Server::start().await?;
    let tree = begun(&server).await?;
    let deploy = service::RELEASE_PIPELINE.replace("action: release", "action: deploy");
    let first = push(&tree, "one", ("pools: { a: { nodes: 2 }, b: { nodes: 1 } }", &deploy)).await?;
    runs(&server, &first, 3).await?;
    let load = Load::start(&service::address(&server, PROJECT, "production").await?, 4);

    // A version that does not start: whoever was left out goes on serving.
    tree.write("service.txt", "version two\nslow-start 3600000\n")?;
    let shape = "environments:\n  production: { pools: { x: { nodes: 1 } } }\n";
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), shape)?;
    let quick = std::fs::read_to_string(tree.path().join("serin.yml"))?.replace("timeout: 30s", "timeout: 1s");
    tree.write("serin.yml", quick)?;
    let broken = tree.push_pipeline(&deploy).await?;
    let pipeline = server.finished(PROJECT, &broken).await?;
    assert_eq!(pipeline["status"], "failed", "{pipeline}");
    let environment = server.get(PRODUCTION).await?;
    let serving = |name: &str| {
        let of = |node: &&Value| node["name"] == name && node["traffic"] == "serving" && node["sha"] == first.as_str();
        environment["nodes"].as_array().into_iter().flatten().filter(of).count()
    };
    assert_eq!(["a-1", "a-2", "b-1"].map(serving), [1, 1, 1], "{environment}");

    let third = push(&tree, "three", ("pools: { a: { nodes: 1 }, x: { nodes: 1 } }", &deploy)).await?;
    runs(&server, &third, 2).await?;
    let folder = server.data();
    let nodes = || process::running(&folder, service::PROGRAM).len();
    server.wait(PRODUCTION, |one| one["nodes"].as_array().is_some_and(|all| all.len() == 2) && nodes() == 2).await?;
    // Named again, the node is a new one.
    let fourth = push(&tree, "four", ("pools: { a: { nodes: 2 } }", &deploy)).await?;
    runs(&server, &fourth, 2).await?;
    server.wait(PRODUCTION, |_| nodes() == 2).await?;
    let counts = load.counts();
    assert!(counts.failed.is_empty() && counts.good > 0, "{counts:?}");
    Ok(())
}
