//! Pipelines, their jobs, and the releases that they package.

use sqlx::FromRow;

use crate::{Connection, Result};

/// A pipeline.
#[derive(Clone, Debug, FromRow)]
pub struct Pipeline {
    /// Its number on the server.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its number in the project.
    pub iid: i64,
    /// What made it; unique, so that the same event makes it once.
    pub cause: String,
    /// `push`, `merge_request_event`, `web`, …
    pub source: String,
    /// Branch, tag, or `refs/merge-requests/N/merge`.
    pub ref_name: String,
    /// The commit that is built.
    pub commit_id: String,
    /// That commit's tree.
    pub tree_id: String,
    /// The trigger job that made it.
    pub upstream_job_id: Option<i64>,
    /// Its merge request.
    pub merge_request_id: Option<i64>,
    /// The merge request's source commit.
    pub head_commit: Option<String>,
    /// The merge request's target commit that was merged with.
    pub target_commit: Option<String>,
    /// Who caused it.
    pub account_id: i64,
    /// The commit's title.
    pub title: String,
    /// `workflow:name`.
    pub name: Option<String>,
    /// GitLab's word.
    pub status: String,
    /// Why it could not be made of its file, drawn with file and line.
    pub problem: Option<String>,
    /// Its stages, a JSON list.
    pub stages: String,
    /// Its variables (predefined, project, pipeline), a JSON list.
    pub variables: String,
    /// `workflow:auto_cancel`, JSON.
    pub auto_cancel: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
}

/// A job of a pipeline.
#[derive(Clone, Debug, FromRow)]
pub struct Job {
    /// Its number on the server.
    pub id: i64,
    /// Its pipeline.
    pub pipeline_id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its place among the pipeline's jobs, from 0.
    pub position: i64,
    /// Its name.
    pub name: String,
    /// Index of its stage.
    pub stage: i64,
    /// GitLab's word.
    pub status: String,
    /// Attempts so far.
    pub attempt: i64,
    /// Automatic retries so far.
    pub retries: i64,
    /// Grows with every hand-over.
    pub fence: i64,
    /// Until when its runner must have called.
    pub lease_until: Option<i64>,
    /// Why it failed.
    pub failure: Option<String>,
    /// The failure in words.
    pub failure_note: Option<String>,
    /// Exit code of its script.
    pub exit_code: Option<i64>,
    /// Whether its failure is a warning.
    pub allowed_to_fail: bool,
    /// When a delayed job is due.
    pub scheduled_at: Option<i64>,
    /// When it became ready.
    pub enqueued_at: Option<i64>,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
    /// Its plan, JSON with a version.
    pub plan: String,
    /// When its holder was asked to stop.
    pub cancel_requested_at: Option<i64>,
    /// Variables that it hands on, a JSON list.
    pub dotenv: String,
    /// Coverage in percent.
    pub coverage: Option<f64>,
}

/// Makes a pipeline; `None`: its cause has made one before.
pub async fn pipeline_create(db: &mut Connection, pipeline: &Pipeline) -> Result<Option<(i64, i64)>> {
    sqlx::query_as(
        "insert into pipeline (project_id, iid, cause, source, ref_name, commit_id, tree_id, merge_request_id,
            head_commit, target_commit, account_id, title, name, status, problem, stages, variables, auto_cancel,
            created_at, finished_at, upstream_job_id)
         values ($1, (select coalesce(max(iid), 0) + 1 from pipeline where project_id = $1),
            $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         on conflict (cause) do nothing returning id, iid",
    )
    .bind(pipeline.project_id)
    .bind(&pipeline.cause)
    .bind(&pipeline.source)
    .bind(&pipeline.ref_name)
    .bind(&pipeline.commit_id)
    .bind(&pipeline.tree_id)
    .bind(pipeline.merge_request_id)
    .bind(&pipeline.head_commit)
    .bind(&pipeline.target_commit)
    .bind(pipeline.account_id)
    .bind(&pipeline.title)
    .bind(&pipeline.name)
    .bind(&pipeline.status)
    .bind(&pipeline.problem)
    .bind(&pipeline.stages)
    .bind(&pipeline.variables)
    .bind(&pipeline.auto_cancel)
    .bind(pipeline.created_at)
    .bind(pipeline.finished_at)
    .bind(pipeline.upstream_job_id)
    .fetch_optional(db)
    .await
}

/// The pipeline of that number.
pub async fn pipeline_get(db: &mut Connection, id: i64) -> Result<Option<Pipeline>> {
    sqlx::query_as("select * from pipeline where id = $1").bind(id).fetch_optional(db).await
}

/// The pipeline that was made for that cause.
pub async fn pipeline_of_cause(db: &mut Connection, cause: &str) -> Result<Option<Pipeline>> {
    sqlx::query_as("select * from pipeline where cause = $1").bind(cause).fetch_optional(db).await
}

/// The pipelines that a job made, oldest first.
pub async fn pipeline_of_upstream_job(db: &mut Connection, job_id: i64) -> Result<Vec<Pipeline>> {
    sqlx::query_as("select * from pipeline where upstream_job_id = $1 order by id").bind(job_id).fetch_all(db).await
}

/// How many pipelines the jobs of a pipeline made.
pub async fn pipeline_count_downstream(db: &mut Connection, pipeline_id: i64) -> Result<i64> {
    sqlx::query_scalar(
        "select count(*) from pipeline where upstream_job_id in (select id from job where pipeline_id = $1)",
    )
    .bind(pipeline_id)
    .fetch_one(db)
    .await
}

/// A project's pipelines without child pipelines, newest first.
pub async fn pipeline_list(db: &mut Connection, project_id: i64, most: i64) -> Result<Vec<Pipeline>> {
    sqlx::query_as(
        "select * from pipeline where project_id = $1 and source <> 'parent_pipeline' order by id desc limit $2",
    )
    .bind(project_id)
    .bind(most)
    .fetch_all(db)
    .await
}

/// A merge request's pipelines, newest first.
pub async fn pipeline_of_merge_request(db: &mut Connection, merge_request_id: i64) -> Result<Vec<Pipeline>> {
    sqlx::query_as("select * from pipeline where merge_request_id = $1 order by id desc")
        .bind(merge_request_id)
        .fetch_all(db)
        .await
}

/// The numbers of all pipelines that are not finished.
pub async fn pipeline_unfinished(db: &mut Connection) -> Result<Vec<i64>> {
    sqlx::query_scalar("select id from pipeline where finished_at is null order by id").fetch_all(db).await
}

/// The numbers of the unfinished pipelines of a ref.
pub async fn pipeline_unfinished_of_ref(db: &mut Connection, project_id: i64, ref_name: &str) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "select id from pipeline where project_id = $1 and ref_name = $2 and finished_at is null order by id",
    )
    .bind(project_id)
    .bind(ref_name)
    .fetch_all(db)
    .await
}

/// Writes a pipeline's status and times.
pub async fn pipeline_set_status(
    db: &mut Connection,
    id: i64,
    status: &str,
    times: (Option<i64>, Option<i64>),
) -> Result<()> {
    sqlx::query(
        "update pipeline set status = $2, started_at = coalesce(started_at, $3), finished_at = $4 where id = $1",
    )
    .bind(id)
    .bind(status)
    .bind(times.0)
    .bind(times.1)
    .execute(db)
    .await?;
    Ok(())
}

/// Makes a job.
pub async fn job_create(db: &mut Connection, job: &Job) -> Result<i64> {
    sqlx::query_scalar(
        "insert into job (pipeline_id, project_id, position, name, stage, status, plan, allowed_to_fail)
         values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
    )
    .bind(job.pipeline_id)
    .bind(job.project_id)
    .bind(job.position)
    .bind(&job.name)
    .bind(job.stage)
    .bind(&job.status)
    .bind(&job.plan)
    .bind(job.allowed_to_fail)
    .fetch_one(db)
    .await
}

/// Writes back what the engine changed.
pub async fn job_save(db: &mut Connection, job: &Job) -> Result<()> {
    sqlx::query(
        "update job set status = $2, attempt = $3, retries = $4, fence = $5, lease_until = $6, failure = $7,
            exit_code = $8, allowed_to_fail = $9, scheduled_at = $10, enqueued_at = $11, started_at = $12,
            finished_at = $13, cancel_requested_at = $14 where id = $1",
    )
    .bind(job.id)
    .bind(&job.status)
    .bind(job.attempt)
    .bind(job.retries)
    .bind(job.fence)
    .bind(job.lease_until)
    .bind(&job.failure)
    .bind(job.exit_code)
    .bind(job.allowed_to_fail)
    .bind(job.scheduled_at)
    .bind(job.enqueued_at)
    .bind(job.started_at)
    .bind(job.finished_at)
    .bind(job.cancel_requested_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what a job's end brought besides its status.
pub async fn job_set_result(
    db: &mut Connection,
    id: i64,
    note: Option<&str>,
    dotenv: &str,
    coverage: Option<f64>,
) -> Result<()> {
    sqlx::query("update job set failure_note = $2, dotenv = $3, coverage = $4 where id = $1")
        .bind(id)
        .bind(note)
        .bind(dotenv)
        .bind(coverage)
        .execute(db)
        .await?;
    Ok(())
}

/// The job of that number.
pub async fn job_get(db: &mut Connection, id: i64) -> Result<Option<Job>> {
    sqlx::query_as("select * from job where id = $1").bind(id).fetch_optional(db).await
}

/// The heads of source branches whose merged results are a commit.
pub async fn pipeline_head_list(db: &mut Connection, project_id: i64, commit: &str) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "select distinct head_commit from pipeline
         where project_id = $1 and commit_id = $2 and head_commit is not null",
    )
    .bind(project_id)
    .bind(commit)
    .fetch_all(db)
    .await
}

/// A pipeline's jobs, in order.
pub async fn job_list(db: &mut Connection, pipeline_id: i64) -> Result<Vec<Job>> {
    sqlx::query_as("select * from job where pipeline_id = $1 order by position").bind(pipeline_id).fetch_all(db).await
}
