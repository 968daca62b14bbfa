//! Bounds that several crates share; every other bound stands beside what it bounds.

/// Jobs in one pipeline.
pub const PIPELINE_JOBS_MAX: usize = 10_000;
/// Bytes of a `.gitlab-ci.yml` or `serin.yml`.
pub const CONFIG_BYTES_MAX: usize = 2 << 20;
/// Bytes of a branch or tag name that Serin accepts.
pub const REF_NAME_BYTES_MAX: usize = 255;
/// Bytes of one job's trace; what comes after is dropped and said so.
pub const TRACE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of one job's artifact archive, unpacked.
pub const ARTIFACT_BYTES_MAX: u64 = 4 << 30;
/// Entries of one artifact archive.
pub const ARTIFACT_ENTRIES_MAX: usize = 200_000;
/// Milliseconds that a job may run where neither the job nor the project says otherwise: 1 h.
pub const JOB_TIMEOUT_MS_DEFAULT: i64 = 60 * 60 * 1000;
