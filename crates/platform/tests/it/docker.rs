//! The Docker platform on a real engine: the suite, adoption, crashes, floods, counters.

use crate::conformance;
use crate::world::{ENVIRONMENT, find, get, is_healthy, key, poll, spec, wait};
use serin_model::service::{Health, LogFormat, Probe};
use serin_platform::{DockerPlatform, Engine, Error, ImageBuild, NodeSpec, NodeState, Platform, Policy};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A static busybox, the whole of the test's image (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY healthz /www/healthz\nENV PATH=/bin\n\
                          ENTRYPOINT [\"/bin/busybox\", \"sh\", \"-c\"]\n";
const SERVE: &str = "busybox httpd -f -p $PORT -h /www";

static IMAGE: OnceCell<String> = OnceCell::const_new();

async fn engine() -> Engine {
    Engine::connect().await.unwrap_or_else(|error| panic!("{error}"))
}

/// The test's image, built once.
async fn image() -> String {
    let build = || async {
        let busybox = std::fs::read(BUSYBOX).expect("a static busybox; `apt-get install busybox-static`");
        let context = tar(&[("Dockerfile", DOCKERFILE.as_bytes()), ("busybox", &busybox), ("healthz", b"ok\n")]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.tar");
        std::fs::write(&path, context).unwrap();
        let build = ImageBuild {
            dockerfile: "Dockerfile".to_owned(),
            labels: vec![("org.opencontainers.image.source".to_owned(), "a test".to_owned())],
            tag: "serin-test/platform:1".to_owned(),
        };
        let mut told = Vec::new();
        let id = engine().await.build_image(&build, &path, |line| told.push(line)).await.unwrap();
        assert!(id.starts_with("sha256:") && told.iter().any(|line| line.starts_with("Step 1")), "{id} {told:?}");
        id
    };
    IMAGE.get_or_init(build).await.clone()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

struct World {
    platform: Option<DockerPlatform>,
    dir: TempDir,
}

impl World {
    async fn new() -> Self {
        image().await;
        let dir = tempfile::tempdir().unwrap();
        Self { platform: Some(open(&dir.path().join("nodes")).await), dir }
    }

    fn platform(&self) -> &DockerPlatform {
        self.platform.as_ref().unwrap()
    }

    /// The same folder seen by a fresh platform, as after the server's restart.
    async fn restart(&mut self) {
        self.platform = None;
        self.platform = Some(open(&self.dir.path().join("nodes")).await);
    }

    async fn end(self) {
        self.platform().remove_all().await.unwrap();
        assert_eq!(self.platform().observe(ENVIRONMENT).await.unwrap(), []);
    }
}

/// Leaves no container behind, also where a test fails.
impl Drop for World {
    fn drop(&mut self) {
        self.platform = None;
        let path = self.dir.path().join("nodes").join("docker.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let Some(instance) = text.split('"').nth(3) else { return };
        let docker = |args: &[&str]| std::process::Command::new("docker").args(args).output();
        let Ok(left) = docker(&["ps", "-aq", "--filter", &format!("label=serin.instance={instance}")]) else { return };
        let left = String::from_utf8_lossy(&left.stdout).into_owned();
        let ids: Vec<&str> = left.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = docker(&[&["rm", "-f", "-v"], ids.as_slice()].concat());
        }
    }
}

async fn open(dir: &std::path::Path) -> DockerPlatform {
    DockerPlatform::new(dir, (engine().await, "the test's engine"), Policy::default()).await.unwrap()
}

/// A container of the test's image that runs a line of shell, as node `a-1`.
fn container(line: &str, generation: u64) -> NodeSpec {
    NodeSpec {
        image: IMAGE.get().cloned(),
        release_dir: PathBuf::new(),
        command: vec![line.to_owned()],
        health: Health { probe: Probe::Http, path: "/healthz".to_owned(), timeout_ms: 20_000, interval_ms: 50 },
        stop_timeout_ms: 1_000,
        ..spec("ok", generation)
    }
}

fn of_mode(mode: &str, generation: u64) -> NodeSpec {
    match mode {
        "ok" => container(SERVE, generation),
        _ => container("echo one; echo two; echo 'cannot open the database' >&2; exit 3", generation),
    }
}

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
