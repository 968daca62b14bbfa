//! What `serin.yml` says: the service, its environments, how it is released.

/// A repository's `serin.yml`, checked and with every default filled in.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// What the service is and how it is started.
    pub service: Service,
    /// The two long-lived branches.
    pub branches: Branches,
    /// The environments, in file order.
    pub environments: Vec<Environment>,
    /// How a canary goes.
    pub canary: Canary,
    /// How production is released.
    pub release: Release,
    /// What a change must show before it is merged; `None`: the default, which informs and blocks nothing.
    #[cfg_attr(feature = "serde", serde(default))]
    pub quality: Option<crate::quality::Gate>,
}

/// `service:`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Commands of the built-in template's build job.
    pub build: Vec<String>,
    /// Commands of the unit tests.
    pub test: Vec<String>,
    /// Commands of the code check; `None`: the template chooses the ecosystem's own tools by the files that are there.
    #[cfg_attr(feature = "serde", serde(default))]
    pub check: Option<Vec<String>>,
    /// Reports that these commands write, by kind as in `artifacts:reports`, each with its files.
    #[cfg_attr(feature = "serde", serde(default))]
    pub reports: Vec<(String, Vec<String>)>,
    /// Commands of the integration tests; `SERIN_TARGET_URLS` holds the nodes' addresses, separated by blanks.
    pub integration: Vec<String>,
    /// Reports that these commands write, by kind as in `artifacts:reports`, each with its files.
    #[cfg_attr(feature = "serde", serde(default))]
    pub integration_reports: Vec<(String, Vec<String>)>,
    /// Globs of what the build leaves for packaging (artifacts of the template's build job).
    pub outputs: Vec<String>,
    /// The image, for platforms that run images.
    #[cfg_attr(feature = "serde", serde(default))]
    pub image: Option<Image>,
    /// Program and arguments of a node (process platform), run in the release's folder.
    pub command: Vec<String>,
    /// Further environment of a node.
    pub variables: Vec<(String, String)>,
    /// Variables of the project that a node finds as files, by name.
    #[cfg_attr(feature = "serde", serde(default))]
    pub secrets: Vec<String>,
    /// Port inside a container; a process gets `PORT`.
    pub port: Option<u16>,
    /// What a container may use.
    #[cfg_attr(feature = "serde", serde(default))]
    pub limits: Limits,
    /// What a container keeps over versions.
    #[cfg_attr(feature = "serde", serde(default))]
    pub volumes: Vec<Volume>,
    /// When a container that ended is started again.
    #[cfg_attr(feature = "serde", serde(default))]
    pub restart: Restart,
    /// How a node's health is asked.
    pub health: Health,
    /// How WARN and ERROR lines are told.
    pub logs: LogFormat,
    /// Milliseconds from SIGTERM to SIGKILL.
    pub stop_timeout_ms: i64,
}

/// `service.image`: what the service's image is built of, and where it is kept. Values of arguments, secrets and
/// repository may name variables of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Image {
    /// Path of the Dockerfile in the repository.
    pub dockerfile: String,
    /// Path of the folder that the build sees.
    pub context: String,
    /// The Dockerfile's stage to build; `None`: the last one.
    pub target: Option<String>,
    /// Such as `linux/amd64`; `None`: the engine's own.
    pub platform: Option<String>,
    /// Build arguments; they stand in the image's history.
    pub args: Vec<(String, String)>,
    /// Secrets of the build by id; they are in no layer and no history.
    pub secrets: Vec<(String, String)>,
    /// Where the image is pushed to, `host/path` without a tag; `None`: it stays in the engine.
    pub repository: Option<String>,
}

/// `service.health`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Health {
    /// What is asked.
    #[cfg_attr(feature = "serde", serde(default))]
    pub probe: Probe,
    /// Path asked by [`Probe::Http`]; 200 to 399 is healthy.
    pub path: String,
    /// Milliseconds that a fresh node has to become healthy.
    pub timeout_ms: i64,
    /// Milliseconds between two checks.
    pub interval_ms: i64,
}

/// How a node is asked for its health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Probe {
    /// GET of [`Health::path`].
    #[default]
    Http,
    /// A connection to its port that is taken.
    Tcp,
    /// A program and its arguments, run where the node runs; exit code 0 is healthy.
    Command(Vec<String>),
}

/// `limits`; what is `None` is not limited, or by the platform alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Bytes of memory; a container that needs more is ended.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_milli: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl Limits {
    /// These limits, and what `base` says where they say nothing.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(base.memory_bytes),
            cpu_milli: self.cpu_milli.or(base.cpu_milli),
            pids: self.pids.or(base.pids),
        }
    }
}

/// One of `volumes`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Volume {
    /// A name, or the absolute path of a folder of the host.
    pub source: String,
    /// Where the container finds it.
    pub target: String,
    /// Whether it may not write there.
    pub read_only: bool,
}

/// `service.restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Restart {
    /// Whenever it ended.
    #[default]
    Always,
    /// When it ended with another code than 0.
    OnFailure,
    /// Never.
    Never,
}

/// `service.logs.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LogFormat {
    /// One JSON object a line, with `level`, `severity` or `lvl`.
    Json,
    /// `key=value`, with `level` or `lvl`.
    Logfmt,
    /// The words WARN, WARNING, ERROR, FATAL near the line's start.
    #[default]
    Text,
}

/// `branches:`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Branches {
    /// Where merge requests go.
    pub develop: String,
    /// What production runs.
    pub master: String,
}

/// One of `environments:`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// What runs its nodes.
    pub platform: Platform,
    /// Its pools in file order; `nodes: N` alone makes one pool named `default`.
    pub pools: Vec<Pool>,
    /// Address of the gateway's listener, `host:port`; `None`: a free port on loopback.
    pub listen: Option<String>,
    /// Nodes that must go on serving while others are changed; `None`: derived.
    pub min_serving: Option<u32>,
    /// Milliseconds that requests in flight have to finish on a node that is taken out.
    pub drain_timeout_ms: i64,
    /// Names of the Docker hosts that the nodes are spread over; empty: the server's own engine.
    #[cfg_attr(feature = "serde", serde(default))]
    pub hosts: Vec<String>,
    /// Names of the Docker networks that the nodes are in; empty: the engine's default.
    #[cfg_attr(feature = "serde", serde(default))]
    pub networks: Vec<String>,
    /// Limits in this environment, over the service's.
    #[cfg_attr(feature = "serde", serde(default))]
    pub limits: Limits,
    /// Environment of nodes here, over the service's.
    #[cfg_attr(feature = "serde", serde(default))]
    pub variables: Vec<(String, String)>,
}

/// What runs nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Platform {
    /// Supervised processes on this machine.
    #[default]
    Process,
    /// Containers of Docker Engine.
    Docker,
    /// Kubernetes.
    Kubernetes,
}

/// A pool: nodes released together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How many nodes.
    pub nodes: u32,
}

/// `canary:`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Canary {
    /// How many nodes.
    pub nodes: u32,
    /// Shares of traffic, ascending.
    pub steps: Vec<Step>,
    /// Allowed probability that a good change is rolled back, over the whole canary; between 0 and 1.
    pub false_alarm: f64,
    /// Milliseconds between two samples.
    pub tick_ms: i64,
    /// Tolerances: metric name, such as `cpu`, `latency.p99`, `http.errors`, `log.error`.
    pub tolerate: Vec<(String, Tolerance)>,
}

/// One step of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Step {
    /// Share of traffic that the canary nodes get together, in parts per million.
    pub traffic_ppm: u32,
    /// How long, in milliseconds.
    pub for_ms: i64,
}

/// How much worse a metric may be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Tolerance {
    /// Relative to the baseline: 0.1 is 10 %.
    Relative(f64),
    /// Difference of shares: 0.001 is 0.1 percentage points.
    Points(f64),
}

/// `release:`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Release {
    /// Who moves it from pool to pool.
    pub order: Order,
    /// Milliseconds that a released pool is watched before the next may follow.
    pub watch_ms: i64,
    /// People who must agree.
    pub approvals: u32,
    /// Accounts that may agree; empty: whoever did not write the change.
    #[cfg_attr(feature = "serde", serde(default))]
    pub approvers: Vec<String>,
    /// Windows without releases, as written; [`crate::freeze::Window`] reads them.
    pub freeze: Vec<String>,
}

/// `release.order`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// A person's click for each pool.
    #[default]
    Manual,
    /// Pool after pool by itself.
    Automatic,
}
