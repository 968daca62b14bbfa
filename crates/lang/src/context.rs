//! What a pipeline is created with: the event, the ref, the variables known before any file is read.

use serin_model::plan::Variable;

/// What started a pipeline, `CI_PIPELINE_SOURCE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PipelineSource {
    /// A push of a branch or tag.
    #[default]
    Push,
    /// A merge request was opened or pushed to.
    MergeRequestEvent,
    /// A person on the pages.
    Web,
    /// A schedule.
    Schedule,
    /// The REST API.
    Api,
    /// A trigger token.
    Trigger,
    /// A trigger job of the same project.
    ParentPipeline,
    /// A trigger job of another project.
    Pipeline,
    /// A chat command.
    Chat,
    /// An external CI.
    External,
    /// A pull request of another forge.
    ExternalPullRequestEvent,
    /// The web editor.
    Webide,
}

impl PipelineSource {
    /// Every source.
    pub const ALL: [Self; 12] = [
        Self::Push,
        Self::MergeRequestEvent,
        Self::Web,
        Self::Schedule,
        Self::Api,
        Self::Trigger,
        Self::ParentPipeline,
        Self::Pipeline,
        Self::Chat,
        Self::External,
        Self::ExternalPullRequestEvent,
        Self::Webide,
    ];

    /// GitLab's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::MergeRequestEvent => "merge_request_event",
            Self::Web => "web",
            Self::Schedule => "schedule",
            Self::Api => "api",
            Self::Trigger => "trigger",
            Self::ParentPipeline => "parent_pipeline",
            Self::Pipeline => "pipeline",
            Self::Chat => "chat",
            Self::External => "external",
            Self::ExternalPullRequestEvent => "external_pull_request_event",
            Self::Webide => "webide",
        }
    }

    /// The source of that word, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// A variable of a project or group, with the conditions under which a job gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingVariable {
    /// The variable itself.
    pub variable: Variable,
    /// `*`, a name, or a name with `*` in it: the environments whose jobs get it.
    pub environment_scope: String,
    /// Only pipelines of protected refs get it.
    pub protected: bool,
}

impl SettingVariable {
    /// A plain variable for all environments and refs.
    #[must_use]
    pub fn plain(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { variable: Variable::plain(key, value), environment_scope: "*".to_owned(), protected: false }
    }
}

/// What a pipeline is created with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// What started it.
    pub source: PipelineSource,
    /// The branch; in merge request pipelines the source branch.
    pub branch: Option<String>,
    /// The tag; a given tag makes a tag pipeline.
    pub tag: Option<String>,
    /// The project's default branch.
    pub default_branch: String,
    /// The project's full path, `group/project`.
    pub project: String,
    /// The commit, 40 hexadecimal digits.
    pub sha: String,
    /// Whether the ref is protected.
    pub protected: bool,
    /// Further predefined variables; they go over those that Serin derives from the fields above.
    pub predefined: Vec<Variable>,
    /// Variables of the project's settings.
    pub project_variables: Vec<SettingVariable>,
    /// Variables of the groups' settings, nearest group last.
    pub group_variables: Vec<SettingVariable>,
    /// Variables given when it was started (manually, by schedule, API or an upstream pipeline).
    pub pipeline_variables: Vec<Variable>,
    /// Values for `spec:inputs` of the entry file, as JSON texts.
    pub inputs: Vec<(String, String)>,
    /// The files that differ from the base; `None`: no base is known, and `rules:changes` holds.
    pub changed_files: Option<Vec<String>>,
    /// Address of the server, `https://host`.
    pub server_url: String,
}

impl Context {
    /// The name of the branch or tag.
    #[must_use]
    pub fn ref_name(&self) -> &str {
        self.tag.as_deref().or(self.branch.as_deref()).unwrap_or(&self.default_branch)
    }

    /// Whether this is a merge request pipeline.
    #[must_use]
    pub fn is_merge_request(&self) -> bool {
        self.source == PipelineSource::MergeRequestEvent
    }
}
