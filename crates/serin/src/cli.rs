//! The command line: names, flags, help.

pub mod people;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::executor::ExecutorFlags;
use crate::worktree::EventFlags;

/// From merge request to production: Git, pipelines, canary and release in one binary.
#[derive(Debug, Parser)]
#[command(name = "serin", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole story on this machine: a good change released, a bad one caught and rolled back.
    #[command(
        after_help = "Examples:\n  serin demo\n  serin demo --exit\n  serin demo --exit --crash --format json\n  serin demo --platform docker"
    )]
    Demo(Demo),
    /// The server: Git over HTTP, pages, API, embedded runner, nodes.
    #[command(
        after_help = "Examples:\n  serin serve --data /var/lib/serin\n  serin serve --listen 0.0.0.0:8080 --url https://serin.example\n\n\
        Settings come from flags, then environment variables, then serin.toml in the data folder."
    )]
    Serve(Serve),
    /// The traffic gateway as a process of its own; the server starts it by itself.
    #[command(after_help = "Example:\n  serin gateway --dir /var/lib/serin/gateway")]
    Gateway(Gateway),
    /// Checks `.gitlab-ci.yml` and `serin.yml` of the folder.
    #[command(after_help = "Examples:\n  serin lint\n  serin lint --event merge_request\n  \
        serin lint --format sarif path/to/project > serin.sarif\n\n\
        Exit codes: 0 no errors (there may be warnings), 1 errors, 2 a wrong call.")]
    Lint(Lint),
    /// Lists the jobs of the folder's pipeline.
    #[command(after_help = "Examples:\n  serin list\n  serin list --event merge_request --branch fix\n  \
        serin list --all\n  serin list --format json\n\n\
        Exit codes: 0 listed, also where the event makes no pipeline; 1 the files have errors; 2 a wrong call.")]
    List(List),
    /// Says why a job is in the pipeline or not, and where each of its keys and variables came from.
    #[command(after_help = "Examples:\n  serin explain test\n  serin explain deploy --event tag --tag v1.0\n  \
        serin explain 'test: [3.12]' --format json\n\n\
        Exit codes: 0 explained; 1 the files have errors, or there is no such job; 2 a wrong call.")]
    Explain(Explain),
    /// Prints the merged file, with the place that each key came from.
    #[command(after_help = "Examples:\n  serin compile\n  serin compile --no-origins > merged.yml\n  \
        serin compile --format json\n\n\
        Exit codes: 0 printed, 1 the files have errors, 2 a wrong call.")]
    Compile(Compile),
    /// Draws the stages and needs of the folder's pipeline.
    #[command(after_help = "Examples:\n  serin graph\n  serin graph --format svg > pipeline.svg\n  \
        serin graph --format mermaid\n\n\
        Exit codes: 0 drawn, 1 the files have errors, 2 a wrong call.")]
    Graph(Graph),
    /// Prints the JSON Schema of a file, for editors.
    #[command(after_help = "Examples:\n  serin schema pipeline > gitlab-ci.schema.json\n  \
        serin schema service > serin.schema.json\n\n\
        Exit codes: 0 printed, 2 a wrong call.")]
    Schema {
        /// Which file.
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Runs the pipeline of the folder here, or some of its jobs with what they need.
    #[command(after_help = "Examples:\n  serin run\n  serin run test\n  serin run --play deploy -j 4\n\n\
        Exit codes: 0 nothing failed that counts, 1 a job failed or the file has errors, 2 a wrong call,\n\
        130 ended by Ctrl-C, 143 by SIGTERM.")]
    Run(Run),
    /// Reads reports of checks, tests and coverage, compares them, and holds them against the gate of `serin.yml`.
    #[command(
        after_help = "Examples:\n  serin quality junit.xml clippy.sarif lcov.info\n  serin quality --against main --base base.sarif --format json now.sarif\n\n\
        Exit code 1: a condition does not hold, or a report cannot be read."
    )]
    Quality(Quality),
    /// The canary judge alone: samples as JSON lines in, verdicts out.
    #[command(after_help = "Examples:\n  serin judge < samples.jsonl\n  serin judge --explain < samples.jsonl\n  \
        serin judge --replay samples.jsonl\n  \
        serin judge --prometheus http://127.0.0.1:9090 --canary web-7:9100 --canary web-8:9100 \\\n    \
        --since 2026-03-02T10:00:00Z --for 30m --history 1h --step 15s \\\n    \
        --query 'requests=sum by (instance) (increase(http_requests_total[15s]))' \\\n    \
        --query 'http_errors=sum by (instance) (increase(http_requests_total{code=~\"5..\"}[15s]))' \\\n    \
        --query 'cpu_pct=100 * rate(process_cpu_seconds_total[1m])' \\\n    \
        --query 'mem_bytes=process_resident_memory_bytes' --tolerate mem_bytes=20%\n\n\
        Exit codes with --replay and --prometheus: 0 pass, 3 fail, 4 undecided, 1 an error, 2 a wrong call.")]
    Judge(Judge),
    /// Accounts of a server.
    #[command(subcommand, after_help = "Example:\n  serin user create dana --email dana@example.org")]
    User(people::User),
    /// Tokens of a server's accounts.
    #[command(
        subcommand,
        after_help = "Examples:\n  serin token create dana\n  serin token create robot --read-only --days 90"
    )]
    Token(people::Token),
    /// Projects of a server.
    #[command(subcommand, after_help = "Example:\n  serin project create shop --default-branch develop")]
    Project(Project),
    /// Merge requests of a server.
    #[command(subcommand, after_help = "Example:\n  serin mr create --project shop --source fix --target develop")]
    Mr(MergeRequest),
    /// Pipelines of a server.
    #[command(subcommand, after_help = "Example:\n  serin pipeline show --project shop 12")]
    Pipeline(Pipeline),
    /// Jobs of a server.
    #[command(subcommand, after_help = "Example:\n  serin job play --project shop 34")]
    Job(Job),
    /// Packaged releases of a server: their images, bills of materials and provenance.
    #[command(
        subcommand,
        after_help = "Examples:\n  serin package list --project shop\n  serin package sbom --project shop 1a2b3c4d > shop.cdx.json"
    )]
    Package(Package),
    /// Where an environment stands: nodes, versions, traffic, rollout.
    #[command(after_help = "Example:\n  serin status --project shop production")]
    Status(Environment),
    /// Releases the next pool, or the pool that is named.
    #[command(after_help = "Example:\n  serin release --project shop production --pool a")]
    Release(Release),
    /// Agrees to the release that waits for approvals.
    #[command(after_help = "Example:\n  serin approve --project shop production")]
    Approve(people::Approve),
    /// Lets a release go on without its approvals and in a freeze; for administrators, with a reason.
    #[command(after_help = "Example:\n  serin override --project shop production --reason 'customers cannot pay'")]
    Override(people::Override),
    /// Rolls the environment's rollout back.
    #[command(after_help = "Example:\n  serin rollback --project shop production")]
    Rollback(Environment),
    /// Holds the environment's rollout where it is.
    Pause(Environment),
    /// Lets a held rollout go on; accepts what the judge could not decide.
    Resume(Environment),
    /// Stops the environment's rollout.
    Abort(Environment),
    /// Prints completions for a shell.
    #[command(after_help = "Example:\n  serin completions bash > /etc/bash_completion.d/serin")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `serin demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// End when the story is told; the exit code is 0 only if all of it held.
    #[arg(long)]
    pub exit: bool,
    /// Kill the server with SIGKILL in the middle of the good change's canary, and start it again.
    #[arg(long)]
    pub crash: bool,
    /// How the closing table is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Where the pages are served.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// What runs the nodes: processes of this machine, or containers of images that the demo builds.
    #[arg(long, value_enum, default_value_t)]
    pub platform: Platform,
    /// Requests per second that the load generator sends.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub rate: u32,
}

/// What runs the demo's nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// Supervised processes.
    #[default]
    Process,
    /// Containers of Docker Engine.
    Docker,
}

/// `serin serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The data folder; made where there is none.
    #[arg(long, env = "SERIN_DATA", default_value = "serin-data")]
    pub data: PathBuf,
    /// Where HTTP is served.
    #[arg(long, env = "SERIN_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The address that people and jobs use.
    #[arg(long, env = "SERIN_URL")]
    pub url: Option<String>,
    /// Jobs carried out at the same time; as many as cores where not given.
    #[arg(long, env = "SERIN_JOBS")]
    pub jobs: Option<usize>,
    #[command(flatten)]
    pub executor: ExecutorFlags,
    /// How the log is written.
    #[arg(long, env = "SERIN_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// How the first start is told: for people, or as one JSON line.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `serin gateway`.
#[derive(Debug, Args)]
pub struct Gateway {
    /// The gateway's folder: routes, control socket.
    #[arg(long)]
    pub dir: PathBuf,
}

/// `serin lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: LintFormat,
    #[command(flatten)]
    pub event: EventFlags,
}

/// A folder's pipeline for an event.
#[derive(Debug, Args)]
pub struct OfFolder {
    /// The project's folder.
    #[arg(long, short = 'C', value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    #[command(flatten)]
    pub event: EventFlags,
}

/// `serin list`.
#[derive(Debug, Args)]
pub struct List {
    /// Also the jobs that this event leaves out.
    #[arg(long)]
    pub all: bool,
    /// How jobs are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub of: OfFolder,
}

/// `serin explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The job, by its name in the pipeline or in the file.
    pub job: String,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub of: OfFolder,
}

/// `serin compile`.
#[derive(Debug, Args)]
pub struct Compile {
    /// Leave the places out.
    #[arg(long)]
    pub no_origins: bool,
    /// YAML for people, or JSON.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub of: OfFolder,
}

/// `serin graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    #[command(flatten)]
    pub of: OfFolder,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LintFormat {
    /// Drawn, with their lines.
    #[default]
    Text,
    /// As JSON.
    Json,
    /// As SARIF 2.1.0, for code-scanning pages.
    Sarif,
}

/// How a pipeline is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// In the terminal.
    #[default]
    Text,
    /// As a picture.
    Svg,
    /// For Markdown pages.
    Mermaid,
    /// As JSON.
    Json,
}

/// The file that a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `.gitlab-ci.yml`.
    Pipeline,
    /// `serin.yml`.
    Service,
}

/// `serin run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Jobs to run, with what they need; all where none is named.
    pub jobs: Vec<String>,
    /// The project's folder.
    #[arg(long, short = 'C', default_value = ".")]
    pub folder: PathBuf,
    /// Jobs at the same time; as many as cores where not given.
    #[arg(long, short = 'j', value_name = "N")]
    pub parallel: Option<usize>,
    /// Start this manual job when its time comes; `*` for all.
    #[arg(long, value_name = "JOB")]
    pub play: Vec<String>,
    /// Run the named jobs without what they need.
    #[arg(long)]
    pub no_needs: bool,
    /// A variable of the pipeline that is hidden in logs; without a value, that of the environment.
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub secret: Vec<String>,
    /// Run what failed in the latest run, and what comes after it; take the rest from there.
    #[arg(long, conflicts_with = "cached")]
    pub only_failed: bool,
    /// Leave jobs out that succeeded before with the same script, variables, files and artifacts.
    #[arg(long)]
    pub cached: bool,
    /// Run again whenever a file changes.
    #[arg(long)]
    pub watch: bool,
    /// Say what would run.
    #[arg(long)]
    pub dry_run: bool,
    /// Print each line of output, also on a terminal.
    #[arg(long)]
    pub lines: bool,
    /// Start delayed jobs at once.
    #[arg(long)]
    pub no_delay: bool,
    /// Keep the folders that jobs worked in.
    #[arg(long)]
    pub keep: bool,
    /// The branch or commit that reports are compared with, at its merge base with HEAD; the default branch where not
    /// given.
    #[arg(long, value_name = "COMMIT")]
    pub against: Option<String>,
    /// The language of what is said about reports.
    #[arg(long, value_enum, default_value_t)]
    pub language: Language,
    /// How the outcome is printed; with `json`, people's words go to standard error.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub executor: ExecutorFlags,
    #[command(flatten)]
    pub event: EventFlags,
}

/// `serin quality`.
#[derive(Debug, Args)]
pub struct Quality {
    /// The reports; each one's format is told by its content.
    #[arg(required = true, value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
    /// A report of the state that is compared with.
    #[arg(long, value_name = "REPORT")]
    pub base: Vec<PathBuf>,
    /// The branch or commit that is compared with, at its merge base with HEAD.
    #[arg(long, value_name = "COMMIT")]
    pub against: Option<String>,
    /// The project's folder.
    #[arg(long, short = 'C', default_value = ".")]
    pub folder: PathBuf,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: QualityFormat,
    /// The language of the sentences.
    #[arg(long, value_enum, default_value_t)]
    pub language: Language,
}

/// How `serin quality` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum QualityFormat {
    /// For people.
    #[default]
    Text,
    /// As JSON.
    Json,
    /// The findings as SARIF 2.1.0, new and remaining told apart.
    Sarif,
}

/// `serin judge`.
#[derive(Debug, Args)]
pub struct Judge {
    /// Adds each verdict in a sentence.
    #[arg(long)]
    pub explain: bool,
    /// The language of the sentences.
    #[arg(long, value_enum, default_value_t)]
    pub language: Language,
    /// Judges a file of samples again and tells how it went.
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus")]
    pub replay: Option<PathBuf>,
    /// How --replay and --prometheus print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub source: Prometheus,
}

/// What `serin judge` asks a Prometheus for.
#[derive(Debug, Args)]
pub struct Prometheus {
    /// Judges what this Prometheus has recorded; goes on as it records more.
    #[arg(long, value_name = "URL", requires_all = ["query", "canary", "since"])]
    pub prometheus: Option<String>,
    /// A metric and its expression, one series for each node: `NAME=PROMQL` for a metric that Serin knows or a level,
    /// `NAME:KIND=PROMQL` with `count`, `gauge` or `counter` for others.
    #[arg(long, value_name = "NAME=PROMQL", requires = "prometheus")]
    pub query: Vec<String>,
    /// A node on the new version; all others are the baseline.
    #[arg(long, value_name = "NODE", requires = "prometheus")]
    pub canary: Vec<String>,
    /// The label that names a node.
    #[arg(long, value_name = "LABEL", default_value = "instance", requires = "prometheus")]
    pub node_label: String,
    /// When the new version got traffic.
    #[arg(long, value_name = "TIME", requires = "prometheus")]
    pub since: Option<String>,
    /// How long the canary may take.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", requires = "prometheus")]
    pub horizon: String,
    /// How much of the time before is looked at.
    #[arg(long, value_name = "TIME", default_value = "30m", requires = "prometheus")]
    pub history: String,
    /// Time between two samples.
    #[arg(long, value_name = "TIME", default_value = "15s", requires = "prometheus")]
    pub step: String,
    /// How long start-up effects are excused.
    #[arg(long, value_name = "TIME", default_value = "1m", requires = "prometheus")]
    pub warmup: String,
    /// How much worse a metric may be, such as `cpu_pct=15%`.
    #[arg(long, value_name = "NAME=SIZE", requires = "prometheus")]
    pub tolerate: Vec<String>,
    /// Allowed probability that a good change fails.
    #[arg(long, value_name = "SHARE", default_value = "1%", requires = "prometheus")]
    pub false_alarm: String,
}

/// Where the server is, and who asks.
#[derive(Clone, Debug, Args)]
pub struct Server {
    /// Address of the server.
    #[arg(long, env = "SERIN_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// A token.
    #[arg(long, env = "SERIN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// How answers are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `serin project`.
#[derive(Debug, Subcommand)]
pub enum Project {
    /// Makes a project.
    Create {
        /// Its path.
        path: String,
        /// The branch that a clone checks out.
        #[arg(long, default_value = "main")]
        default_branch: String,
        #[command(flatten)]
        server: Server,
    },
    /// Lists projects.
    List {
        #[command(flatten)]
        server: Server,
    },
}

/// A project on a server.
#[derive(Clone, Debug, Args)]
pub struct Of {
    /// The project's path.
    #[arg(long, short, env = "SERIN_PROJECT")]
    pub project: String,
    #[command(flatten)]
    pub server: Server,
}

/// `serin mr`.
#[derive(Debug, Subcommand)]
pub enum MergeRequest {
    /// Opens a merge request.
    Create {
        /// The branch to merge.
        #[arg(long)]
        source: String,
        /// The branch merged into.
        #[arg(long)]
        target: String,
        /// Its title; the newest commit's where not given.
        #[arg(long)]
        title: Option<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Lists merge requests.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Shows a merge request, and what blocks it.
    Show {
        /// Its number in the project.
        iid: i64,
        #[command(flatten)]
        of: Of,
    },
    /// Merges a merge request.
    Merge {
        /// Its number in the project.
        iid: i64,
        /// As soon as its pipeline succeeds.
        #[arg(long)]
        when_pipeline_succeeds: bool,
        #[command(flatten)]
        of: Of,
    },
}

/// `serin pipeline`.
#[derive(Debug, Subcommand)]
pub enum Pipeline {
    /// Lists pipelines.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Shows a pipeline and its jobs.
    Show {
        /// Its number.
        id: i64,
        #[command(flatten)]
        of: Of,
    },
    /// Starts a pipeline for a branch.
    Run {
        /// The branch.
        branch: String,
        #[command(flatten)]
        of: Of,
    },
    /// Stops a pipeline.
    Cancel {
        /// Its number.
        id: i64,
        #[command(flatten)]
        of: Of,
    },
}

/// `serin job`.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Prints a job's log.
    Log {
        /// Its number.
        id: i64,
        #[command(flatten)]
        of: Of,
    },
    /// Starts a manual job.
    Play {
        /// Its number.
        id: i64,
        #[command(flatten)]
        of: Of,
    },
    /// Runs a job again.
    Retry {
        /// Its number.
        id: i64,
        #[command(flatten)]
        of: Of,
    },
    /// Stops a job.
    Cancel {
        /// Its number.
        id: i64,
        #[command(flatten)]
        of: Of,
    },
}

/// `serin package`.
#[derive(Debug, Subcommand)]
pub enum Package {
    /// Lists the newest releases.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Shows a release.
    Show(PackageOf),
    /// Prints what is in a release: CycloneDX, JSON.
    Sbom(PackageOf),
    /// Prints how a release was made: in-toto statement with SLSA provenance, JSON, not signed.
    Provenance(PackageOf),
}

/// A release on a server.
#[derive(Debug, Args)]
pub struct PackageOf {
    /// Its digest or its image's, or the first digits of one.
    pub digest: String,
    #[command(flatten)]
    pub of: Of,
}

/// An environment on a server.
#[derive(Debug, Args)]
pub struct Environment {
    /// The environment's name.
    pub name: String,
    #[command(flatten)]
    pub of: Of,
}

/// `serin release`.
#[derive(Debug, Args)]
pub struct Release {
    /// The environment's name.
    pub name: String,
    /// The pool; the next one where not given.
    #[arg(long)]
    pub pool: Option<String>,
    #[command(flatten)]
    pub of: Of,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// As JSON.
    Json,
}

/// How the server's log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The language of sentences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
