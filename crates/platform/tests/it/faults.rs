//! What only real processes do: crash, hang, daemonise, outlive.

use crate::world::{FIXTURE, World, find, get, gone, is_alive, is_healthy, key, kill, open, parent, poll, spec, wait};
use serin_model::service::{Health, Probe};
use serin_platform::{Error, NodeSpec, NodeState, Platform};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_crashed_service_is_started_again_on_its_port() {
    let world = World::new();
    let before = world.healthy("ok").await;
    get(before.address, "/crash").await;
    let after = wait(&world.platform, "a-1", |seen| seen.restarts == 1 && is_healthy(seen)).await;
    assert_ne!(after.pid, before.pid);
    assert_eq!(after.address, before.address);
    assert!(after.detail.as_ref().is_some_and(|detail| detail.contains("exit status: 7")), "{after:?}");
    get(after.address, "/crash").await;
    wait(&world.platform, "a-1", |seen| seen.restarts == 2 && is_healthy(seen)).await;
}

#[tokio::test]
async fn failing_checks_make_a_node_unhealthy_and_back() {
    let world = World::new();
    let before = world.healthy("ok").await;
    get(before.address, "/sick/on").await;
    let sick = wait(&world.platform, "a-1", |seen| seen.state == NodeState::Unhealthy).await;
    assert_eq!((sick.pid, sick.restarts), (before.pid, 0));
    assert!(sick.detail.is_some_and(|detail| detail.contains("503")));
    get(before.address, "/sick/off").await;
    wait(&world.platform, "a-1", is_healthy).await;
}

#[tokio::test]
async fn a_service_that_never_listens_fails_after_its_time() {
    let world = World::new();
    let health = Health { probe: Probe::Http, path: "/healthz".to_owned(), timeout_ms: 400, interval_ms: 50 };
    world.platform.apply(&NodeSpec { health, ..spec("deaf", 1) }).await.unwrap();
    let pid = find(&world.platform, "a-1").await.unwrap().pid;
    let failed = wait(&world.platform, "a-1", |seen| matches!(seen.state, NodeState::Failed(_))).await;
    let NodeState::Failed(reason) = failed.state else { unreachable!() };
    assert!(reason.starts_with("not healthy within 0.4 s; last check: `GET /healthz` on port"), "{reason}");
    if let Some(pid) = pid {
        assert!(!is_alive(pid));
    }
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let world = World::new();
    world.platform.apply(&NodeSpec { command: vec!["./no-such".to_owned()], ..spec("ok", 1) }).await.unwrap();
    let failed = wait(&world.platform, "a-1", |seen| matches!(seen.state, NodeState::Failed(_))).await;
    let NodeState::Failed(reason) = failed.state else { unreachable!() };
    assert!(reason.contains("could not start `./no-such`: No such file"), "{reason}");
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_service_along_and_can_be_replaced() {
    let world = World::new();
    let before = world.healthy("ok").await;
    let daemon: u32 = get(before.address, "/daemon").await.parse().unwrap();
    assert!(is_alive(daemon));
    kill(parent(before.pid.unwrap()), "KILL");
    let lost = wait(&world.platform, "a-1", |seen| seen.state == NodeState::Lost).await;
    assert_eq!((lost.generation, lost.pid), (1, None));
    gone(before.pid.unwrap()).await;
    world.platform.apply(&spec("ok", 1)).await.unwrap();
    let after = wait(&world.platform, "a-1", is_healthy).await;
    assert_ne!(after.pid, before.pid);
    gone(daemon).await;
    kill(parent(after.pid.unwrap()), "KILL");
    wait(&world.platform, "a-1", |seen| seen.state == NodeState::Lost).await;
}

#[tokio::test]
async fn a_hung_supervisor_is_killed_and_replaced() {
    let world = World::new();
    world.platform.apply(&NodeSpec { stop_timeout_ms: 0, ..spec("ok", 1) }).await.unwrap();
    let before = wait(&world.platform, "a-1", is_healthy).await;
    kill(parent(before.pid.unwrap()), "STOP");
    world.platform.apply(&spec("ok", 2)).await.unwrap();
    let after = wait(&world.platform, "a-1", is_healthy).await;
    assert_eq!(after.generation, 2);
    gone(before.pid.unwrap()).await;
}

#[tokio::test]
async fn many_nodes_start_at_once_on_ports_of_their_own() {
    let world = World::new();
    let nodes: Vec<String> = (1..=6).map(|number| format!("b-{number}")).collect();
    let mut starts = tokio::task::JoinSet::new();
    let platform = std::sync::Arc::new(open(&world.path()));
    for node in nodes.clone() {
        let platform = std::sync::Arc::clone(&platform);
        starts.spawn(async move { platform.apply(&NodeSpec { key: key(&node), ..spec("ok", 1) }).await });
    }
    assert!(starts.join_all().await.iter().all(Result::is_ok));
    let mut addresses = std::collections::BTreeSet::new();
    for node in &nodes {
        let seen = wait(&*platform, node, is_healthy).await;
        assert_eq!(seen.restarts, 0);
        addresses.insert(seen.address);
    }
    assert_eq!(addresses.len(), nodes.len());
    let seen: Vec<String> = platform.observe("1-test").await.unwrap().into_iter().map(|seen| seen.key.node.0).collect();
    assert_eq!(seen, nodes, "in the order of names");
}

#[tokio::test]
async fn a_terminated_supervisor_stops_its_service_in_order() {
    let world = World::new();
    let before = world.healthy("ok").await;
    kill(parent(before.pid.unwrap()), "TERM");
    let stopped = wait(&world.platform, "a-1", |seen| seen.state == NodeState::Stopped).await;
    assert_eq!((stopped.generation, stopped.pid), (1, None));
    world.platform.apply(&spec("ok", 1)).await.unwrap();
    wait(&world.platform, "a-1", is_healthy).await;
}

#[tokio::test]
async fn a_restarted_server_adopts_its_nodes() {
    let world = World::new();
    let before = world.healthy("ok").await;
    let world = world.restart();
    let after = find(&world.platform, "a-1").await.unwrap();
    assert_eq!((after.pid, after.address, after.since), (before.pid, before.address, before.since));
    assert_eq!((after.state, after.generation), (NodeState::Healthy, 1));
    world.platform.apply(&spec("ok", 1)).await.unwrap();
    assert_eq!(find(&world.platform, "a-1").await.unwrap().pid, before.pid);
    kill(parent(before.pid.unwrap()), "KILL");
    wait(&world.platform, "a-1", |seen| seen.state == NodeState::Lost).await;
}

#[tokio::test]
async fn a_node_outlives_the_kill_of_its_server_s_whole_group() {
    let world = World::new();
    let mut server = std::process::Command::new(FIXTURE);
    server.arg("server").arg(world.path()).stdout(std::process::Stdio::piped()).process_group(0);
    let mut server = server.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "applied\n");
    let world = world.restart();
    let before = wait(&world.platform, "a-1", is_healthy).await;
    assert!(std::process::Command::new("kill").args(["-KILL", "--", &format!("-{}", server.id())]).status().is_ok());
    assert!(!server.wait().unwrap().success());
    assert_eq!(get(before.address, "/healthz").await, "ok");
    let after = find(&world.platform, "a-1").await.unwrap();
    assert_eq!((after.pid, after.state, after.restarts), (before.pid, NodeState::Healthy, 0));
    world.platform.remove(&key("a-1")).await.unwrap();
    gone(before.pid.unwrap()).await;
}

#[tokio::test]
async fn stop_ends_daemons_and_stubborn_services() {
    let world = World::new();
    world.platform.apply(&NodeSpec { stop_timeout_ms: 300, ..spec("stubborn", 1) }).await.unwrap();
    let seen = wait(&world.platform, "a-1", is_healthy).await;
    let daemon: u32 = get(seen.address, "/daemon").await.parse().unwrap();
    assert!(is_alive(daemon));
    assert_eq!(parent(daemon), parent(seen.pid.unwrap()), "the supervisor adopts it");
    let began = Instant::now();
    world.platform.remove(&key("a-1")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "SIGKILL before its time");
    assert!(!is_alive(daemon) && !is_alive(seen.pid.unwrap()));
}

#[tokio::test]
async fn stop_is_fast_where_the_service_is_willing() {
    let world = World::new();
    let seen = world.healthy("ok").await;
    let began = Instant::now();
    world.platform.remove(&key("a-1")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!is_alive(seen.pid.unwrap()));
}

#[tokio::test]
async fn a_second_supervisor_is_refused() {
    let world = World::new();
    let before = world.healthy("ok").await;
    let dir = world.path().join("nodes/1-test/a-1");
    let second = tokio::process::Command::new(FIXTURE).arg("node-supervisor").arg(&dir).output().await.unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another supervisor"));
    assert_eq!(find(&world.platform, "a-1").await.unwrap().pid, before.pid);
}

#[tokio::test]
async fn folders_longer_than_a_socket_address_work() {
    let dir = tempfile::tempdir().unwrap();
    let platform = open(&dir.path().join("x".repeat(120)).join("y".repeat(120)));
    platform.apply(&spec("ok", 1)).await.unwrap();
    wait(&platform, "a-1", is_healthy).await;
    platform.remove(&key("a-1")).await.unwrap();
}

#[tokio::test]
async fn a_service_sees_its_own_environment_alone() {
    let world = World::new();
    let seen = world.healthy("ok").await;
    let environment = get(seen.address, "/environment").await;
    let mut names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PATH", "LANG", "LC_ALL", "TZ"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["COLOUR", "HOME", "PORT", "SERIN_NODE_DIR", "TMPDIR"]);
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "the server's side has more");
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", parent(seen.pid.unwrap()))).unwrap();
    assert!(!line.contains("blue"), "{line}");
}

#[tokio::test]
async fn use_of_cpu_and_memory_is_seen() {
    let world = World::new();
    let before = world.healthy("ok").await;
    get(before.address, "/burn/200").await;
    get(before.address, "/hold/20000000").await;
    let after = poll(&world.platform, "a-1", |seen| seen.usage.memory_private_bytes > 20_000_000).await;
    assert!(after.usage.cpu_us >= before.usage.cpu_us + 20_000, "{before:?} {after:?}");
    assert!(after.usage.memory_bytes >= after.usage.memory_private_bytes);
    assert!(after.sampled_at >= before.sampled_at);
}

#[tokio::test]
async fn a_supervisor_is_small_and_alone_in_its_session() {
    let world = World::new();
    let seen = world.healthy("ok").await;
    let supervisor = parent(seen.pid.unwrap());
    let status = std::fs::read_to_string(format!("/proc/{supervisor}/status")).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!(number("Threads:"), 1);
    assert!(number("RssAnon:") < 3 * 1024 && number("VmRSS:") < 16 * 1024, "{status}");
    let stat = std::fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap();
    let session: u32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(session, supervisor);
}

#[tokio::test]
async fn an_unreadable_specification_does_not_bar_the_node() {
    let world = World::new();
    let dir = world.path().join("nodes/1-test/a-1");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("spec.json"), "{").unwrap();
    world.healthy("ok").await;
}

#[tokio::test]
async fn specifications_that_cannot_run_are_refused() {
    let world = World::new();
    let health = |path: &str| Health { probe: Probe::Http, path: path.to_owned(), timeout_ms: 1, interval_ms: 1 };
    let wrong = [
        NodeSpec { command: Vec::new(), ..spec("ok", 1) },
        NodeSpec { health: health("/x HTTP/1.1\r\nHost: y"), ..spec("ok", 1) },
        NodeSpec { health: health("healthz"), ..spec("ok", 1) },
        NodeSpec { variables: vec![("A=B".to_owned(), String::new())], ..spec("ok", 1) },
        NodeSpec { release_dir: "/no/such/release".into(), ..spec("ok", 1) },
    ];
    for spec in wrong {
        let refused = world.platform.apply(&spec).await;
        assert!(matches!(refused, Err(Error::Spec { .. })), "{refused:?}");
    }
    assert_eq!(find(&world.platform, "a-1").await, None);
}
