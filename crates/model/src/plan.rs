//! A compiled pipeline: what `lang` makes of `.gitlab-ci.yml`, and what the engine and the runners carry out.

/// A pipeline, ready to be created.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Plan {
    /// `workflow:name`, expanded.
    pub name: Option<String>,
    /// All stages in order, `.pre` first and `.post` last.
    pub stages: Vec<String>,
    /// The jobs, in order of stage, then of first appearance.
    pub jobs: Vec<Job>,
    /// Root variables after merging, `workflow:rules:variables` on top.
    pub variables: Vec<Variable>,
    /// What a newer pipeline of the same ref, or a failing job, does to this one.
    pub auto_cancel: AutoCancel,
}

/// `workflow:auto_cancel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AutoCancel {
    /// On a newer pipeline of the same ref.
    pub on_new_commit: OnNewCommit,
    /// Whether the first failing job cancels the rest.
    pub on_job_failure: OnJobFailure,
}

/// `workflow:auto_cancel:on_new_commit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OnNewCommit {
    /// Cancel the older pipeline unless a job that is not interruptible has started.
    #[default]
    Conservative,
    /// Cancel the interruptible jobs alone.
    Interruptible,
    /// Cancel nothing.
    None,
}

/// `workflow:auto_cancel:on_job_failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OnJobFailure {
    /// The others go on.
    #[default]
    None,
    /// The others are cancelled.
    All,
}

/// A variable as a job sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Variable {
    /// Letters, digits, `_`.
    pub key: String,
    /// Its text, before the runner expands it.
    pub value: String,
    /// `expand: false`: `$` stays.
    pub raw: bool,
    /// Hidden in traces.
    pub masked: bool,
    /// The job sees the path of a file that holds the value.
    pub file: bool,
}

impl Variable {
    /// A plain variable: expanded, shown.
    #[must_use]
    pub fn plain(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), raw: false, masked: false, file: false }
    }
}

/// One job of a plan.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Job {
    /// Unique in the pipeline; parallel instances are `job 1/3`, `job: [a, b]`.
    pub name: String,
    /// Index into [`Plan::stages`].
    pub stage: usize,
    /// When it runs, given how what came before it ended.
    pub when: When,
    /// Whether its failure counts.
    pub allow_failure: AllowFailure,
    /// The jobs that it waits for; `None`: all of the earlier stages; empty: it starts at once.
    pub needs: Option<Vec<Need>>,
    /// Jobs of this pipeline whose artifacts it gets; `None`: from [`Job::needs`], or from all earlier stages.
    pub dependencies: Option<Vec<String>>,
    /// How often, and on what, it is tried again.
    pub retry: Retry,
    /// `timeout`, in milliseconds.
    pub timeout_ms: Option<i64>,
    /// Whether a newer pipeline may cancel it.
    pub interruptible: bool,
    /// One job at a time of this project and name.
    pub resource_group: Option<String>,
    /// Where it deploys to.
    pub environment: Option<Environment>,
    /// What it does.
    pub work: Work,
    /// Its own variables after merging (root, workflow, job, rules), in order of definition.
    pub variables: Vec<Variable>,
    /// Runner tags.
    pub tags: Vec<String>,
    /// The question of `manual_confirmation`.
    pub manual_confirmation: Option<String>,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Work {
    /// A runner runs a script.
    Script(Box<Script>),
    /// The server carries out a built-in action.
    Action(Action),
    /// A downstream pipeline is started.
    Trigger(Box<Trigger>),
}

/// What a runner needs to carry out a job.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Script {
    /// `before_script`, flattened.
    pub before_script: Vec<String>,
    /// `script`, flattened.
    pub script: Vec<String>,
    /// `after_script`, flattened.
    pub after_script: Vec<String>,
    /// `image`.
    pub image: Option<Image>,
    /// `services`.
    pub services: Vec<Image>,
    /// `artifacts`.
    pub artifacts: Option<Artifacts>,
    /// `cache`.
    pub caches: Vec<Cache>,
    /// `hooks:pre_get_sources_script`.
    pub pre_get_sources_script: Vec<String>,
    /// `coverage`, the pattern without its slashes.
    pub coverage: Option<String>,
}

/// `image` or one of `services`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Image {
    /// Its name, before the runner expands variables in it.
    pub name: String,
    /// Overrides the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Overrides the image's command (services).
    pub command: Option<Vec<String>>,
    /// Host names of a service.
    pub aliases: Vec<String>,
    /// Variables of a service.
    pub variables: Vec<Variable>,
    /// `pull_policy`, in order of preference.
    pub pull_policy: Vec<String>,
    /// `docker:platform`.
    pub platform: Option<String>,
    /// `docker:user`.
    pub user: Option<String>,
}

/// `artifacts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Artifacts {
    /// Name of the archive, before expansion.
    pub name: Option<String>,
    /// Globs below the project folder.
    pub paths: Vec<String>,
    /// Globs to leave out.
    pub exclude: Vec<String>,
    /// All files that Git does not track.
    pub untracked: bool,
    /// When they are kept.
    pub when: ArtifactsWhen,
    /// Life time in milliseconds; `None`: the server's default; `Some(i64::MAX)`: never.
    pub expire_in_ms: Option<i64>,
    /// Reports: kind, such as `junit` or `dotenv`, and globs.
    pub reports: Vec<(String, Vec<String>)>,
    /// `expose_as`.
    pub expose_as: Option<String>,
    /// `access`: `all`, `developer`, `maintainer`, `none`.
    pub access: Option<String>,
}

/// `artifacts:when`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ArtifactsWhen {
    /// Where the job succeeded.
    #[default]
    OnSuccess,
    /// Where the job failed.
    OnFailure,
    /// In any case.
    Always,
}

/// One entry of `cache`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cache {
    /// The key, before expansion; with [`Cache::key_files`] the prefix.
    pub key: Option<String>,
    /// Files whose content makes the key.
    pub key_files: Vec<String>,
    /// Whether the commits of `key_files` make the key, in place of their content.
    pub key_files_commits: bool,
    /// Globs below the project folder.
    pub paths: Vec<String>,
    /// All files that Git does not track.
    pub untracked: bool,
    /// `pull-push`, `pull`, `push`, or a variable.
    pub policy: Option<String>,
    /// When it is saved.
    pub when: ArtifactsWhen,
    /// `fallback_keys`.
    pub fallback_keys: Vec<String>,
    /// `unprotect`.
    pub unprotect: bool,
}

/// When a job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum When {
    /// What came before ended well.
    #[default]
    OnSuccess,
    /// Something before it failed.
    OnFailure,
    /// In any case.
    Always,
    /// A person starts it.
    Manual,
    /// That many milliseconds after it became ready.
    Delayed {
        /// `start_in`, in milliseconds.
        start_in_ms: i64,
    },
}

impl When {
    /// GitLab's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::Always => "always",
            Self::Manual => "manual",
            Self::Delayed { .. } => "delayed",
        }
    }
}

/// `allow_failure`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AllowFailure {
    /// A failure counts.
    #[default]
    No,
    /// A failure is a warning.
    Yes,
    /// A failure with one of these exit codes is a warning.
    ExitCodes(Vec<i32>),
}

/// A job of this pipeline that another waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Need {
    /// The job's name, an instance's where it is parallel.
    pub job: String,
    /// Whether its artifacts are downloaded.
    pub artifacts: bool,
}

/// `retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Retry {
    /// Further attempts, 0 to 2.
    pub max: u32,
    /// On which failures, GitLab's words; empty: always.
    pub when: Vec<String>,
    /// On which exit codes.
    pub exit_codes: Vec<i32>,
}

/// `environment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Environment {
    /// Its name, expanded.
    pub name: String,
    /// Its address, before the runner expands it.
    pub url: Option<String>,
    /// `start`, `prepare`, `stop`, `verify`, `access`.
    pub action: Option<String>,
    /// The job that stops it.
    pub on_stop: Option<String>,
    /// Text such as `1 day`.
    pub auto_stop_in: Option<String>,
    /// `production`, `staging`, `testing`, `development`, `other`.
    pub deployment_tier: Option<String>,
}

/// `serin:`, an action that the server carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Makes a release out of the built tree.
    Package,
    /// Replaces all nodes of an environment, with health checks.
    Deploy {
        /// The environment's name.
        environment: String,
    },
    /// Takes nodes out of an environment and starts the new version on them.
    Detach {
        /// The environment's name.
        environment: String,
        /// How many; `None`: as `serin.yml` says.
        nodes: Option<u32>,
    },
    /// Lets small shares of traffic reach the detached nodes, judged.
    Canary {
        /// The environment's name.
        environment: String,
    },
    /// Merges one branch back into another.
    Clear {
        /// The branch to merge.
        from: String,
        /// The branch merged into.
        into: String,
    },
    /// Releases to an environment, pool by pool.
    Release {
        /// The environment's name.
        environment: String,
    },
}

impl Action {
    /// Its word in `serin: {action: …}`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Deploy { .. } => "deploy",
            Self::Detach { .. } => "detach",
            Self::Canary { .. } => "canary",
            Self::Clear { .. } => "clear",
            Self::Release { .. } => "release",
        }
    }
}

/// `trigger`: a downstream pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trigger {
    /// Path of another project; `None`: a child pipeline of the same commit.
    pub project: Option<String>,
    /// Branch of the other project.
    pub branch: Option<String>,
    /// Entry files of a child pipeline.
    pub include: Vec<TriggerInclude>,
    /// `depend`, `mirror`.
    pub strategy: Option<String>,
    /// `forward:yaml_variables`.
    pub forward_yaml_variables: bool,
    /// `forward:pipeline_variables`.
    pub forward_pipeline_variables: bool,
    /// Inputs for another project's pipeline, as JSON texts.
    pub inputs: Vec<(String, String)>,
}

/// One entry of `trigger:include`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TriggerInclude {
    /// Where the file comes from.
    pub source: TriggerSource,
    /// `inputs`, as JSON texts.
    pub inputs: Vec<(String, String)>,
}

/// Where a child pipeline's file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TriggerSource {
    /// A file of the same commit.
    Local(String),
    /// A file among the artifacts of a job.
    Artifact {
        /// Path in the archive.
        path: String,
        /// The job.
        job: String,
    },
    /// A built-in template.
    Template(String),
    /// Files of another project.
    Project {
        /// Its path.
        project: String,
        /// The file.
        file: String,
        /// Branch, tag or commit.
        reference: Option<String>,
    },
    /// A component's address.
    Component(String),
    /// A public address.
    Remote(String),
}
