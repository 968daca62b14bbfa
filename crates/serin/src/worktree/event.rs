//! The event that a local pipeline is for, and how flags say it.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serin_lang::{Context, PipelineSource};
use serin_model::plan::Variable;

use super::outside::Reach;
use super::{Project, variables};

/// What starts the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Event {
    /// A push of the branch.
    #[default]
    Push,
    /// A merge request of the branch.
    #[value(alias = "mr", alias = "merge-request", name = "merge_request")]
    MergeRequest,
    /// A schedule.
    Schedule,
    /// A push of a tag.
    Tag,
    /// A person on the pages.
    Web,
    /// A call of the API.
    Api,
    /// A trigger token.
    Trigger,
}

/// The event that the pipeline is for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Event")]
pub struct EventFlags {
    /// What starts the pipeline.
    #[arg(long, value_enum, default_value_t)]
    pub event: Event,
    /// The branch; the one that is checked out where not given.
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// The branch that a merge request merges into; the default branch where not given.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// The tag; makes a pipeline of that tag.
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// A variable of the pipeline.
    #[arg(long = "var", short = 'v', value_name = "KEY=VALUE", value_parser = variables::pair)]
    pub variables: Vec<(String, String)>,
    /// A value for an input of the file: JSON, else text.
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = variables::pair)]
    pub inputs: Vec<(String, String)>,
    /// `rules:changes` compares the folder with this commit.
    #[arg(long, value_name = "COMMIT")]
    pub since: Option<String>,
    /// The pipeline file, from the folder's top.
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,
    /// Fetch nothing from elsewhere; clones that were kept are used as they are.
    #[arg(long)]
    pub offline: bool,
}

impl EventFlags {
    pub(super) fn reach(&self) -> Reach {
        if self.offline { Reach::Kept } else { Reach::Everywhere }
    }

    fn source(&self) -> PipelineSource {
        match self.event {
            Event::Push | Event::Tag => PipelineSource::Push,
            Event::MergeRequest => PipelineSource::MergeRequestEvent,
            Event::Schedule => PipelineSource::Schedule,
            Event::Web => PipelineSource::Web,
            Event::Api => PipelineSource::Api,
            Event::Trigger => PipelineSource::Trigger,
        }
    }
}

impl Project {
    /// What a pipeline of that event is created with; changed files are told by [`Project::changed_files`].
    ///
    /// # Errors
    /// Where a tag is asked for and none is known, or `.serin.env` cannot be read.
    pub fn context(&self, flags: &EventFlags) -> Result<Context> {
        let facts = &self.facts;
        let (project, server_url) = facts.project(&self.root);
        let tag = self.tag(flags)?;
        let current = facts.branch.clone().unwrap_or_else(|| facts.default_branch.clone());
        let branch = flags.branch.clone().unwrap_or(current);
        let plain = |(key, value): &(String, String)| Variable::plain(key, value);
        Ok(Context {
            source: flags.source(),
            protected: branch == facts.default_branch,
            branch: Some(branch).filter(|_| tag.is_none()),
            tag,
            default_branch: facts.default_branch.clone(),
            project,
            sha: facts.head.as_ref().map(|head| head.sha.clone()).unwrap_or_default(),
            predefined: variables::predefined(self, flags),
            project_variables: self.settings()?,
            pipeline_variables: flags.variables.iter().map(plain).collect(),
            inputs: flags.inputs.iter().map(|(name, value)| (name.clone(), variables::json(value))).collect(),
            server_url,
            ..Context::default()
        })
    }

    fn tag(&self, flags: &EventFlags) -> Result<Option<String>> {
        if flags.tag.is_some() || flags.event != Event::Tag {
            return Ok(flags.tag.clone());
        }
        match self.git.text(["describe", "--tags", "--exact-match"]) {
            Ok(tag) => Ok(Some(tag)),
            Err(_) => bail!("no tag is on the commit that is checked out; name one: `--tag v1.0`"),
        }
    }
}
