//! The built-in flows with the tiny service: a good version is released, a bad one is caught and taken back.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use serin_e2e::{LOOK_EVERY, Load, PATIENCE, Server, WorkTree, service};

const PROJECT: &str = "tiny";
const PRODUCTION: &str = "/projects/tiny/environments/production";
const NODES: usize = 4;
const ENVIRONMENTS: &str = "branches: { develop: develop, master: master }\n\
    environments:\n  production:\n    platform: process\n    pools: { a: { nodes: 2 }, b: { nodes: 2 } }\n\
    canary:\n  nodes: 2\n  tick: 250ms\n  steps: [{ traffic: 20%, for: 2s }, { traffic: 50%, for: 4s }]\n  \
    tolerate: { cpu: 100%, memory: 50%, latency.p99: 200%, http.errors: 1pp, log.error: 50% }\n\
    release: { order: manual, watch: 1s }\n";

async fn push(tree: &WorkTree, words: &str, branch: &str) -> Result<String> {
    tree.write("service.txt", words)?;
    let commit = tree.commit(words).await?;
    tree.git(&["push", "--quiet", "origin", &format!("HEAD:{branch}")]).await?;
    Ok(commit)
}

async fn act(server: &Server, command: Value) -> Result<()> {
    server.post(&format!("{PRODUCTION}/rollout"), command).await?;
    Ok(())
}

/// What a person may do now, if it is that.
fn offered<'a>(rollout: &'a Value, action: &str) -> Option<&'a Value> {
    rollout["actions"].as_array()?.iter().find(|offered| offered["action"] == action)
}

/// Plays the release of a commit's pipeline and releases pool by pool.
async fn release(server: &Server, commit: &str) -> Result<()> {
    let pipeline = server.pipeline(PROJECT, commit).await?;
    let job = server.job(PROJECT, &pipeline, "production").await?;
    server.job_until(PROJECT, &job, &["manual"]).await?;
    server.post(&format!("/projects/{PROJECT}/jobs/{}/play", job["id"]), json!({})).await?;
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let job = server.get(&format!("/projects/{PROJECT}/jobs/{}", job["id"])).await?;
        match job["status"].as_str() {
            Some("success") => return Ok(()),
            Some("failed" | "canceled") => bail!("{job}\n{}", server.trace(PROJECT, &job).await?),
            _ => {}
        }
        // There is no environment before the first release has begun.
        if let Ok(environment) = server.get(PRODUCTION).await
            && environment["rollout"]["pipeline_id"] == pipeline["id"]
            && let Some(next) = offered(&environment["rollout"], "release")
        {
            act(server, json!({ "action": "release", "pool": next["pool"] })).await?;
        }
        ensure!(tokio::time::Instant::now() < until, "the release did not end: {job}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Follows the canary of a commit to its verdict; where the judge cannot tell, a person accepts.
async fn verdict(server: &Server, commit: &str, old: &str) -> Result<Value> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let environment = server.get(PRODUCTION).await?;
        let rollout = &environment["rollout"];
        let new: Vec<&Value> =
            environment["nodes"].as_array().into_iter().flatten().filter(|node| node["sha"] == commit).collect();
        ensure!(new.len() <= 2, "the canary is on {} nodes", new.len());
        if rollout["sha"] == commit && rollout["kind"] == "canary" {
            if let Some(accept) = offered(rollout, "accept") {
                act(server, json!({ "action": "accept", "watch": accept["watch"] })).await?;
            }
            let over = !matches!(
                rollout["phase"].as_str(),
                Some("created" | "detaching" | "verifying" | "canary" | "deciding")
            );
            if over {
                return Ok(rollout.clone());
            }
        } else {
            ensure!(environment["sha"] == old || rollout["sha"] == old, "something else is under way: {environment}");
        }
        ensure!(tokio::time::Instant::now() < until, "no verdict: {rollout}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn mark_until(server: &Server, commit: &str, mark: &str) -> Result<()> {
    let path = format!("/projects/{PROJECT}/repository/commits/{commit}");
    server.wait(&path, |commit| commit["mark"] == mark).await?;
    Ok(())
}

#[tokio::test]
async fn a_good_version_is_released_and_a_bad_one_is_taken_back() -> Result<()> {
    let server = Server::start().await?;
    server.post("/projects", json!({ "path": PROJECT, "default_branch": "master" })).await?;
    let tree = WorkTree::new(&server, PROJECT).await?;
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), ENVIRONMENTS)?;
    tree.write("service.txt", "version one\n")?;
    let first = tree.commit("One").await?;
    tree.git(&["push", "--quiet", "-o", "ci.skip", "origin", "HEAD:develop"]).await?;
    tree.git(&["push", "--quiet", "origin", "HEAD:master"]).await?;
    release(&server, &first).await?;
    server.wait(PRODUCTION, |environment| service::runs(environment, &first, NODES)).await?;
    let load = Load::start(&service::address(&server, PROJECT, "production").await?, 4);

    let good = push(&tree, "version two\n", "develop").await?;
    let rollout = verdict(&server, &good, &first).await?;
    assert_ne!(rollout["verdict"], "fail", "{rollout}");
    mark_until(&server, &good, "verified").await?;
    let open = format!("/projects/{PROJECT}/merge_requests");
    let requests = server.wait(&open, |all| all[0]["blockers"] == json!([])).await?;
    let request = &requests[0];
    assert_eq!((&request["source_branch"], &request["target_branch"]), (&json!("develop"), &json!("master")));
    assert!(request["description"].as_str().is_some_and(|text| text.contains("- version two")), "{request}");
    let path = format!("/api/v4/projects/{PROJECT}/merge_requests/{}/merge", request["iid"]);
    let (status, merged) = server.ask(Method::PUT, &path, Some(json!({}))).await?;
    ensure!(status.is_success(), "{merged}");
    let merged: Value = serde_json::from_str(&merged)?;
    release(&server, merged["merge_commit_sha"].as_str().context("not merged")?).await?;
    // The very release that was canaried: no node is started twice.
    let all_new = |environment: &Value| {
        let nodes = environment["nodes"].as_array();
        nodes.is_some_and(|all| {
            all.iter().all(|node| node["digest"] == rollout["digest"] && node["traffic"] == "serving")
        })
    };
    let released = server.wait(PRODUCTION, all_new).await?;
    let counts = load.counts();
    assert!(counts.failed.is_empty(), "the good version spoiled requests: {counts:?}");

    tree.git(&["fetch", "--quiet", "origin"]).await?;
    tree.git(&["reset", "--quiet", "--hard", "origin/develop"]).await?;
    let bad = push(&tree, "version three\nerrors 20\n", "develop").await?;
    let rollout = verdict(&server, &bad, released["sha"].as_str().unwrap_or_default()).await?;
    assert_eq!(rollout["verdict"], "fail", "{rollout}");
    let restored = |environment: &Value| {
        let nodes = environment["nodes"].as_array();
        nodes.is_some_and(|all| {
            all.iter().all(|node| {
                node["digest"] == released["digest"] && node["state"] == "healthy" && node["traffic"] == "serving"
            })
        })
    };
    server.wait(PRODUCTION, restored).await?;
    mark_until(&server, &bad, "refused").await?;
    let spoiled = load.counts();
    assert!(spoiled.failed.keys().all(|cause| cause.starts_with("500")), "{spoiled:?}");
    assert!(!spoiled.failed.is_empty(), "no request met the bad version");
    let later = tokio::time::Instant::now() + PATIENCE;
    while load.counts().good < spoiled.good + 200 {
        ensure!(tokio::time::Instant::now() < later, "nothing is served any more");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!(load.counts().failed, spoiled.failed, "the bad version still gets traffic");
    let pipeline = server.finished(PROJECT, &bad).await?;
    assert_eq!(pipeline["status"], "failed");
    let notices = server.get(&format!("/projects/{PROJECT}/notices")).await?;
    assert!(notices.as_array().is_some_and(|all| all.iter().any(|notice| notice["kind"] == "failure")), "{notices}");
    Ok(())
}
