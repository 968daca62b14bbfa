//! What jobs print: one append-only file an attempt, with a sparse index beside it.

mod log;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serin_model::JobId;
use tokio::sync::watch;

use self::log::Log;
use crate::error::{At, Error};
use crate::{AttemptKey, blocking};

/// Bytes that one read returns at most; a caller reads on from where the answer ends.
pub const TRACE_READ_BYTES_MAX: usize = 4 << 20;
/// Traces whose files stay open while nobody follows or writes them.
const OPEN_TRACES_MAX: usize = 128;
/// Jobs whose traces share a folder.
const JOBS_PER_FOLDER: i64 = 1_000;

/// How far a trace has come; what a follower is woken with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceState {
    /// Bytes.
    pub size: u64,
    /// Line ends.
    pub lines: u64,
    /// Nothing more will come.
    pub complete: bool,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Bytes that the trace has now.
    pub size: u64,
    /// The trace is full: a notice says so at its end, and what comes is dropped.
    pub cut: bool,
}

/// Lines of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Number of the first of them, from 0 on.
    pub first: u64,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// They with their line ends; cut at [`TRACE_READ_BYTES_MAX`].
    pub bytes: Bytes,
}

/// The traces of all jobs.
#[derive(Clone, Debug)]
pub struct Traces {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    bytes_max: u64,
    open: Mutex<HashMap<AttemptKey, Arc<Trace>>>,
}

#[derive(Debug)]
struct Trace {
    log: Mutex<Log>,
    state: watch::Sender<TraceState>,
}

impl Traces {
    /// Opens the traces below `folder`.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_with_limit(folder, serin_model::limit::TRACE_BYTES_MAX)
    }

    /// Opens the traces below `folder`, each of at most `bytes_max` bytes and a notice.
    pub fn open_with_limit(folder: impl Into<PathBuf>, bytes_max: u64) -> Result<Self, Error> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).at("make folder", &folder)?;
        let inner = Inner { folder, bytes_max, open: Mutex::new(HashMap::new()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Appends `bytes`, whose first is byte `offset` of the trace. What is there already is not written again, so that
    /// the same part may be sent twice; a gap is an error.
    pub async fn append(&self, key: AttemptKey, offset: u64, bytes: Bytes) -> Result<Appended, Error> {
        self.with(key, move |log| log.append(Some(offset), &bytes)).await
    }

    /// Appends `bytes` at the end.
    pub async fn append_end(&self, key: AttemptKey, bytes: Bytes) -> Result<Appended, Error> {
        self.with(key, move |log| log.append(None, &bytes)).await
    }

    /// Says that nothing more will come.
    pub async fn complete(&self, key: AttemptKey) -> Result<(), Error> {
        let trace = self.trace(key).await?;
        trace.state.send_modify(|state| state.complete = true);
        Ok(())
    }

    /// How far the trace has come; one that does not exist is empty.
    pub async fn state(&self, key: AttemptKey) -> Result<TraceState, Error> {
        Ok(*self.trace(key).await?.state.borrow())
    }

    /// Reads the bytes of `range` as far as they exist, at most [`TRACE_READ_BYTES_MAX`] of them.
    pub async fn read(&self, key: AttemptKey, range: Range<u64>) -> Result<Bytes, Error> {
        self.with(key, move |log| log.read(range)).await
    }

    /// Reads `count` lines from line `first` on, counted from 0.
    pub async fn read_lines(&self, key: AttemptKey, first: u64, count: u64) -> Result<Lines, Error> {
        self.with(key, move |log| log.read_lines(first, count)).await
    }

    /// Follows a trace: the receiver is woken by each append, holds no content, and is told when nothing more will come.
    pub async fn follow(&self, key: AttemptKey) -> Result<watch::Receiver<TraceState>, Error> {
        Ok(self.trace(key).await?.state.subscribe())
    }

    /// Removes a trace; one that does not exist is fine.
    pub async fn delete(&self, key: AttemptKey) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            locked(&inner.open).remove(&key);
            Log::delete(&inner.path(key))
        })
        .await
    }

    async fn trace(&self, key: AttemptKey) -> Result<Arc<Trace>, Error> {
        if let Some(trace) = locked(&self.inner.open).get(&key) {
            return Ok(Arc::clone(trace));
        }
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.trace(key)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        key: AttemptKey,
        work: impl FnOnce(&mut Log) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let trace = inner.trace(key)?;
            let mut log = locked(&trace.log);
            let result = work(&mut log);
            let (size, lines) = (log.size(), log.lines());
            trace.state.send_if_modified(|state| {
                let changed = state.size != size;
                (state.size, state.lines) = (size, lines);
                changed
            });
            result
        })
        .await
    }
}

impl Inner {
    /// The open trace; opening counts the lines behind the last entry of the index.
    fn trace(&self, key: AttemptKey) -> Result<Arc<Trace>, Error> {
        let mut open = locked(&self.open);
        if let Some(trace) = open.get(&key) {
            return Ok(Arc::clone(trace));
        }
        if open.len() >= OPEN_TRACES_MAX {
            open.retain(|_, trace| Arc::strong_count(trace) > 1 || trace.state.receiver_count() > 0);
        }
        let log = Log::open(&self.path(key), self.bytes_max)?;
        let (state, _) = watch::channel(TraceState { size: log.size(), lines: log.lines(), complete: false });
        let trace = Arc::new(Trace { log: Mutex::new(log), state });
        open.insert(key, Arc::clone(&trace));
        Ok(trace)
    }

    /// The trace's file, without its ending.
    fn path(&self, key: AttemptKey) -> PathBuf {
        attempt_path(&self.folder, key)
    }
}

/// Where an attempt's files stand: `<job / 1000>/<job>-<attempt>` below `folder`.
pub(crate) fn attempt_path(folder: &Path, key: AttemptKey) -> PathBuf {
    let JobId(job) = key.job_id;
    folder.join((job / JOBS_PER_FOLDER).to_string()).join(format!("{job}-{}", key.attempt))
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
