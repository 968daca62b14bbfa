//! The Docker platform: each node is a container of a Docker Engine.
//!
//! What a node is to run stands in its container's labels, so a server that starts again adopts what it finds. The
//! engine starts a crashed container again; one that never becomes healthy is given up here, and stopped.

mod absence;
mod cgroup;
mod container;
mod engine;
mod follow;
mod image;
mod log;
mod probe;
mod secret;
mod ssh;
mod usage;
mod volume;

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
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use absence::Absence;
use cgroup::Groups;
use container::Found;
pub use engine::{Engine, Host, Tls};
use follow::{Follower, Seen};
pub use volume::Policy;

/// Nodes whose usage is asked for at the same time.
const ASKED_AT_ONCE: usize = 16;
/// What the engine gets to say what a container used; nothing is known of it otherwise.
const USAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// What it said is not asked again before that.
const USAGE_AGE_MS: i64 = 400;
/// What the engine gets to tell of all nodes that it runs, at the start.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries to hear the engine's events.
const EVENTS_RETRY: Duration = Duration::from_millis(500);

/// Runs nodes as containers of a Docker Engine.
pub struct DockerPlatform {
    inner: Arc<Inner>,
    tasks: [AbortHandle; 2],
}

struct Inner {
    engine: Engine,
    policy: Policy,
    absence: Absence,
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
    meter: Mutex<Meter>,
}

/// What was used, and when that was read.
#[derive(Clone, Copy, Default)]
struct Sampled {
    used: Usage,
    at: Timestamp,
}

/// What was found out about how to measure a process.
#[derive(Default)]
struct Meter {
    pid: Option<u32>,
    /// `None`: it is no process of this machine.
    groups: Option<Groups>,
    /// What its engine said last.
    asked: Option<Sampled>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl DockerPlatform {
    /// Opens the platform on an engine, called `name` where it is missed, and adopts every node of the folder `dir`'s
    /// instance that is there.
    ///
    /// # Errors
    /// Where the engine does not answer, the folder cannot be used, or outside a tokio runtime.
    pub async fn new(dir: &Path, (engine, name): (Engine, &str), policy: Policy) -> Result<Self, Error> {
        Handle::try_current().map_err(|_| Error::Runtime)?;
        layout::create_private(dir)?;
        let instance = container::instance(dir)?;
        let (away, absence) = Absence::new();
        let inner = Arc::new(Inner {
            engine: engine.clone(),
            policy,
            absence,
            instance,
            changes: watch::Sender::new(0),
            nodes: Mutex::default(),
            orders: Mutex::default(),
        });
        let looks = inner.adopt().await?;
        // Who asks next shall be told where they serve; one that the engine says nothing of is not waited for.
        let _ = tokio::time::timeout(ADOPT_TIMEOUT, futures_util::future::join_all(looks)).await;
        let events = tokio::spawn(hear(Arc::downgrade(&inner))).abort_handle();
        let weak = Arc::downgrade(&inner);
        let tell = move |reason| weak.upgrade().map(|inner| inner.attended(&away, reason));
        let attendance = tokio::spawn(absence::attend(engine, name.to_owned(), tell)).abort_handle();
        Ok(Self { inner, tasks: [events, attendance] })
    }

    /// The engine that runs its nodes.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
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
        self.tasks.iter().for_each(AbortHandle::abort);
        guard(&self.inner.nodes).clear();
    }
}

#[async_trait]
impl Platform for DockerPlatform {
    async fn apply(&self, spec: &NodeSpec) -> Result<(), Error> {
        check(&spec.key)?;
        container::check(spec, &self.inner.policy)?;
        self.inner.unless_away(self.inner.apply(spec)).await
    }

    async fn remove(&self, key: &NodeKey) -> Result<(), Error> {
        check(key)?;
        self.inner.unless_away(self.inner.remove(key)).await
    }

    async fn observe(&self, environment: &str) -> Result<Vec<Observation>, Error> {
        check_name("an environment", environment)?;
        let nodes: Vec<Arc<Node>> = {
            let nodes = guard(&self.inner.nodes);
            nodes.iter().filter(|(key, _)| key.environment == environment).map(|(_, node)| Arc::clone(node)).collect()
        };
        let (measured, nodes) = tokio::task::spawn_blocking(move || {
            let used: Vec<_> = nodes.iter().map(|node| node.measure()).collect();
            (used, nodes)
        })
        .await
        .map_err(|error| Error::Docker { attempt: "be measured", reason: error.to_string() })?;
        let inner = &self.inner;
        let seen = futures_util::stream::iter(nodes.into_iter().zip(measured)).map(|(node, used)| async move {
            let sampled = match used {
                Measured::Here(sampled) => sampled,
                Measured::Elsewhere => node.asked(inner).await,
            };
            node.observation(sampled)
        });
        Ok(seen.buffered(ASKED_AT_ONCE).collect().await)
    }

    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error> {
        check(key)?;
        let there = container::list(&self.inner.engine, &self.inner.instance, Some(key)).await?;
        let newest = there.into_iter().max_by_key(|found| found.generation);
        let newest = newest.ok_or_else(|| Error::Unknown { key: key.clone() })?;
        log::last_lines(&self.inner.engine, &newest.id, last_lines).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn trouble(&self, _host: Option<&str>) -> Option<String> {
        self.inner.absence.reason()
    }
}

impl Inner {
    fn changed(&self) {
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Carries an order out, unless the engine is away or goes away meanwhile: the next order goes on from what is there.
    async fn unless_away(&self, order: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let mut absence = self.absence.clone();
        tokio::select! {
            biased;
            reason = absence.begun() => Err(Error::Docker { attempt: "take the order", reason }),
            done = order => done,
        }
    }

    async fn apply(self: &Arc<Self>, spec: &NodeSpec) -> Result<(), Error> {
        let order = self.order(&spec.key);
        let _order = order.lock().await;
        let there = container::list(&self.engine, &self.instance, Some(&spec.key)).await?;
        if let Some(current) = there.iter().map(|found| found.generation).max() {
            if current > spec.generation {
                return Err(Error::Outdated { key: spec.key.clone(), generation: spec.generation, current });
            }
            if current == spec.generation && self.runs(&spec.key) {
                return Ok(());
            }
        }
        for old in &there {
            container::stop(&self.engine, old).await?;
        }
        guard(&self.nodes).remove(&spec.key);
        let found = container::start(&self.engine, &self.instance, spec).await;
        let found = found.inspect_err(|_| self.changed())?;
        drop(self.follow(found));
        self.changed();
        Ok(())
    }

    async fn remove(&self, key: &NodeKey) -> Result<(), Error> {
        let order = self.order(key);
        let _order = order.lock().await;
        if let Some(node) = guard(&self.nodes).get(key) {
            guard(&node.seen).state = NodeState::Stopping;
        }
        self.changed();
        for old in container::list(&self.engine, &self.instance, Some(key)).await? {
            container::stop(&self.engine, &old).await?;
        }
        guard(&self.nodes).remove(key);
        self.changed();
        Ok(())
    }

    fn order(&self, key: &NodeKey) -> Arc<AsyncMutex<()>> {
        Arc::clone(guard(&self.orders).entry(key.clone()).or_default())
    }

    /// Whether the node's order is being carried out, if only to its bad end.
    fn runs(&self, key: &NodeKey) -> bool {
        let nodes = guard(&self.nodes);
        nodes.get(key).is_some_and(|node| !matches!(guard(&node.seen).state, NodeState::Lost | NodeState::Stopped))
    }

    /// Follows every container that is there and not followed yet; each tells when it was looked at.
    async fn adopt(self: &Arc<Self>) -> Result<Vec<oneshot::Receiver<()>>, Error> {
        let mut looks = Vec::new();
        for found in container::list(&self.engine, &self.instance, None).await? {
            let known = guard(&self.nodes).get(&found.key).map(|node| node.found.generation);
            if known.is_none_or(|known| known < found.generation) {
                looks.push(self.follow(found));
            }
        }
        self.changed();
        Ok(looks)
    }

    /// Follows a container; tells when it was looked at.
    fn follow(self: &Arc<Self>, found: Found) -> oneshot::Receiver<()> {
        let seen = Arc::new(Mutex::new(Seen::new()));
        let (woken, wakes) = mpsc::channel(1);
        let inner = Arc::downgrade(self);
        let changed = move || {
            if let Some(inner) = inner.upgrade() {
                inner.changed();
            }
        };
        let ways = (self.engine.clone(), self.absence.clone());
        let (looked, look) = oneshot::channel();
        let follower = Follower::new(ways, found.clone(), Arc::clone(&seen));
        let follower = tokio::spawn(follower.run((wakes, looked), changed)).abort_handle();
        let node = Arc::new(Node { seen, woken, follower, found, meter: Mutex::default() });
        guard(&self.nodes).insert(node.found.key.clone(), node);
        look
    }

    /// Takes note whether the engine is away; while it is, every node is looked at again and again.
    fn attended(&self, away: &watch::Sender<Option<String>>, reason: Option<String>) {
        let is_away = reason.is_some();
        let changed = away.send_if_modified(|known| {
            let changed = known.is_some() != is_away;
            *known = reason;
            changed
        });
        if changed {
            self.changed();
        }
        if changed || is_away {
            self.wake(None);
        }
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

/// What was found without asking the engine.
enum Measured {
    Here(Sampled),
    Elsewhere,
}

impl Node {
    /// Measures a process of this machine.
    fn measure(&self) -> Measured {
        let here = |used| Measured::Here(Sampled { used, at: now() });
        let Some(pid) = guard(&self.seen).pid else { return here(Usage::default()) };
        let mut meter = guard(&self.meter);
        if meter.pid != Some(pid) {
            *meter = Meter { pid: Some(pid), groups: Groups::find(&self.found.id, pid), asked: None };
        }
        match &meter.groups {
            Some(groups) => here(groups.usage().unwrap_or_default()),
            None => Measured::Elsewhere,
        }
    }

    /// Asks the engine what it used; what it said last where it is away or slow.
    async fn asked(&self, inner: &Inner) -> Sampled {
        let before = guard(&self.meter).asked;
        let is_fresh = before.is_some_and(|before| now().since_ms(before.at) < USAGE_AGE_MS);
        if is_fresh || inner.absence.reason().is_some() {
            return before.unwrap_or_default();
        }
        let mut absence = inner.absence.clone();
        let read = tokio::select! {
            read = tokio::time::timeout(USAGE_TIMEOUT, usage::read(&inner.engine, &self.found.id)) => read.ok().flatten(),
            _ = absence.begun() => None,
        };
        let sampled = read.map(|used| Sampled { used, at: now() }).or(before);
        guard(&self.meter).asked = sampled;
        sampled.unwrap_or_default()
    }

    fn observation(&self, sampled: Sampled) -> Observation {
        let seen = guard(&self.seen).clone();
        let (log_lines, log_warn, log_error) = seen.counts.read();
        Observation {
            key: self.found.key.clone(),
            generation: self.found.generation,
            digest: Digest(self.found.digest.clone()),
            host: None,
            address: seen.address,
            state: seen.state,
            detail: seen.detail,
            pid: seen.pid,
            since: seen.since,
            restarts: seen.restarts,
            usage: Usage { log_lines, log_warn, log_error, ..sampled.used },
            sampled_at: sampled.at,
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
