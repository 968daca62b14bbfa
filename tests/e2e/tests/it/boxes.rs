//! A small service in containers, and how its share of the traffic and its containers are looked at.

use anyhow::{Context, Result, ensure};
use serin_e2e::image::docker;
use serin_e2e::{LOOK_EVERY, Load, PATIENCE, Server, WorkTree};

pub const PROJECT: &str = "boxes";
pub const PRODUCTION: &str = "/projects/boxes/environments/production";
pub const NODES: usize = 4;
/// A static busybox, the whole of the image (Debian: `busybox-static`).
pub const BUSYBOX: &str = "/bin/busybox";
pub const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\n\
                          ENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
pub const SERVICE: &str = "service:\n  name: boxes\n  image: { dockerfile: Dockerfile }\n  \
                       health: { path: /healthz, timeout: 30s, interval: 100ms }\n  stop_timeout: 1s\n";
pub const ENVIRONMENTS: &str = "environments:\n  production: { platform: docker, nodes: 4, drain_timeout: 2s }\n\
                            canary: { nodes: 1, tick: 250ms, steps: [{ traffic: 20%, for: 5m }] }\n";
pub const DEPLOY: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n\
                      deploy: { stage: deploy, serin: { action: deploy, environment: production } }\n";
pub const CANARY: &str = "stages: [package, detach, canary]\npackage: { stage: package, serin: { action: package } }\n\
                      detach: { stage: detach, serin: { action: detach, environment: production } }\n\
                      canary: { stage: canary, serin: { action: canary, environment: production } }\n";

/// Removes what the server left, its images too, once it has ended: containers have the labels of their image.
pub struct Cleared(String);

impl Cleared {
    pub fn of(server: &Server) -> Self {
        Self::of_project(server, PROJECT)
    }

    pub fn of_project(server: &Server, project: &str) -> Self {
        Self(format!("label=org.opencontainers.image.source={}/{project}", server.url))
    }

    pub fn containers(&self) -> Vec<String> {
        let all = docker(&["ps", "-aq", "--filter", &self.0, "--filter", "label=serin.node"]).unwrap_or_default();
        all.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        for id in self.containers() {
            let _ = docker(&["rm", "-f", "-v", &id]);
        }
        for image in docker(&["images", "-aq", "--filter", &self.0]).unwrap_or_default().split_whitespace() {
            let _ = docker(&["rmi", "-f", image]);
        }
    }
}

pub async fn begin(server: &Server) -> Result<WorkTree> {
    let tree = server.project(PROJECT).await?;
    std::fs::copy(BUSYBOX, tree.path().join("busybox")).context("`apt-get install busybox-static`")?;
    tree.write("Dockerfile", DOCKERFILE)?;
    tree.write("www/healthz", "ok\n")?;
    tree.write("www/index.html", "one")?;
    tree.write("serin.yml", format!("{SERVICE}{ENVIRONMENTS}"))?;
    Ok(tree)
}

/// People who send one request after the other.
pub const CLIENTS: usize = 4;
/// Requests that a share is looked at over.
pub const WINDOW: u64 = 400;

/// What part of so many answers may be the canary's, where `approved` is its share of the requests sent: those in flight at
/// the start may all be its, those in flight at the end all others', and the gateway's count is within one request at both.
pub fn share_max(approved: f64, answers: u64) -> f64 {
    let in_flight = CLIENTS as f64;
    approved + (approved * in_flight + in_flight + 2.0) / answers as f64
}

/// Waits until that many more requests were answered; what part of them the body `two` answered.
pub async fn share(load: &Load, requests: u64) -> Result<f64> {
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
pub fn of_node(cleared: &Cleared, node: &str) -> Result<String> {
    let found = cleared.containers().into_iter().find(|id| {
        let label = docker(&["inspect", "-f", "{{index .Config.Labels \"serin.node\"}}", id]);
        label.is_ok_and(|label| label.ends_with(&format!("/{node}")))
    });
    found.with_context(|| format!("no container of {node}"))
}
