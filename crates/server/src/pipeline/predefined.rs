//! Predefined variables that the server knows when a pipeline is made, and those of a job that runs.
//!
//! Names and meanings: GitLab's "Predefined CI/CD variables reference".

use serin_model::plan::Variable;
use serin_store::account::Account;
use serin_store::pipeline::{Job, Pipeline};
use serin_store::project::Project;

use super::create::Source;
use crate::App;

/// What the variables are made of.
pub struct Facts<'a> {
    /// The server.
    pub app: &'a App,
    /// The project.
    pub project: &'a Project,
    /// The commit.
    pub commit: &'a serin_git::Commit,
    /// What the pipeline is for.
    pub source: &'a Source,
    /// Who caused it.
    pub author: Option<&'a Account>,
}

/// The variables that are known before the file is read.
#[must_use]
pub fn variables(facts: &Facts<'_>) -> Vec<Variable> {
    let mut list = commit_variables(facts);
    let url = facts.app.url();
    let project = facts.project;
    let namespace = project.path.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    list.extend(pairs(&[
        ("CI_SERVER_URL", url),
        ("CI_SERVER_NAME", "Serin"),
        ("CI_API_V4_URL", &format!("{url}/api/v4")),
        ("CI_PROJECT_ID", &project.id.to_string()),
        ("CI_PROJECT_NAME", project.path.rsplit('/').next().unwrap_or_default()),
        ("CI_PROJECT_TITLE", &project.name),
        ("CI_PROJECT_PATH", &project.path),
        ("CI_PROJECT_NAMESPACE", namespace),
        ("CI_PROJECT_URL", &format!("{url}/{}", project.path)),
        ("CI_PROJECT_VISIBILITY", "private"),
    ]));
    if let Some(author) = facts.author {
        list.extend(pairs(&[
            ("GITLAB_USER_ID", &author.id.to_string()),
            ("GITLAB_USER_LOGIN", &author.username),
            ("GITLAB_USER_NAME", &author.name),
            ("GITLAB_USER_EMAIL", &author.email),
        ]));
    }
    if let Source::MergeRequest(request) = facts.source {
        list.extend(pairs(&[
            ("CI_MERGE_REQUEST_ID", &request.id.to_string()),
            ("CI_MERGE_REQUEST_IID", &request.iid.to_string()),
            ("CI_MERGE_REQUEST_TITLE", &request.title),
            ("CI_MERGE_REQUEST_DESCRIPTION", &request.description),
            ("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result"),
            ("CI_MERGE_REQUEST_REF_PATH", &crate::merge_request::ref_name(request.iid, "merge")),
            ("CI_MERGE_REQUEST_PROJECT_ID", &project.id.to_string()),
            ("CI_MERGE_REQUEST_PROJECT_PATH", &project.path),
            ("CI_MERGE_REQUEST_PROJECT_URL", &format!("{url}/{}", project.path)),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", &request.target_commit),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", &request.source_branch),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", &request.head_commit),
            ("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", &project.path),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", &request.target_branch),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", &request.target_commit),
        ]));
    }
    list
}

fn commit_variables(facts: &Facts<'_>) -> Vec<Variable> {
    let commit = facts.commit;
    let before = match facts.source {
        Source::Branch { before: Some(before), .. } => before.clone(),
        _ => "0".repeat(40),
    };
    let author = format!("{} <{}>", commit.author.name, commit.author.email);
    let description = commit.message.split_once('\n').map_or("", |(_, rest)| rest.trim_start());
    pairs(&[
        ("CI_COMMIT_MESSAGE", &commit.message),
        ("CI_COMMIT_TITLE", &commit.title),
        ("CI_COMMIT_DESCRIPTION", description),
        ("CI_COMMIT_AUTHOR", &author),
        ("CI_COMMIT_BEFORE_SHA", &before),
        ("CI_COMMIT_TIMESTAMP", &timestamp(commit.author.time_ms)),
    ])
}

/// The variables that exist while a job runs.
#[must_use]
pub fn job_variables(app: &App, project: &Project, pipeline: &Pipeline, job: &Job) -> Vec<Variable> {
    let url = app.url();
    let at = timestamp(job.started_at.unwrap_or(pipeline.created_at));
    let mut list = pairs(&[
        ("CI_PIPELINE_ID", &pipeline.id.to_string()),
        ("CI_PIPELINE_IID", &pipeline.iid.to_string()),
        ("CI_PIPELINE_URL", &format!("{url}/{}/-/pipelines/{}", project.path, pipeline.id)),
        ("CI_PIPELINE_CREATED_AT", &timestamp(pipeline.created_at)),
        ("CI_JOB_ID", &job.id.to_string()),
        ("CI_JOB_URL", &format!("{url}/{}/-/jobs/{}", project.path, job.id)),
        ("CI_JOB_STARTED_AT", &at),
        ("CI_SERVER", "yes"),
        ("CI_RUNNER_ID", "1"),
        ("CI_RUNNER_DESCRIPTION", "embedded"),
        ("CI_RUNNER_EXECUTABLE_ARCH", &format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)),
        ("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION")),
    ]);
    if let Some(name) = &pipeline.name {
        list.push(Variable::plain("CI_PIPELINE_NAME", name));
    }
    list
}

fn pairs(list: &[(&str, &str)]) -> Vec<Variable> {
    // Text from outside, such as a commit message, holds no variables of ours.
    let raw = |(key, value): &(&str, &str)| Variable { raw: true, ..Variable::plain(*key, *value) };
    list.iter().map(raw).collect()
}

fn timestamp(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
