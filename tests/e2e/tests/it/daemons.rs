//! Scripts that fork, daemonise and ignore signals leave nothing behind, and a job whose server dies ends once.

use anyhow::{Result, ensure};
use serde_json::json;
use serin_e2e::{LOOK_EVERY, PATIENCE, Server, process};

const PROJECT: &str = "daemons";

/// Daemonises three ways; each daemon ignores what asks it to end. `$MARK` stays in their environment.
const FORKS: &str = r#"
    - trap '' TERM HUP INT
    - (trap '' TERM HUP INT; exec setsid sleep 987654) &
    - (trap '' TERM HUP; (trap '' TERM HUP; setsid sh -c 'trap "" TERM HUP INT; while true; do sleep 987653; done' &) &)
    - setsid nohup sh -c 'trap "" TERM; sleep 987652; sleep 987652' > /dev/null 2>&1 < /dev/null &
"#;

fn pipeline(mark: &str, end: &str, more: &str) -> String {
    format!("forks:\n  variables: {{ MARK: {mark} }}\n  script:{FORKS}    - echo forked\n    - {end}\n{more}")
}

/// A word that is in no other process's environment.
fn mark(name: &str) -> String {
    format!("serin-e2e-{name}-{}", std::process::id())
}

async fn until_none_is_left(mark: &str) -> Result<()> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let left = process::marked(mark);
        if left.is_empty() {
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < until, "{left:?} are left");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[tokio::test]
async fn nothing_is_left_after_the_job() -> Result<()> {
    let (server, mark) = (Server::start().await?, mark("after"));
    let tree = server.project(PROJECT).await?;
    let commit = tree.push_pipeline(&pipeline(&mark, "echo over", "")).await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    assert_eq!(pipeline["status"], "success");
    until_none_is_left(&mark).await
}

#[tokio::test]
async fn nothing_is_left_after_a_cancel() -> Result<()> {
    let (server, mark) = (Server::start().await?, mark("cancel"));
    let tree = server.project(PROJECT).await?;
    let commit = tree.push_pipeline(&pipeline(&mark, "sleep 987651", "")).await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, "forks").await?;
    server.trace_until(PROJECT, &job, "\nforked").await?;
    assert!(process::marked(&mark).len() >= 4, "the daemons are not there");
    server.post(&format!("/projects/{PROJECT}/pipelines/{}/cancel", pipeline["id"]), json!({})).await?;
    server.job_until(PROJECT, &job, &["canceled"]).await?;
    until_none_is_left(&mark).await
}

#[tokio::test]
async fn nothing_is_left_after_the_servers_death_and_the_job_ends_once() -> Result<()> {
    let (mut server, mark) = (Server::start().await?, mark("death"));
    let tree = server.project(PROJECT).await?;
    // The first attempt never ends; the one after the restart does.
    let flag = tree.path().join("go");
    let end = format!("test -e '{}' || sleep 987651", flag.display());
    let commit = tree.push_pipeline(&pipeline(&mark, &end, "  retry: 2\n")).await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, "forks").await?;
    server.trace_until(PROJECT, &job, "\nforked").await?;
    server.kill().await?;
    until_none_is_left(&mark).await?;
    std::fs::write(flag, "")?;
    server.start_again().await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    assert_eq!(pipeline["status"], "success");
    let job = server.job(PROJECT, &pipeline, "forks").await?;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("success"), &json!(2)));
    until_none_is_left(&mark).await
}
