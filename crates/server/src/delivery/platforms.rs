//! The platforms of this server behind one face: a node with an image is a container, any other a process.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serin_platform::{
    DockerPlatform, Engine, Error, NodeKey, NodeSpec, Observation, Platform, ProcessPlatform, SupervisorCommand,
};
use tokio::sync::{OnceCell, watch};

/// All platforms.
pub struct Platforms {
    process: ProcessPlatform,
    docker: OnceCell<DockerPlatform>,
    folder: PathBuf,
    changes: Arc<watch::Sender<u64>>,
}

impl Platforms {
    /// Adopts the processes that run; containers as soon as an engine answers.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn new(folder: PathBuf, supervisor: SupervisorCommand) -> Result<Self, Error> {
        let process = ProcessPlatform::new(folder.clone(), supervisor)?;
        let changes = Arc::new(watch::Sender::new(0));
        forward(process.changes(), &changes);
        Ok(Self { process, docker: OnceCell::new(), folder: folder.join("docker"), changes })
    }

    async fn docker(&self) -> Result<&DockerPlatform, Error> {
        let open = || async {
            let platform = DockerPlatform::new(&self.folder, Engine::connect().await?).await?;
            forward(platform.changes(), &self.changes);
            Ok(platform)
        };
        self.docker.get_or_try_init(open).await
    }

    /// The Docker platform, where this server has ever used it.
    async fn used_docker(&self) -> Result<Option<&DockerPlatform>, Error> {
        if self.docker.initialized() || self.folder.exists() { self.docker().await.map(Some) } else { Ok(None) }
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
            // An environment that moved here from processes leaves none behind.
            self.process.remove(&spec.key).await?;
            return self.docker().await?.apply(spec).await;
        }
        if let Some(docker) = self.used_docker().await? {
            docker.remove(&spec.key).await?;
        }
        self.process.apply(spec).await
    }

    async fn remove(&self, key: &NodeKey) -> Result<(), Error> {
        if let Some(docker) = self.used_docker().await? {
            docker.remove(key).await?;
        }
        self.process.remove(key).await
    }

    async fn observe(&self, environment: &str) -> Result<Vec<Observation>, Error> {
        let mut seen = self.process.observe(environment).await?;
        if let Some(docker) = self.used_docker().await? {
            seen.extend(docker.observe(environment).await?);
            seen.sort_by(|left, right| left.key.cmp(&right.key));
        }
        Ok(seen)
    }

    async fn logs(&self, key: &NodeKey, last_lines: usize) -> Result<Vec<String>, Error> {
        match (self.process.logs(key, last_lines).await, self.used_docker().await?) {
            (Err(Error::Unknown { .. }), Some(docker)) => docker.logs(key, last_lines).await,
            (read, _) => read,
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
