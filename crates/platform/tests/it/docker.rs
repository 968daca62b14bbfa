//! The Docker platform on a real engine: the suite, adoption, crashes, floods, counters.

use crate::conformance;
use crate::containers::{SERVE, World, container, docker, of_mode};
use crate::world::{ENVIRONMENT, find, get, is_healthy, key, poll, wait};
use serin_model::service::LogFormat;
use serin_platform::{Error, NodeSpec, NodeState, Platform};

#[tokio::test]
async fn docker_platform_conforms() {
    let world = World::new().await;
    conformance::suite(world.platform(), of_mode).await;
    world.end().await;
}

#[tokio::test]
async fn a_restarted_server_adopts_its_nodes_and_their_counters() {
    let mut world = World::new().await;
    let line = format!(
        "echo '{{\"level\":\"WARN\"}}'; for i in 1 2 3; do echo '{{\"level\":\"error\",\"i\":'$i'}}' >&2; done; {SERVE}"
    );
    world.platform().apply(&container(&line, 7)).await.unwrap();
    let before = wait(world.platform(), "a-1", is_healthy).await;
    let counted = |seen: &serin_platform::Observation| (seen.usage.log_warn, seen.usage.log_error) == (1, 3);
    poll(world.platform(), "a-1", counted).await;
    world.restart().await;
    let found = find(world.platform(), "a-1").await.unwrap();
    assert_eq!((found.generation, found.address), (7, before.address), "whoever asks at once is told where it serves");
    let after = wait(world.platform(), "a-1", is_healthy).await;
    assert_eq!((after.generation, after.pid, after.address), (7, before.pid, before.address));
    let after = poll(world.platform(), "a-1", counted).await;
    assert_eq!(after.usage.log_lines, 4);
    assert!(after.usage.cpu_us > 0 && after.usage.memory_private_bytes > 0, "{:?}", after.usage);
    assert_eq!(get(after.address, "/healthz").await, "ok\n");
    world.end().await;
}

#[tokio::test]
async fn a_crashed_node_is_started_again_and_counts_anew() {
    let world = World::new().await;
    // Lives until it is asked for `/die`; the server's own process ends with the shell's.
    let line = "echo ERROR begin; busybox httpd -p $PORT -h /www; while ! test -e /tmp/die; do busybox sleep 0.1; done; \
                busybox rm /tmp/die; exit 1";
    let spec = NodeSpec { logs: LogFormat::Text, ..container(&format!("busybox mkdir -p /tmp; {line}"), 1) };
    world.platform().apply(&spec).await.unwrap();
    let before = wait(world.platform(), "a-1", is_healthy).await;
    let pid = before.pid.unwrap();
    let status = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(status.success());
    let after = wait(world.platform(), "a-1", |seen| is_healthy(seen) && seen.pid != Some(pid)).await;
    assert_eq!(after.restarts, 1);
    let after = poll(world.platform(), "a-1", |seen| seen.usage.log_error > 0).await;
    assert_eq!(after.usage.log_error, 1, "lines of the process before are counted");
    world.end().await;
}

#[tokio::test]
async fn a_node_removed_behind_its_back_is_lost_and_applied_again() {
    let world = World::new().await;
    world.platform().apply(&container(SERVE, 1)).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    let name = format!("label=serin.node={}", key("a-1"));
    let docker = |args: &[&str]| std::process::Command::new("docker").args(args).output().unwrap();
    let mine = docker(&["ps", "-q", "--filter", &name]);
    let mine = String::from_utf8(mine.stdout).unwrap();
    let pid = find(world.platform(), "a-1").await.unwrap().pid.unwrap().to_string();
    let id = mine.split_whitespace().find(|id| {
        let shown = docker(&["inspect", "-f", "{{.State.Pid}}", id]);
        String::from_utf8_lossy(&shown.stdout).trim() == pid
    });
    assert!(docker(&["rm", "-f", id.unwrap()]).status.success());
    wait(world.platform(), "a-1", |seen| seen.state == NodeState::Lost).await;
    world.platform().apply(&container(SERVE, 1)).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    world.end().await;
}

#[tokio::test]
async fn a_container_that_was_made_and_never_started_is_lost_and_applied_again() {
    let mut world = World::new().await;
    world.platform().apply(&container(SERVE, 1)).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    // As a server leaves it that dies between the two.
    let format = "{{range $key, $value := .Config.Labels}}--label={{$key}}={{$value}}\n{{end}}";
    let labels = docker(&["inspect", "-f", format, &world.container()]);
    docker(&["rm", "-f", "-v", &world.container()]);
    let image = crate::containers::image().await;
    let labels: Vec<&str> = labels.lines().filter(|line| !line.is_empty()).collect();
    docker(&[&["create"][..], &labels, &[&image, SERVE]].concat());
    world.restart().await;
    wait(world.platform(), "a-1", |seen| seen.state == NodeState::Lost).await;
    world.platform().apply(&container(SERVE, 1)).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    world.end().await;
}

#[tokio::test]
async fn a_flood_of_lines_is_counted_and_bounded() {
    let world = World::new().await;
    let lines = 200_000;
    let line = format!("busybox seq 1 {lines} | busybox sed 's/^/WARN line /'; {SERVE}");
    let spec = NodeSpec { logs: LogFormat::Text, ..container(&line, 1) };
    world.platform().apply(&spec).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    let seen = poll(world.platform(), "a-1", |seen| seen.usage.log_warn >= 1).await;
    assert!(seen.usage.log_warn <= lines);
    assert!(world.platform().logs(&key("a-1"), 1_000_000).await.unwrap().len() <= 10_000);
    world.end().await;
}

#[tokio::test]
async fn hostile_specifications_are_refused() {
    let world = World::new().await;
    for image in [None, Some(""), Some("--privileged"), Some("a b"), Some("a\nb")] {
        let spec = NodeSpec { image: image.map(str::to_owned), ..container(SERVE, 1) };
        let refused = world.platform().apply(&spec).await;
        assert!(matches!(refused, Err(Error::Spec { .. })), "{image:?}: {refused:?}");
    }
    let missing = NodeSpec { image: Some("serin-test/there-is-none:1".to_owned()), ..container(SERVE, 1) };
    let refused = world.platform().apply(&missing).await;
    assert!(matches!(refused, Err(Error::Docker { .. })), "{refused:?}");
    assert_eq!(world.platform().observe(ENVIRONMENT).await.unwrap(), []);
    let quotes = vec![("QUOTED".to_owned(), "a\"b'c\n$(touch x)".to_owned())];
    world.platform().apply(&NodeSpec { variables: quotes, ..container(SERVE, 2) }).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    world.end().await;
}
