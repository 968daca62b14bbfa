//! The server dies by SIGKILL in the middle of things, and all ends right.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use serin_e2e::{LOOK_EVERY, Load, PATIENCE, Server, WorkTree, process, service};

const PROJECT: &str = "crash";

#[tokio::test]
async fn a_queue_of_jobs_is_worked_off_after_the_servers_death() -> Result<()> {
    let mut server = Server::start_with(&["--jobs", "1"]).await?;
    let tree = server.project(PROJECT).await?;
    let (log, go) = (tree.path().join("log"), tree.path().join("go"));
    tree.write(".gitignore", "log\ngo\n")?;
    let mut file = String::from("stages: [one, two]\n");
    for number in 0..6 {
        let stage = if number < 4 { "one" } else { "two" };
        file += &format!(
            "job-{number}:\n  stage: {stage}\n  retry: 1\n  script:\n    - echo started\n    \
             - while [ ! -e '{go}' ]; do sleep 0.05; done\n    - echo $CI_JOB_NAME >> '{log}'\n",
            go = go.display(),
            log = log.display()
        );
    }
    let commit = tree.push_pipeline(&file).await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let first = server.job(PROJECT, &pipeline, "job-0").await?;
    server.trace_until(PROJECT, &first, "\nstarted").await?;
    server.kill().await?;
    tree.write("go", "")?;
    server.start_again().await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    assert_eq!(pipeline["status"], "success");
    let jobs = server.get(&format!("/projects/{PROJECT}/pipelines/{}/jobs", pipeline["id"])).await?;
    let attempts: Vec<Value> = jobs.as_array().into_iter().flatten().map(|job| job["attempt"].clone()).collect();
    assert_eq!(attempts, [2, 1, 1, 1, 1, 1].map(|attempt| json!(attempt)), "only the job that ran was lost");
    let log = std::fs::read_to_string(log)?;
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["job-0", "job-1", "job-2", "job-3", "job-4", "job-5"], "each ended once");
    Ok(())
}

/// Bytes of all files below a folder.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[tokio::test]
async fn a_push_that_the_servers_death_cuts_is_done_or_not_done() -> Result<()> {
    const BLOB_BYTES: usize = 64 << 20;
    let mut server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let begun = tree.push_pipeline("job: { script: test -e .gitlab-ci.yml }\n").await?;
    server.finished(PROJECT, &begun).await?;
    let before = bytes_below(&server.data());
    // Nothing that packs well.
    let mut random = 1_u64;
    let words = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()
    });
    let blob: Vec<u8> = words.take(BLOB_BYTES / 8).flatten().collect();
    tree.write("blob", blob)?;
    let commit = tree.commit("Large").await?;
    let push = ["push", "--quiet", "origin", "main"];
    let (said, killed) = tokio::join!(tree.try_git(&push), async {
        while bytes_below(&server.data()) < before + (4 << 20) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        server.kill().await
    });
    killed?;
    let said = said?;
    server.start_again().await?;
    let moved = tree.git(&["ls-remote", "origin", "refs/heads/main"]).await?.starts_with(&commit);
    ensure!(moved || !said.good, "the push went well, and its commit is not there");
    if !moved {
        tree.git(&push).await?;
    }
    assert_eq!(server.finished(PROJECT, &commit).await?["status"], "success");
    whole(&server).await?;
    assert_eq!(pipelines_of(&server, &commit).await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_servers_death_right_after_a_push_loses_no_pipeline_and_makes_none_twice() -> Result<()> {
    let mut server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    tree.push_pipeline("job: { script: echo hello, retry: 2 }\n").await?;
    for round in 0..4 {
        tree.write("round", round.to_string())?;
        let commit = tree.commit(&format!("Round {round}")).await?;
        tree.git(&["push", "--quiet", "-o", "merge_request.create", "origin", &format!("main:refs/heads/b{round}")])
            .await?;
        server.kill().await?;
        server.start_again().await?;
        assert_eq!(server.finished(PROJECT, &commit).await?["status"], "success");
        let list = format!("/projects/{PROJECT}/merge_requests");
        // The push option is not lost either.
        server.wait(&list, |all| all.as_array().map(Vec::len) == Some(round + 1)).await?;
        assert_eq!(pipelines_of(&server, &commit).await?, 1);
    }
    whole(&server).await
}

async fn pipelines_of(server: &Server, commit: &str) -> Result<usize> {
    let all = server.get(&format!("/projects/{PROJECT}/pipelines")).await?;
    Ok(all.as_array().into_iter().flatten().filter(|pipeline| pipeline["sha"] == commit).count())
}

/// The repository is one that Git finds nothing wrong with.
async fn whole(server: &Server) -> Result<()> {
    let folder = server.data().join("repositories/1.git");
    let output = tokio::process::Command::new("git").arg("fsck").current_dir(folder).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

const ENVIRONMENTS: &str = "environments:\n  test: { platform: process, nodes: 3 }\n  \
                            production: { platform: process, nodes: 2 }\n";
const DEPLOYS: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                       to-test: { stage: deploy, serin: { action: deploy, environment: test } }\n\
                       to-users: { stage: deploy, needs: [package], serin: { action: deploy, environment: production } }\n";

async fn push_version(tree: &WorkTree, version: &str) -> Result<String> {
    tree.write("service.txt", format!("version {version}\nslow-start 700\n"))?;
    let commit = tree.commit(version).await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    Ok(commit)
}

async fn served(load: &Load, requests: u64) -> Result<()> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let wanted = load.counts().good + requests;
    while load.counts().good < wanted {
        if tokio::time::Instant::now() > until {
            bail!("the gateway stopped serving: {:?}", load.counts());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn nobody_failed(loads: &[Load]) {
    for load in loads {
        let counts = load.counts();
        assert!(counts.failed.is_empty() && counts.good > 0, "{counts:?}\n");
    }
}

#[tokio::test]
async fn a_deployment_survives_the_servers_death_and_nodes_and_gateway_never_notice() -> Result<()> {
    let mut server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), ENVIRONMENTS)?;
    tree.write(".gitlab-ci.yml", DEPLOYS)?;
    let first = push_version(&tree, "one").await?;
    assert_eq!(server.finished(PROJECT, &first).await?["status"], "success");
    let (test, users) =
        (format!("/projects/{PROJECT}/environments/test"), format!("/projects/{PROJECT}/environments/production"));
    let mut loads = Vec::new();
    for environment in ["test", "production"] {
        loads.push(Load::start(&service::address(&server, PROJECT, environment).await?, 2));
    }

    // Killed between two nodes' replacements.
    let second = push_version(&tree, "two").await?;
    let half = |environment: &Value| {
        environment["nodes"].as_array().is_some_and(|all| all.iter().any(|node| node["sha"] == second))
    };
    server.wait(&test, half).await?;
    server.kill().await?;
    for load in &loads {
        served(load, 50).await?;
    }
    server.start_again().await?;
    assert_eq!(server.finished(PROJECT, &second).await?["status"], "success");
    server.wait(&test, |environment| service::runs(environment, &second, 3)).await?;
    server.wait(&users, |environment| service::runs(environment, &second, 2)).await?;

    // Killed at rest: the same processes go on.
    let nodes_before = service::pids(&server.data());
    assert_eq!(nodes_before.len(), 5);
    server.kill().await?;
    for load in &loads {
        served(load, 50).await?;
    }
    server.start_again().await?;
    server.wait(&test, |environment| service::runs(environment, &second, 3)).await?;
    server.wait(&users, |environment| service::runs(environment, &second, 2)).await?;
    for load in &loads {
        served(load, 100).await?;
    }
    assert_eq!(service::pids(&server.data()), nodes_before);
    nobody_failed(&loads);
    let last = loads.first().context("no load")?.counts();
    assert!(last.bodies.contains_key("one") && last.bodies.contains_key("two"), "{last:?}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_never_gets_healthy_leaves_the_old_one_serving() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), ENVIRONMENTS)?;
    tree.write(".gitlab-ci.yml", DEPLOYS)?;
    let first = push_version(&tree, "one").await?;
    assert_eq!(server.finished(PROJECT, &first).await?["status"], "success");
    let load = Load::start(&service::address(&server, PROJECT, "test").await?, 2);
    // Its program is no program.
    tree.write(service::PROGRAM, "broken")?;
    let broken = push_version(&tree, "broken").await?;
    let pipeline = server.finished(PROJECT, &broken).await?;
    assert_eq!(pipeline["status"], "failed");
    server
        .wait(&format!("/projects/{PROJECT}/environments/test"), |environment| service::runs(environment, &first, 3))
        .await?;
    served(&load, 50).await?;
    nobody_failed(&[load]);
    assert!(process::is_alive(server.pid()?));
    Ok(())
}
