use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::{logged_in, project};

/// Lines that the job prints.
const LINES: usize = 120_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_stays_quick() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    let script = format!(
        "build:\n  script:\n    - printf '\\033[31mred\\033[0m and <script>alert(1)</script>\\n'\n    \
         - printf 'ten percent\\rall done\\n'\n    - seq 1 {LINES}\n    - echo the very end\n"
    );
    tree.write(".gitlab-ci.yml", &script)?;
    tree.commit("Start").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    server.wait("/projects/1/pipelines/1/jobs", |jobs| jobs[0]["status"] == "success").await?;

    let started = Instant::now();
    browser.open(&format!("{}/shop/-/jobs/1", server.url)).await?;
    browser.until("return document.querySelectorAll('.line').length > 10").await?;
    browser.sees("red and <script>alert(1)</script>").await?;
    browser.until("return document.querySelector('.line .f1')?.textContent === 'red'").await?;
    browser
        .until(
            "return [...document.querySelectorAll('.line > span:last-child')].some((e) => e.textContent === 'all done')",
        )
        .await?;
    assert!(started.elapsed() < Duration::from_secs(10), "first lines took {:?}", started.elapsed());
    browser.shoot("job").await?;

    browser.click("[data-follow]").await?;
    browser.sees("the very end").await?;
    assert!(browser.run("return document.querySelectorAll('.line').length").await?.as_u64() < Some(200));

    browser.run("location.hash = '#L60000'").await?;
    browser.until("return document.querySelector('.line.at')?.dataset.line === '59999'").await?;
    let frames = browser.run(FRAMES).await?;
    assert!(frames.as_f64() < Some(150.0), "the median of 40 frames took {frames} ms");

    browser.fill("#find", "the very end").await?;
    browser.run("document.querySelector('.log form').requestSubmit()").await?;
    browser.until("return document.querySelector('[data-found]').textContent.startsWith('1 / ')").await?;
    browser.sees("the very end").await?;
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}

/// Scrolls through the log and gives the median time of a frame in milliseconds.
const FRAMES: &str = "
    const view = document.querySelector('.log-view');
    return new Promise((done) => {
        const took = [];
        let last = performance.now();
        const step = () => {
            const now = performance.now();
            took.push(now - last);
            last = now;
            view.scrollTop += 3000;
            if (took.length < 40) requestAnimationFrame(step);
            else done(took.sort((one, other) => one - other)[20]);
        };
        requestAnimationFrame(step);
    });";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_log_is_followed() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    let wait =
        "build:\n  script:\n    - seq 1 500\n    - until test -e \"$GATE\"; do sleep 0.05; done\n    - echo opened\n";
    let gate = tempfile::tempdir()?;
    let gate_file = gate.path().join("open");
    let file = format!("variables: {{ GATE: {} }}\n{wait}", json!(gate_file));
    tree.write(".gitlab-ci.yml", &file)?;
    tree.commit("Start").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    server.wait("/projects/1/pipelines/1/jobs", |jobs| jobs[0]["status"] == "running").await?;
    browser.open(&format!("{}/shop/-/jobs/1", server.url)).await?;
    browser.sees("500").await?;
    browser.find("[data-follow][aria-pressed='true']").await?;
    browser.shoot("job-running").await?;
    browser.run("document.querySelector('.log-view').scrollTop = 0").await?;
    browser.find("[data-follow][aria-pressed='false']").await?;
    std::fs::write(&gate_file, "")?;
    browser.find("main .head .mark.ok").await?;
    browser.find("body").await?.send_keys("f").await?;
    browser.sees("opened").await?;
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}
