//! The engine of this machine: opened, asked for images, rid of what nobody owns any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use serin_image::{ImageName, Login};
use tokio::sync::Mutex;

use super::Trouble;
use super::owner::Owner;

/// Where the engine of a machine listens, where `DOCKER_HOST` says nothing.
const SOCKET_DEFAULT: &str = "unix:///var/run/docker.sock";
/// Seconds that the engine has for an answer.
const ANSWER_SECONDS: u64 = 120;
/// Seconds in which an engine says that it is there.
const GREETING: Duration = Duration::from_secs(5);
/// Time in which an image that could not be pulled is not tried again.
const PULL_AGAIN: Duration = Duration::from_secs(60);
/// Time until an engine that is away is asked again to remove something, and how often.
const REMOVE_AGAIN: Duration = Duration::from_secs(5);
const REMOVALS_MAX: usize = 120;
/// Characters of the engine's words that a message repeats.
const WORDS_MAX: usize = 500;

/// Label: whose a container or network is.
const OWNER: &str = "serin.job.owner";
/// Label: the runner within its process.
const RUNNER: &str = "serin.job.runner";
/// Label: the run of a job.
const ROOM: &str = "serin.job.room";
/// Label: the job's name, for people.
const NAME: &str = "serin.job.name";
/// Characters of it.
const NAME_MAX: usize = 200;

/// A Docker Engine of this machine; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Docker,
    owner: String,
    runner: String,
    rooms: AtomicU64,
    /// Images that are being pulled, or could not be.
    pulls: Mutex<HashMap<Pulled, Arc<Mutex<Option<Failed>>>>>,
}

/// What is pulled, and as whom: that one may not says nothing of another.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pulled {
    image: String,
    platform: String,
    login: Option<String>,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    reason: String,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    /// The policies in their order; `if-not-present` where none is written.
    pub(super) fn parse(words: &[String]) -> Result<Vec<Self>, String> {
        if words.is_empty() {
            return Ok(vec![Self::IfNotPresent]);
        }
        let parse = |word: &String| match word.as_str() {
            "always" => Ok(Self::Always),
            "if-not-present" => Ok(Self::IfNotPresent),
            "never" => Ok(Self::Never),
            other => Err(format!("unknown pull policy `{other}`: write `always`, `if-not-present` or `never`")),
        };
        words.iter().map(parse).collect()
    }
}

/// An image that is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) ports: Vec<String>,
    pub(super) has_health_check: bool,
    /// Such as `linux/amd64`.
    pub(super) platform: String,
}

impl Engine {
    /// Opens the engine and removes what runners that are gone left in it; an error says how to get one.
    pub(crate) async fn open() -> Result<Self, String> {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(|| SOCKET_DEFAULT.to_owned());
        if !host.starts_with("unix://") {
            return Err(format!(
                "`DOCKER_HOST` is `{host}`; jobs share folders with the engine, so it must be `unix://…`"
            ));
        }
        let hint = "install it (`apt-get install docker.io`), start `dockerd`, or set `DOCKER_HOST`";
        let refused = |error: Error| format!("no Docker Engine answers: {}; {hint}", words(&error));
        let api = Docker::connect_with_unix(&host, ANSWER_SECONDS, bollard::API_DEFAULT_VERSION).map_err(refused)?;
        let negotiated = tokio::time::timeout(GREETING, api.negotiate_version()).await;
        let api = negotiated.map_err(|_| format!("no Docker Engine answers; {hint}"))?.map_err(refused)?;
        let inner = Inner {
            api,
            owner: Owner::this_process().label(),
            runner: crate::process::new_mark(),
            rooms: AtomicU64::new(1),
            pulls: Mutex::default(),
        };
        let engine = Self(Arc::new(inner));
        engine.sweep().await;
        Ok(engine)
    }

    pub(super) fn api(&self) -> &Docker {
        &self.0.api
    }

    /// A name for the run of a job that nobody else has.
    pub(super) fn new_room(&self) -> String {
        format!("{}-{}", self.0.runner, self.0.rooms.fetch_add(1, Ordering::Relaxed))
    }

    /// The labels of what belongs to a run.
    pub(super) fn labels(&self, room: &str, name: &str) -> HashMap<String, String> {
        let name: String = name.chars().take(NAME_MAX).collect();
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        HashMap::from([
            label(OWNER, &self.0.owner),
            label(RUNNER, &self.0.runner),
            label(ROOM, room),
            label(NAME, &name),
        ])
    }

    /// Finds an image or pulls it, as the first policy that succeeds says.
    pub(super) async fn image(
        &self,
        name: &ImageName,
        (policies, platform): (&[PullPolicy], Option<&str>),
        login: Option<&Login>,
    ) -> Result<Image, Trouble> {
        let mut reasons = Vec::new();
        for policy in policies {
            let here = if *policy == PullPolicy::Always && !name.is_id() { None } else { self.find(name).await? };
            let fits = |image: &Image| platform.is_none_or(|platform| platform.starts_with(&image.platform));
            match here {
                Some(image) if fits(&image) => return Ok(image),
                Some(image) if *policy == PullPolicy::Never => reasons.push(format!(
                    "image `{}` is one for `{}`, and its pull policy is `never`",
                    name.whole, image.platform
                )),
                None if *policy == PullPolicy::Never => reasons.push(format!(
                    "there is no image `{}` on this machine, and its pull policy is `never`; `docker pull` it, or build it",
                    name.whole
                )),
                _ if name.is_id() => reasons.push(format!("there is no image `{}` on this machine", name.whole)),
                _ => match self.pull(name, platform, login).await {
                    Ok(()) => {
                        let found = self.find(name).await?;
                        return found.ok_or_else(|| Trouble::Failed(format!("image `{}` is gone again", name.whole)));
                    }
                    Err(Trouble::Missing(reason)) => reasons.push(reason),
                    Err(trouble) => return Err(trouble),
                },
            }
        }
        Err(Trouble::Missing(reasons.join("; ")))
    }

    async fn find(&self, name: &ImageName) -> Result<Option<Image>, Trouble> {
        let found = match self.api().inspect_image(&name.whole).await {
            Ok(found) => found,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(error) => {
                return Err(Trouble::Failed(format!("cannot look for image `{}`: {}", name.whole, words(&error))));
            }
        };
        let config = found.config.unwrap_or_default();
        let tests = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
        Ok(Some(Image {
            id: found.id.unwrap_or_else(|| name.whole.clone()),
            user: config.user.unwrap_or_default(),
            ports: config.exposed_ports.unwrap_or_default(),
            has_health_check: tests.first().is_some_and(|first| first != "NONE"),
            platform: format!("{}/{}", found.os.unwrap_or_default(), found.architecture.unwrap_or_default()),
        }))
    }

    /// Pulls an image; one that could not be pulled a moment ago is not tried again.
    async fn pull(&self, name: &ImageName, platform: Option<&str>, login: Option<&Login>) -> Result<(), Trouble> {
        let key = Pulled {
            image: name.whole.clone(),
            platform: platform.unwrap_or_default().to_owned(),
            login: login.map(Login::mark),
        };
        let entry = Arc::clone(self.0.pulls.lock().await.entry(key).or_default());
        let mut last = entry.lock().await;
        if let Some(failed) = last.as_ref().filter(|failed| failed.at.elapsed() < PULL_AGAIN) {
            return Err(Trouble::Missing(failed.reason.clone()));
        }
        let options = CreateImageOptionsBuilder::default().from_image(&name.repository).tag(&name.version);
        let options = options.platform(platform.unwrap_or_default()).build();
        let mut steps = Box::pin(self.api().create_image(Some(options), None, login.map(Login::credentials)));
        let mut failure = None;
        while let Some(step) = steps.next().await {
            match step {
                Ok(step) => failure = step.error_detail.and_then(|detail| detail.message).or(failure),
                Err(error) if is_answer(&error) => failure = Some(words(&error)),
                Err(error) => {
                    let reason = format!("image `{}` cannot be pulled: {}", name.whole, words(&error));
                    return Err(Trouble::Failed(reason));
                }
            }
        }
        let Some(failure) = failure else {
            *last = None;
            return Ok(());
        };
        let reason = format!("image `{}` cannot be pulled: {}", name.whole, failure.trim());
        *last = Some(Failed { at: Instant::now(), reason: reason.clone() });
        Err(Trouble::Missing(reason))
    }

    /// Removes what belongs to processes of this machine that are gone.
    async fn sweep(&self) {
        let me = Owner::this_process();
        let gone = |labels: Option<&HashMap<String, String>>| {
            labels.and_then(|labels| labels.get(OWNER)).is_some_and(|owner| me.outlived(owner))
        };
        self.remove_where(OWNER, gone).await;
    }

    /// Removes everything of this runner.
    pub(crate) async fn remove_own(&self) {
        self.remove_where(&format!("{RUNNER}={}", self.0.runner), |_| true).await;
    }

    /// Removes everything of a run; where the engine gives no answer, as soon as it does again.
    pub(super) async fn remove_room(&self, room: &str) {
        let label = format!("{ROOM}={room}");
        if self.remove_where(&label, |_| true).await {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            for _ in 0..REMOVALS_MAX {
                tokio::time::sleep(REMOVE_AGAIN).await;
                if engine.remove_where(&label, |_| true).await {
                    return;
                }
            }
        });
    }

    /// Removes containers and networks of a label; `false`: the engine gives no answer.
    async fn remove_where(&self, label: &str, wanted: impl Fn(Option<&HashMap<String, String>>) -> bool) -> bool {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        match self.api().list_containers(Some(options)).await {
            Ok(containers) => {
                let ids = containers.into_iter().filter(|one| wanted(one.labels.as_ref())).filter_map(|one| one.id);
                let removals: Vec<_> = ids.map(|id| async move { self.remove_container(&id).await }).collect();
                futures_util::future::join_all(removals).await;
            }
            Err(error) => {
                tracing::warn!(%error, "containers of jobs cannot be listed");
                return false;
            }
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        match self.api().list_networks(Some(options)).await {
            Ok(networks) => {
                for id in networks.into_iter().filter(|one| wanted(one.labels.as_ref())).filter_map(|one| one.id) {
                    if let Err(error) = gone_is_fine(self.api().remove_network(&id).await) {
                        tracing::warn!(%error, "a job's network stays");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "networks of jobs cannot be listed");
                return false;
            }
        }
        true
    }

    /// Kills and removes a container with its unnamed volumes.
    pub(super) async fn remove_container(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        if let Err(error) = gone_is_fine(self.api().remove_container(id, Some(options)).await) {
            tracing::warn!(%error, "a job's container stays");
        }
    }
}

/// Whether the engine is there, and refuses.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. })
}

fn gone_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        // 404: it is gone; 409: its removal is under way.
        Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        other => other,
    }
}

/// What the engine said, in bounded length.
pub(super) fn words(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        other => other.to_string(),
    };
    text.trim().chars().take(WORDS_MAX).collect()
}
