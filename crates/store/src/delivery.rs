//! Environments, rollouts, and what the judge saw.

use sqlx::FromRow;

use crate::pipeline::Job;
use crate::{Connection, Result};

/// An environment of a project.
#[derive(Clone, Debug, FromRow)]
pub struct Environment {
    /// Its number.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its name.
    pub name: String,
    /// What `serin.yml` said of it at the last deployment, JSON.
    pub config: String,
    /// Address of the gateway's listener.
    pub listen: Option<String>,
    /// Number of the last table given to the gateway.
    pub routes_revision: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// A progressive change of an environment.
#[derive(Clone, Debug, FromRow)]
pub struct Rollout {
    /// Its number.
    pub id: i64,
    /// Its environment.
    pub environment_id: i64,
    /// Its project.
    pub project_id: i64,
    /// The pipeline that asked for it.
    pub pipeline_id: i64,
    /// `deploy`, `canary`, `release`.
    pub kind: String,
    /// The new version.
    pub digest: String,
    /// The new version's commit.
    pub commit_id: String,
    /// Where it stands, one word.
    pub phase: String,
    /// The state machine's record, JSON with a version.
    pub state: String,
    /// Whether it is the environment's newest one, which describes its nodes.
    pub current: bool,
    /// What it reported to the jobs that wait for it, a JSON list.
    pub milestones: String,
    /// How it ended, in a sentence.
    pub outcome: Option<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
}

/// A tick of the judge.
#[derive(Clone, Debug, FromRow)]
pub struct JudgeTick {
    /// Its rollout.
    pub rollout_id: i64,
    /// Which judging of the rollout, from 1: a release judges after each pool.
    pub round: i64,
    /// Its number; negative before the canary.
    pub tick: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// The samples by node, JSON.
    pub samples: String,
    /// The answer, JSON.
    pub answer: String,
}

/// The environment of that name, made where there is none; its configuration is written anew.
pub async fn environment_ensure(db: &mut Connection, environment: &Environment) -> Result<i64> {
    sqlx::query_scalar(
        "insert into environment (project_id, name, config, listen, created_at) values ($1, $2, $3, $4, $5)
         on conflict (project_id, name) do update set config = excluded.config returning id",
    )
    .bind(environment.project_id)
    .bind(&environment.name)
    .bind(&environment.config)
    .bind(&environment.listen)
    .bind(environment.created_at)
    .fetch_one(db)
    .await
}

/// The environment of that number.
pub async fn environment_get(db: &mut Connection, id: i64) -> Result<Option<Environment>> {
    sqlx::query_as("select * from environment where id = $1").bind(id).fetch_optional(db).await
}

/// The environment of that name.
pub async fn environment_by_name(db: &mut Connection, project_id: i64, name: &str) -> Result<Option<Environment>> {
    sqlx::query_as("select * from environment where project_id = $1 and name = $2")
        .bind(project_id)
        .bind(name)
        .fetch_optional(db)
        .await
}

/// All environments of a project, or of all.
pub async fn environment_list(db: &mut Connection, project_id: Option<i64>) -> Result<Vec<Environment>> {
    sqlx::query_as("select * from environment where $1 is null or project_id = $1 order by id")
        .bind(project_id)
        .fetch_all(db)
        .await
}

/// Writes where the gateway listens for it.
pub async fn environment_set_listen(db: &mut Connection, id: i64, listen: &str) -> Result<()> {
    sqlx::query("update environment set listen = $2 where id = $1").bind(id).bind(listen).execute(db).await?;
    Ok(())
}

/// The next number of a routing table, unique and growing over all environments.
pub async fn routes_revision_next(db: &mut Connection) -> Result<i64> {
    let revision: i64 =
        sqlx::query_scalar("select coalesce(max(routes_revision), 0) + 1 from environment").fetch_one(&mut *db).await?;
    sqlx::query("update environment set routes_revision = $1").bind(revision).execute(db).await?;
    Ok(revision)
}

/// Makes a rollout, the environment's current one; its id is filled in.
///
/// # Errors
/// A unique violation where the environment has a current one.
pub async fn rollout_create(db: &mut Connection, rollout: &Rollout) -> Result<i64> {
    sqlx::query_scalar(
        "insert into rollout (environment_id, project_id, pipeline_id, kind, digest, commit_id, phase, state, current,
            created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9) returning id",
    )
    .bind(rollout.environment_id)
    .bind(rollout.project_id)
    .bind(rollout.pipeline_id)
    .bind(&rollout.kind)
    .bind(&rollout.digest)
    .bind(&rollout.commit_id)
    .bind(&rollout.phase)
    .bind(&rollout.state)
    .bind(rollout.created_at)
    .fetch_one(db)
    .await
}

/// Writes a rollout back.
pub async fn rollout_save(db: &mut Connection, rollout: &Rollout) -> Result<()> {
    sqlx::query(
        "update rollout set phase = $2, state = $3, current = $4, outcome = $5, updated_at = $6, finished_at = $7,
            milestones = $8 where id = $1",
    )
    .bind(rollout.id)
    .bind(&rollout.phase)
    .bind(&rollout.state)
    .bind(rollout.current)
    .bind(&rollout.outcome)
    .bind(rollout.updated_at)
    .bind(rollout.finished_at)
    .bind(&rollout.milestones)
    .execute(db)
    .await?;
    Ok(())
}

/// The rollout of that number.
pub async fn rollout_get(db: &mut Connection, id: i64) -> Result<Option<Rollout>> {
    sqlx::query_as("select * from rollout where id = $1").bind(id).fetch_optional(db).await
}

/// The environment's current rollout.
pub async fn rollout_current(db: &mut Connection, environment_id: i64) -> Result<Option<Rollout>> {
    sqlx::query_as("select * from rollout where environment_id = $1 and current = 1")
        .bind(environment_id)
        .fetch_optional(db)
        .await
}

/// The rollouts that a pipeline asked for, oldest first.
pub async fn rollout_of_pipeline(db: &mut Connection, pipeline_id: i64) -> Result<Vec<Rollout>> {
    sqlx::query_as("select * from rollout where pipeline_id = $1 order by id").bind(pipeline_id).fetch_all(db).await
}

/// An environment's rollouts, newest first.
pub async fn rollout_list(db: &mut Connection, environment_id: i64, most: i64) -> Result<Vec<Rollout>> {
    sqlx::query_as("select * from rollout where environment_id = $1 order by id desc limit $2")
        .bind(environment_id)
        .bind(most)
        .fetch_all(db)
        .await
}

/// A version that an environment ran as a whole.
#[derive(Clone, Debug, FromRow)]
pub struct Whole {
    /// The version.
    pub digest: String,
    /// Its commit.
    pub commit_id: String,
    /// The pipeline that brought it.
    pub pipeline_id: i64,
}

/// The versions that were deployed or released as a whole, newest first.
pub async fn rollout_whole_list(db: &mut Connection, environment_id: i64, most: i64) -> Result<Vec<Whole>> {
    sqlx::query_as(
        "select digest, commit_id, pipeline_id from rollout
         where environment_id = $1 and phase = 'succeeded' and kind in ('deploy', 'release') order by id desc limit $2",
    )
    .bind(environment_id)
    .bind(most)
    .fetch_all(db)
    .await
}

/// Notes that a job runs against the nodes of a rollout; again changes nothing.
pub async fn rollout_test_add(db: &mut Connection, rollout_id: i64, job_id: i64) -> Result<()> {
    sqlx::query("insert into rollout_test (rollout_id, job_id) values ($1, $2) on conflict do nothing")
        .bind(rollout_id)
        .bind(job_id)
        .execute(db)
        .await?;
    Ok(())
}

/// The jobs that ran against the nodes of a rollout, in the pipeline's order.
pub async fn rollout_test_list(db: &mut Connection, rollout_id: i64) -> Result<Vec<Job>> {
    sqlx::query_as(
        "select job.* from job join rollout_test on rollout_test.job_id = job.id
         where rollout_test.rollout_id = $1 order by job.position, job.id",
    )
    .bind(rollout_id)
    .fetch_all(db)
    .await
}

/// Writes a tick of the judge; the same tick again changes nothing.
pub async fn judge_tick_add(db: &mut Connection, tick: &JudgeTick) -> Result<()> {
    sqlx::query(
        "insert into judge_tick (rollout_id, round, tick, at, samples, answer) values ($1, $2, $3, $4, $5, $6)
         on conflict (rollout_id, round, tick) do nothing",
    )
    .bind(tick.rollout_id)
    .bind(tick.round)
    .bind(tick.tick)
    .bind(tick.at)
    .bind(&tick.samples)
    .bind(&tick.answer)
    .execute(db)
    .await?;
    Ok(())
}

/// The ticks of a rollout's judging, in order, after a given one.
pub async fn judge_tick_list(db: &mut Connection, rollout_id: i64, round: i64, after: i64) -> Result<Vec<JudgeTick>> {
    sqlx::query_as("select * from judge_tick where rollout_id = $1 and round = $2 and tick > $3 order by tick")
        .bind(rollout_id)
        .bind(round)
        .bind(after)
        .fetch_all(db)
        .await
}

/// The newest tick of a rollout's judging.
pub async fn judge_tick_last(db: &mut Connection, rollout_id: i64, round: i64) -> Result<Option<JudgeTick>> {
    sqlx::query_as("select * from judge_tick where rollout_id = $1 and round = $2 order by tick desc limit 1")
        .bind(rollout_id)
        .bind(round)
        .fetch_optional(db)
        .await
}

/// A merge, with what it merged.
#[derive(Clone, Debug, FromRow)]
pub struct Merge {
    /// Login name of who wrote the merge request.
    pub author: String,
    /// The branch that was merged.
    pub source_branch: String,
    /// The branch merged into.
    pub target_branch: String,
}

/// The merge request that a commit merged.
pub async fn merge_of_commit(db: &mut Connection, project_id: i64, commit: &str) -> Result<Option<Merge>> {
    sqlx::query_as(
        "select account.username as author, source_branch, target_branch from merge_request
         join account on account.id = merge_request.author_id
         where project_id = $1 and merge_commit = $2 order by merge_request.id limit 1",
    )
    .bind(project_id)
    .bind(commit)
    .fetch_optional(db)
    .await
}

/// Login names of the accounts with an address.
pub async fn account_list_of_address(db: &mut Connection, address: &str) -> Result<Vec<String>> {
    sqlx::query_scalar("select username from account where lower(email) = lower($1)").bind(address).fetch_all(db).await
}
