//! Deployments to containers of a real engine: images built once, refusals in words, a server that dies in between.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_e2e::{Server, WorkTree, service};

use crate::boxes::Cleared;

const PROJECT: &str = "boxed";
/// A static busybox, the whole of the image (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\n\
                          ENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
const SERVICE: &str = "service:\n  name: boxed\n  health: { path: /healthz, timeout: 30s, interval: 100ms }\n  \
                       stop_timeout: 1s\n";
const IMAGE: &str = "  image: { dockerfile: Dockerfile }\n";
const ENVIRONMENTS: &str = "environments:\n  test: { platform: docker, nodes: 2 }\n";
const PIPELINE: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                        deploy: { stage: deploy, serin: { action: deploy, environment: test } }\n";

async fn begin(server: &Server) -> Result<WorkTree> {
    let tree = server.project(PROJECT).await?;
    std::fs::copy(BUSYBOX, tree.path().join("busybox")).context("`apt-get install busybox-static`")?;
    tree.write("Dockerfile", DOCKERFILE)?;
    tree.write("www/healthz", "ok\n")?;
    tree.write("serin.yml", format!("{SERVICE}{IMAGE}{ENVIRONMENTS}"))?;
    Ok(tree)
}

fn docker(arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new("docker").args(arguments).output()?;
    anyhow::ensure!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn job(server: &Server, pipeline: &Value, name: &str) -> Result<(Value, String)> {
    let job = server.job(PROJECT, pipeline, name).await?;
    let trace = server.trace(PROJECT, &job).await?;
    Ok((job, trace))
}

#[tokio::test]
async fn a_tree_is_built_once_and_its_containers_outlive_the_server() -> Result<()> {
    let mut server = Server::start().await?;
    let cleared = Cleared::of_project(&server, PROJECT);
    let tree = begin(&server).await?;
    let commit = tree.push_pipeline(PIPELINE).await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    let (_, packaged) = job(&server, &pipeline, "package").await?;
    let (_, deployed) = job(&server, &pipeline, "deploy").await?;
    assert_eq!(pipeline["status"], "success", "{packaged}\n{deployed}");
    assert!(packaged.contains("[1/2] COPY busybox /bin/busybox") && packaged.contains("Image sha256:"), "{packaged}");
    let path = format!("/projects/{PROJECT}/environments/test");
    let environment = server.get(&path).await?;
    assert!(service::runs(&environment, &commit, 2), "{environment}");
    let address = service::address(&server, PROJECT, "test").await?;
    assert_eq!(reqwest::get(format!("{address}/healthz")).await?.text().await?, "ok\n");
    let running = || docker(&["ps", "-q", "--filter", "label=serin.node", "--filter", "ancestor=serin/boxed"]);
    let ids = || -> Result<Vec<String>> {
        let image = packaged.lines().find_map(|line| line.split_once("Image sha256:")).context("no image")?.1;
        let image: String = image.chars().take(64).collect();
        let all = docker(&["ps", "-q", "--no-trunc", "--filter", &format!("ancestor=sha256:{image}")])?;
        let mut all: Vec<String> = all.split_whitespace().map(str::to_owned).collect();
        all.sort();
        Ok(all)
    };
    let before = ids()?;
    assert_eq!(before.len(), 2, "{:?}", running());

    server.kill().await?;
    assert_eq!(reqwest::get(format!("{address}/healthz")).await?.text().await?, "ok\n");
    server.start_again().await?;
    server.wait(&path, |environment| service::runs(environment, &commit, 2)).await?;
    assert_eq!(ids()?, before, "the nodes are others after the server's death");

    // The same tree under another commit: nothing is built, nothing is replaced by something else.
    tree.git(&["commit", "--quiet", "--allow-empty", "--message=Again"]).await?;
    tree.git(&["push", "--quiet", "origin", "HEAD:main"]).await?;
    let again = tree.git(&["rev-parse", "HEAD"]).await?.trim().to_owned();
    let made = server.post(&format!("/projects/{PROJECT}/pipeline?ref=main"), json!({})).await?;
    assert_eq!(made["sha"], again.as_str());
    let ended = server.pipeline_until(PROJECT, &made, &["success", "failed"]).await?;
    let (_, packaged) = job(&server, &ended, "package").await?;
    assert!(packaged.contains("is packaged already"), "{packaged}");
    drop(server);
    drop(cleared);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_built_or_run_is_refused_in_words() -> Result<()> {
    let server = Server::start().await?;
    let cleared = Cleared::of_project(&server, PROJECT);
    let tree = begin(&server).await?;
    let cases = [
        (
            format!("{SERVICE}  image: {{ dockerfile: ../Dockerfile }}\n{ENVIRONMENTS}"),
            "package",
            "no path in the repository",
        ),
        (
            format!("{SERVICE}  image: {{ dockerfile: missing }}\n{ENVIRONMENTS}"),
            "package",
            "there is no file `missing`",
        ),
        (format!("{SERVICE}  command: [./busybox]\n{ENVIRONMENTS}"), "deploy", "has no image"),
        (format!("{SERVICE}  image: {{ dockerfile: broken }}\n{ENVIRONMENTS}"), "package", "NOPE"),
    ];
    tree.write("broken", "FROM scratch\nNOPE\n")?;
    for (config, failing, words) in cases {
        tree.write("serin.yml", config)?;
        let pipeline = server.finished(PROJECT, &tree.push_pipeline(PIPELINE).await?).await?;
        let (job, trace) = job(&server, &pipeline, failing).await?;
        assert_eq!(job["status"], "failed", "{trace}");
        assert!(trace.contains(words), "no `{words}` in:\n{trace}");
    }
    drop(cleared);
    Ok(())
}
