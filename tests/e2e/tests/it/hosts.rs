//! One environment over two hosts, of which one goes down in the middle of a release.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_e2e::registry::{PASSWORD, USER};
use serin_e2e::{Engine, LOOK_EVERY, Load, PATIENCE, Registry, Server, service};
use tokio::time::{Duration, Instant};

use crate::boxes::{CLIENTS, Cleared, NODES, PRODUCTION, PROJECT, begin};
use crate::deaths::{RELEASE, ended, push, release, release_begun, says, served, settled};

/// A node of a lost host gets no requests any more after that.
const LOST_WITHIN: Duration = Duration::from_secs(5);

fn environments(repository: &str) -> String {
    format!(
        "service:\n  name: boxes\n  image: {{ dockerfile: Dockerfile, repository: {repository} }}\n  \
         health: {{ path: /healthz, timeout: 30s, interval: 100ms }}\n  stop_timeout: 1s\n\
         environments:\n  production: {{ platform: docker, hosts: [blue, green], drain_timeout: 2s, \
         pools: {{ a: {{ nodes: 2 }}, b: {{ nodes: 2 }} }} }}\nrelease: {{ order: manual, watch: 0s }}\n"
    )
}

fn on_host<'a>(environment: &'a Value, host: &'a str) -> impl Iterator<Item = &'a Value> {
    environment["nodes"].as_array().into_iter().flatten().filter(move |node| node["host"] == host)
}

#[tokio::test]
async fn a_release_over_two_hosts_waits_for_the_one_that_goes_down() -> Result<()> {
    let registry = Registry::start().await?;
    let mut green = Engine::start().await?;
    let own = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let settings = format!("[docker.hosts.blue]\nurl = \"{own}\"\n[docker.hosts.green]\nurl = \"{}\"\n", green.host());
    let mut server = Server::start_with_settings(&settings).await?;
    let cleared = Cleared::of(&server);
    let tree = begin(&server).await?;
    for (key, value) in
        [("REGISTRY", registry.address.as_str()), ("REGISTRY_USER", USER), ("REGISTRY_PASSWORD", PASSWORD)]
    {
        let variable = json!({ "key": format!("SERIN_{key}"), "value": value, "raw": true });
        server.post(&format!("/projects/{PROJECT}/variables"), variable).await?;
    }
    tree.write("serin.yml", environments(&format!("{}/boxes", registry.address)))?;
    let first = push(&tree, "one", RELEASE).await?;
    release(&server, &first).await?;
    ended(&server, &first, "success").await?;
    settled(&server, &first).await?;
    // The nodes of each pool go round the hosts, and each host has the image by its content: green was never at the registry.
    let environment = server.get(PRODUCTION).await?;
    for host in ["blue", "green"] {
        let names: Vec<&str> = on_host(&environment, host).filter_map(|node| node["name"].as_str()).collect();
        assert_eq!(names, if host == "blue" { ["a-1", "b-2"] } else { ["a-2", "b-1"] }, "{environment}");
    }
    let images = green.docker(&["images", "-q", "--no-trunc"])?;
    let running = green.docker(&["ps", "-q"])?;
    assert_eq!(running.lines().count(), 2);
    for id in running.lines() {
        let image = green.docker(&["inspect", "-f", "{{.Config.Image}} {{.Image}}", id])?;
        let (named, known) = image.split_once(' ').context("no image")?;
        ensure!(named == known && images.lines().any(|one| one == known), "{image}, of {images}");
    }
    assert_eq!(cleared.containers().len(), 2);
    let page = server.ask(reqwest::Method::GET, &format!("/{PROJECT}/-/environments/production"), None).await?.1;
    assert!(page.contains("</span>blue</span>") && page.contains("</span>green</span>"), "{page}");

    // Its nodes are out of the gateway, and the release waits for it and says so.
    let load = Load::start(&service::address(&server, PROJECT, "production").await?, CLIENTS);
    let second = push(&tree, "two", RELEASE).await?;
    release_begun(&server, &second).await?;
    green.go_down().await?;
    let down = Instant::now();
    let out = |environment: &Value| on_host(environment, "green").all(|node| node["share"] == 0.0);
    server.wait(PRODUCTION, out).await?;
    ensure!(down.elapsed() < LOST_WITHIN, "{:?}", down.elapsed());
    server
        .wait(PRODUCTION, |environment| says(environment, "paused by the server: host `green` does not answer"))
        .await?;
    let page = server.ask(reqwest::Method::GET, &format!("/{PROJECT}/-/environments/production"), None).await?.1;
    assert!(page.contains(", paused by the server: host `green` does not answer"), "{page}");
    let counts = load.counts();
    served(&load, 200).await?;
    assert_eq!(load.counts().failed, counts.failed, "requests fail although one host is well");

    // The server's own death meanwhile changes nothing, and what runs on the host that is well is adopted.
    server.kill().await?;
    server.start_again().await?;
    served(&load, 200).await?;
    assert_eq!(load.counts().failed, counts.failed, "requests fail after the server's death");

    green.start_again().await?;
    release(&server, &second).await?;
    ended(&server, &second, "success").await?;
    settled(&server, &second).await?;
    assert_eq!((green.docker(&["ps", "-aq"])?.lines().count(), cleared.containers().len()), (2, NODES - 2));

    // Nodes move away from a host that is down, and leave nothing there when it is back.
    green.go_down().await?;
    let moved = environments(&format!("{}/boxes", registry.address)).replace("[blue, green]", "[blue]");
    tree.write("serin.yml", moved)?;
    let third = push(&tree, "three", RELEASE).await?;
    release(&server, &third).await?;
    ended(&server, &third, "success").await?;
    settled(&server, &third).await?;
    assert_eq!(cleared.containers().len(), NODES);
    green.start_again().await?;
    let until = Instant::now() + PATIENCE;
    while !green.docker(&["ps", "-aq"])?.is_empty() {
        ensure!(Instant::now() < until, "nodes that moved are left over");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    drop((load, server));
    drop(cleared);
    Ok(())
}
