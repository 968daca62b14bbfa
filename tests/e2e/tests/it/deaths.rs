//! `kill -9` in the middle of everything: whoever dies, the state ends right, nothing is left over, and no version gets a
//! larger part of the traffic than was approved.
//!
//! | killed | package | deploy | canary | release |
//! |---|---|---|---|---|
//! | server | `packages::a_server_killed_while_it_packages…` | `container_nodes::deaths…`, `crashes::a_deployment…` | `container_nodes::deaths…` | here |
//! | runner | `container_jobs::a_killed_server…`, `…_a_killed_serin_run…`, `daemons::…_after_the_servers_death…` | as the server, which it is a part of | a job's guard: here | as the server |
//! | engine | `packages::an_engine_killed_while_it_builds…`, `container_jobs::an_engine_killed_under_a_job…` | here | here | here |
//! | node | here | here | old: `container_nodes::deaths…`; new: here | old and new: here |
//!
//! The engine is killed twice over: one that ends its containers when it is back, and one that keeps them
//! (`--live-restore`).

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_e2e::image::docker;
use serin_e2e::{Engine, LOOK_EVERY, Load, PATIENCE, Server, WorkTree, process, service};
use tokio::time::Instant;

use crate::boxes::{CANARY, CLIENTS, Cleared, DEPLOY, NODES, PRODUCTION, PROJECT, SERVICE, begin, of_node, share_max};

const ENVIRONMENTS: &str = "environments:\n  production: { platform: docker, pools: { a: { nodes: 2 }, b: { nodes: 2 } }, drain_timeout: 2s }\n\
                            canary: { nodes: 1, tick: 250ms, steps: [{ traffic: 20%, for: 5m }] }\n\
                            release: { order: manual, watch: 1s }\n";
pub const RELEASE: &str = "stages: [package, release]\npackage: { stage: package, serin: { action: package } }\n\
                       release: { stage: release, serin: { action: release, environment: production } }\n";
/// The part of the traffic that a canary may have.
const APPROVED: f64 = 0.2;
/// Requests that a part is looked at over.
const WINDOW: u64 = 300;

pub async fn push(tree: &WorkTree, version: &str, pipeline: &str) -> Result<String> {
    tree.write("www/index.html", version)?;
    tree.push_pipeline(pipeline).await
}

/// Has the first version on every node, and people who ask for it.
async fn deployed(server: &Server) -> Result<(WorkTree, Load)> {
    let tree = begin(server).await?;
    tree.write("serin.yml", format!("{SERVICE}{ENVIRONMENTS}"))?;
    let first = push(&tree, "one", DEPLOY).await?;
    ended(server, &first, "success").await?;
    let load = Load::start(&service::address(server, PROJECT, "production").await?, CLIENTS);
    Ok((tree, load))
}

pub async fn ended(server: &Server, commit: &str, status: &str) -> Result<Value> {
    let pipeline = server.finished(PROJECT, commit).await?;
    let environment = server.get(PRODUCTION).await.unwrap_or_default();
    ensure!(pipeline["status"] == status, "{}: {}", pipeline["status"], environment["rollout"]);
    Ok(pipeline)
}

/// Waits until every node runs that commit and no rollout is under way.
pub async fn settled(server: &Server, commit: &str) -> Result<()> {
    server
        .wait(PRODUCTION, |environment| {
            service::runs(environment, commit, NODES) && environment["rollout"]["current"] == false
        })
        .await?;
    Ok(())
}

/// Waits until some node is to run that commit.
async fn begun(server: &Server, commit: &str) -> Result<()> {
    let some = |environment: &Value| {
        environment["nodes"].as_array().is_some_and(|all| all.iter().any(|node| node["sha"] == commit))
    };
    server.wait(PRODUCTION, some).await?;
    Ok(())
}

/// Releases pool after pool as soon as that may be, until the commit's pipeline has ended.
pub async fn release(server: &Server, commit: &str) -> Result<()> {
    let pipeline = server.pipeline(PROJECT, commit).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let now = server.get(&format!("/projects/{PROJECT}/pipelines/{}", pipeline["id"])).await?;
        if matches!(now["status"].as_str(), Some("success" | "failed")) {
            return Ok(());
        }
        click(server, commit).await?;
        ensure!(Instant::now() < until, "the release does not end: {}", server.get(PRODUCTION).await?["rollout"]);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Releases the next pool, where that is offered.
async fn click(server: &Server, commit: &str) -> Result<()> {
    // There is no environment before the first release has begun.
    let environment = server.get(PRODUCTION).await.unwrap_or_default();
    let rollout = &environment["rollout"];
    let offered = rollout["actions"].as_array().and_then(|all| all.iter().find(|one| one["action"] == "release"));
    if let Some(offered) = offered.filter(|_| rollout["sha"] == commit) {
        // It may have moved on.
        let _ = server
            .post(&format!("{PRODUCTION}/rollout"), json!({ "action": "release", "pool": offered["pool"] }))
            .await;
    }
    Ok(())
}

/// Releases the first pool, and waits until a node of it is to run that commit.
pub async fn release_begun(server: &Server, commit: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        click(server, commit).await?;
        let environment = server.get(PRODUCTION).await?;
        let nodes = environment["nodes"].as_array().context("no nodes")?;
        if nodes.iter().any(|node| node["sha"] == commit) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the release does not begin: {}", environment["rollout"]);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Requests that ended, well or not, and those of them that came to that version.
fn counted(load: &Load, version: &str) -> (u64, u64) {
    let counts = load.counts();
    (counts.good + counts.failed.values().sum::<u64>(), counts.bodies.get(version).copied().unwrap_or(0))
}

/// What part of the requests since then came to that version is no more than approved.
fn is_approved(load: &Load, version: &str, since: (u64, u64)) -> Result<()> {
    let now = counted(load, version);
    let (all, own) = (now.0 - since.0, now.1 - since.1);
    ensure!(all > 0 && own as f64 / all as f64 <= share_max(APPROVED, all), "{own} of {all} came to the canary");
    Ok(())
}

/// Waits until so many more requests were answered.
pub async fn served(load: &Load, requests: u64) -> Result<()> {
    let (until, wanted) = (Instant::now() + PATIENCE, load.counts().good + requests);
    while load.counts().good < wanted {
        ensure!(Instant::now() < until, "nothing is served: {:?}", load.counts());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

pub fn says(environment: &Value, words: &str) -> bool {
    let lines = environment["rollout"]["timeline"].as_array();
    lines.is_some_and(|all| all.iter().any(|line| line["message"].as_str().is_some_and(|line| line.contains(words))))
}

/// Kills the engine while a rollout is under way, and starts it again once the rollout waits for it and says so. Its nodes
/// serve on meanwhile.
async fn interrupt(engine: &mut Engine, server: &Server, load: &Load) -> Result<()> {
    let failed = |load: &Load| load.counts().failed.values().sum::<u64>();
    let before = failed(load);
    engine.kill().await?;
    server
        .wait(PRODUCTION, |environment| says(environment, "paused by the server: Docker Engine does not answer"))
        .await?;
    served(load, WINDOW).await?;
    assert_eq!(failed(load), before, "requests fail while the engine is away");
    engine.start_again().await?;
    // A canary whose own nodes ended with it has turned back meanwhile.
    let goes_on = |environment: &Value| {
        says(environment, "resumed by the server") || says(environment, "no longer answers its health check")
    };
    server.wait(PRODUCTION, goes_on).await?;
    Ok(())
}

/// Whether an engine keeps its containers when it is back after its death.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    EndsThem,
    KeepsThem,
}

async fn deaths_of_the_engine(flags: &'static [&'static str], returns: Returns) -> Result<()> {
    let mut engine = Engine::start_with(flags).await?;
    let server = Server::start_in(&[], &[("DOCKER_HOST", &engine.host())]).await?;
    let (tree, load) = deployed(&server).await?;
    let nothing_more = |engine: &Engine| -> Result<()> {
        let containers = engine.docker(&["ps", "-aq"])?;
        ensure!(
            containers.lines().count() == NODES && engine.docker(&["volume", "ls", "-q"])?.is_empty(),
            "{containers}"
        );
        Ok(())
    };

    let second = push(&tree, "two", DEPLOY).await?;
    begun(&server, &second).await?;
    interrupt(&mut engine, &server, &load).await?;
    ended(&server, &second, "success").await?;
    settled(&server, &second).await?;
    nothing_more(&engine)?;

    let since = counted(&load, "three");
    let third = push(&tree, "three", CANARY).await?;
    server.wait(PRODUCTION, |environment| environment["rollout"]["phase"] == "canary").await?;
    served(&load, WINDOW).await?;
    ensure!(counted(&load, "three").1 > 0, "the canary gets nothing");
    interrupt(&mut engine, &server, &load).await?;
    is_approved(&load, "three", since)?;
    if returns == Returns::KeepsThem {
        let before = counted(&load, "three");
        served(&load, WINDOW).await?;
        ensure!(counted(&load, "three").1 > before.1, "the canary does not go on");
        // It may have been judged meanwhile.
        let _ = server.post(&format!("{PRODUCTION}/rollout"), json!({ "action": "roll_back" })).await;
    }
    ended(&server, &third, "failed").await?;
    settled(&server, &second).await?;
    is_approved(&load, "three", since)?;
    nothing_more(&engine)?;

    let fourth = push(&tree, "four", RELEASE).await?;
    release_begun(&server, &fourth).await?;
    interrupt(&mut engine, &server, &load).await?;
    release(&server, &fourth).await?;
    ended(&server, &fourth, "success").await?;
    settled(&server, &fourth).await?;
    served(&load, WINDOW).await?;
    nothing_more(&engine)
}

#[tokio::test]
async fn an_engine_that_ends_its_containers_dies_in_deploy_canary_and_release() -> Result<()> {
    deaths_of_the_engine(&[], Returns::EndsThem).await
}

#[tokio::test]
async fn an_engine_that_keeps_its_containers_dies_in_deploy_canary_and_release() -> Result<()> {
    deaths_of_the_engine(&["--live-restore"], Returns::KeepsThem).await
}

/// Kills the process of a node that runs that commit and has a part of the traffic.
async fn kill_one(server: &Server, cleared: &Cleared, commit: &str) -> Result<()> {
    let is_one = |node: &&Value| {
        node["sha"] == commit
            && node["state"] == "healthy"
            && matches!(node["traffic"].as_str(), Some("serving" | "canary"))
    };
    let find = |environment: &Value| {
        let found = environment["nodes"].as_array()?.iter().find(is_one)?;
        found["name"].as_str().map(str::to_owned)
    };
    let environment = server.wait(PRODUCTION, |environment| find(environment).is_some()).await?;
    kill_node(cleared, &find(&environment).context("no such node")?)
}

fn kill_node(cleared: &Cleared, node: &str) -> Result<()> {
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &of_node(cleared, node)?])?;
    process::kill(pid.parse()?)
}

#[tokio::test]
async fn nodes_die_in_package_deploy_and_canary_and_a_jobs_guard_in_between() -> Result<()> {
    let server = Server::start().await?;
    let cleared = Cleared::of(&server);
    let (tree, load) = deployed(&server).await?;
    let first = server.get(PRODUCTION).await?["sha"].as_str().context("nothing is deployed")?.to_owned();

    // While another version is packaged an old node dies, and while that is deployed a new one: the old version stays.
    let second = push(&tree, "two", DEPLOY).await?;
    let pipeline = server.pipeline(PROJECT, &second).await?;
    let package = server.job(PROJECT, &pipeline, "package").await?;
    server.job_until(PROJECT, &package, &["running", "success"]).await?;
    kill_node(&cleared, "b-2")?;
    kill_one(&server, &cleared, &second).await?;
    ended(&server, &second, "failed").await?;
    settled(&server, &first).await?;
    assert_eq!(cleared.containers().len(), NODES);

    // The guard of a job that tests the canary's nodes dies: nothing is left of the job, and it runs again.
    let since = counted(&load, "three");
    let mark = format!("serin-e2e-guard-{}", std::process::id());
    let go = tree.path().join("go");
    let script = format!("[echo begun, \"test -e '{}' || sleep 987650\"]", go.display());
    let test = format!("try: {{ stage: try, variables: {{ MARK: {mark} }}, script: {script} }}\n");
    let third = push(&tree, "three", &(CANARY.replace("detach, canary]", "detach, try, canary]") + &test)).await?;
    let pipeline = server.pipeline(PROJECT, &third).await?;
    let job = server.job(PROJECT, &pipeline, "try").await?;
    server.trace_until(PROJECT, &job, "\nbegun").await?;
    let of_job = process::marked(&mark);
    std::fs::write(&go, "")?;
    for guard in process::parents(&of_job).difference(&of_job) {
        process::kill(*guard)?;
    }
    let job = server.job_until(PROJECT, &job, &["success", "failed"]).await?;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("success"), &json!(2)));
    ensure!(of_job.iter().all(|pid| !process::is_alive(*pid)), "something is left of the job");

    // A canary's own node dies: no more traffic for it, and the version before is back.
    server.wait(PRODUCTION, |environment| environment["rollout"]["phase"] == "canary").await?;
    served(&load, WINDOW).await?;
    kill_one(&server, &cleared, &third).await?;
    ended(&server, &third, "failed").await?;
    settled(&server, &first).await?;
    is_approved(&load, "three", since)?;
    gets_nothing_more(&load, "three", &cleared).await?;
    drop((load, server));
    drop(cleared);
    Ok(())
}

/// A version that was taken back answers nobody any more, and as many containers are there as nodes are wanted.
async fn gets_nothing_more(load: &Load, version: &str, cleared: &Cleared) -> Result<()> {
    let before = counted(load, version);
    served(load, WINDOW).await?;
    assert_eq!((counted(load, version).1, cleared.containers().len()), (before.1, NODES));
    Ok(())
}

#[tokio::test]
async fn server_and_nodes_die_in_the_middle_of_a_release() -> Result<()> {
    let mut server = Server::start().await?;
    let cleared = Cleared::of(&server);
    let (tree, load) = deployed(&server).await?;
    let first = server.get(PRODUCTION).await?["sha"].as_str().context("nothing is deployed")?.to_owned();

    // The server, then a node that has the old version still: the release goes on.
    let second = push(&tree, "two", RELEASE).await?;
    release_begun(&server, &second).await?;
    server.kill().await?;
    served(&load, WINDOW).await?;
    server.start_again().await?;
    kill_one(&server, &cleared, &first).await?;
    release(&server, &second).await?;
    ended(&server, &second, "success").await?;
    settled(&server, &second).await?;
    assert_eq!(cleared.containers().len(), NODES);

    // A node that has the new version: everything goes back, the server's death in the middle of that notwithstanding.
    let third = push(&tree, "three", RELEASE).await?;
    release_begun(&server, &third).await?;
    kill_one(&server, &cleared, &third).await?;
    server.wait(PRODUCTION, |environment| environment["rollout"]["phase"] == "restoring").await?;
    server.kill().await?;
    server.start_again().await?;
    ended(&server, &third, "failed").await?;
    settled(&server, &second).await?;
    gets_nothing_more(&load, "three", &cleared).await?;
    drop((load, server));
    drop(cleared);
    Ok(())
}

#[tokio::test]
async fn a_server_that_starts_while_its_engine_is_away_takes_nothing_away_and_holds_up_nobody() -> Result<()> {
    const OTHER: &str = "other";
    let mut engine = Engine::start_with(&["--live-restore"]).await?;
    let mut server = Server::start_in(&[], &[("DOCKER_HOST", &engine.host())]).await?;
    let (_tree, load) = deployed(&server).await?;
    let first = server.get(PRODUCTION).await?["sha"].as_str().context("nothing is deployed")?.to_owned();
    let before = engine.docker(&["ps", "-q"])?;
    engine.kill().await?;
    server.kill().await?;
    server.start_again().await?;

    // Processes of another project are deployed meanwhile, and the containers serve on.
    let tree = server.project(OTHER).await?;
    let environments = "environments:\n  test: { platform: process, nodes: 2 }\n";
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), environments)?;
    tree.write("service.txt", "version one\n")?;
    let deploy = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                  deploy: { stage: deploy, serin: { action: deploy, environment: test } }\n";
    let commit = tree.push_pipeline(deploy).await?;
    ensure!(server.finished(OTHER, &commit).await?["status"] == "success", "{}", server.log());
    let other = Load::start(&service::address(&server, OTHER, "test").await?, CLIENTS);
    served(&other, WINDOW).await?;
    served(&load, WINDOW).await?;

    engine.start_again().await?;
    settled(&server, &first).await?;
    served(&load, WINDOW).await?;
    assert_eq!(engine.docker(&["ps", "-q"])?, before, "they are adopted, not started again");
    for load in [load, other] {
        assert_eq!(load.counts().failed, std::collections::BTreeMap::new());
    }
    Ok(())
}
