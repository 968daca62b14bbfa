//! What the API and the pages show, made of the database's rows.

use serin_model::plan;
use serin_store::account;
use serin_store::merge_request::MergeRequest;
use serin_store::pipeline::{self as pipelines, Job, Pipeline};
use serin_store::project::Project;
use serin_wire::rest;

use crate::error::Result;
use crate::pipeline::record;
use crate::{App, merge_request};

/// RFC 3339 of milliseconds since 1970.
#[must_use]
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// A project as the API shows it.
#[must_use]
pub fn project(app: &App, row: &Project) -> rest::Project {
    let web_url = format!("{}/{}", app.url(), row.path);
    rest::Project {
        id: row.id,
        name: row.name.clone(),
        path_with_namespace: row.path.clone(),
        default_branch: row.default_branch.clone(),
        http_url_to_repo: format!("{web_url}.git"),
        web_url,
        created_at: time(row.created_at),
    }
}

/// A pipeline as the API shows it.
#[must_use]
pub fn pipeline(app: &App, project: &Project, row: &Pipeline) -> rest::Pipeline {
    rest::Pipeline {
        id: row.id,
        iid: row.iid,
        project_id: row.project_id,
        status: row.status.clone(),
        source: row.source.clone(),
        ref_name: row.ref_name.clone(),
        sha: row.commit_id.clone(),
        name: row.name.clone(),
        yaml_errors: row.problem.clone(),
        web_url: format!("{}/{}/-/pipelines/{}", app.url(), project.path, row.id),
        created_at: time(row.created_at),
        started_at: row.started_at.map(time),
        finished_at: row.finished_at.map(time),
    }
}

/// A job as the API shows it; `stages` are its pipeline's.
#[must_use]
pub fn job(app: &App, project: &Project, row: &Job, stages: &[String]) -> rest::Job {
    let stage = usize::try_from(row.stage).ok().and_then(|index| stages.get(index));
    let duration = row.started_at.zip(row.finished_at).map(|(from, to)| (to - from) as f64 / 1000.0);
    rest::Job {
        id: row.id,
        name: row.name.clone(),
        stage: stage.cloned().unwrap_or_default(),
        status: row.status.clone(),
        allow_failure: row.allowed_to_fail,
        attempt: row.attempt,
        failure_reason: row.failure.clone(),
        failure_message: row.failure_note.clone(),
        exit_code: row.exit_code,
        coverage: row.coverage,
        queued_at: row.enqueued_at.map(time),
        started_at: row.started_at.map(time),
        finished_at: row.finished_at.map(time),
        duration,
        web_url: format!("{}/{}/-/jobs/{}", app.url(), project.path, row.id),
        downstream_pipeline: None,
    }
}

/// The jobs of a pipeline as the API shows them, without its trigger jobs.
///
/// # Errors
/// Where the database fails.
pub async fn jobs(app: &App, project: &Project, row: &Pipeline) -> Result<Vec<rest::Job>> {
    let stages: Vec<String> = record::decode(&row.stages)?;
    let rows = pipelines::job_list(&mut *app.store.read().await?, row.id).await?;
    let mut list = Vec::new();
    for row in &rows {
        if !matches!(plan(row)?.work, plan::Work::Trigger(_)) {
            list.push(job(app, project, row, &stages));
        }
    }
    Ok(list)
}

/// The trigger jobs of a pipeline as the API shows them, each with the newest pipeline that it made.
///
/// # Errors
/// Where the database fails.
pub async fn bridges(app: &App, project: &Project, row: &Pipeline) -> Result<Vec<rest::Job>> {
    let stages: Vec<String> = record::decode(&row.stages)?;
    let mut db = app.store.read().await?;
    let mut list = Vec::new();
    for row in pipelines::job_list(&mut db, row.id).await? {
        if !matches!(plan(&row)?.work, plan::Work::Trigger(_)) {
            continue;
        }
        let mut shown = job(app, project, &row, &stages);
        if let Some(made) = pipelines::pipeline_of_upstream_job(&mut db, row.id).await?.pop() {
            let of = serin_store::project::project_get(&mut db, made.project_id).await?;
            shown.downstream_pipeline = of.map(|of| pipeline(app, &of, &made));
        }
        list.push(shown);
    }
    Ok(list)
}

/// A merge request as the API shows it.
///
/// # Errors
/// Where the database fails.
pub async fn merge_request(app: &App, project: &Project, row: &MergeRequest) -> Result<rest::MergeRequest> {
    let newest = pipelines::pipeline_of_merge_request(&mut *app.store.read().await?, row.id).await?.into_iter().next();
    // Read after the pipeline, or they would still speak of one that runs where it is shown as ended.
    let blockers = merge_request::blockers(app, row).await?;
    let detailed = match (row.state.as_str(), row.merge_status.as_str(), blockers.is_empty()) {
        ("opened", "checking", _) => "checking",
        ("opened", "cannot_be_merged", _) => "conflict",
        ("opened", _, false) => "ci_must_pass",
        ("opened", _, true) => "mergeable",
        _ => "not_open",
    };
    Ok(rest::MergeRequest {
        id: row.id,
        iid: row.iid,
        project_id: row.project_id,
        title: row.title.clone(),
        description: row.description.clone(),
        state: row.state.clone(),
        source_branch: row.source_branch.clone(),
        target_branch: row.target_branch.clone(),
        sha: row.head_commit.clone(),
        merge_status: row.merge_status.clone(),
        detailed_merge_status: detailed.to_owned(),
        blockers,
        has_conflicts: row.merge_status == "cannot_be_merged",
        merge_when_pipeline_succeeds: row.merge_when_pipeline_succeeds,
        merge_commit_sha: row.merge_commit.clone(),
        head_pipeline: newest.map(|row| pipeline(app, project, &row)),
        web_url: format!("{}/{}/-/merge_requests/{}", app.url(), project.path, row.iid),
        created_at: time(row.created_at),
        merged_at: row.merged_at.map(time),
    })
}

/// Name of an account, for people.
///
/// # Errors
/// Where the database fails.
pub async fn account_name(app: &App, id: i64) -> Result<String> {
    let found = account::account_get(&mut *app.store.read().await?, id).await?;
    Ok(found.map_or_else(|| "somebody".to_owned(), |account| account.name))
}

/// The plan of a job's row.
///
/// # Errors
/// Where the record is damaged.
pub fn plan(row: &Job) -> Result<plan::Job> {
    record::decode(&row.plan)
}
