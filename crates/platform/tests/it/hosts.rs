//! A host of its own: an engine behind TLS, or behind `ssh`, that is lost and comes back.

use crate::containers::{SERVE, container, image};
use crate::engine::{Dockerd, certificates};
use crate::world::{get, is_healthy, poll, wait};
use serin_platform::{DockerPlatform, Engine, Error, Host, NodeSpec, NodeState, Platform, Policy, Tls};
use std::path::Path;
use std::time::{Duration, Instant};

/// A node of a lost host gets no requests any more after that.
const LOST_WITHIN: Duration = Duration::from_secs(5);

fn tls(dir: &Path, number: u16) -> Host {
    let file = |name: &str| dir.join(name);
    Host {
        name: "blue".to_owned(),
        url: format!("tcp://127.0.0.1:{number}"),
        tls: Some(Tls { ca: file("ca.pem"), cert: file("client.pem"), key: file("client-key.pem") }),
        address: None,
        ssh_config: None,
    }
}

async fn open(dir: &Path, host: &Host) -> DockerPlatform {
    let engine = Engine::open(host).await.unwrap();
    let local = Engine::connect().await.unwrap();
    let image = image().await;
    if !engine.has_image(&image).await.unwrap() {
        local.copy_image(&image, &engine).await.unwrap();
    }
    assert!(engine.has_image(&image).await.unwrap());
    DockerPlatform::new(dir, (engine, "host `blue`"), Policy::default()).await.unwrap()
}

#[tokio::test]
async fn a_host_behind_tls_is_lost_within_five_seconds_and_adopted_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let mut dockerd = Dockerd::start(dir.path()).await;
    let host = tls(dir.path(), dockerd.port);
    let platform = open(&dir.path().join("nodes"), &host).await;
    // Its addresses are not this machine's: the node is reached at a port that the host publishes.
    platform.apply(&container(SERVE, 3)).await.unwrap();
    let before = wait(&platform, "a-1", is_healthy).await;
    assert_eq!(before.address.unwrap().ip().to_string(), "127.0.0.1");
    assert_eq!(get(before.address, "/healthz").await, "ok\n");
    assert_eq!(platform.trouble(None), None);

    // As if the network were cut: nothing refuses, nothing answers.
    let cut = Instant::now();
    dockerd.freeze();
    wait(&platform, "a-1", |seen| seen.state == NodeState::Unhealthy).await;
    assert!(cut.elapsed() < LOST_WITHIN, "{:?}", cut.elapsed());
    says_why(&platform).await;
    let refused = platform.apply(&container(SERVE, 2)).await;
    assert!(refused.is_err(), "{refused:?}");
    dockerd.thaw();
    let after = wait(&platform, "a-1", is_healthy).await;
    assert_eq!((after.generation, after.pid, after.restarts), (3, before.pid, 0), "it is adopted, not started again");

    let killed = Instant::now();
    dockerd.kill();
    wait(&platform, "a-1", |seen| seen.state == NodeState::Unhealthy).await;
    assert!(killed.elapsed() < LOST_WITHIN, "{:?}", killed.elapsed());
    says_why(&platform).await;
    dockerd.start_again().await;
    // An engine that was killed ends what it finds still running.
    wait(&platform, "a-1", |seen| seen.state == NodeState::Lost).await;
    platform.apply(&container(SERVE, 3)).await.unwrap();
    let again = wait(&platform, "a-1", is_healthy).await;
    assert_eq!((again.generation, platform.trouble(None)), (3, None));
    assert_eq!(get(again.address, "/healthz").await, "ok\n");
    platform.remove_all().await.unwrap();
}

async fn says_why(platform: &DockerPlatform) {
    let why = "host `blue` does not answer";
    poll(platform, "a-1", |seen| seen.detail.as_ref().is_some_and(|words| words.contains(why))).await;
    assert!(platform.trouble(None).is_some_and(|words| words.contains(why)));
}

#[tokio::test]
async fn an_engine_is_spoken_to_over_tls_with_both_certificates_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let dockerd = Dockerd::start(dir.path()).await;
    let good = tls(dir.path(), dockerd.port);
    assert!(Engine::open(&good).await.is_ok());
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let strange = Tls { ca: other.path().join("ca.pem"), ..good.tls.clone().unwrap() };
    let stranger = Tls {
        cert: other.path().join("client.pem"),
        key: other.path().join("client-key.pem"),
        ..good.tls.clone().unwrap()
    };
    for tls in [None, Some(strange), Some(stranger)] {
        let refused = Engine::open(&Host { tls, ..good.clone() }).await;
        assert!(matches!(refused, Err(Error::Docker { .. })), "an engine is trusted that should not be");
    }
    for url in ["http://127.0.0.1:1", "127.0.0.1", "ssh://-oProxyCommand=x", "unix:///there/is/none"] {
        assert!(Engine::open(&Host { url: url.to_owned(), tls: None, ..good.clone() }).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn nodes_run_on_a_host_behind_ssh() {
    let dir = tempfile::tempdir().unwrap();
    let sshd = crate::engine::Sshd::start(dir.path()).await;
    let host = Host {
        name: "green".to_owned(),
        url: format!("ssh://{}@127.0.0.1:{}", sshd.user, sshd.port),
        tls: None,
        address: Some("127.0.0.1".to_owned()),
        ssh_config: Some(dir.path().join("ssh_config")),
    };
    let platform = open(&dir.path().join("nodes"), &host).await;
    let spec = NodeSpec { key: crate::world::key("s-1"), ..container(SERVE, 1) };
    platform.apply(&spec).await.unwrap();
    let seen = wait(&platform, "s-1", is_healthy).await;
    assert_eq!(get(seen.address, "/healthz").await, "ok\n");
    assert!(platform.logs(&spec.key, 10).await.is_ok());
    platform.remove_all().await.unwrap();
}
