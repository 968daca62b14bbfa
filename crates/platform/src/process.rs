//! The process platform: each node is a supervisor of its own session with the service's processes below it.

mod client;
mod start;
mod tail;

use crate::layout::{self, EndedRecord, NodeDir, SpecRecord};
use crate::supervisor::sweep;
use crate::{Error, NodeKey, NodeSpec, NodeState, Observation, Platform, Usage};
use async_trait::async_trait;
use serin_model::{Digest, NodeName, Timestamp};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::{AbortHandle, JoinSet};

/// How a supervisor is started: a program with leading arguments behind which the supervisor's own follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisorCommand {
    /// The program, such as `/proc/self/exe`'s target.
    pub program: PathBuf,
    /// Arguments that lead to [`crate::supervisor::main`], such as `node-supervisor`.
    pub args: Vec<String>,
}

/// Runs nodes as supervised processes of this machine.
pub struct ProcessPlatform {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    supervisor: SupervisorCommand,
    changes: watch::Sender<u64>,
    slots: Mutex<HashMap<NodeKey, Arc<Slot>>>,
}

/// What this process knows of a node beyond what the node itself tells.
#[derive(Default)]
struct Slot {
    /// Held while the node is changed, so that orders for one node go one after the other.
    order: AsyncMutex<()>,
    /// The order under way, seen where no supervisor answers.
    under_way: Mutex<Option<UnderWay>>,
    watcher: Mutex<Option<AbortHandle>>,
}

#[derive(Clone)]
enum UnderWay {
    Start { generation: u64, digest: Digest },
    Remove,
}

impl ProcessPlatform {
    /// Opens the platform in the folder `dir` and adopts every node that runs there.
    ///
    /// # Errors
    /// Where the folder cannot be made or read, or outside a tokio runtime.
    pub fn new(dir: PathBuf, supervisor: SupervisorCommand) -> Result<Self, Error> {
        Handle::try_current().map_err(|_| Error::Runtime)?;
        layout::create_private(&dir)?;
        let dir = dir.canonicalize().map_err(Error::io("open the folder", dir))?;
        layout::create_private(&layout::nodes_dir(&dir))?;
        layout::create_private(&dir.join("ports"))?;
        let slots = Mutex::default();
        let inner = Arc::new(Inner { dir, supervisor, changes: watch::Sender::new(0), slots });
        for environment in names(&layout::nodes_dir(&inner.dir))? {
            for key in inner.keys(&environment)? {
                inner.watch(&key);
            }
        }
        Ok(Self { inner })
    }
}

impl Drop for ProcessPlatform {
    fn drop(&mut self) {
        for slot in guard(&self.inner.slots).values() {
            if let Some(watcher) = guard(&slot.watcher).take() {
                watcher.abort();
            }
        }
    }
}

#[async_trait]
impl Platform for ProcessPlatform {
    async fn apply(&self, spec: &NodeSpec) -> Result<(), Error> {
        start::check(spec)?;
        let dir = NodeDir::of(&self.inner.dir, &spec.key)?;
        let slot = self.inner.slot(&spec.key);
        let _order = slot.order.lock().await;
        if !self.inner.is_due(spec, &dir).await? {
            return Ok(());
        }
        let way = UnderWay::Start { generation: spec.generation, digest: spec.digest.clone() };
        let _under_way = self.inner.under_way(&slot, way);
        self.inner.replace(spec, &dir).await
    }

    async fn remove(&self, key: &NodeKey) -> Result<(), Error> {
        let dir = NodeDir::of(&self.inner.dir, key)?;
        let slot = self.inner.slot(key);
        let _order = slot.order.lock().await;
        if !dir.0.exists() {
            return Ok(());
        }
        let _under_way = self.inner.under_way(&slot, UnderWay::Remove);
        self.inner.stop(key, &dir).await?;
        let path = dir.0.clone();
        let removed = tokio::task::spawn_blocking(move || {
            sweep::kill_marked(&path);
            std::fs::remove_dir_all(&path).map_err(Error::io("remove the folder", path))
        });
        removed.await.map_err(|error| Error::Supervisor { key: key.clone(), reason: error.to_string() })?
    }

    async fn observe(&self, environment: &str) -> Result<Vec<Observation>, Error> {
        layout::check_name("an environment", environment)?;
        let mut asked = JoinSet::new();
        for key in self.inner.keys(environment)? {
            let inner = Arc::clone(&self.inner);
            asked.spawn(async move { inner.observe_one(key).await });
        }
        let mut seen: Vec<Observation> = asked.join_all().await.into_iter().flatten().collect();
        seen.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(seen)
    }

    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error> {
        let dir = NodeDir::of(&self.inner.dir, key)?;
        if !dir.0.exists() {
            return Err(Error::Unknown { key: key.clone() });
        }
        let read = tokio::task::spawn_blocking(move || tail::last_lines(&dir, last_lines));
        read.await.map_err(|error| Error::Supervisor { key: key.clone(), reason: error.to_string() })?
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }
}

impl Inner {
    fn slot(&self, key: &NodeKey) -> Arc<Slot> {
        Arc::clone(guard(&self.slots).entry(key.clone()).or_default())
    }

    fn changed(&self) {
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Marks an order as under way until the returned guard is dropped.
    fn under_way<'a>(&'a self, slot: &'a Slot, way: UnderWay) -> UnderWayGuard<'a> {
        *guard(&slot.under_way) = Some(way);
        self.changed();
        UnderWayGuard { inner: self, slot }
    }

    /// The nodes that have a specification, in the order of names.
    fn keys(&self, environment: &str) -> Result<Vec<NodeKey>, Error> {
        let dir = layout::environment_dir(&self.dir, environment);
        let keys = names(&dir)?.into_iter().filter(|name| dir.join(name).join("spec.json").exists());
        Ok(keys.map(|name| NodeKey { environment: environment.to_owned(), node: NodeName(name) }).collect())
    }

    /// Whether something has to be started for `spec`.
    async fn is_due(&self, spec: &NodeSpec, dir: &NodeDir) -> Result<bool, Error> {
        let live = client::status(dir).await.ok();
        let recorded = dir.read_spec().unwrap_or_else(|error| {
            tracing::warn!(node = %spec.key, %error, "unreadable specification is replaced");
            None
        });
        let recorded = recorded.map(|record| record.generation);
        if let Some(current) = live.as_ref().map(|status| status.generation).max(recorded)
            && current > spec.generation
        {
            return Err(Error::Outdated { key: spec.key.clone(), generation: spec.generation, current });
        }
        Ok(!live.is_some_and(|status| status.generation == spec.generation && !status.is_ending()))
    }

    async fn replace(self: &Arc<Self>, spec: &NodeSpec, dir: &NodeDir) -> Result<(), Error> {
        dir.create()?;
        self.stop(&spec.key, dir).await?;
        layout::write_secrets(dir, &spec.secrets)?;
        layout::write_record(&dir.spec(), &SpecRecord::of(spec, &self.dir, &self.supervisor.args))?;
        start::supervisor(&self.supervisor, &spec.key, dir).await?;
        // The task that followed the supervisor before may not have seen its end yet.
        if let Some(watcher) = guard(&self.slot(&spec.key).watcher).take() {
            watcher.abort();
        }
        self.watch(&spec.key);
        Ok(())
    }

    /// Stops what runs for the node; returns when it is gone.
    async fn stop(&self, key: &NodeKey, dir: &NodeDir) -> Result<(), Error> {
        let timeout_ms = dir.read_spec().ok().flatten().map_or(0, |record| record.stop_timeout_ms);
        client::stop(key, dir, timeout_ms).await
    }

    async fn observe_one(self: Arc<Self>, key: NodeKey) -> Option<Observation> {
        let dir = NodeDir::of(&self.dir, &key).ok()?;
        if let Ok(status) = client::status(&dir).await {
            self.watch(&key);
            return Some(status.observation(key));
        }
        let under_way = guard(&self.slot(&key).under_way).clone();
        let record = dir.read_spec().ok().flatten()?;
        let ended = layout::read_record::<EndedRecord>(&dir.ended()).ok().flatten();
        let ended = ended.filter(|ended| ended.generation == record.generation);
        let (state, since_ms) = match (&under_way, &ended) {
            (Some(UnderWay::Start { .. }), _) => (NodeState::Starting, now().0),
            (Some(UnderWay::Remove), _) => (NodeState::Stopping, now().0),
            (None, Some(ended)) => (NodeState::Stopped, ended.since_ms),
            (None, None) => (NodeState::Lost, now().0),
        };
        let (generation, digest) = match under_way {
            Some(UnderWay::Start { generation, digest }) => (generation, digest),
            _ => (record.generation, Digest(record.digest)),
        };
        let restarts = ended.map_or(0, |ended| ended.restarts);
        Some(Observation {
            key,
            generation,
            digest,
            host: None,
            address: None,
            state,
            detail: None,
            pid: None,
            since: Timestamp(since_ms),
            restarts,
            usage: Usage::default(),
            sampled_at: now(),
        })
    }

    /// Makes sure that a task follows the node's changes of state.
    fn watch(self: &Arc<Self>, key: &NodeKey) {
        let Ok(dir) = NodeDir::of(&self.dir, key) else { return };
        let slot = self.slot(key);
        let mut watcher = guard(&slot.watcher);
        if watcher.as_ref().is_some_and(|watcher| !watcher.is_finished()) {
            return;
        }
        let inner = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let changed = || inner.upgrade().map(|inner| inner.changed());
            client::follow(&dir, changed).await;
        });
        *watcher = Some(task.abort_handle());
    }
}

struct UnderWayGuard<'a> {
    inner: &'a Inner,
    slot: &'a Slot,
}

impl Drop for UnderWayGuard<'_> {
    fn drop(&mut self) {
        *guard(&self.slot.under_way) = None;
        self.inner.changed();
    }
}

/// The names of the folders in `dir`, sorted; none where there is no such folder.
fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read the folder", dir)(error)),
    };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Timestamp {
    crate::supervisor::now()
}
