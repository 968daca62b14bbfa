//! The platforms of this server behind one face: a node with an image is a container, on its host's engine; any other is a
//! process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use serin_platform::{
    DockerPlatform, Engine, Error, Host, NodeKey, NodeSpec, Observation, Platform, Policy, ProcessPlatform,
    SupervisorCommand,
};
use tokio::sync::{OnceCell, watch};

use crate::settings::DockerSettings;

/// Between two tries to reach a host for the first time.
const OPEN_RETRY: Duration = Duration::from_secs(1);
/// What the server's own engine is called where it is missed.
const OWN: &str = "Docker Engine";

/// All platforms.
pub struct Platforms {
    process: ProcessPlatform,
    /// On the server's own engine.
    own: Arc<Hosted>,
    hosts: BTreeMap<String, Arc<Hosted>>,
    changes: Arc<watch::Sender<u64>>,
}

/// The Docker platform of one engine, opened as soon as that answers.
struct Hosted {
    /// `None`: the server's own engine.
    host: Option<Host>,
    folder: PathBuf,
    policy: Policy,
    platform: OnceCell<DockerPlatform>,
    /// Why it is not opened yet, where it is wanted.
    closed: Mutex<Option<String>>,
    /// Whether it was asked once, to whatever end, or nobody wants it yet.
    was_asked: watch::Sender<bool>,
    /// Nodes that are about to be removed here, as they run elsewhere by a newer order.
    leaving: Mutex<BTreeSet<NodeKey>>,
}

impl Platforms {
    /// Adopts the processes that run; containers as soon as their engine answers.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn new(folder: PathBuf, supervisor: SupervisorCommand, docker: &DockerSettings) -> Result<Self, Error> {
        let process = ProcessPlatform::new(folder.clone(), supervisor)?;
        let changes = Arc::new(watch::Sender::new(0));
        forward(process.changes(), &changes);
        let hosted = |host: Option<&Host>, folder: PathBuf| {
            let wanted = host.is_some() || folder.exists();
            let hosted = Arc::new(Hosted::new(host.cloned(), folder, docker.policy.clone()));
            if wanted {
                hosted.is_missed("has not answered yet");
                hosted.was_asked.send_replace(false);
                tokio::spawn(open(Arc::downgrade(&hosted), Arc::downgrade(&changes)));
            }
            hosted
        };
        // The server's own engine has a folder as soon as it was ever used.
        let own = hosted(None, folder.join("docker"));
        let of_host =
            |host: &Host| (host.name.clone(), hosted(Some(host), folder.join("docker-hosts").join(&host.name)));
        let hosts = docker.hosts.iter().map(of_host).collect();
        Ok(Self { process, own, hosts, changes })
    }

    fn hosted(&self, host: Option<&str>) -> Option<&Hosted> {
        host.map_or(Some(&self.own), |name| self.hosts.get(name)).map(AsRef::as_ref)
    }

    /// Every Docker platform that answers.
    fn at_hand(&self) -> impl Iterator<Item = &DockerPlatform> {
        let opened = std::iter::once(&self.own).chain(self.hosts.values()).filter_map(|hosted| hosted.platform.get());
        opened.filter(|platform| platform.trouble(None).is_none())
    }

    /// The platform that runs a container.
    async fn chosen(&self, spec: &NodeSpec) -> Result<&DockerPlatform, Error> {
        let Some(name) = &spec.container.host else { return self.own.opened(&self.changes).await };
        let hosted = self.hosts.get(name).ok_or_else(|| Error::Spec {
            key: spec.key.clone(),
            reason: format!("host `{name}` is not known; define it under `[docker.hosts]` in `serin.toml`"),
        })?;
        match (hosted.platform.get(), hosted.trouble()) {
            (Some(platform), None) => Ok(platform),
            (_, trouble) => Err(Error::Docker { attempt: "run the node", reason: trouble.unwrap_or_default() }),
        }
    }

    /// Brings an image of this machine's engine to the one that runs the node, where it is not there, and gives the order as
    /// that engine knows the image: by its content, as a registry's name for it does not go along.
    async fn bring_image(&self, spec: &NodeSpec, target: &DockerPlatform) -> Result<NodeSpec, Error> {
        let Some(image) = spec.image.as_ref().filter(|_| spec.container.host.is_some()) else {
            return Ok(spec.clone());
        };
        if target.engine().has_image(image).await? {
            return Ok(spec.clone());
        }
        let own = Engine::connect().await?;
        let id = own.image_id(image).await?;
        if !target.engine().has_image(&id).await? {
            tracing::info!(node = %spec.key, image, "image is brought to the host");
            own.copy_image(&id, target.engine()).await?;
        }
        Ok(NodeSpec { image: Some(id), ..spec.clone() })
    }

    /// Removes the node from every other place that can be asked.
    async fn remove_elsewhere(&self, key: &NodeKey, keep: Option<&DockerPlatform>) -> Result<(), Error> {
        for platform in self.at_hand() {
            if keep.is_none_or(|keep| !std::ptr::eq(keep, platform)) {
                platform.remove(key).await?;
            }
        }
        Ok(())
    }
}

impl Hosted {
    fn new(host: Option<Host>, folder: PathBuf, policy: Policy) -> Self {
        let (platform, was_asked) = (OnceCell::new(), watch::Sender::new(true));
        Self { host, folder, policy, platform, was_asked, closed: Mutex::default(), leaving: Mutex::default() }
    }

    fn name(&self) -> String {
        self.host.as_ref().map_or_else(|| OWN.to_owned(), |host| format!("host `{}`", host.name))
    }

    fn is_missed(&self, why: &str) {
        *lock(&self.closed) = Some(format!("{} {why}", self.name()));
    }

    /// The platform, opened now where it was not.
    async fn opened(&self, changes: &Arc<watch::Sender<u64>>) -> Result<&DockerPlatform, Error> {
        let open = || async {
            let engine = match &self.host {
                Some(host) => Engine::open(host).await?,
                None => Engine::connect().await?,
            };
            let platform = DockerPlatform::new(&self.folder, (engine, &self.name()), self.policy.clone()).await?;
            forward(platform.changes(), changes);
            changes.send_modify(|number| *number = number.wrapping_add(1));
            Ok(platform)
        };
        let opened = self.platform.get_or_try_init(open).await;
        *lock(&self.closed) = opened.as_ref().err().map(ToString::to_string);
        self.was_asked.send_replace(true);
        opened
    }

    /// The platform, if its engine has answered; waits for the first try alone.
    async fn tried(&self) -> Option<&DockerPlatform> {
        // Its sender is here.
        let _ = self.was_asked.subscribe().wait_for(|asked| *asked).await;
        self.platform.get()
    }

    fn trouble(&self) -> Option<String> {
        self.platform.get().map_or_else(|| lock(&self.closed).clone(), |platform| platform.trouble(None))
    }

    /// Removes a node that moved while this engine was out of reach.
    fn clear(self: &Arc<Self>, key: NodeKey) {
        if self.trouble().is_some() || !lock(&self.leaving).insert(key.clone()) {
            return;
        }
        let hosted = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(platform) = hosted.platform.get()
                && let Err(error) = platform.remove(&key).await
            {
                tracing::warn!(node = %key, %error, "a node that moved is left over");
            }
            lock(&hosted.leaving).remove(&key);
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaches an engine for the first time, however long that takes.
async fn open(hosted: Weak<Hosted>, changes: Weak<watch::Sender<u64>>) {
    while let Some((hosted, changes)) = hosted.upgrade().zip(changes.upgrade()) {
        if hosted.opened(&changes).await.is_ok() {
            return;
        }
        drop((hosted, changes));
        tokio::time::sleep(OPEN_RETRY).await;
    }
}

/// Tells one platform's changes as those of all.
fn forward(mut from: watch::Receiver<u64>, to: &Arc<watch::Sender<u64>>) {
    let to = Arc::downgrade(to);
    tokio::spawn(async move {
        while from.changed().await.is_ok() {
            let Some(to) = to.upgrade() else { return };
            to.send_modify(|number| *number = number.wrapping_add(1));
        }
    });
}

#[async_trait]
impl Platform for Platforms {
    async fn apply(&self, spec: &NodeSpec) -> Result<(), Error> {
        if spec.image.is_some() {
            let target = self.chosen(spec).await?;
            let spec = self.bring_image(spec, target).await?;
            // A node that moved here leaves nothing behind elsewhere.
            self.process.remove(&spec.key).await?;
            self.remove_elsewhere(&spec.key, Some(target)).await?;
            return target.apply(&spec).await;
        }
        self.remove_elsewhere(&spec.key, None).await?;
        self.process.apply(spec).await
    }

    async fn remove(&self, key: &NodeKey) -> Result<(), Error> {
        self.remove_elsewhere(key, None).await?;
        self.process.remove(key).await
    }

    async fn observe(&self, environment: &str) -> Result<Vec<Observation>, Error> {
        let processes = self.process.observe(environment).await?;
        let mut all: Vec<_> = processes.into_iter().map(|node| (node, None)).collect();
        let named = self.hosts.iter().map(|(name, hosted)| (Some(name), hosted));
        for (name, hosted) in std::iter::once((None, &self.own)).chain(named) {
            let Some(platform) = hosted.tried().await else { continue };
            let there = platform.observe(environment).await?;
            all.extend(there.into_iter().map(|node| (Observation { host: name.cloned(), ..node }, Some(hosted))));
        }
        // Of a node in two places the newer order counts: the older one was out of reach when the node moved.
        all.sort_by(|(left, _), (right, _)| left.key.cmp(&right.key).then(right.generation.cmp(&left.generation)));
        let mut seen: Vec<Observation> = Vec::with_capacity(all.len());
        for (node, hosted) in all {
            match (seen.last().filter(|newer| newer.key == node.key), hosted) {
                (None, _) => seen.push(node),
                (Some(newer), Some(hosted)) if newer.generation > node.generation => hosted.clear(node.key),
                (Some(_), _) => {}
            }
        }
        Ok(seen)
    }

    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error> {
        let mut read = self.process.logs(key, last_lines).await;
        for platform in self.at_hand() {
            if matches!(read, Err(Error::Unknown { .. })) {
                read = platform.logs(key, last_lines).await;
            }
        }
        read
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn trouble(&self, host: Option<&str>) -> Option<String> {
        self.hosted(host)?.trouble()
    }

    fn unseen(&self, host: Option<&str>) -> Option<String> {
        // A host that did not answer is lost. What the server's own engine runs serves on while that is away.
        let is_closed = host.is_none() && self.own.platform.get().is_none();
        is_closed.then(|| lock(&self.own.closed).clone()).flatten()
    }
}
