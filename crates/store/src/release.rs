//! Releases: packaged trees, their images, and what is said of them.

use sqlx::FromRow;

use crate::{Connection, Result};

/// A packaged tree.
#[derive(Clone, Debug, FromRow)]
pub struct Release {
    /// Its number.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// The commit's tree that it was built of.
    pub tree_id: String,
    /// Digest of what else its image is built of; empty where the tree says all.
    pub inputs: String,
    /// Its address: what is deployed, compared and shown.
    pub digest: String,
    /// The address of its files.
    pub content: String,
    /// The commit that it was first packaged of.
    pub commit_id: String,
    /// The pipeline that did.
    pub pipeline_id: i64,
    /// Its image: the engine's id, or `repository@sha256:…` where it was pushed.
    pub image: Option<String>,
    /// The `service` part of `serin.yml` at that commit, JSON.
    pub service: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl Release {
    /// The digest that its statements are about: that of its image where it has one.
    #[must_use]
    pub fn subject(&self) -> &str {
        let image = self.image.as_deref().map(|image| image.split_once('@').map_or(image, |(_, digest)| digest));
        image.unwrap_or(&self.digest)
    }
}

/// Something that is said of a release.
#[derive(Clone, Debug, FromRow)]
pub struct Statement {
    /// The release.
    pub release_id: i64,
    /// The digest that it is about.
    pub subject: String,
    /// `sbom` or `provenance`.
    pub kind: String,
    /// JSON.
    pub body: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// Keeps a release and gives its number; the first of a tree and inputs stays, with the newest image.
pub async fn release_create(db: &mut Connection, release: &Release) -> Result<i64> {
    sqlx::query_scalar(
        "insert into release (project_id, tree_id, inputs, digest, content, commit_id, pipeline_id, service,
            created_at, image)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (project_id, tree_id, inputs)
            do update set image = coalesce(excluded.image, release.image)
         returning id",
    )
    .bind(release.project_id)
    .bind(&release.tree_id)
    .bind(&release.inputs)
    .bind(&release.digest)
    .bind(&release.content)
    .bind(&release.commit_id)
    .bind(release.pipeline_id)
    .bind(&release.service)
    .bind(release.created_at)
    .bind(&release.image)
    .fetch_one(db)
    .await
}

/// Notes that a pipeline packaged a release, or used it again.
pub async fn release_set_pipeline(db: &mut Connection, pipeline_id: i64, release_id: i64) -> Result<()> {
    sqlx::query(
        "insert into release_of_pipeline (pipeline_id, release_id) values ($1, $2)
         on conflict (pipeline_id) do update set release_id = excluded.release_id",
    )
    .bind(pipeline_id)
    .bind(release_id)
    .execute(db)
    .await?;
    Ok(())
}

/// The release that a pipeline packaged.
pub async fn release_of_pipeline(db: &mut Connection, pipeline_id: i64) -> Result<Option<Release>> {
    sqlx::query_as(
        "select release.* from release join release_of_pipeline on release_of_pipeline.release_id = release.id
         where release_of_pipeline.pipeline_id = $1",
    )
    .bind(pipeline_id)
    .fetch_optional(db)
    .await
}

/// The release of a tree and of what else its image is built of.
pub async fn release_of_tree(
    db: &mut Connection,
    project_id: i64,
    (tree_id, inputs): (&str, &str),
) -> Result<Option<Release>> {
    sqlx::query_as("select * from release where project_id = $1 and tree_id = $2 and inputs = $3")
        .bind(project_id)
        .bind(tree_id)
        .bind(inputs)
        .fetch_optional(db)
        .await
}

/// The newest release with that digest.
pub async fn release_of_digest(db: &mut Connection, project_id: i64, digest: &str) -> Result<Option<Release>> {
    sqlx::query_as("select * from release where project_id = $1 and digest = $2 order by id desc limit 1")
        .bind(project_id)
        .bind(digest)
        .fetch_optional(db)
        .await
}

/// The newest releases whose digest, or whose image's digest, begins with these hexadecimal digits.
pub async fn release_find(db: &mut Connection, project_id: i64, (digits, most): (&str, i64)) -> Result<Vec<Release>> {
    sqlx::query_as(
        "select * from release where project_id = $1
            and (digest like 'sha256:' || $2 || '%' or image like '%sha256:' || $2 || '%')
         order by id desc limit $3",
    )
    .bind(project_id)
    .bind(digits)
    .bind(most)
    .fetch_all(db)
    .await
}

/// A project's releases, the newest first.
pub async fn release_list(db: &mut Connection, project_id: i64, most: i64) -> Result<Vec<Release>> {
    sqlx::query_as("select * from release where project_id = $1 order by id desc limit $2")
        .bind(project_id)
        .bind(most)
        .fetch_all(db)
        .await
}

/// Keeps a statement; the newest of a subject and kind counts.
pub async fn statement_put(db: &mut Connection, statement: &Statement) -> Result<()> {
    sqlx::query(
        "insert into release_statement (release_id, subject, kind, body, created_at) values ($1, $2, $3, $4, $5)
         on conflict (release_id, subject, kind)
            do update set body = excluded.body, created_at = excluded.created_at",
    )
    .bind(statement.release_id)
    .bind(&statement.subject)
    .bind(&statement.kind)
    .bind(&statement.body)
    .bind(statement.created_at)
    .execute(db)
    .await?;
    Ok(())
}

/// The statement of that kind about a digest.
pub async fn statement_get(
    db: &mut Connection,
    release_id: i64,
    (subject, kind): (&str, &str),
) -> Result<Option<Statement>> {
    sqlx::query_as("select * from release_statement where release_id = $1 and subject = $2 and kind = $3")
        .bind(release_id)
        .bind(subject)
        .bind(kind)
        .fetch_optional(db)
        .await
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn statements_are_about_the_image() {
        let release = |image: Option<&str>| Release {
            id: 1,
            project_id: 1,
            tree_id: String::new(),
            inputs: String::new(),
            digest: "sha256:d".into(),
            content: "sha256:d".into(),
            commit_id: String::new(),
            pipeline_id: 1,
            image: image.map(str::to_owned),
            service: String::new(),
            created_at: 0,
        };
        assert_eq!(release(None).subject(), "sha256:d");
        assert_eq!(release(Some("sha256:i")).subject(), "sha256:i");
        assert_eq!(release(Some("r.example:5000/shop@sha256:m")).subject(), "sha256:m");
    }
}
