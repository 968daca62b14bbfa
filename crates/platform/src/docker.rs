//! The Docker platform: each node is a container of a Docker Engine.
//!
//! What a node is to run stands in its container's labels, so a server that starts again adopts what it finds. The
//! engine starts a crashed container again; one that never becomes healthy is given up here, and stopped.

mod container;
mod engine;
mod follow;
mod image;
mod usage;

use crate::layout::{self, check_name};
use crate::{Error, NodeKey, NodeSpec, NodeState, Observation, Platform, Usage};
use async_trait::async_trait;
use futures_util::StreamExt;
use serin_model::{Digest, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::AbortHandle;

use container::Found;
pub use engine::Engine;
use follow::{Follower, Seen};
pub use image::ImageBuild;

/// Nodes whose usage is asked for at the same time.
const ASKED_AT_ONCE: usize = 16;
/// Between two tries to hear the engine's events.
const EVENTS_RETRY: Duration = Duration::from_millis(500);

/// Runs nodes as containers of a Docker Engine.
pub struct DockerPlatform {
    inner: Arc<Inner>,
    events: AbortHandle,
}

struct Inner {
    engine: Engine,
    /// Tells this platform's containers from others on the same engine.
    instance: String,
    changes: watch::Sender<u64>,
    nodes: Mutex<BTreeMap<NodeKey, Arc<Node>>>,
    orders: Mutex<HashMap<NodeKey, Arc<AsyncMutex<()>>>>,
}

/// A container that is followed.
struct Node {
    found: Found,
    seen: Arc<Mutex<Seen>>,
    woken: mpsc::Sender<()>,
    follower: AbortHandle,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl DockerPlatform {
    /// Opens the platform on an engine and adopts every node of the folder `dir`'s instance that is there.
    ///
    /// # Errors
    /// Where the engine does not answer, the folder cannot be used, or outside a tokio runtime.
    pub async fn new(dir: &Path, engine: Engine) -> Result<Self, Error> {
        Handle::try_current().map_err(|_| Error::Runtime)?;
        layout::create_private(dir)?;
        let instance = container::instance(dir)?;
        let inner = Arc::new(Inner {
            engine,
            instance,
            changes: watch::Sender::new(0),
            nodes: Mutex::default(),
            orders: Mutex::default(),
        });
        inner.adopt().await?;
        let events = tokio::spawn(hear(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, events })
    }

    /// Stops and forgets every node of this platform.
    ///
    /// # Errors
    /// Where one could not be stopped.
    pub async fn remove_all(&self) -> Result<(), Error> {
        let there = container::list(&self.inner.engine, &self.inner.instance, None).await?;
        let stops = there.iter().map(|found| self.remove(&found.key));
        futures_util::future::try_join_all(stops).await.map(|_| ())
    }
}

impl Drop for DockerPlatform {
    fn drop(&mut self) {
        self.events.abort();
        guard(&self.inner.nodes).clear();
    }
}

#[async_trait]
impl Platform for DockerPlatform {
    async fn apply(&self, spec: &NodeSpec) -> Result<(), Error> {
        check(&spec.key)?;
        container::check(spec)?;
        let order = self.inner.order(&spec.key);
        let _order = order.lock().await;
        let there = container::list(&self.inner.engine, &self.inner.instance, Some(&spec.key)).await?;
        if let Some(current) = there.iter().map(|found| found.generation).max() {
            if current > spec.generation {
                return Err(Error::Outdated { key: spec.key.clone(), generation: spec.generation, current });
            }
            if current == spec.generation && self.inner.runs(&spec.key) {
                return Ok(());
            }
        }
        for old in &there {
            container::stop(&self.inner.engine, old).await?;
        }
        guard(&self.inner.nodes).remove(&spec.key);
        let found = container::start(&self.inner.engine, &self.inner.instance, spec).await;
        let found = found.inspect_err(|_| self.inner.changed())?;
        self.inner.follow(found);
        self.inner.changed();
        Ok(())
    }

    async fn remove(&self, key: &NodeKey) -> Result<(), Error> {
        check(key)?;
        let order = self.inner.order(key);
        let _order = order.lock().await;
        if let Some(node) = guard(&self.inner.nodes).get(key) {
            guard(&node.seen).state = NodeState::Stopping;
        }
        self.inner.changed();
        for old in container::list(&self.inner.engine, &self.inner.instance, Some(key)).await? {
            container::stop(&self.inner.engine, &old).await?;
        }
        guard(&self.inner.nodes).remove(key);
        self.inner.changed();
        Ok(())
    }

    async fn observe(&self, environment: &str) -> Result<Vec<Observation>, Error> {
        check_name("an environment", environment)?;
        let nodes: Vec<Arc<Node>> = {
            let nodes = guard(&self.inner.nodes);
            nodes.iter().filter(|(key, _)| key.environment == environment).map(|(_, node)| Arc::clone(node)).collect()
        };
        let engine = &self.inner.engine;
        let seen = futures_util::stream::iter(nodes).map(|node| async move { node.observe(engine).await });
        Ok(seen.buffered(ASKED_AT_ONCE).collect().await)
    }

    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error> {
        check(key)?;
        let there = container::list(&self.inner.engine, &self.inner.instance, Some(key)).await?;
        let newest = there.into_iter().max_by_key(|found| found.generation);
        let newest = newest.ok_or_else(|| Error::Unknown { key: key.clone() })?;
        follow::last_lines(&self.inner.engine, &newest.id, last_lines).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }
}

impl Inner {
    fn changed(&self) {
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
    }

    fn order(&self, key: &NodeKey) -> Arc<AsyncMutex<()>> {
        Arc::clone(guard(&self.orders).entry(key.clone()).or_default())
    }

    /// Whether the node's order is being carried out, if only to its bad end.
    fn runs(&self, key: &NodeKey) -> bool {
        let nodes = guard(&self.nodes);
        nodes.get(key).is_some_and(|node| !matches!(guard(&node.seen).state, NodeState::Lost | NodeState::Stopped))
    }

    /// Follows every container that is there and not followed yet.
    async fn adopt(self: &Arc<Self>) -> Result<(), Error> {
        for found in container::list(&self.engine, &self.instance, None).await? {
            let known = guard(&self.nodes).get(&found.key).map(|node| node.found.generation);
            if known.is_none_or(|known| known < found.generation) {
                self.follow(found);
            }
        }
        self.changed();
        Ok(())
    }

    fn follow(self: &Arc<Self>, found: Found) {
        let seen = Arc::new(Mutex::new(Seen::new()));
        let (woken, wakes) = mpsc::channel(1);
        let inner = Arc::downgrade(self);
        let changed = move || {
            if let Some(inner) = inner.upgrade() {
                inner.changed();
            }
        };
        let follower = Follower::new(self.engine.clone(), found.clone(), Arc::clone(&seen));
        let follower = tokio::spawn(follower.run(wakes, changed)).abort_handle();
        let node = Arc::new(Node { seen, woken, follower, found });
        guard(&self.nodes).insert(node.found.key.clone(), node);
    }

    /// Wakes the follower of that container, or of all.
    fn wake(&self, id: Option<&str>) {
        for node in guard(&self.nodes).values().filter(|node| id.is_none_or(|id| node.found.id == id)) {
            // A full channel: it is about to look anyway.
            let _ = node.woken.try_send(());
        }
    }
}

/// Hears the engine's events for ever, and looks at everything after each interruption.
async fn hear(inner: std::sync::Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let mut events = Box::pin(container::events(&strong.engine, &strong.instance));
        if let Err(error) = strong.adopt().await {
            tracing::debug!(%error, "nodes cannot be listed");
        }
        strong.wake(None);
        drop(strong);
        while let Some(Ok(event)) = events.next().await {
            let Some(strong) = inner.upgrade() else { return };
            strong.wake(event.actor.as_ref().and_then(|actor| actor.id.as_deref()));
        }
        tokio::time::sleep(EVENTS_RETRY).await;
    }
}

impl Node {
    async fn observe(&self, engine: &Engine) -> Observation {
        let seen = guard(&self.seen).clone();
        let used = match seen.pid {
            Some(_) => usage::read(engine, &self.found.id).await.unwrap_or_default(),
            None => Usage::default(),
        };
        let (log_lines, log_warn, log_error) = seen.counts.read();
        Observation {
            key: self.found.key.clone(),
            generation: self.found.generation,
            digest: Digest(self.found.digest.clone()),
            address: seen.address,
            state: seen.state,
            detail: seen.detail,
            pid: seen.pid,
            since: seen.since,
            restarts: seen.restarts,
            usage: Usage { log_lines, log_warn, log_error, ..used },
            sampled_at: now(),
        }
    }
}

fn check(key: &NodeKey) -> Result<(), Error> {
    check_name("an environment", &key.environment)?;
    check_name("a node", key.node.as_str())
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Timestamp {
    crate::supervisor::now()
}
