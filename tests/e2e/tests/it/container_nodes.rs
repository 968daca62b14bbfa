//! Nodes in containers: what a repository may not ask for, and deaths in the middle of deployment and canary.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_e2e::image::docker;
use serin_e2e::{LOOK_EVERY, Load, PATIENCE, Server, WorkTree, service};

const PROJECT: &str = "boxes";
const PRODUCTION: &str = "/projects/boxes/environments/production";
const NODES: usize = 4;
/// A static busybox, the whole of the image (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\n\
                          ENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
const SERVICE: &str = "service:\n  name: boxes\n  image: { dockerfile: Dockerfile }\n  \
                       health: { path: /healthz, timeout: 30s, interval: 100ms }\n  stop_timeout: 1s\n";
const ENVIRONMENTS: &str = "environments:\n  production: { platform: docker, nodes: 4, drain_timeout: 2s }\n\
                            canary: { nodes: 1, tick: 250ms, steps: [{ traffic: 20%, for: 5m }] }\n";
const DEPLOY: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                      deploy: { stage: deploy, serin: { action: deploy, environment: production } }\n";
const CANARY: &str = "stages: [package, detach, canary]\npackage: { stage: package, serin: { action: package } }\n\
                      detach: { stage: detach, serin: { action: detach, environment: production } }\n\
                      canary: { stage: canary, serin: { action: canary, environment: production } }\n";

/// Removes what the server left, once it has ended.
struct Cleared(std::path::PathBuf, std::sync::OnceLock<String>);

impl Cleared {
    fn of(server: &Server) -> Self {
        Self(server.data(), std::sync::OnceLock::new())
    }

    fn containers(&self) -> Vec<String> {
        // Remembered: the folder ends with the server.
        let text = std::fs::read_to_string(self.0.join("nodes/docker/docker.json")).unwrap_or_default();
        let instance = text.split('"').nth(3).map(|instance| self.1.get_or_init(|| instance.to_owned()));
        let Some(instance) = instance.or(self.1.get()) else { return Vec::new() };
        let all = docker(&["ps", "-aq", "--filter", &format!("label=serin.instance={instance}")]).unwrap_or_default();
        all.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        for id in self.containers() {
            let _ = docker(&["rm", "-f", "-v", &id]);
        }
    }
}

async fn begin(server: &Server) -> Result<WorkTree> {
    let tree = server.project(PROJECT).await?;
    std::fs::copy(BUSYBOX, tree.path().join("busybox")).context("`apt-get install busybox-static`")?;
    tree.write("Dockerfile", DOCKERFILE)?;
    tree.write("www/healthz", "ok\n")?;
    tree.write("www/index.html", "one")?;
    tree.write("serin.yml", format!("{SERVICE}{ENVIRONMENTS}"))?;
    Ok(tree)
}

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

/// People who send one request after the other.
const CLIENTS: usize = 4;
/// Requests that a share is looked at over.
const WINDOW: u64 = 400;

/// What part of so many answers may be the canary's, where `approved` is its share of the requests sent: those in flight at
/// the start may all be its, those in flight at the end all others', and the gateway's count is within one request at both.
fn share_max(approved: f64, answers: u64) -> f64 {
    let in_flight = CLIENTS as f64;
    approved + (approved * in_flight + in_flight + 2.0) / answers as f64
}

/// Waits until that many more requests were answered; what part of them the body `two` answered.
async fn share(load: &Load, requests: u64) -> Result<f64> {
    let before = load.counts();
    let count = |counts: &serin_e2e::load::Counts| counts.bodies.get("two").copied().unwrap_or(0);
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = load.counts();
        if now.good >= before.good + requests {
            return Ok((count(&now) - count(&before)) as f64 / (now.good - before.good) as f64);
        }
        ensure!(tokio::time::Instant::now() < until, "the gateway stopped serving: {now:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The container of a node.
fn of_node(cleared: &Cleared, node: &str) -> Result<String> {
    let found = cleared.containers().into_iter().find(|id| {
        let label = docker(&["inspect", "-f", "{{index .Config.Labels \"serin.node\"}}", id]);
        label.is_ok_and(|label| label.ends_with(&format!("/{node}")))
    });
    found.with_context(|| format!("no container of {node}"))
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
