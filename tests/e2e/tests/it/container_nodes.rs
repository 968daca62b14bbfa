//! Nodes in containers: what a repository may not ask for, and deaths in the middle of deployment and canary.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_e2e::image::docker;
use serin_e2e::{Load, Server, service};

use crate::boxes::{
    CANARY, CLIENTS, Cleared, DEPLOY, ENVIRONMENTS, NODES, PRODUCTION, PROJECT, SERVICE, WINDOW, begin, of_node, share,
    share_max,
};

#[tokio::test]
async fn what_only_the_administrator_gives_is_refused_before_anything_moves() -> Result<()> {
    let server = Server::start().await?;
    let cleared = Cleared::of(&server);
    let tree = begin(&server).await?;
    let environment =
        |keys: &str| format!("{SERVICE}environments:\n  production: {{ platform: docker, nodes: 1{keys} }}\n");
    let cases = [
        (format!("{SERVICE}  volumes: ['/var/run/docker.sock:/sock']\n{ENVIRONMENTS}"), "is a path of the host"),
        (format!("{SERVICE}  volumes: ['/:/host']\n{ENVIRONMENTS}"), "is a path of the host"),
        (format!("{SERVICE}  secrets: [THERE_IS_NONE]\n{ENVIRONMENTS}"), "names `THERE_IS_NONE`"),
        (environment(", networks: [host]"), "network `host` may not be joined"),
        (environment(", hosts: [blue]"), "names host `blue`, which is not known"),
    ];
    for (config, words) in cases {
        tree.write("serin.yml", config)?;
        let pipeline = server.finished(PROJECT, &tree.push_pipeline(DEPLOY).await?).await?;
        let job = server.job(PROJECT, &pipeline, "deploy").await?;
        let trace = server.trace(PROJECT, &job).await?;
        assert_eq!(job["status"], "failed", "{trace}");
        assert!(trace.contains(words), "no `{words}` in:\n{trace}");
    }
    assert_eq!(cleared.containers(), Vec::<String>::new());
    drop(server);
    drop(cleared);
    Ok(())
}

#[tokio::test]
async fn deaths_of_server_and_node_leave_the_share_and_the_state_right() -> Result<()> {
    let mut server = Server::start().await?;
    let cleared = Cleared::of(&server);
    let tree = begin(&server).await?;
    // Killed in the middle of a deployment.
    let first = tree.push_pipeline(DEPLOY).await?;
    let some = |environment: &Value| {
        environment["nodes"].as_array().is_some_and(|all| all.iter().any(|node| node["address"].is_string()))
    };
    server.wait(PRODUCTION, some).await?;
    server.kill().await?;
    server.start_again().await?;
    assert_eq!(server.finished(PROJECT, &first).await?["status"], "success");
    server.wait(PRODUCTION, |environment| service::runs(environment, &first, NODES)).await?;
    assert_eq!(cleared.containers().len(), NODES);

    // Killed in the middle of a canary: the gateway keeps the approved share while nobody watches.
    let load = Load::start(&service::address(&server, PROJECT, "production").await?, CLIENTS);
    tree.write("www/index.html", "two")?;
    let second = tree.push_pipeline(CANARY).await?;
    server.wait(PRODUCTION, |environment| environment["rollout"]["phase"] == "canary").await?;
    share(&load, 20).await?;
    let before = share(&load, WINDOW).await?;
    server.kill().await?;
    let meanwhile = share(&load, WINDOW).await?;
    server.start_again().await?;
    let after = share(&load, WINDOW).await?;
    for seen in [before, meanwhile, after] {
        assert!(
            seen > 0.1 && seen <= share_max(0.2, WINDOW),
            "the canary gets {seen} of the traffic, and 0.2 are approved"
        );
    }

    // A node of the old version dies: its engine starts it again, and the share never grows.
    let environment = server.get(PRODUCTION).await?;
    let nodes = environment["nodes"].as_array().context("no nodes")?;
    let old = nodes.iter().find(|node| node["sha"] == first.as_str()).and_then(|node| node["name"].as_str());
    docker(&["kill", &of_node(&cleared, old.context("no old node")?)?])?;
    let without = share(&load, WINDOW).await?;
    assert!(without <= share_max(0.2, WINDOW), "the canary gets {without} of the traffic, and 0.2 are approved");

    // Taken back, whatever the judge made of it; killed in the middle of that as well.
    let rollout = server.get(PRODUCTION).await?["rollout"].clone();
    assert_eq!(rollout["sha"], second.as_str());
    if rollout["current"] == true {
        let _ = server.post(&format!("{PRODUCTION}/rollout"), json!({ "action": "roll_back" })).await;
    }
    server.kill().await?;
    server.start_again().await?;
    server.wait(PRODUCTION, |environment| service::runs(environment, &first, NODES)).await?;
    server.wait(PRODUCTION, |environment| environment["rollout"]["current"] == false).await?;
    assert_eq!(share(&load, 100).await?, 0.0);
    assert_eq!(cleared.containers().len(), NODES, "something is left over");
    drop(server);
    drop(cleared);
    Ok(())
}
