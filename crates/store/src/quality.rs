//! Reports of code checks, tests and coverage, and how merge requests stand before their gates.

use sqlx::FromRow;

use crate::{Connection, Result};

/// One report file of a job's attempt.
#[derive(Clone, Debug, FromRow)]
pub struct Report {
    /// Its number.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// The pipeline of its job.
    pub pipeline_id: i64,
    /// Its job.
    pub job_id: i64,
    /// The attempt that wrote it.
    pub attempt: i64,
    /// The job's name.
    pub job_name: String,
    /// Its kind, as in `artifacts:reports`.
    pub kind: String,
    /// The file's path in the project.
    pub path: String,
    /// The commit that was built.
    pub commit_id: String,
    /// That commit's tree.
    pub tree_id: String,
    /// What it is written in; empty where that is not known.
    pub format: String,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// What people should know of it, a JSON list.
    pub notes: String,
    /// What it holds, JSON with a version.
    pub body: String,
    /// What it holds in figures, JSON; empty where it cannot be read.
    pub summary: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// Who lets a merge request pass although its gate does not.
#[derive(Clone, Debug, FromRow)]
pub struct Override {
    /// The person.
    pub account_id: i64,
    /// The person's name.
    pub name: String,
    /// The person's reason.
    pub reason: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// Keeps a report; one of the same job, attempt, kind and path is replaced.
pub async fn quality_report_set(db: &mut Connection, report: &Report) -> Result<()> {
    sqlx::query(
        "insert or replace into quality_report (project_id, pipeline_id, job_id, attempt, job_name, kind, path,
            commit_id, tree_id, format, problem, notes, body, summary, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(report.project_id)
    .bind(report.pipeline_id)
    .bind(report.job_id)
    .bind(report.attempt)
    .bind(&report.job_name)
    .bind(&report.kind)
    .bind(&report.path)
    .bind(&report.commit_id)
    .bind(&report.tree_id)
    .bind(&report.format)
    .bind(&report.problem)
    .bind(&report.notes)
    .bind(&report.body)
    .bind(&report.summary)
    .bind(report.created_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets a project's reports of all but its newest pipelines.
pub async fn quality_report_prune(db: &mut Connection, project_id: i64, pipelines: i64) -> Result<()> {
    sqlx::query(
        "delete from quality_report where project_id = $1 and pipeline_id <
            (select distinct pipeline_id from quality_report where project_id = $1
             order by pipeline_id desc limit 1 offset $2)",
    )
    .bind(project_id)
    .bind(pipelines - 1)
    .execute(db)
    .await?;
    Ok(())
}

/// The reports of a pipeline's jobs, of each job's newest attempt alone.
pub async fn quality_report_list(db: &mut Connection, pipeline_id: i64) -> Result<Vec<Report>> {
    sqlx::query_as(
        "select quality_report.* from quality_report join job on job.id = quality_report.job_id
         where quality_report.pipeline_id = $1 and quality_report.attempt = job.attempt order by quality_report.id",
    )
    .bind(pipeline_id)
    .fetch_all(db)
    .await
}

/// The newest pipeline besides another that built a commit, or one of the same tree, and left readable reports.
pub async fn quality_report_pipeline(
    db: &mut Connection,
    (project_id, besides): (i64, i64),
    (commit, tree): (&str, &str),
) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "select max(pipeline_id) from quality_report
         where project_id = $1 and pipeline_id <> $2 and (commit_id = $3 or tree_id = $4) and problem is null
            and kind <> 'sonarqube'",
    )
    .bind(project_id)
    .bind(besides)
    .bind(commit)
    .bind(tree)
    .fetch_one(db)
    .await
}

/// The readable reports of tests of the project's newest pipelines, the newest first: number, and bytes that it holds.
pub async fn quality_report_history(db: &mut Connection, project_id: i64, pipelines: i64) -> Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "select id, length(body) from quality_report
         where project_id = $1 and kind = 'junit' and problem is null and pipeline_id in
            (select distinct pipeline_id from quality_report where project_id = $1 and kind = 'junit'
             order by pipeline_id desc limit $2)
         order by id desc",
    )
    .bind(project_id)
    .bind(pipelines)
    .fetch_all(db)
    .await
}

/// A report of a job's newest attempt, without what it holds.
#[derive(Clone, Debug, FromRow)]
pub struct Outline {
    /// Its number.
    pub id: i64,
    /// The file's path in the project.
    pub path: String,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// What it holds in figures, JSON; empty where it cannot be read.
    pub summary: String,
    /// Bytes that it holds.
    pub bytes: i64,
}

/// The reports of one kind of a job's newest attempt, without what they hold.
pub async fn quality_outline_list(db: &mut Connection, job_id: i64, kind: &str) -> Result<Vec<Outline>> {
    sqlx::query_as(
        "select quality_report.id, path, problem, summary, length(body) as bytes
         from quality_report join job on job.id = quality_report.job_id and job.attempt = quality_report.attempt
         where job_id = $1 and kind = $2 order by quality_report.id",
    )
    .bind(job_id)
    .bind(kind)
    .fetch_all(db)
    .await
}

/// The report of that number.
pub async fn quality_report_get(db: &mut Connection, id: i64) -> Result<Option<Report>> {
    sqlx::query_as("select * from quality_report where id = $1").bind(id).fetch_optional(db).await
}

/// A report's figures, with the pipeline that they are of.
#[derive(Clone, Debug, FromRow)]
pub struct Figures {
    /// The pipeline.
    pub pipeline_id: i64,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// The figures, JSON.
    pub summary: String,
}

/// The figures of the newest finished pipelines of a branch, the newest first.
pub async fn quality_figures_list(
    db: &mut Connection,
    (project_id, ref_name): (i64, &str),
    pipelines: i64,
) -> Result<Vec<Figures>> {
    sqlx::query_as(
        "select quality_report.pipeline_id, newest.created_at, quality_report.summary
         from (select id, created_at from pipeline
               where project_id = $1 and ref_name = $2 and finished_at is not null order by id desc limit $3) as newest
         join quality_report on quality_report.pipeline_id = newest.id
         join job on job.id = quality_report.job_id and job.attempt = quality_report.attempt
         where quality_report.summary <> '' order by newest.id desc, quality_report.id",
    )
    .bind(project_id)
    .bind(ref_name)
    .bind(pipelines)
    .fetch_all(db)
    .await
}

/// What `coverage:` found in the jobs of the newest pipeline besides another that built a commit, or one of the same tree.
pub async fn quality_job_coverage_list(
    db: &mut Connection,
    (project_id, besides): (i64, i64),
    (commit, tree): (&str, &str),
) -> Result<Vec<(String, f64)>> {
    sqlx::query_as(
        "select name, coverage from job where coverage is not null and pipeline_id =
            (select max(pipeline.id) from pipeline join job on job.pipeline_id = pipeline.id
             where pipeline.project_id = $1 and pipeline.id <> $2 and (commit_id = $3 or tree_id = $4)
             and job.coverage is not null)
         order by position",
    )
    .bind(project_id)
    .bind(besides)
    .bind(commit)
    .bind(tree)
    .fetch_all(db)
    .await
}

/// What `coverage:` found on average in the newest finished pipelines of a branch, the newest first: the pipeline, when
/// it was made, percent.
pub async fn quality_job_coverage_trend(
    db: &mut Connection,
    (project_id, ref_name): (i64, &str),
    pipelines: i64,
) -> Result<Vec<(i64, i64, f64)>> {
    sqlx::query_as(
        "select newest.id, newest.created_at, avg(coverage)
         from (select id, created_at from pipeline
               where project_id = $1 and ref_name = $2 and finished_at is not null order by id desc limit $3) as newest
         join job on job.pipeline_id = newest.id
         where coverage is not null group by newest.id, newest.created_at order by newest.id desc",
    )
    .bind(project_id)
    .bind(ref_name)
    .bind(pipelines)
    .fetch_all(db)
    .await
}

/// How a pipeline that finished at that time stands before the gate.
pub async fn quality_gate_get(db: &mut Connection, pipeline_id: i64, finished_at: i64) -> Result<Option<String>> {
    sqlx::query_scalar("select judgement from quality_gate where pipeline_id = $1 and finished_at = $2")
        .bind(pipeline_id)
        .bind(finished_at)
        .fetch_optional(db)
        .await
}

/// What stands at which line of a pipeline that finished at that time.
pub async fn quality_gate_details(db: &mut Connection, pipeline_id: i64, finished_at: i64) -> Result<Option<String>> {
    sqlx::query_scalar("select details from quality_gate where pipeline_id = $1 and finished_at = $2")
        .bind(pipeline_id)
        .bind(finished_at)
        .fetch_optional(db)
        .await
}

/// Keeps how a pipeline stands before the gate, and what stands at which line.
pub async fn quality_gate_set(
    db: &mut Connection,
    (pipeline_id, finished_at): (i64, i64),
    (judgement, details): (&str, &str),
) -> Result<()> {
    sqlx::query(
        "insert or replace into quality_gate (pipeline_id, finished_at, judgement, details) values ($1, $2, $3, $4)",
    )
    .bind(pipeline_id)
    .bind(finished_at)
    .bind(judgement)
    .bind(details)
    .execute(db)
    .await?;
    Ok(())
}

/// Records who lets a merge request's commit pass, and why.
pub async fn quality_override_add(
    db: &mut Connection,
    (merge_request_id, head_commit): (i64, &str),
    (account_id, reason): (i64, &str),
    at: i64,
) -> Result<()> {
    sqlx::query(
        "insert into quality_override (merge_request_id, head_commit, account_id, reason, created_at)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(merge_request_id)
    .bind(head_commit)
    .bind(account_id)
    .bind(reason)
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}

/// Who last let a merge request's commit pass.
pub async fn quality_override_get(
    db: &mut Connection,
    merge_request_id: i64,
    head_commit: &str,
) -> Result<Option<Override>> {
    sqlx::query_as(
        "select account_id, account.name as name, reason, quality_override.created_at as created_at
         from quality_override join account on account.id = account_id
         where merge_request_id = $1 and head_commit = $2 order by quality_override.id desc limit 1",
    )
    .bind(merge_request_id)
    .bind(head_commit)
    .fetch_optional(db)
    .await
}

/// What SonarQube says of a commit.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Sonarqube {
    /// SonarQube's own project.
    pub name: String,
    /// Its gate's word: `OK`, `ERROR`, …
    pub status: String,
    /// The conditions that do not hold, a JSON list of texts.
    pub conditions: String,
}

/// Keeps what SonarQube says of a commit; what was judged without it is judged anew.
pub async fn quality_sonarqube_set(
    db: &mut Connection,
    (project_id, commit): (i64, &str),
    said: &Sonarqube,
    at: i64,
) -> Result<()> {
    sqlx::query(
        "insert into quality_sonarqube (project_id, commit_id, name, status, conditions, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (project_id, commit_id, name) do update set status = excluded.status,
            conditions = excluded.conditions, created_at = excluded.created_at",
    )
    .bind(project_id)
    .bind(commit)
    .bind(&said.name)
    .bind(&said.status)
    .bind(&said.conditions)
    .bind(at)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "delete from quality_gate where pipeline_id in
            (select id from pipeline where project_id = $1 and (commit_id = $2 or head_commit = $2))",
    )
    .bind(project_id)
    .bind(commit)
    .execute(db)
    .await?;
    Ok(())
}

/// An analysis at SonarQube whose end is asked for.
#[derive(Clone, Debug, FromRow)]
pub struct SonarqubeTask {
    /// The project.
    pub project_id: i64,
    /// SonarQube's name of the analysis.
    pub task: String,
    /// The commit that is analysed.
    pub commit_id: String,
    /// SonarQube's own project.
    pub name: String,
    /// How often it was asked for.
    pub attempts: i64,
    /// When it is asked for next, in milliseconds since 1970.
    pub next_at: i64,
    /// When it was told of, in milliseconds since 1970.
    pub created_at: i64,
}

/// Notes an analysis; one that is known already stays as it is.
pub async fn quality_sonarqube_task_add(db: &mut Connection, task: &SonarqubeTask) -> Result<()> {
    sqlx::query(
        "insert into quality_sonarqube_task (project_id, task, commit_id, name, attempts, next_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(task.project_id)
    .bind(&task.task)
    .bind(&task.commit_id)
    .bind(&task.name)
    .bind(task.attempts)
    .bind(task.next_at)
    .bind(task.created_at)
    .execute(db)
    .await?;
    Ok(())
}

/// The analyses that wait longest, in the order in which they are asked for.
pub async fn quality_sonarqube_task_list(db: &mut Connection, most: i64) -> Result<Vec<SonarqubeTask>> {
    sqlx::query_as("select * from quality_sonarqube_task order by next_at limit $1").bind(most).fetch_all(db).await
}

/// Asks for an analysis again later.
pub async fn quality_sonarqube_task_postpone(
    db: &mut Connection,
    (project_id, task): (i64, &str),
    next_at: i64,
) -> Result<()> {
    sqlx::query(
        "update quality_sonarqube_task set attempts = attempts + 1, next_at = $3 where project_id = $1 and task = $2",
    )
    .bind(project_id)
    .bind(task)
    .bind(next_at)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets an analysis.
pub async fn quality_sonarqube_task_remove(db: &mut Connection, project_id: i64, task: &str) -> Result<()> {
    sqlx::query("delete from quality_sonarqube_task where project_id = $1 and task = $2")
        .bind(project_id)
        .bind(task)
        .execute(db)
        .await?;
    Ok(())
}

/// What SonarQube says of a commit, or else of another one that went into it.
pub async fn quality_sonarqube_list(
    db: &mut Connection,
    project_id: i64,
    (commit, head): (&str, &str),
) -> Result<Vec<Sonarqube>> {
    sqlx::query_as(
        "select name, status, conditions from quality_sonarqube where project_id = $1 and commit_id =
            (select commit_id from quality_sonarqube where project_id = $1 and commit_id in ($2, $3)
             order by commit_id = $2 desc limit 1)
         order by name",
    )
    .bind(project_id)
    .bind(commit)
    .bind(head)
    .fetch_all(db)
    .await
}

/// The merge requests of a project whose newest pipelines built a commit.
pub async fn quality_merge_request_list(db: &mut Connection, project_id: i64, commit: &str) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "select distinct merge_request_id from pipeline
         where project_id = $1 and (commit_id = $2 or head_commit = $2) and merge_request_id is not null",
    )
    .bind(project_id)
    .bind(commit)
    .fetch_all(db)
    .await
}
