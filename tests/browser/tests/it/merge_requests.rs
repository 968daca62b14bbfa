use anyhow::Result;

use crate::{logged_in, project};

const PIPELINE: &str = "
workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'
    - if: $CI_COMMIT_BRANCH == 'main'
stages: [build, test, publish]
build:
  stage: build
  script: [echo building, mkdir out, echo done > out/file]
  artifacts: { paths: [out/] }
unit:
  stage: test
  script: [cat out/file]
flaky:
  stage: test
  allow_failure: true
  script: [echo unlucky, exit 3]
publish:
  stage: publish
  rules: [{ if: $CI_COMMIT_BRANCH == 'main', when: manual }]
  script: [echo published]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_push_to_the_merge() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    tree.write(".gitlab-ci.yml", PIPELINE)?;
    tree.write("src/main.txt", "one\ntwo\nthree\n")?;
    tree.commit("Start <script>alert('title')</script>").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    browser.open(&format!("{}/shop", server.url)).await?;
    browser.sees("Start <script>alert('title')</script>").await?;

    tree.git(&["checkout", "--quiet", "-b", "better"]).await?;
    tree.write("src/main.txt", "one\n<img src=x onerror=alert(1)>\nthree\nfour\n")?;
    tree.write("docs/new.md", "# New\n")?;
    tree.commit("Say it better & <b>bolder</b>").await?;
    tree.git(&["push", "--quiet", "-o", "merge_request.create", "origin", "better"]).await?;
    // The page that is open hears of it.
    browser
        .until("return [...document.querySelectorAll('.row-title')].some((e) => e.textContent.includes('bolder'))")
        .await?;
    browser.shoot("project").await?;

    browser.open(&format!("{}/shop/-/merge_requests", server.url)).await?;
    browser.shoot("merge-requests").await?;
    browser.open(&format!("{}/shop/-/merge_requests/1", server.url)).await?;
    browser.run("window.stayed = true").await?;
    browser.until("return document.querySelector('button[value=merge]') !== null").await?;
    browser.until("return window.stayed === true").await?;
    browser.shoot("merge-request").await?;
    browser.open(&format!("{}/shop/-/merge_requests/1/changes", server.url)).await?;
    browser.sees("<img src=x onerror=alert(1)>").await?;
    browser.shoot("merge-request-changes").await?;

    browser.open(&format!("{}/shop/-/merge_requests/1", server.url)).await?;
    browser.click("button[value=merge]").await?;
    browser.sees("Merged as").await?;
    browser.shoot("merge-request-merged").await?;
    browser.open(&format!("{}/shop/-/pipelines", server.url)).await?;
    browser.shoot("pipelines").await?;
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_lives_and_a_person_starts_a_job() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    tree.write(".gitlab-ci.yml", PIPELINE)?;
    tree.commit("Start").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    server.wait("/projects/1/pipelines/1", |_| true).await?;
    browser.open(&format!("{}/shop/-/pipelines/1", server.url)).await?;
    browser.run("window.stayed = true").await?;
    browser.until("return document.querySelector('button[value=play]') !== null").await?;
    browser.until("return document.querySelectorAll('.job .mark.warn').length === 1").await?;
    browser.shoot("pipeline").await?;
    browser.until("return window.stayed === true").await?;
    browser.click("button[value=play]").await?;
    browser.until("return document.querySelectorAll('.job .mark.ok').length === 3").await?;
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_is_drawn() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    tree.write(".gitlab-ci.yml", "build:\n  scirpt: echo <b>hello</b>\n")?;
    tree.commit("Start").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    server.wait("/projects/1/pipelines/1", |_| true).await?;
    browser.open(&format!("{}/shop/-/pipelines/1", server.url)).await?;
    browser.sees("scirpt: echo <b>hello</b>").await?;
    browser.shoot("pipeline-problem").await?;
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_push_makes_its_pipeline() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    tree.write(".gitlab-ci.yml", "build:\n  script: echo hello\noptional:\n  when: manual\n  script: echo more\n")?;
    for number in 1..=3 {
        tree.commit(&format!("Change {number}")).await?;
        tree.git(&["push", "--quiet", "origin", "main"]).await?;
        // A manual job that may fail holds no pipeline up.
        server.wait("/projects/1/pipelines", |list| list[0]["iid"] == number && list[0]["status"] == "success").await?;
    }
    browser.open(&format!("{}/shop/-/pipelines", server.url)).await?;
    browser.sees("Change 3").await?;
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}
