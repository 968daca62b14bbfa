//! Merge requests.

use sqlx::FromRow;

use crate::{Connection, Result};

/// A merge request.
#[derive(Clone, Debug, FromRow)]
pub struct MergeRequest {
    /// Its number on the server.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// Its number in the project, `!1`.
    pub iid: i64,
    /// Its title.
    pub title: String,
    /// Its description, Markdown.
    pub description: String,
    /// The branch to merge.
    pub source_branch: String,
    /// The branch merged into.
    pub target_branch: String,
    /// `opened`, `merged`, `closed`.
    pub state: String,
    /// Who opened it.
    pub author_id: i64,
    /// The source branch's commit.
    pub head_commit: String,
    /// The target branch's commit, as last looked at.
    pub target_commit: String,
    /// `can_be_merged`, `cannot_be_merged` (conflicts), `checking`.
    pub merge_status: String,
    /// Paths in conflict, a JSON list.
    pub conflicts: String,
    /// Whether it is merged when its pipeline succeeds.
    pub merge_when_pipeline_succeeds: bool,
    /// The commit that merged it.
    pub merge_commit: Option<String>,
    /// Who merged it.
    pub merged_by: Option<i64>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
    /// Milliseconds since 1970.
    pub merged_at: Option<i64>,
}

/// Makes a merge request; its `iid` is the next one of the project.
pub async fn merge_request_create(db: &mut Connection, request: &MergeRequest) -> Result<(i64, i64)> {
    sqlx::query_as(
        "insert into merge_request (project_id, iid, title, description, source_branch, target_branch, state,
            author_id, head_commit, target_commit, merge_status, merge_when_pipeline_succeeds, created_at, updated_at)
         values ($1, (select coalesce(max(iid), 0) + 1 from merge_request where project_id = $1),
            $2, $3, $4, $5, 'opened', $6, $7, $8, $9, $10, $11, $11) returning id, iid",
    )
    .bind(request.project_id)
    .bind(&request.title)
    .bind(&request.description)
    .bind(&request.source_branch)
    .bind(&request.target_branch)
    .bind(request.author_id)
    .bind(&request.head_commit)
    .bind(&request.target_commit)
    .bind(&request.merge_status)
    .bind(request.merge_when_pipeline_succeeds)
    .bind(request.created_at)
    .fetch_one(db)
    .await
}

/// Writes back everything that may change.
pub async fn merge_request_save(db: &mut Connection, request: &MergeRequest) -> Result<()> {
    sqlx::query(
        "update merge_request set title = $2, description = $3, target_branch = $4, state = $5, head_commit = $6,
            target_commit = $7, merge_status = $8, conflicts = $9, merge_when_pipeline_succeeds = $10,
            merge_commit = $11, merged_by = $12, updated_at = $13, merged_at = $14 where id = $1",
    )
    .bind(request.id)
    .bind(&request.title)
    .bind(&request.description)
    .bind(&request.target_branch)
    .bind(&request.state)
    .bind(&request.head_commit)
    .bind(&request.target_commit)
    .bind(&request.merge_status)
    .bind(&request.conflicts)
    .bind(request.merge_when_pipeline_succeeds)
    .bind(&request.merge_commit)
    .bind(request.merged_by)
    .bind(request.updated_at)
    .bind(request.merged_at)
    .execute(db)
    .await?;
    Ok(())
}

/// The merge request of that number on the server.
pub async fn merge_request_get(db: &mut Connection, id: i64) -> Result<Option<MergeRequest>> {
    sqlx::query_as("select * from merge_request where id = $1").bind(id).fetch_optional(db).await
}

/// The merge request of that number in the project.
pub async fn merge_request_by_iid(db: &mut Connection, project_id: i64, iid: i64) -> Result<Option<MergeRequest>> {
    sqlx::query_as("select * from merge_request where project_id = $1 and iid = $2")
        .bind(project_id)
        .bind(iid)
        .fetch_optional(db)
        .await
}

/// A project's merge requests, newest first; `state`: `opened`, `merged`, `closed` or `all`.
pub async fn merge_request_list(
    db: &mut Connection,
    project_id: i64,
    state: &str,
    most: i64,
) -> Result<Vec<MergeRequest>> {
    sqlx::query_as(
        "select * from merge_request where project_id = $1 and ($2 = 'all' or state = $2) order by iid desc limit $3",
    )
    .bind(project_id)
    .bind(state)
    .bind(most)
    .fetch_all(db)
    .await
}

/// The open merge requests that a branch is source or target of.
pub async fn merge_request_open_of_branch(
    db: &mut Connection,
    project_id: i64,
    branch: &str,
) -> Result<Vec<MergeRequest>> {
    sqlx::query_as(
        "select * from merge_request where project_id = $1 and state = 'opened'
         and (source_branch = $2 or target_branch = $2) order by iid",
    )
    .bind(project_id)
    .bind(branch)
    .fetch_all(db)
    .await
}
