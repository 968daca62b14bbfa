//! The tests' image, and a Docker platform in a temporary folder.

use crate::conformance::TELL;
use crate::world::{ENVIRONMENT, spec};
use serin_image::{Builder, Context, ImageBuild, pack};
use serin_model::service::{Health, Probe};
use serin_platform::{DockerPlatform, Engine, NodeSpec, Platform, Policy};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A static busybox, the whole of the test's image (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY healthz /www/healthz\nENV PATH=/bin\n\
                          ENTRYPOINT [\"/bin/busybox\", \"sh\", \"-c\"]\n";
pub const SERVE: &str = "busybox httpd -f -p $PORT -h /www";

pub static IMAGE: OnceCell<String> = OnceCell::const_new();

pub async fn engine() -> Engine {
    Engine::connect().await.unwrap_or_else(|error| panic!("{error}"))
}

/// The test's image, built once.
pub async fn image() -> String {
    let build = || async {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(BUSYBOX, dir.path().join("busybox")).expect("a static busybox; `apt-get install busybox-static`");
        std::fs::write(dir.path().join("Dockerfile"), DOCKERFILE).unwrap();
        std::fs::write(dir.path().join("healthz"), "ok\n").unwrap();
        let archive = tempfile::NamedTempFile::new().unwrap();
        pack(&Context::find(dir.path(), ".", "Dockerfile").unwrap(), archive.path()).unwrap();
        let build = ImageBuild {
            dockerfile: "Dockerfile".to_owned(),
            labels: vec![("org.opencontainers.image.source".to_owned(), "a test".to_owned())],
            tag: "serin-test/platform:1".to_owned(),
            ..ImageBuild::default()
        };
        let (progress, mut told) = tokio::sync::mpsc::channel(16);
        let drained = async { while told.recv().await.is_some() {} };
        let built = async {
            let builder = Builder::connect().await.unwrap();
            let built = builder.build(&build, archive.path(), &progress).await.unwrap();
            drop(progress);
            built
        };
        tokio::join!(built, drained).0
    };
    IMAGE.get_or_init(build).await.clone()
}

pub struct World {
    platform: Option<DockerPlatform>,
    dir: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    pub async fn with(policy: Policy) -> Self {
        Self::on(engine().await, policy).await
    }

    /// The same with another way to the engine.
    pub async fn on(engine: Engine, policy: Policy) -> Self {
        image().await;
        let dir = tempfile::tempdir().unwrap();
        let platform = DockerPlatform::new(&dir.path().join("nodes"), (engine, "the test's engine"), policy).await;
        Self { platform: Some(platform.unwrap()), dir }
    }

    /// What its containers' labels call it.
    pub fn instance(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.dir.path().join("nodes").join("docker.json")).ok()?;
        text.split('"').nth(3).map(str::to_owned)
    }

    /// The id of its only container.
    pub fn container(&self) -> String {
        let label = format!("label=serin.instance={}", self.instance().unwrap());
        docker(&["ps", "-aq", "--no-trunc", "--filter", &label])
    }

    pub fn platform(&self) -> &DockerPlatform {
        self.platform.as_ref().unwrap()
    }

    /// The same folder seen by a fresh platform, as after the server's restart.
    pub async fn restart(&mut self) {
        self.platform = None;
        self.platform = Some(open(&self.dir.path().join("nodes"), Policy::default()).await);
    }

    pub async fn end(self) {
        self.platform().remove_all().await.unwrap();
        assert_eq!(self.platform().observe(ENVIRONMENT).await.unwrap(), []);
    }
}

/// Leaves no container behind, also where a test fails.
impl Drop for World {
    fn drop(&mut self) {
        self.platform = None;
        let Some(instance) = self.instance() else { return };
        let docker = |args: &[&str]| std::process::Command::new("docker").args(args).output();
        let Ok(left) = docker(&["ps", "-aq", "--filter", &format!("label=serin.instance={instance}")]) else { return };
        let left = String::from_utf8_lossy(&left.stdout).into_owned();
        let ids: Vec<&str> = left.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = docker(&[&["rm", "-f", "-v"], ids.as_slice()].concat());
        }
    }
}

pub async fn open(dir: &std::path::Path, policy: Policy) -> DockerPlatform {
    DockerPlatform::new(dir, (engine().await, "the test's engine"), policy).await.unwrap()
}

/// A container of the test's image that runs a line of shell, as node `a-1`.
pub fn container(line: &str, generation: u64) -> NodeSpec {
    NodeSpec {
        image: IMAGE.get().cloned(),
        release_dir: PathBuf::new(),
        command: vec![line.to_owned()],
        health: Health { probe: Probe::Http, path: "/healthz".to_owned(), timeout_ms: 20_000, interval_ms: 50 },
        stop_timeout_ms: 1_000,
        ..spec("ok", generation)
    }
}

pub fn of_mode(mode: &str, generation: u64) -> NodeSpec {
    match mode {
        "ok" => container(SERVE, generation),
        "tell" => container(&format!("{TELL}; {SERVE}"), generation),
        _ => container("echo one; echo two; echo 'cannot open the database' >&2; exit 3", generation),
    }
}

/// Runs the engine's own client.
pub fn docker(arguments: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
