//! Projects, their protected branches, variables, refs as last seen, and notices.

use sqlx::FromRow;

use crate::{Connection, Result};

/// A project: one repository and all that belongs to it.
#[derive(Clone, Debug, FromRow)]
pub struct Project {
    /// Its number.
    pub id: i64,
    /// Its path in addresses, such as `shop` or `team/shop`.
    pub path: String,
    /// Its name for people.
    pub name: String,
    /// The branch that a clone checks out.
    pub default_branch: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// A branch that is not pushed to freely.
#[derive(Clone, Debug, FromRow)]
pub struct ProtectedBranch {
    /// Its name.
    pub name: String,
    /// Whether members may push to it at all (never by force); otherwise merge requests alone reach it.
    pub push_allowed: bool,
}

/// A variable from the project's settings.
#[derive(Clone, Debug, FromRow)]
pub struct ProjectVariable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Environments that see it.
    pub environment_scope: String,
    /// Hidden in traces.
    pub masked: bool,
    /// For protected branches alone.
    pub protected: bool,
    /// Not expanded.
    pub raw: bool,
    /// Given as a file.
    pub file: bool,
}

/// A line of what people are told.
#[derive(Clone, Debug, FromRow)]
pub struct Notice {
    /// Its number.
    pub id: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// `info`, `success`, `warning` or `failure`.
    pub kind: String,
    /// The sentence.
    pub message: String,
    /// Where to look, below the server's address.
    pub link: Option<String>,
}

/// What was noted of a push before it was carried out.
#[derive(Clone, Debug, FromRow)]
pub struct PushNote {
    /// Who pushes.
    pub account_id: i64,
    /// The push options, a JSON list.
    pub options: String,
}

/// Makes a project.
pub async fn project_create(db: &mut Connection, project: &Project) -> Result<i64> {
    sqlx::query_scalar(
        "insert into project (path, name, default_branch, created_at) values ($1, $2, $3, $4) returning id",
    )
    .bind(&project.path)
    .bind(&project.name)
    .bind(&project.default_branch)
    .bind(project.created_at)
    .fetch_one(db)
    .await
}

/// The project of that number.
pub async fn project_get(db: &mut Connection, id: i64) -> Result<Option<Project>> {
    sqlx::query_as("select * from project where id = $1").bind(id).fetch_optional(db).await
}

/// The project of that path.
pub async fn project_by_path(db: &mut Connection, path: &str) -> Result<Option<Project>> {
    sqlx::query_as("select * from project where path = $1").bind(path).fetch_optional(db).await
}

/// All projects by path.
pub async fn project_list(db: &mut Connection) -> Result<Vec<Project>> {
    sqlx::query_as("select * from project order by path").fetch_all(db).await
}

/// The project's protected branches.
pub async fn protected_branch_list(db: &mut Connection, project_id: i64) -> Result<Vec<ProtectedBranch>> {
    sqlx::query_as("select name, push_allowed from protected_branch where project_id = $1 order by name")
        .bind(project_id)
        .fetch_all(db)
        .await
}

/// Protects a branch, or changes how.
pub async fn protected_branch_set(db: &mut Connection, project_id: i64, branch: &ProtectedBranch) -> Result<()> {
    sqlx::query(
        "insert into protected_branch (project_id, name, push_allowed) values ($1, $2, $3)
         on conflict (project_id, name) do update set push_allowed = excluded.push_allowed",
    )
    .bind(project_id)
    .bind(&branch.name)
    .bind(branch.push_allowed)
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a protection; says whether there was one.
pub async fn protected_branch_delete(db: &mut Connection, project_id: i64, name: &str) -> Result<bool> {
    let done = sqlx::query("delete from protected_branch where project_id = $1 and name = $2")
        .bind(project_id)
        .bind(name)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The project's variables.
pub async fn project_variable_list(db: &mut Connection, project_id: i64) -> Result<Vec<ProjectVariable>> {
    sqlx::query_as(
        "select key, value, environment_scope, masked, protected, raw, file
         from project_variable where project_id = $1 order by key, environment_scope",
    )
    .bind(project_id)
    .fetch_all(db)
    .await
}

/// Sets a variable.
pub async fn project_variable_set(db: &mut Connection, project_id: i64, variable: &ProjectVariable) -> Result<()> {
    sqlx::query(
        "insert into project_variable (project_id, key, value, environment_scope, masked, protected, raw, file)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (project_id, key, environment_scope) do update set value = excluded.value,
            masked = excluded.masked, protected = excluded.protected, raw = excluded.raw, file = excluded.file",
    )
    .bind(project_id)
    .bind(&variable.key)
    .bind(&variable.value)
    .bind(&variable.environment_scope)
    .bind(variable.masked)
    .bind(variable.protected)
    .bind(variable.raw)
    .bind(variable.file)
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a variable; says whether there was one.
pub async fn project_variable_delete(db: &mut Connection, project_id: i64, key: &str) -> Result<bool> {
    let done = sqlx::query("delete from project_variable where project_id = $1 and key = $2")
        .bind(project_id)
        .bind(key)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The refs as last seen: name and commit.
pub async fn ref_list(db: &mut Connection, project_id: i64) -> Result<Vec<(String, String)>> {
    sqlx::query_as("select name, commit_id from ref where project_id = $1 order by name")
        .bind(project_id)
        .fetch_all(db)
        .await
}

/// Remembers where a ref is; `None`: it is gone.
pub async fn ref_set(db: &mut Connection, project_id: i64, name: &str, commit: Option<&str>) -> Result<()> {
    let Some(commit) = commit else {
        sqlx::query("delete from ref where project_id = $1 and name = $2")
            .bind(project_id)
            .bind(name)
            .execute(db)
            .await?;
        return Ok(());
    };
    sqlx::query(
        "insert into ref (project_id, name, commit_id) values ($1, $2, $3)
         on conflict (project_id, name) do update set commit_id = excluded.commit_id",
    )
    .bind(project_id)
    .bind(name)
    .bind(commit)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes who is about to push what, with which options (a JSON list).
pub async fn push_note_set(
    db: &mut Connection,
    project_id: i64,
    target: (&str, &str),
    note: &PushNote,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "insert into push_note (project_id, ref_name, commit_id, account_id, options, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (project_id, ref_name, commit_id) do update
            set account_id = excluded.account_id, options = excluded.options, created_at = excluded.created_at",
    )
    .bind(project_id)
    .bind(target.0)
    .bind(target.1)
    .bind(note.account_id)
    .bind(&note.options)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps who pushed a commit; again changes nothing.
pub async fn push_add(db: &mut Connection, project_id: i64, commit: &str, account_id: i64) -> Result<()> {
    sqlx::query("insert into push (project_id, commit_id, account_id) values ($1, $2, $3) on conflict do nothing")
        .bind(project_id)
        .bind(commit)
        .bind(account_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Login names of who pushed a commit.
pub async fn pusher_list(db: &mut Connection, project_id: i64, commit: &str) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "select username from account join push on push.account_id = account.id
         where push.project_id = $1 and push.commit_id = $2 order by username",
    )
    .bind(project_id)
    .bind(commit)
    .fetch_all(db)
    .await
}

/// Takes the note on a push of `target` (ref and commit) away, where there is one.
pub async fn push_note_take(db: &mut Connection, project_id: i64, target: (&str, &str)) -> Result<Option<PushNote>> {
    sqlx::query_as(
        "delete from push_note where project_id = $1 and ref_name = $2 and commit_id = $3
         returning account_id, options",
    )
    .bind(project_id)
    .bind(target.0)
    .bind(target.1)
    .fetch_optional(db)
    .await
}

/// Tells people something.
pub async fn notice_create(db: &mut Connection, project_id: i64, notice: &Notice) -> Result<i64> {
    sqlx::query_scalar(
        "insert into notice (project_id, at, kind, message, link) values ($1, $2, $3, $4, $5) returning id",
    )
    .bind(project_id)
    .bind(notice.at)
    .bind(&notice.kind)
    .bind(&notice.message)
    .bind(&notice.link)
    .fetch_one(db)
    .await
}

/// The newest notices of a project.
pub async fn notice_list(db: &mut Connection, project_id: i64, most: i64) -> Result<Vec<Notice>> {
    sqlx::query_as("select id, at, kind, message, link from notice where project_id = $1 order by id desc limit $2")
        .bind(project_id)
        .bind(most)
        .fetch_all(db)
        .await
}

/// Marks a commit (`verified`, `refused`), with the reason.
pub async fn commit_mark_set(
    db: &mut Connection,
    project_id: i64,
    commit: &str,
    mark: (&str, &str),
    now: i64,
) -> Result<()> {
    sqlx::query(
        "insert into commit_mark (project_id, commit_id, mark, note, at) values ($1, $2, $3, $4, $5)
         on conflict (project_id, commit_id) do update
            set mark = excluded.mark, note = excluded.note, at = excluded.at",
    )
    .bind(project_id)
    .bind(commit)
    .bind(mark.0)
    .bind(mark.1)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// A commit's mark and its reason.
pub async fn commit_mark_get(db: &mut Connection, project_id: i64, commit: &str) -> Result<Option<(String, String)>> {
    sqlx::query_as("select mark, note from commit_mark where project_id = $1 and commit_id = $2")
        .bind(project_id)
        .bind(commit)
        .fetch_optional(db)
        .await
}
