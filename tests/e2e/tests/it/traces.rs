//! A trace of 200 MB: the server stays small, and the trace's end can be read.

use anyhow::{Context, Result};
use reqwest::Method;
use serin_e2e::{Server, process};

const PROJECT: &str = "loud";
/// What the job writes, in lines of 99 characters.
const TRACE_BYTES: u64 = 200_000_000;
const LINES: u64 = TRACE_BYTES / 99;
/// What the server may have resident.
const RESIDENT_BYTES_MAX: u64 = 200 << 20;

#[tokio::test]
async fn a_trace_of_200_megabytes_leaves_the_server_small() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let write = format!("head -c {TRACE_BYTES} /dev/zero | tr '\\0' x | fold -w 99");
    let file = format!("loud:\n  timeout: 10m\n  script:\n    - {write}\n    - echo && echo the very end\n");
    let commit = tree.push_pipeline(&file).await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, "loud").await?;
    // A person looks at it meanwhile.
    let job = loop {
        let (status, _) = server.ask(Method::GET, &format!("/{PROJECT}/-/jobs/{}", job["id"]), None).await?;
        assert!(status.is_success(), "{status}");
        let job = server.get(&format!("/projects/{PROJECT}/jobs/{}", job["id"])).await?;
        if !job["finished_at"].is_null() {
            break job;
        }
        tokio::time::sleep(serin_e2e::LOOK_EVERY).await;
    };
    assert_eq!(job["status"], "success");

    let path = format!("{}/api/v4/projects/{PROJECT}/jobs/{}/trace", server.url, job["id"]);
    let mut answer = reqwest::Client::new().get(path).header("private-token", &server.token).send().await?;
    let (mut bytes, mut newlines, mut end) = (0_u64, 0_u64, Vec::new());
    while let Some(piece) = answer.chunk().await? {
        bytes += piece.len() as u64;
        newlines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        end.extend_from_slice(&piece);
        end.drain(..end.len().saturating_sub(4096));
    }
    assert!(bytes > TRACE_BYTES && newlines > LINES, "{bytes} bytes, {newlines} lines");
    let end = String::from_utf8_lossy(&end).into_owned();
    assert!(end.contains("the very end") && end.contains("Job succeeded"), "{end}");

    // By line, as the page does it.
    let (status, page) =
        server.ask(Method::GET, &format!("/{PROJECT}/-/jobs/{}/log?from={}", job["id"], LINES), None).await?;
    assert!(status.is_success() && page.contains("the very end"), "{status}: {}", page.get(..2000).unwrap_or(&page));

    let resident = process::resident_bytes_max(server.pid()?).context("the server is gone")?;
    assert!(resident < RESIDENT_BYTES_MAX, "the server had {} MB resident", resident >> 20);
    Ok(())
}
