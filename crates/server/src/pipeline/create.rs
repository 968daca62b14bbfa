//! Makes a pipeline: reads its file at the commit, has it compiled, and keeps pipeline and jobs in one transaction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serin_engine::Event;
use serin_lang::template::DEVOPS;
use serin_lang::{Answer, Color, Compilation, Context, Driver, PipelineSource, Request, SettingVariable, SourceFile};
use serin_model::limit::CONFIG_BYTES_MAX;
use serin_model::plan::{AutoCancel, Plan, Variable};
use serin_model::{CommitId, JobId, Status};
use serin_store::account;
use serin_store::merge_request::MergeRequest;
use serin_store::pipeline::{self as rows, Pipeline};
use serin_store::project::{self as projects, Project};

use super::predefined::{self, Facts};
use super::{apply, record};
use crate::clock::now;
use crate::error::Result;
use crate::hub::Change;
use crate::refs::HEADS;
use crate::{App, merge_request};

/// The pipeline file.
pub const PIPELINE_FILE: &str = ".gitlab-ci.yml";
/// The service file.
pub const SERVICE_FILE: &str = "serin.yml";
/// Files of a tree that `exists` looks at.
const TREE_FILES_MAX: usize = 200_000;
/// The commit before the first one.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// What a pipeline is made for.
#[derive(Clone, Debug)]
pub enum Source {
    /// A branch was pushed.
    Branch {
        /// Its name.
        name: String,
        /// Where it was.
        before: Option<String>,
    },
    /// A tag was pushed.
    Tag(String),
    /// A merge request's merged result.
    MergeRequest(Box<MergeRequest>),
    /// A person asked for it.
    Web {
        /// The branch.
        branch: String,
    },
    /// A trigger job of another project.
    Project {
        /// The branch.
        branch: String,
    },
    /// A trigger job of a pipeline of the same commit.
    Child(Box<Child>),
}

/// What a child pipeline is made of.
#[derive(Clone, Debug)]
pub struct Child {
    /// The pipeline whose job triggers it.
    pub parent: Pipeline,
    /// Its pipeline file.
    pub entry: SourceFile,
}

/// Values for `spec:inputs`, as JSON texts.
#[derive(Clone, Debug, Default)]
pub struct Inputs(pub Vec<(String, String)>);

/// The trigger job that makes a pipeline, and what it hands on.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The job.
    pub job_id: i64,
    /// Pipeline variables.
    pub variables: Vec<Variable>,
    /// Inputs of the pipeline's file.
    pub inputs: Inputs,
}

/// What a new pipeline is to be.
#[derive(Clone, Debug)]
pub struct NewPipeline {
    /// Its project.
    pub project: Project,
    /// What made it; the same cause makes one pipeline.
    pub cause: String,
    /// What it is for.
    pub source: Source,
    /// The commit to build.
    pub commit: CommitId,
    /// Who caused it.
    pub account_id: i64,
    /// The trigger job that makes it.
    pub upstream: Option<Upstream>,
}

impl Source {
    fn lang(&self) -> PipelineSource {
        match self {
            Self::Branch { .. } | Self::Tag(_) => PipelineSource::Push,
            Self::MergeRequest(_) => PipelineSource::MergeRequestEvent,
            Self::Web { .. } => PipelineSource::Web,
            Self::Project { .. } => PipelineSource::Pipeline,
            Self::Child(_) => PipelineSource::ParentPipeline,
        }
    }

    fn ref_name(&self) -> String {
        match self {
            Self::Branch { name, .. }
            | Self::Tag(name)
            | Self::Web { branch: name }
            | Self::Project { branch: name } => name.clone(),
            Self::MergeRequest(request) => merge_request::ref_name(request.iid, "merge"),
            Self::Child(child) => child.parent.ref_name.clone(),
        }
    }

    /// The branch by whose protection its variables are chosen.
    fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch { name, .. } | Self::Web { branch: name } | Self::Project { branch: name } => Some(name),
            Self::MergeRequest(request) => Some(&request.source_branch),
            Self::Tag(_) | Self::Child(_) => None,
        }
    }
}

/// What a pipeline's jobs must know of its making when they run.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    branch: Option<String>,
    tag: Option<String>,
    protected: bool,
    predefined: Vec<Variable>,
    #[serde(default)]
    pipeline: Vec<Variable>,
}

impl Known {
    fn of(context: &Context) -> Self {
        Self {
            branch: context.branch.clone(),
            tag: context.tag.clone(),
            protected: context.protected,
            predefined: context.predefined.clone(),
            pipeline: context.pipeline_variables.clone(),
        }
    }
}

/// The context that a kept pipeline was made with, with the project's settings of now.
///
/// # Errors
/// Where the database fails or the record is damaged.
pub async fn context_of(app: &App, project: &Project, pipeline: &Pipeline) -> Result<Context> {
    let known: Known = record::decode(&pipeline.variables)?;
    let settings = projects::project_variable_list(&mut *app.store.read().await?, project.id).await?;
    Ok(Context {
        source: PipelineSource::parse(&pipeline.source).unwrap_or_default(),
        branch: known.branch,
        tag: known.tag,
        default_branch: project.default_branch.clone(),
        project: project.path.clone(),
        sha: pipeline.commit_id.clone(),
        protected: known.protected,
        predefined: known.predefined,
        pipeline_variables: known.pipeline,
        project_variables: settings.into_iter().filter(is_for_jobs).map(setting).collect(),
        server_url: app.url().to_owned(),
        ..Context::default()
    })
}

/// Makes the pipeline; `None`: the file wants none, or its cause has made one before.
///
/// # Errors
/// Where repository or database fail. Errors in the file make a failed pipeline that shows them.
pub async fn create(app: &Arc<App>, new: NewPipeline) -> Result<Option<i64>> {
    let repository = app.repository(new.project.id)?;
    let Some(entry) = entry_file(app, &new).await? else { return Ok(None) };
    let commit = repository.git.commit(&new.commit).await?;
    let author = account::account_get(&mut *app.store.read().await?, new.account_id).await?;
    let facts = Facts { app, project: &new.project, commit: &commit, source: &new.source, author: author.as_ref() };
    let mut context = match &new.source {
        Source::Child(child) => child_context(app, &new.project, &child.parent).await?,
        _ => context(app, &new, predefined::variables(&facts)).await?,
    };
    if let Some(upstream) = &new.upstream {
        context.pipeline_variables.clone_from(&upstream.variables);
        context.inputs.clone_from(&upstream.inputs.0);
    }
    let (compilation, entry) = match entry {
        Entry::File(file) => (compile(app, &new, &file, &context).await?, file),
        Entry::Broken(problem, file) => (*problem, file),
    };
    let problem = problem(&compilation, &entry);
    if compilation.not_created.is_some() && problem.is_none() {
        tracing::debug!(project = new.project.path, cause = new.cause, "the file wants no pipeline");
        return Ok(None);
    }
    let plan = compilation.plan.unwrap_or_default();
    let row = row(&new, &commit, &plan, (&context, problem))?;
    keep(app, row, &plan).await
}

enum Entry {
    File(SourceFile),
    Broken(Box<Compilation>, SourceFile),
}

async fn entry_file(app: &App, new: &NewPipeline) -> Result<Option<Entry>> {
    if let Source::Child(child) = &new.source {
        return Ok(Some(Entry::File(child.entry.clone())));
    }
    let repository = app.repository(new.project.id)?;
    if let Some(bytes) = repository.git.read_file(&new.commit, PIPELINE_FILE, CONFIG_BYTES_MAX as u64).await? {
        return Ok(Some(Entry::File(SourceFile::new(PIPELINE_FILE, bytes))));
    }
    let Some(bytes) = repository.git.read_file(&new.commit, SERVICE_FILE, CONFIG_BYTES_MAX as u64).await? else {
        return Ok(None);
    };
    let file = SourceFile::new(SERVICE_FILE, bytes);
    let (config, diagnostics) = serin_lang::service::parse(&file);
    Ok(Some(match config {
        Some(config) => Entry::File(serin_lang::template::devops(&config)),
        None => {
            let broken = Compilation { diagnostics, sources: vec![file.clone()], ..Compilation::default() };
            Entry::Broken(Box::new(broken), file)
        }
    }))
}

/// A child pipeline knows what its parent knows of event, ref and changes.
async fn child_context(app: &App, project: &Project, parent: &Pipeline) -> Result<Context> {
    let known = context_of(app, project, parent).await?;
    let before = known.predefined.iter().find(|variable| variable.key == "CI_COMMIT_BEFORE_SHA");
    let base = parent.target_commit.clone().or_else(|| before.map(|variable| variable.value.clone()));
    let changed_files = match base.filter(|base| base != NO_COMMIT) {
        Some(base) => {
            let repository = app.repository(project.id)?;
            Some(repository.git.changed_files(&CommitId(base), &CommitId(parent.commit_id.clone())).await?)
        }
        None => None,
    };
    Ok(Context { source: PipelineSource::ParentPipeline, changed_files, ..known })
}

async fn context(app: &App, new: &NewPipeline, predefined: Vec<Variable>) -> Result<Context> {
    let mut db = app.store.read().await?;
    let protected = projects::protected_branch_list(&mut db, new.project.id).await?;
    let settings = projects::project_variable_list(&mut db, new.project.id).await?;
    drop(db);
    let tag = match &new.source {
        Source::Tag(tag) => Some(tag.clone()),
        _ => None,
    };
    Ok(Context {
        source: new.source.lang(),
        branch: new.source.branch().map(str::to_owned),
        tag,
        default_branch: new.project.default_branch.clone(),
        project: new.project.path.clone(),
        sha: new.commit.0.clone(),
        protected: new.source.branch().is_some_and(|branch| protected.iter().any(|known| known.name == branch)),
        predefined,
        project_variables: settings.into_iter().filter(is_for_jobs).map(setting).collect(),
        changed_files: changed_files(app, new).await?,
        server_url: app.url().to_owned(),
        ..Context::default()
    })
}

/// Whether jobs may see a setting: who can push to the registry can put another image in a release's place.
fn is_for_jobs(setting: &projects::ProjectVariable) -> bool {
    let key = setting.key.as_str();
    !crate::quality::sonarqube::HIDDEN.contains(&key) && !crate::action::REGISTRY.contains(&key)
}

fn setting(row: projects::ProjectVariable) -> SettingVariable {
    let variable = Variable { key: row.key, value: row.value, raw: row.raw, masked: row.masked, file: row.file };
    SettingVariable { variable, environment_scope: row.environment_scope, protected: row.protected }
}

async fn changed_files(app: &App, new: &NewPipeline) -> Result<Option<Vec<String>>> {
    let base = match &new.source {
        Source::Branch { before: Some(before), .. } if before != NO_COMMIT => before.clone(),
        Source::MergeRequest(request) => request.target_commit.clone(),
        _ => return Ok(None),
    };
    let repository = app.repository(new.project.id)?;
    Ok(Some(repository.git.changed_files(&CommitId(base), &new.commit).await?))
}

async fn compile(app: &App, new: &NewPipeline, entry: &SourceFile, context: &Context) -> Result<Compilation> {
    let mut driver = Driver::new(entry, context);
    loop {
        match driver.step() {
            serin_lang::Step::Done(compilation) => return Ok(*compilation),
            serin_lang::Step::Ask(requests) => {
                for request in requests {
                    let answer = answer(app, new, &request).await?;
                    driver.give(request, answer);
                }
            }
        }
    }
}

async fn answer(app: &App, new: &NewPipeline, request: &Request) -> Result<Answer> {
    let repository = app.repository(new.project.id)?;
    Ok(match request {
        Request::ProjectFile { path } => {
            match repository.git.read_file(&new.commit, path, CONFIG_BYTES_MAX as u64).await? {
                Some(bytes) => Answer::File(bytes),
                None => Answer::Missing(format!("there is no file `{path}` in commit {}", new.commit.short())),
            }
        }
        Request::OtherProject { project, reference, file } => {
            other_project(app, new, project, (reference.as_deref(), file)).await?
        }
        Request::TreeListing { project: None, .. } => {
            let files = repository.git.list_files(&new.commit, TREE_FILES_MAX).await?;
            Answer::Files(files.into_iter().map(|entry| entry.path).collect())
        }
        Request::ChangedFilesAgainst { reference } => {
            let base = repository.git.resolve(&format!("{HEADS}{reference}")).await?;
            match base {
                Some(base) => Answer::Changes(Some(repository.git.changed_files(&base, &new.commit).await?)),
                None => Answer::Missing(format!("there is no branch `{reference}`")),
            }
        }
        Request::TreeListing { project: Some(project), .. } => {
            Answer::Missing(format!("files of project `{project}` cannot be listed on this server"))
        }
        Request::Remote { url } => Answer::Missing(format!("this server fetches no remote files, so not `{url}`")),
        Request::Template { name } if name == DEVOPS => devops(app, new).await?,
        Request::Template { name } => Answer::Missing(format!("there is no template `{name}` on this server")),
        Request::Component { address, .. } => {
            Answer::Missing(format!("this server has no component catalogue, so not `{address}`"))
        }
    })
}

/// The three flows, for the service that `serin.yml` of the commit describes.
async fn devops(app: &App, new: &NewPipeline) -> Result<Answer> {
    let repository = app.repository(new.project.id)?;
    let Some(bytes) = repository.git.read_file(&new.commit, SERVICE_FILE, CONFIG_BYTES_MAX as u64).await? else {
        return Ok(Answer::Missing(format!("`{DEVOPS}` needs a `{SERVICE_FILE}` beside it, and there is none")));
    };
    let file = SourceFile::new(SERVICE_FILE, bytes);
    let (config, findings) = serin_lang::service::parse(&file);
    Ok(match config {
        Some(config) => Answer::File(serin_lang::template::devops(&config).bytes),
        None => Answer::Missing(serin_lang::render(&findings, &[file], Color::Plain)),
    })
}

async fn other_project(
    app: &App,
    new: &NewPipeline,
    path: &str,
    (reference, file): (Option<&str>, &str),
) -> Result<Answer> {
    let missing = |what: String| Ok(Answer::Missing(what));
    let found = projects::project_by_path(&mut *app.store.read().await?, path).await?;
    let Some(project) = found else { return missing(format!("there is no project `{path}`")) };
    let repository = app.repository(project.id)?;
    let reference = reference.unwrap_or(&project.default_branch);
    tracing::debug!(from = new.project.path, path, reference, file, "include from another project");
    match repository.git.resolve(reference).await? {
        None => missing(format!("project `{path}` has no `{reference}`")),
        Some(commit) => match repository.git.read_file(&commit, file, CONFIG_BYTES_MAX as u64).await? {
            Some(bytes) => Ok(Answer::File(bytes)),
            None => missing(format!("project `{path}` has no file `{file}` at `{reference}`")),
        },
    }
}

fn problem(compilation: &Compilation, entry: &SourceFile) -> Option<String> {
    let wrong = compilation.diagnostics.iter().any(|found| found.severity == serin_lang::Severity::Error);
    match (wrong, &compilation.plan, compilation.not_created) {
        (true, ..) => Some(serin_lang::render(&compilation.diagnostics, &compilation.sources, Color::Plain)),
        (false, None, None) => Some(format!("`{}` makes no pipeline", entry.path)),
        _ => None,
    }
}

fn row(
    new: &NewPipeline,
    commit: &serin_git::Commit,
    plan: &Plan,
    (context, problem): (&Context, Option<String>),
) -> Result<Pipeline> {
    let at = now().0;
    let request = match &new.source {
        Source::MergeRequest(request) => Some(request),
        _ => None,
    };
    let parent = match &new.source {
        Source::Child(child) => Some(&child.parent),
        _ => None,
    };
    let failed = problem.is_some();
    Ok(Pipeline {
        id: 0,
        project_id: new.project.id,
        iid: 0,
        cause: new.cause.clone(),
        source: new.source.lang().as_str().to_owned(),
        ref_name: new.source.ref_name(),
        commit_id: new.commit.0.clone(),
        tree_id: commit.tree.0.clone(),
        merge_request_id: request.map(|request| request.id),
        head_commit: request.map(|request| request.head_commit.clone()),
        target_commit: request
            .map(|request| request.target_commit.clone())
            .or_else(|| parent.and_then(|parent| parent.target_commit.clone())),
        upstream_job_id: new.upstream.as_ref().map(|upstream| upstream.job_id),
        account_id: new.account_id,
        title: request.map_or_else(|| commit.title.clone(), |request| request.title.clone()),
        name: plan.name.clone(),
        status: if failed { Status::Failed } else { Status::Created }.as_str().to_owned(),
        problem,
        stages: record::encode(&plan.stages)?,
        variables: record::encode(&Known::of(context))?,
        auto_cancel: record::encode::<AutoCancel>(&plan.auto_cancel)?,
        created_at: at,
        started_at: None,
        finished_at: failed.then_some(at),
    })
}

async fn keep(app: &Arc<App>, row: Pipeline, plan: &Plan) -> Result<Option<i64>> {
    let mut tx = app.store.begin().await?;
    // A child is a part of the newest pipeline, so it takes no other one's place.
    let superseded = match row.upstream_job_id {
        Some(_) => Vec::new(),
        None => rows::pipeline_unfinished_of_ref(&mut tx, row.project_id, &row.ref_name).await?,
    };
    let Some((id, iid)) = rows::pipeline_create(&mut tx, &row).await? else { return Ok(None) };
    for (position, job) in plan.jobs.iter().enumerate() {
        let job = rows::Job {
            position: i64::try_from(position).unwrap_or(i64::MAX),
            project_id: row.project_id,
            plan: record::encode(job)?,
            ..new_job(id, job)
        };
        rows::job_create(&mut tx, &job).await?;
    }
    tx.commit().await?;
    tracing::info!(pipeline = id, iid, project = row.project_id, ref_name = row.ref_name, "pipeline created");
    if row.problem.is_none() {
        apply(app, id, Event::Created).await?;
    }
    for older in superseded {
        super::spawn(app, older, Event::Superseded);
    }
    app.hub.tell(Change::Project(row.project_id));
    if let Some(request) = row.merge_request_id {
        app.hub.tell(Change::MergeRequest(request));
    }
    Ok(Some(id))
}

fn new_job(pipeline_id: i64, job: &serin_model::plan::Job) -> rows::Job {
    rows::Job {
        id: 0,
        pipeline_id,
        project_id: 0,
        position: 0,
        name: job.name.clone(),
        stage: i64::try_from(job.stage).unwrap_or(i64::MAX),
        status: Status::Created.as_str().to_owned(),
        attempt: 0,
        retries: 0,
        fence: 0,
        lease_until: None,
        failure: None,
        failure_note: None,
        exit_code: None,
        allowed_to_fail: serin_engine::Job::new(JobId(0), job, serin_engine::Spec::from(job)).allowed_to_fail,
        scheduled_at: None,
        enqueued_at: None,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        plan: String::new(),
        dotenv: String::new(),
        coverage: None,
    }
}
