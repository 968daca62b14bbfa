//! What a container is given and what it is refused: limits, secrets, volumes, networks, floods.

use crate::containers::{SERVE, World, container, docker, image};
use crate::world::{find, get, is_healthy, key, poll, wait};
use serin_model::service::{Limits, LogFormat, Restart, Volume};
use serin_platform::{Container, Error, NodeSpec, NodeState, Platform, Policy, Secret};

fn volume(source: &str, target: &str, read_only: bool) -> Volume {
    Volume { source: source.to_owned(), target: target.to_owned(), read_only }
}

#[tokio::test]
async fn limits_are_the_kernels() {
    let world = World::new().await;
    let limits = Limits { memory_bytes: Some(64 << 20), cpu_milli: Some(500), pids: Some(50) };
    let with = |line: &str, generation| NodeSpec {
        container: Container { limits, restart: Restart::OnFailure, ..Container::default() },
        ..container(line, generation)
    };
    world.platform().apply(&with(SERVE, 1)).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    let format =
        "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(docker(&["inspect", "-f", format, &world.container()]), "67108864 500000000 50 on-failure");
    // Takes more memory than it may have.
    let hungry = "busybox dd if=/dev/zero of=/dev/null bs=200M count=1";
    world.platform().apply(&NodeSpec { logs: LogFormat::Text, ..with(&format!("exec {hungry}"), 2) }).await.unwrap();
    let seen = wait(world.platform(), "a-1", |seen| matches!(seen.state, NodeState::Failed(_))).await;
    assert!(format!("{:?}", seen.state).contains("137") || format!("{:?}", seen.state).contains("memory"), "{seen:?}");
    world.end().await;
}

#[tokio::test]
async fn a_container_that_forks_stops_at_its_limit_and_hurts_nobody() {
    let world = World::new().await;
    let limits = Limits { pids: Some(40), ..Limits::default() };
    // Forks until it cannot any more, beside a server.
    let line = format!("(while :; do busybox sleep 600 & done) 2>/dev/null & exec {SERVE}");
    let spec = NodeSpec { container: Container { limits, ..Container::default() }, ..container(&line, 1) };
    world.platform().apply(&spec).await.unwrap();
    let seen = wait(world.platform(), "a-1", is_healthy).await;
    let group = std::fs::read_to_string(format!("/proc/{}/cgroup", seen.pid.unwrap())).unwrap();
    let group = group.lines().find_map(|line| line.split(':').nth(2)).unwrap().to_owned();
    let read = |name: &str| {
        let places = [format!("/sys/fs/cgroup/pids{group}/{name}"), format!("/sys/fs/cgroup{group}/{name}")];
        places.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap()
    };
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    let refused = || read("pids.events").split_whitespace().nth(1).map_or(0, number);
    poll(world.platform(), "a-1", |_| refused() > 0).await;
    assert!(number(&read("pids.current")) <= 40 && number(&read("pids.max")) == 40);
    wait(world.platform(), "a-1", is_healthy).await;
    world.end().await;
}

#[tokio::test]
async fn a_log_of_a_gigabyte_stays_small_on_disk_and_in_memory() {
    let world = World::new().await;
    let flood = format!("busybox yes 'INFO {}' | busybox head -c 1073741824", "x".repeat(1000));
    let line = format!("busybox httpd -p $PORT -h /www; {flood}; echo; echo WARN done; exec busybox sleep 600");
    let spec = NodeSpec { logs: LogFormat::Text, ..container(&line, 1) };
    let before = resident();
    world.platform().apply(&spec).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    let seen = crate::world::poll_for(world.platform(), "a-1", FLOOD_PATIENCE, |seen| seen.usage.log_warn >= 1).await;
    assert!(seen.usage.log_lines > 1, "{:?}", seen.usage);
    let path = docker(&["inspect", "-f", "{{.LogPath}}", &world.container()]);
    let folder = std::path::Path::new(&path).parent().unwrap().to_owned();
    if let Ok(files) = std::fs::read_dir(folder) {
        let logs = files.flatten().filter(|file| file.file_name().to_string_lossy().contains("-json.log"));
        let bytes: u64 = logs.map(|file| file.metadata().map_or(0, |file| file.len())).sum();
        assert!(bytes <= 9 << 20, "{bytes} bytes of log are kept");
    }
    assert!(resident().saturating_sub(before) < 64 << 20, "{} bytes more", resident() - before);
    assert!(world.platform().logs(&key("a-1"), 1_000_000).await.unwrap().len() <= 10_000);
    world.end().await;
}

const FLOOD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(240);

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn secrets_are_in_no_inspection_and_belong_to_the_containers_user() {
    let world = World::new().await;
    let user = image_of_user("500:501").await;
    let line =
        format!("busybox cat $SERIN_SECRETS/token; echo; busybox stat -c '%u:%g %a' $SERIN_SECRETS/token; {SERVE}");
    let spec = NodeSpec {
        image: Some(user),
        secrets: vec![("token".to_owned(), Secret("hidden-value".to_owned()))],
        ..container(&line, 1)
    };
    world.platform().apply(&spec).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    let log = world.platform().logs(&key("a-1"), 10).await.unwrap();
    assert_eq!(log, ["hidden-value", "500:501 400"]);
    let shown = docker(&["inspect", &world.container()]);
    assert!(shown.contains("SERIN_SECRETS") && !shown.contains("hidden-value"), "{shown}");
    world.end().await;
}

/// The tests' image with another user.
async fn image_of_user(user: &str) -> String {
    let base = image().await;
    let mut build = std::process::Command::new("docker");
    build.args(["build", "-q", "-t", "serin-test/platform-user:1", "-"]);
    build.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = build.spawn().unwrap();
    let text = format!("FROM {base}\nUSER {user}\n");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_volume_outlives_generations_and_is_the_nodes_own() {
    let world = World::new().await;
    let with = |line: &str, generation| NodeSpec {
        container: Container { volumes: vec![volume("data", "/data", false)], ..Container::default() },
        ..container(&format!("{line}; {SERVE}"), generation)
    };
    world.platform().apply(&with("echo kept > /data/file", 1)).await.unwrap();
    wait(world.platform(), "a-1", is_healthy).await;
    world.platform().apply(&with("busybox cat /data/file", 2)).await.unwrap();
    wait(world.platform(), "a-1", |seen| is_healthy(seen) && seen.generation == 2).await;
    assert_eq!(world.platform().logs(&key("a-1"), 10).await.unwrap(), ["kept"]);
    let instance = world.instance().unwrap();
    let label = format!("label=serin.instance={instance}");
    let name = docker(&["volume", "ls", "-q", "--filter", &label]);
    assert_eq!(name, format!("serin-{instance}-1-test-a-1-data"));
    world.end().await;
    docker(&["volume", "rm", &name]);
}

#[tokio::test]
async fn paths_and_networks_of_the_host_are_refused_unless_the_administrator_allows_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "of the host\n").unwrap();
    let allowed = dir.path().display().to_string();
    let network = format!("serin-test-{}", std::process::id());
    let policy = Policy { binds: [allowed.clone()].into(), networks: [network.clone()].into() };
    let world = World::with(policy).await;
    let spec = |container: Container, generation| NodeSpec {
        container,
        ..crate::containers::container(&format!("busybox cat /host/file; {SERVE}"), generation)
    };
    for source in ["/var/run/docker.sock", "/", "/etc", &format!("{allowed}/.."), &format!("{allowed}/file")] {
        let volumes = vec![volume(source, "/host", false)];
        let refused = world.platform().apply(&spec(Container { volumes, ..Container::default() }, 1)).await;
        assert!(
            matches!(&refused, Err(Error::Spec { reason, .. }) if reason.contains("path of the host")),
            "{source}: {refused:?}"
        );
    }
    for name in ["host", "none", "bridge", "container:x"] {
        let networks = vec![name.to_owned()];
        let refused = world.platform().apply(&spec(Container { networks, ..Container::default() }, 1)).await;
        assert!(matches!(&refused, Err(Error::Spec { .. })), "{name}: {refused:?}");
    }
    assert!(find(world.platform(), "a-1").await.is_none());
    docker(&["network", "create", &network]);
    let given = Container {
        volumes: vec![volume(&allowed, "/host", true)],
        networks: vec![network.clone()],
        ..Container::default()
    };
    world.platform().apply(&spec(given, 2)).await.unwrap();
    let seen = wait(world.platform(), "a-1", is_healthy).await;
    assert_eq!(get(seen.address, "/healthz").await, "ok\n");
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}";
    assert_eq!(docker(&["inspect", "-f", format, &world.container()]), network);
    poll(world.platform(), "a-1", |seen| seen.usage.log_lines == 1).await;
    assert_eq!(world.platform().logs(&key("a-1"), 10).await.unwrap(), ["of the host"]);
    world.end().await;
    docker(&["network", "rm", &network]);
}
