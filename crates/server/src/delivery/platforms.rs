//! The platforms of this server behind one face: a node with an image is a container, on its host's engine; any other is a
//! process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    docker: OnceCell<DockerPlatform>,
    /// Why that one is not opened, where it is wanted.
    docker_trouble: Mutex<Option<String>>,
    hosts: BTreeMap<String, Arc<Remote>>,
    policy: Policy,
    folder: PathBuf,
    changes: Arc<watch::Sender<u64>>,
}

/// A host's engine, opened as soon as it answers.
struct Remote {
    host: Host,
    folder: PathBuf,
    platform: OnceCell<DockerPlatform>,
    /// Why it is not opened yet.
    trouble: Mutex<String>,
    /// Whether it was asked once, to whatever end.
    was_asked: AtomicBool,
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
        let mut hosts = BTreeMap::new();
        for host in &docker.hosts {
            let remote = Arc::new(Remote {
                host: host.clone(),
                folder: folder.join("docker-hosts").join(&host.name),
                platform: OnceCell::new(),
                trouble: Mutex::new(format!("host `{}` has not answered yet", host.name)),
                was_asked: AtomicBool::new(false),
            });
            tokio::spawn(open(Arc::downgrade(&remote), docker.policy.clone(), Arc::downgrade(&changes)));
            hosts.insert(host.name.clone(), remote);
        }
        let (docker_folder, policy) = (folder.join("docker"), docker.policy.clone());
        let (docker, docker_trouble) = (OnceCell::new(), Mutex::default());
        Ok(Self { process, docker, docker_trouble, hosts, policy, folder: docker_folder, changes })
    }

    async fn docker(&self) -> Result<&DockerPlatform, Error> {
        let open = || async {
            let engine = Engine::connect().await?;
            let platform = DockerPlatform::new(&self.folder, (engine, OWN), self.policy.clone()).await?;
            forward(platform.changes(), &self.changes);
            Ok(platform)
        };
        let opened = self.docker.get_or_try_init(open).await;
        *lock(&self.docker_trouble) = opened.as_ref().err().map(ToString::to_string);
        opened
    }

    /// The server's own Docker platform, where it has ever used it and the engine has answered since the start.
    async fn used_docker(&self) -> Option<&DockerPlatform> {
        if self.docker.initialized() || self.folder.exists() { self.docker().await.ok() } else { None }
    }

    /// Every Docker platform that answers.
    async fn at_hand(&self) -> impl Iterator<Item = &DockerPlatform> {
        let hosts = self.hosts.values().filter_map(|remote| remote.platform.get());
        let opened = self.used_docker().await.into_iter().chain(hosts);
        opened.filter(|platform| platform.trouble(None).is_none())
    }

    /// The platform that runs a container.
    async fn chosen(&self, spec: &NodeSpec) -> Result<&DockerPlatform, Error> {
        let Some(name) = &spec.container.host else { return self.docker().await };
        let remote = self.hosts.get(name).ok_or_else(|| Error::Spec {
            key: spec.key.clone(),
            reason: format!("host `{name}` is not known; define it under `[docker.hosts]` in `serin.toml`"),
        })?;
        let platform = remote.platform.get();
        let trouble = platform.map_or_else(|| Some(remote.why_closed()), |platform| platform.trouble(None));
        match (platform, trouble) {
            (Some(platform), None) => Ok(platform),
            (_, trouble) => {
                Err(Error::Docker { attempt: "run the node", reason: trouble.unwrap_or_else(|| remote.why_closed()) })
            }
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
        for platform in self.at_hand().await {
            if keep.is_none_or(|keep| !std::ptr::eq(keep, platform)) {
                platform.remove(key).await?;
            }
        }
        Ok(())
    }
}

impl Remote {
    fn why_closed(&self) -> String {
        lock(&self.trouble).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaches a host for the first time, however long that takes.
async fn open(remote: std::sync::Weak<Remote>, policy: Policy, changes: std::sync::Weak<watch::Sender<u64>>) {
    loop {
        let Some(remote) = remote.upgrade() else { return };
        let opened = async {
            let engine = Engine::open(&remote.host).await?;
            let name = format!("host `{}`", remote.host.name);
            DockerPlatform::new(&remote.folder, (engine, &name), policy.clone()).await
        };
        match opened.await {
            Ok(platform) => {
                if let Some(changes) = changes.upgrade() {
                    forward(platform.changes(), &changes);
                    changes.send_modify(|number| *number = number.wrapping_add(1));
                }
                // Nobody else opens it.
                let _ = remote.platform.set(platform);
                return;
            }
            Err(error) => *lock(&remote.trouble) = error.to_string(),
        }
        remote.was_asked.store(true, Ordering::Relaxed);
        drop(remote);
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
        let mut seen = self.process.observe(environment).await?;
        if let Some(own) = self.used_docker().await {
            seen.extend(own.observe(environment).await?);
        }
        for (name, remote) in &self.hosts {
            let Some(platform) = remote.platform.get() else { continue };
            let there = platform.observe(environment).await?;
            seen.extend(there.into_iter().map(|node| Observation { host: Some(name.clone()), ..node }));
        }
        // Of a node in two places the newer order counts: the older one was out of reach when the node moved.
        seen.sort_by(|left, right| left.key.cmp(&right.key).then(right.generation.cmp(&left.generation)));
        seen.dedup_by(|later, first| later.key == first.key);
        Ok(seen)
    }

    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error> {
        let mut read = self.process.logs(key, last_lines).await;
        for platform in self.at_hand().await {
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
        let Some(name) = host else {
            let own = self.docker.get();
            return own.map_or_else(|| lock(&self.docker_trouble).clone(), |platform| platform.trouble(None));
        };
        let remote = self.hosts.get(name)?;
        remote.platform.get().map_or_else(|| Some(remote.why_closed()), |platform| platform.trouble(None))
    }

    fn unseen(&self, host: Option<&str>) -> Option<String> {
        let Some(name) = host else {
            let is_closed = !self.docker.initialized() && self.folder.exists();
            return is_closed.then(|| lock(&self.docker_trouble).clone().unwrap_or_else(|| OWN.to_owned()));
        };
        let remote = self.hosts.get(name).filter(|remote| remote.platform.get().is_none())?;
        // One that does not answer is a lost host: what it ran is not waited for.
        (!remote.was_asked.load(Ordering::Relaxed)).then(|| remote.why_closed())
    }
}
