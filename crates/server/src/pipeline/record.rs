//! Between the engine's state and the database's rows.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serin_engine as engine;
use serin_model::{FailureReason, JobId, PipelineId, Status, Timestamp, plan};
use serin_store::pipeline as rows;

use crate::error::{Error, Kind, Result};

/// Version of the records that are kept as JSON.
const RECORD_VERSION: u32 = 1;

#[derive(Serialize)]
struct Outgoing<'a, T> {
    version: u32,
    body: &'a T,
}

#[derive(Deserialize)]
struct Incoming<T> {
    version: u32,
    body: T,
}

/// JSON with a version around it.
///
/// # Errors
/// Where the value has no JSON form.
pub fn encode<T: Serialize>(body: &T) -> Result<String> {
    Ok(serde_json::to_string(&Outgoing { version: RECORD_VERSION, body })?)
}

/// The value of a record that [`encode`] made.
///
/// # Errors
/// Where the record is of another version, or damaged.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T> {
    let incoming: Incoming<T> = serde_json::from_str(text)?;
    if incoming.version != RECORD_VERSION {
        let message = format!("record of version {}, this Serin reads {RECORD_VERSION}", incoming.version);
        return Err(Error::new(Kind::Internal, message));
    }
    Ok(incoming.body)
}

/// What a pipeline's jobs share of its plan: its name and stages.
///
/// # Errors
/// Where the row is damaged.
pub fn shared_plan(row: &rows::Pipeline) -> Result<plan::Plan> {
    Ok(plan::Plan { name: row.name.clone(), stages: decode(&row.stages)?, ..plan::Plan::default() })
}

/// The engine's pipeline out of its rows.
///
/// # Errors
/// Where a row is damaged.
pub fn restore(row: &rows::Pipeline, jobs: &[rows::Job]) -> Result<engine::Pipeline> {
    let plans: Vec<plan::Job> = jobs.iter().map(|job| decode(&job.plan)).collect::<Result<_>>()?;
    let specs = engine::Spec::resolve(&plans).map_err(|error| damaged(row.id, &error))?;
    let restored = jobs.iter().zip(&plans).zip(specs).map(|((row, plan), spec)| restore_job(row, plan, spec));
    let jobs = restored.collect::<Result<Vec<_>>>()?;
    let status = parse_status(&row.status)?;
    let stages = decode(&row.stages)?;
    engine::Pipeline::restore(PipelineId(row.id), status, stages, jobs, decode(&row.auto_cancel)?)
        .map_err(|error| damaged(row.id, &error))
}

fn restore_job(row: &rows::Job, plan: &plan::Job, spec: engine::Spec) -> Result<engine::Job> {
    let mut job = engine::Job::new(JobId(row.id), plan, spec);
    job.status = parse_status(&row.status)?;
    job.attempt = u32::try_from(row.attempt).unwrap_or(0);
    job.retries = u32::try_from(row.retries).unwrap_or(0);
    job.fence = u64::try_from(row.fence).unwrap_or(0);
    job.lease_until = row.lease_until.map(Timestamp);
    job.failure = row.failure.as_deref().and_then(FailureReason::parse);
    job.exit_code = row.exit_code.and_then(|code| i32::try_from(code).ok());
    job.allowed_to_fail = row.allowed_to_fail;
    job.scheduled_at = row.scheduled_at.map(Timestamp);
    job.enqueued_at = row.enqueued_at.map(Timestamp);
    job.started_at = row.started_at.map(Timestamp);
    job.finished_at = row.finished_at.map(Timestamp);
    job.cancel_requested_at = row.cancel_requested_at.map(Timestamp);
    Ok(job)
}

/// A job's row, with all that the engine may have changed; what it never changes is left empty.
#[must_use]
pub fn changed_row(pipeline_id: i64, job: &engine::Job) -> rows::Job {
    rows::Job {
        id: job.id.0,
        pipeline_id,
        project_id: 0,
        position: 0,
        name: job.name.clone(),
        stage: i64::try_from(job.stage).unwrap_or(i64::MAX),
        status: job.status.as_str().to_owned(),
        attempt: i64::from(job.attempt),
        retries: i64::from(job.retries),
        fence: i64::try_from(job.fence).unwrap_or(i64::MAX),
        lease_until: job.lease_until.map(|at| at.0),
        failure: job.failure.map(|reason| reason.as_str().to_owned()),
        failure_note: None,
        exit_code: job.exit_code.map(i64::from),
        allowed_to_fail: job.allowed_to_fail,
        scheduled_at: job.scheduled_at.map(|at| at.0),
        enqueued_at: job.enqueued_at.map(|at| at.0),
        started_at: job.started_at.map(|at| at.0),
        finished_at: job.finished_at.map(|at| at.0),
        cancel_requested_at: job.cancel_requested_at.map(|at| at.0),
        plan: String::new(),
        dotenv: String::new(),
        coverage: None,
    }
}

/// The status of a row's word.
///
/// # Errors
/// Where it is none.
pub fn parse_status(word: &str) -> Result<Status> {
    Status::parse(word).ok_or_else(|| Error::new(Kind::Internal, format!("stored status `{word}` is unknown")))
}

fn damaged(pipeline_id: i64, error: &engine::Invalid) -> Error {
    Error::new(Kind::Internal, format!("stored pipeline {pipeline_id} contradicts itself: {error}"))
}
