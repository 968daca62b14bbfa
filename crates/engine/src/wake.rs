//! What becomes due by time alone.

use serin_model::{Status, Timestamp};

use crate::{Job, Kind, Pipeline};

/// How long a runner may go on over a script's time-out (`after_script`, uploads) before the job is taken from it.
pub const TIMEOUT_GRACE_MS: i64 = 10 * 60 * 1000;
/// How long a holder that was asked to stop is waited for while it renews its lease (`after_script`).
pub const CANCEL_GRACE_MS: i64 = 6 * 60 * 1000;

/// What is due about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Its delay is over.
    Delay,
    /// Its holder went silent.
    Lease,
    /// Its holder was asked to stop, and did not.
    Stop,
    /// It ran too long.
    Timeout,
}

/// When time alone changes something next: a lease runs out, a delay or a time-out ends.
///
/// The server sends [`crate::Event::Tick`] then; the lease of a job that was claimed counts from its claim on.
#[must_use]
pub fn next_wake(pipeline: &Pipeline) -> Option<Timestamp> {
    pipeline.jobs.iter().flat_map(wakes).map(|(at, _)| at).min()
}

/// The most pressing thing that is due about a job.
pub(crate) fn due(job: &Job, now: Timestamp) -> Option<Due> {
    wakes(job).find(|(at, _)| *at <= now).map(|(_, due)| due)
}

fn wakes(job: &Job) -> impl Iterator<Item = (Timestamp, Due)> {
    let scheduled = job.status == Status::Scheduled;
    let running = job.status == Status::Running;
    let delay = job.scheduled_at.filter(|_| scheduled).map(|at| (at, Due::Delay));
    let stop = job.cancel_requested_at.filter(|_| job.status == Status::Canceling);
    let stop = stop.map(|at| (at.plus_ms(CANCEL_GRACE_MS), Due::Stop));
    let timeout = timeout_at(job).filter(|_| running).map(|at| (at, Due::Timeout));
    let lease = job.lease_until.filter(|_| job.is_held()).map(|at| (at, Due::Lease));
    [delay, stop, timeout, lease].into_iter().flatten()
}

/// A runner ends a script that is over its time itself; the server's own work is ended here.
fn timeout_at(job: &Job) -> Option<Timestamp> {
    let grace = if job.spec.kind == Kind::Script { TIMEOUT_GRACE_MS } else { 0 };
    Some(job.started_at?.plus_ms(job.spec.timeout_ms?).plus_ms(grace))
}
