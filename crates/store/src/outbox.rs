//! Effects that are still to be carried out. A row is deleted in the transaction that records its result.

use sqlx::FromRow;

use crate::{Connection, Result};

/// An effect to be carried out.
#[derive(Clone, Debug, FromRow)]
pub struct Outbox {
    /// Its number; effects of one kind are carried out in this order.
    pub id: i64,
    /// What kind of effect.
    pub kind: String,
    /// Its data, JSON.
    pub payload: String,
    /// How often it failed so far.
    pub attempts: i64,
}

/// Adds an effect.
pub async fn outbox_add(db: &mut Connection, kind: &str, payload: &str, now: i64) -> Result<i64> {
    sqlx::query_scalar("insert into outbox (kind, payload, created_at) values ($1, $2, $3) returning id")
        .bind(kind)
        .bind(payload)
        .bind(now)
        .fetch_one(db)
        .await
}

/// The oldest effects that are due.
pub async fn outbox_due(db: &mut Connection, now: i64, most: i64) -> Result<Vec<Outbox>> {
    sqlx::query_as("select id, kind, payload, attempts from outbox where not_before <= $1 order by id limit $2")
        .bind(now)
        .bind(most)
        .fetch_all(db)
        .await
}

/// When the next effect is due.
pub async fn outbox_next(db: &mut Connection) -> Result<Option<i64>> {
    sqlx::query_scalar("select min(not_before) from outbox").fetch_one(db).await
}

/// Takes an effect away; says whether it was still there.
pub async fn outbox_done(db: &mut Connection, id: i64) -> Result<bool> {
    let done = sqlx::query("delete from outbox where id = $1").bind(id).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// Notes a failure and when to try again.
pub async fn outbox_retry(db: &mut Connection, id: i64, not_before: i64, problem: &str) -> Result<()> {
    sqlx::query("update outbox set attempts = attempts + 1, not_before = $2, problem = $3 where id = $1")
        .bind(id)
        .bind(not_before)
        .bind(problem)
        .execute(db)
        .await?;
    Ok(())
}
