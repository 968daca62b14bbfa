//! The containers of a runner: whether there are any, with which limits, and how old ones go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serin_image::Logins;
use serin_model::plan::Script;
use tokio::sync::Mutex;

use super::docker::Engine;

/// Share of the machine's memory that one container may have, in percent.
const MEMORY_PERCENT: u64 = 80;
/// Bytes of memory that one container may have where the machine does not tell its own.
const MEMORY_BYTES_DEFAULT: u64 = 4 << 30;
/// Processes and threads of one container.
const PIDS_MAX_DEFAULT: u32 = 4_096;
/// Bytes of output of one script in a container that the trace takes.
const OUTPUT_BYTES_MAX_DEFAULT: u64 = 256 << 20;
/// Time until an engine that gave no answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Which executor carries jobs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Containers for a job that names an image, where an engine answers; else the shell.
    #[default]
    Auto,
    /// The shell of this machine, always.
    Shell,
    /// Containers, always: a job without an image fails.
    Docker,
}

/// What becomes of a job under [`Choice::Auto`] whose image cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It fails.
    #[default]
    Fail,
    /// It runs in a shell of this machine, and a line says so.
    RunInShell,
}

/// What one container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerLimits {
    /// Bytes of memory, without swap.
    pub memory_bytes: u64,
    /// Thousandths of a processor core; `None`: as many cores as there are.
    pub cpu_milli: Option<u32>,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of output of one script that the trace takes; the rest is dropped, and a line says so.
    pub output_bytes: u64,
}

impl Default for ContainerLimits {
    fn default() -> Self {
        let memory = machine_memory_bytes().map_or(MEMORY_BYTES_DEFAULT, |bytes| bytes / 100 * MEMORY_PERCENT);
        Self { memory_bytes: memory, cpu_milli: None, pids: PIDS_MAX_DEFAULT, output_bytes: OUTPUT_BYTES_MAX_DEFAULT }
    }
}

fn machine_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}

/// How a runner uses containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerSettings {
    /// Which executor.
    pub choice: Choice,
    /// What a missing image means.
    pub missing: Missing,
    /// Limits of each container.
    pub limits: ContainerLimits,
}

/// The containers of one runner; clones share the connection to the engine.
#[derive(Clone, Debug)]
pub struct Containers {
    settings: ContainerSettings,
    logins: Arc<Logins>,
    connection: Arc<Mutex<Connection>>,
}

#[derive(Debug, Default)]
enum Connection {
    #[default]
    New,
    Refused {
        reason: String,
        at: Instant,
    },
    Open(Engine),
}

/// What [`Containers::choose`] chose.
pub(super) enum Chosen {
    /// The shell, and why the job's image is not used.
    Shell(&'static str),
    Docker(Engine),
}

impl Containers {
    /// Containers by those settings; the engine is asked when the first job needs it.
    #[must_use]
    pub fn new(settings: ContainerSettings) -> Self {
        Self { settings, logins: Arc::default(), connection: Arc::default() }
    }

    /// The same with the runner's own logins at registries; a job's own come before them.
    #[must_use]
    pub fn with_logins(self, logins: Logins) -> Self {
        Self { logins: Arc::new(logins), ..self }
    }

    /// No containers: jobs run in a shell of this machine.
    #[must_use]
    pub fn none() -> Self {
        Self::new(ContainerSettings { choice: Choice::Shell, ..ContainerSettings::default() })
    }

    /// Whether a job that names an image gets a container, as far as the engine is concerned.
    pub async fn are_there(&self) -> bool {
        self.settings.choice != Choice::Shell && self.engine().await.is_ok()
    }

    /// Removes what runners of this machine that are gone left in the engine, where there is one.
    pub async fn sweep(&self) {
        if self.settings.choice != Choice::Shell {
            // The engine sweeps as it is opened.
            let _ = self.engine().await;
        }
    }

    /// Removes everything of this runner.
    pub async fn end(&self) {
        if let Connection::Open(engine) = &*self.connection.lock().await {
            engine.remove_own().await;
        }
    }

    pub(super) async fn choose(&self, script: &Script) -> Result<Chosen, String> {
        let wanted = super::wants_containers(script);
        match (self.settings.choice, wanted) {
            (Choice::Shell, _) => Ok(Chosen::Shell("the shell executor was chosen")),
            (Choice::Auto, false) => Ok(Chosen::Shell("")),
            (Choice::Auto, true) => Ok(match self.engine().await {
                Ok(engine) => Chosen::Docker(engine),
                Err(_) => Chosen::Shell("no Docker Engine answers"),
            }),
            (Choice::Docker, false) => {
                Err("the executor is `docker`, and the job names no image: give `image:`, or `default: image:`".into())
            }
            (Choice::Docker, true) => self.engine().await.map(Chosen::Docker),
        }
    }

    /// Whether a job whose image cannot be had runs in the shell.
    pub(crate) fn falls_back(&self) -> bool {
        self.settings.choice == Choice::Auto && self.settings.missing == Missing::RunInShell
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.logins
    }

    pub(super) fn limits(&self) -> ContainerLimits {
        self.settings.limits
    }

    async fn engine(&self) -> Result<Engine, String> {
        let mut connection = self.connection.lock().await;
        match &*connection {
            Connection::Open(engine) => return Ok(engine.clone()),
            Connection::Refused { reason, at } if at.elapsed() < ASK_AGAIN => return Err(reason.clone()),
            Connection::New | Connection::Refused { .. } => {}
        }
        let opened = Engine::open().await;
        *connection = match &opened {
            Ok(engine) => Connection::Open(engine.clone()),
            Err(reason) => Connection::Refused { reason: reason.clone(), at: Instant::now() },
        };
        opened
    }
}
