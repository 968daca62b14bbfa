//! The Docker executor: each script of a job runs in a fresh container of the job's image, beside its services, in a
//! network that this job alone has.
//!
//! Invariants: a container is never privileged, gains no privileges, and sees of this machine only the job's project
//! folder, its file variables, and, to read, its scripts and the repository's objects. The engine's socket is nowhere in
//! it. Whatever the job writes is handled on this machine without following links, after its containers are gone.

mod container;
mod engine;
mod owner;
mod relay;
mod script;
mod service;
mod user;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use serin_image::{ImageName, Logins, name};
use serin_model::plan;
use tokio::time::{sleep_until, timeout};
use tokio_util::task::TaskTracker;

pub(crate) use engine::Engine;

use super::{ContainerLimits, Places};
use crate::environment::Environment;
use crate::process::{Ending, Stop};
use crate::request::JobRequest;
use crate::trace::Trace;
use crate::workspace::Workspace;
use container::{Log, Plan, Shared};
use engine::{Image, PullPolicy, words};
use relay::Relays;

/// What jobs see below here is the same on every machine.
const BUILDS: &str = "/builds";
/// `CI_PROJECT_DIR` of every job in a container.
pub const PROJECT: &str = "/builds/project";
const VARIABLES: &str = "/builds/project.tmp/variables";
const SCRIPTS: &str = "/builds/project.tmp/scripts";
const OBJECTS: &str = "/builds/project.tmp/objects";
/// The variable with logins at registries (GitLab, "Access an image from a private container registry").
const LOGINS: &str = "DOCKER_AUTH_CONFIG";
/// The variable with the addresses of the nodes that a job is to test.
pub const TARGETS: &str = "SERIN_TARGET_URLS";
/// Time that the end of a job waits for what the engine was asked for.
const REQUEST_GRACE: Duration = Duration::from_secs(30);
/// Services of one job.
const SERVICES_MAX: usize = 20;

/// Where a job in a container sees what the runner made for it.
pub(super) fn places() -> Places {
    Places { builds: BUILDS.into(), project: PROJECT.into(), variables: VARIABLES.into(), temporary: None }
}

/// The containers of one run of a job.
pub(crate) struct Room {
    engine: Engine,
    name: String,
    job: String,
    limits: ContainerLimits,
    logins: Logins,
    /// The variable with logins that the job brings with it, as it was written.
    own_logins: Option<plan::Variable>,
    workspace: Workspace,
    image: plan::Image,
    services: Vec<plan::Image>,
    targets: Vec<SocketAddr>,
    relays: Relays,
    ready: Option<Ready>,
    /// The repository's objects, where the checkout borrows some.
    objects: Option<PathBuf>,
    /// Requests that make something: one that nobody waits for any more is carried out by the engine all the same.
    requests: TaskTracker,
    open: bool,
}

/// What [`Room::prepare`] made.
#[derive(Clone, Debug)]
struct Ready {
    image: Image,
    user: Option<String>,
    network: String,
    /// Number of the user and group that the scripts run as, as far as it is not root's.
    owner: Option<(u32, u32)>,
}

/// Why a room cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// An image cannot be had.
    Missing(String),
    Failed(String),
    Canceled,
    TimedOut,
}

impl Room {
    pub(super) fn new(engine: Engine, request: &JobRequest, workspace: &Workspace) -> Self {
        Self {
            name: engine.new_room(),
            job: request.name.clone(),
            engine,
            limits: request.containers.limits(),
            logins: request.containers.logins().clone(),
            own_logins: request.variables.iter().rev().find(|variable| variable.key == LOGINS).cloned(),
            workspace: workspace.clone(),
            image: request.script.image.clone().unwrap_or_default(),
            services: request.script.services.clone(),
            targets: request.targets.clone(),
            relays: Relays::default(),
            ready: None,
            objects: None,
            requests: TaskTracker::new(),
            open: false,
        }
    }

    /// Gets the images and starts the services.
    pub(crate) async fn prepare(
        &mut self,
        environment: &Environment,
        stop: &Stop<'_>,
        trace: &mut Trace<'_>,
    ) -> Result<(), Trouble> {
        if self.services.len() > SERVICES_MAX {
            return Err(Trouble::Failed(format!("more than {SERVICES_MAX} services")));
        }
        self.logins = self.own_logins(environment)?.or(&self.logins);
        let wish = self.image.clone();
        let (image, user) = self.image(&wish, environment, (stop, &mut *trace)).await?;
        let mut services = Vec::new();
        for service in self.services.clone() {
            services.push((self.image(&service, environment, (stop, &mut *trace)).await?, service));
        }
        self.open = true;
        let network = until(stop, self.make_network()).await?.map_err(Trouble::Failed)?;
        self.lead_to_targets(&network, trace).await;
        let effective = user.clone().unwrap_or_else(|| image.user.clone());
        let owner = until(stop, user::number(self, &image, &effective)).await?.map_err(Trouble::Failed)?;
        self.ready = Some(Ready { image, user, network: network.clone(), owner });
        service::start(self, (services, &network), environment, (stop, trace)).await
    }

    /// The logins that the job brings with it.
    fn own_logins(&self, environment: &Environment) -> Result<Logins, Trouble> {
        let text = match &self.own_logins {
            Some(variable) if variable.file => variable.value.as_str(),
            _ => environment.get(LOGINS).unwrap_or_default(),
        };
        if text.trim().is_empty() {
            return Ok(Logins::default());
        }
        let wrong = |reason| Trouble::Failed(format!("the variable `{LOGINS}` is not understood: {reason}"));
        Logins::parse(text).map_err(wrong)
    }

    /// An image that a job or service names, and the user that it names.
    async fn image(
        &self,
        wish: &plan::Image,
        environment: &Environment,
        (stop, trace): (&Stop<'_>, &mut Trace<'_>),
    ) -> Result<(Image, Option<String>), Trouble> {
        let expand = |text: &String| environment.expand(text);
        let user = wish.user.as_ref().map(expand).filter(|user| !user.is_empty());
        let platform = wish.platform.as_ref().map(expand).filter(|platform| !platform.is_empty());
        user.as_deref().map_or(Ok(()), name::check_user).map_err(Trouble::Failed)?;
        platform.as_deref().map_or(Ok(()), name::check_platform).map_err(Trouble::Failed)?;
        let name = ImageName::parse(&environment.expand(&wish.name)).map_err(Trouble::Missing)?;
        let policies: Vec<String> = wish.pull_policy.iter().map(expand).collect();
        let policies = PullPolicy::parse(&policies).map_err(Trouble::Failed)?;
        let image =
            until(stop, self.engine.image(&name, (&policies, platform.as_deref()), self.logins.of(&name))).await?;
        let image = image?;
        trace.line(&format!("Using docker image {} for {} ...", image.id, name.whole)).await;
        Ok((image, user))
    }

    async fn make_network(&self) -> Result<String, String> {
        let request = NetworkCreateRequest {
            name: format!("serin-job-{}", self.name),
            driver: Some("bridge".to_owned()),
            labels: Some(self.labels()),
            ..NetworkCreateRequest::default()
        };
        let engine = self.engine.clone();
        let made = self.request(async move { engine.api().create_network(request).await.map(|made| made.id) }).await;
        made.map_err(|reason| format!("cannot make the job's network: {reason}"))
    }

    /// Opens a way to the nodes that the job is to test; where there is none the job still runs, and its log says why.
    async fn lead_to_targets(&mut self, network: &str, trace: &mut Trace<'_>) {
        if self.targets.is_empty() {
            return;
        }
        let found = self.engine.api().inspect_network(network, None).await.map_err(|error| words(&error));
        let opened = match found {
            Ok(found) => Relays::open(&found, &self.targets).await,
            Err(reason) => Err(reason),
        };
        match opened {
            Ok(relays) => self.relays = relays,
            Err(reason) => {
                trace.warning(&format!("the job's container cannot be led to the nodes of {TARGETS}: {reason}")).await;
            }
        }
    }

    /// A list of addresses with those in place of the nodes that the job reaches them by.
    pub(crate) fn led(&self, urls: &str) -> String {
        let led = |url: &str| {
            let place = self.relays.places.iter().find(|(node, _)| url == format!("http://{node}"));
            place.map_or_else(|| url.to_owned(), |(_, place)| format!("http://{place}"))
        };
        urls.split(' ').map(led).collect::<Vec<_>>().join(" ")
    }

    fn labels(&self) -> HashMap<String, String> {
        self.engine.labels(&self.name, &self.job)
    }

    /// Makes and starts a container of this room.
    async fn start(&self, plan: Plan) -> Result<String, String> {
        let id = self.create(plan).await?;
        let started = self.engine.api().start_container(&id, None::<StartContainerOptions>).await;
        started.map_err(|error| words(&error))?;
        Ok(id)
    }

    async fn create(&self, plan: Plan) -> Result<String, String> {
        let options = CreateContainerOptionsBuilder::default();
        let options = options.name(&format!("serin-job-{}", self.engine.new_room())).build();
        let (engine, body) = (self.engine.clone(), plan.body(&self.limits));
        self.request(async move { engine.api().create_container(Some(options), body).await.map(|made| made.id) }).await
    }

    /// Has the engine make something, and knows of it until the answer is there, whoever still waits for it.
    async fn request<F>(&self, making: F) -> Result<String, String>
    where
        F: Future<Output = Result<String, bollard::errors::Error>> + Send + 'static,
    {
        let made = self.requests.spawn(making).await.map_err(|_| "the program is ending".to_owned())?;
        made.map_err(|error| words(&error))
    }

    /// Lets the checkout find the repository's objects where the containers see them; nothing of the job has run in
    /// the project folder yet.
    pub(crate) fn share_objects(&mut self) -> Result<(), String> {
        let file = self.workspace.project.join(".git/objects/info/alternates");
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(()) };
        let objects = PathBuf::from(text.lines().next().unwrap_or_default());
        let is_store = objects.file_name().is_some_and(|name| name == "objects") && objects.join("pack").is_dir();
        if !objects.is_absolute() || !is_store {
            return Ok(());
        }
        std::fs::write(&file, format!("{OBJECTS}\n"))
            .map_err(|error| format!("cannot write `{}`: {error}", file.display()))?;
        self.objects = Some(objects);
        Ok(())
    }

    /// Runs a script in a container of its own.
    pub(crate) async fn script(
        &mut self,
        (name, text): (&str, String),
        environment: &Environment,
        stop: Stop<'_>,
        trace: &mut Trace<'_>,
    ) -> Ending {
        let Some(ready) = self.ready.clone() else { return Ending::Failed("the job has no image".to_owned()) };
        let plan = match self.script_plan((name, text), &ready, environment) {
            Ok(plan) => plan,
            Err(message) => return Ending::Failed(message),
        };
        if let Err(message) = self.hand_over(&ready).await {
            return Ending::Failed(message);
        }
        let ending = script::run(self, plan, stop, trace).await;
        if let Err(message) = user::give_back(self, &ready).await {
            trace.warning(&message).await;
        }
        ending
    }

    fn script_plan(
        &self,
        (name, text): (&str, String),
        ready: &Ready,
        environment: &Environment,
    ) -> Result<Plan, String> {
        let folder = self.workspace.beside.join("scripts");
        let write = || {
            std::fs::create_dir_all(&folder)?;
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755))?;
            let file = folder.join(format!("{name}.sh"));
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644))
        };
        write().map_err(|error: std::io::Error| format!("cannot write to `{}`: {error}", folder.display()))?;
        let mut shared = vec![
            Shared::writable(&self.workspace.project, Path::new(PROJECT)),
            Shared::writable(&self.workspace.variables(), Path::new(VARIABLES)),
            Shared::read_only(&folder, Path::new(SCRIPTS)),
        ];
        shared.extend(self.objects.iter().map(|objects| Shared::read_only(objects, Path::new(OBJECTS))));
        let mut variables = entries(environment)?;
        variables.extend(user::git_trust(&variables));
        Ok(Plan {
            image: ready.image.id.clone(),
            entrypoint: self.image.entrypoint.clone(),
            command: Some(script::command(&format!("{SCRIPTS}/{name}.sh"))),
            environment: variables,
            user: ready.user.clone(),
            folder: Some(PROJECT.to_owned()),
            shared,
            log: Log::Nothing,
            network: Some((ready.network.clone(), vec!["build".to_owned()])),
            labels: self.labels(),
        })
    }

    /// Gives the files to the user of the scripts.
    async fn hand_over(&self, ready: &Ready) -> Result<(), String> {
        let Some(owner) = ready.owner else { return Ok(()) };
        let folders = [self.workspace.project.clone(), self.workspace.variables()];
        let work = move || folders.iter().try_for_each(|folder| user::hand_over(folder, owner));
        let done = tokio::task::spawn_blocking(work).await.map_err(|_| "the program is ending".to_owned())?;
        done.map_err(|error| format!("cannot give the job's files to its user: {error}"))
    }

    /// Removes all that the job has in the engine.
    pub(crate) async fn close(&mut self) {
        self.relays = Relays::default();
        if std::mem::take(&mut self.open) {
            clear(self.engine.clone(), self.requests.clone(), &self.name).await;
        }
    }
}

/// Removes what a room has in the engine, after what it asked for and did not wait for.
async fn clear(engine: Engine, requests: TaskTracker, room: &str) {
    requests.close();
    if timeout(REQUEST_GRACE, requests.wait()).await.is_err() {
        tracing::warn!("the engine has not answered yet what a job asked it for");
    }
    engine.remove_room(room).await;
}

impl Drop for Room {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if std::mem::take(&mut self.open) {
            let (engine, requests, name) = (self.engine.clone(), self.requests.clone(), self.name.clone());
            runtime.spawn(async move { clear(engine, requests, &name).await });
        }
    }
}

/// The environment as the engine takes it.
fn entries(environment: &Environment) -> Result<Vec<String>, String> {
    let entry = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
    };
    Ok(environment.entries()?.into_iter().map(entry).collect())
}

/// Waits for something as long as the job is wanted.
async fn until<T>(stop: &Stop<'_>, work: impl Future<Output = T>) -> Result<T, Trouble> {
    tokio::select! {
        done = work => Ok(done),
        () = stop.cancel.cancelled() => Err(Trouble::Canceled),
        () = sleep_until(stop.deadline) => Err(Trouble::TimedOut),
    }
}
