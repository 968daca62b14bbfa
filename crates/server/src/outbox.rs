//! Carries out what was promised in a transaction: tasks in order, each at least once, each with an effect of once.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_store::outbox as rows;
use tokio::sync::Notify;

use crate::App;
use crate::clock::now;
use crate::error::{Error, Kind, Result};

/// Tasks read at once.
const BATCH: i64 = 64;
/// Milliseconds before a failed task's next try; doubles with each failure.
const RETRY_MS_MIN: i64 = 200;
/// Milliseconds between two tries at most.
const RETRY_MS_MAX: i64 = 60_000;
/// Failures after which a task that can only fail is dropped with an error in the log.
const ATTEMPTS_MAX: i64 = 20;

/// Something that follows from what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// A branch or tag moved, came or went.
    RefChanged {
        /// The project.
        project_id: i64,
        /// The full name.
        name: String,
        /// Where it was.
        old: Option<String>,
        /// Where it is.
        new: Option<String>,
        /// Who did it.
        account_id: i64,
        /// Push options.
        options: Vec<String>,
    },
    /// A merge request's source or target moved: its merged result is made anew.
    MergeRequestMoved {
        /// The merge request.
        merge_request_id: i64,
        /// Who caused it.
        account_id: i64,
        /// Whether a pipeline is wanted: its source moved, or somebody asked.
        pipeline: bool,
    },
    /// A pipeline is finished: merge requests that wait for it, rollouts that belong to it.
    PipelineFinished {
        /// The pipeline.
        pipeline_id: i64,
    },
    /// A canary passed: the release merge request is opened.
    OpenRelease {
        /// The rollout.
        rollout_id: i64,
    },
}

impl Task {
    /// Its kind, for the eye that reads the table.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RefChanged { .. } => "ref_changed",
            Self::MergeRequestMoved { .. } => "merge_request_moved",
            Self::PipelineFinished { .. } => "pipeline_finished",
            Self::OpenRelease { .. } => "open_release",
        }
    }

    /// Its record.
    ///
    /// # Errors
    /// Where it has no JSON form.
    pub fn payload(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Wakes the worker.
#[derive(Debug, Default)]
pub struct Outbox(Notify);

impl Outbox {
    /// There is something to do.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Adds a task to the transaction; [`Outbox::wake`] after its commit.
///
/// # Errors
/// Where the database fails.
pub async fn add(tx: &mut serin_store::Tx, task: &Task) -> Result<()> {
    rows::outbox_add(tx, task.kind(), &task.payload()?, now().0).await?;
    Ok(())
}

/// Works through the tasks; never returns.
pub async fn work(app: Arc<App>) {
    loop {
        let wait = match work_once(&app).await {
            Ok(Some(at)) => Duration::from_millis(at.saturating_sub(now().0).max(1).unsigned_abs()),
            Ok(None) => Duration::from_secs(60),
            Err(error) => {
                tracing::error!(%error, "outbox cannot be read");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = app.outbox.0.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn work_once(app: &Arc<App>) -> Result<Option<i64>> {
    loop {
        let due = rows::outbox_due(&mut *app.store.read().await?, now().0, BATCH).await?;
        if due.is_empty() {
            return Ok(rows::outbox_next(&mut *app.store.read().await?).await?);
        }
        for row in due {
            if let Err(error) = carry_out(app, &row).await {
                postpone(app, &row, &error).await?;
            }
        }
    }
}

async fn carry_out(app: &Arc<App>, row: &rows::Outbox) -> Result<()> {
    let task: Task = serde_json::from_str(&row.payload)?;
    match task {
        Task::RefChanged { .. } => crate::refs::changed(app, row.id, task).await,
        Task::MergeRequestMoved { merge_request_id, account_id, pipeline } => {
            crate::merge_request::moved(app, row.id, merge_request_id, (account_id, pipeline)).await
        }
        Task::PipelineFinished { pipeline_id } => {
            crate::delivery::pipeline_finished(app, pipeline_id).await?;
            crate::merge_request::pipeline_finished(app, row.id, pipeline_id).await
        }
        Task::OpenRelease { rollout_id } => crate::merge_request::open_release(app, row.id, rollout_id).await,
    }
}

async fn postpone(app: &App, row: &rows::Outbox, error: &Error) -> Result<()> {
    let mut tx = app.store.begin().await?;
    if row.attempts >= ATTEMPTS_MAX && error.kind != Kind::Internal {
        tracing::error!(task = row.kind, payload = row.payload, %error, "task given up");
        rows::outbox_done(&mut tx, row.id).await?;
    } else {
        tracing::warn!(task = row.kind, attempts = row.attempts, %error, "task failed, tried again later");
        let wait = RETRY_MS_MIN.saturating_mul(1 << row.attempts.clamp(0, 20)).min(RETRY_MS_MAX);
        rows::outbox_retry(&mut tx, row.id, now().plus_ms(wait).0, &error.to_string()).await?;
    }
    tx.commit().await?;
    Ok(())
}
