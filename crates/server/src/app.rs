//! Everything that a running server holds, and its start and stop.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serin_git::Repository;
use serin_image::Logins;
use serin_objects::Objects;
use serin_runner::Containers;
use serin_store::Store;
use serin_store::account::{self, Account};
use tokio::task::JoinHandle;

use crate::action::Turns;
use crate::clock::now;
use crate::delivery::Delivery;
use crate::error::{Error, Kind, Result};
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::pipeline::Pipelines;
use crate::queue::{Queue, Resources};
use crate::runner::Holders;
use crate::settings::Settings;
use crate::{auth, outbox, pipeline, refs, runner};

/// A running server; one for each data folder.
pub struct App {
    /// What it was told at its start.
    pub settings: Settings,
    /// The database.
    pub store: Store,
    /// Traces, artifacts, releases.
    pub objects: Objects,
    /// Tells pages what changed.
    pub hub: Hub,
    /// Pipelines under way.
    pub pipelines: Pipelines,
    /// Jobs that wait for a runner.
    pub queue: Queue,
    /// Who holds which resource group.
    pub resources: Resources,
    /// Who carries out which job.
    pub holders: Holders,
    /// The worker of tasks.
    pub outbox: Outbox,
    /// Wakes who asks SonarQube how analyses ended.
    pub analyses: tokio::sync::Notify,
    /// Containers of jobs.
    pub containers: Containers,
    /// The server's own logins at registries, for what is pulled.
    pub logins: Logins,
    /// Whose turn it is to package a tree.
    pub packaging: Turns,
    /// Environments, nodes, gateway, rollouts.
    pub delivery: Delivery,
    url: OnceLock<String>,
    repositories: Mutex<HashMap<i64, Arc<ProjectRepository>>>,
    background: Mutex<Vec<JoinHandle<()>>>,
    _lock: fs::File,
}

/// A project's repository and the lock under which its refs change.
pub struct ProjectRepository {
    /// The repository.
    pub git: Repository,
    /// Held while refs are compared and changed.
    pub refs: tokio::sync::Mutex<()>,
}

/// What the first start of a data folder made, for the person at the terminal.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The administrator's login name.
    pub username: String,
    /// Path and query of a link that logs in once.
    pub login_path: String,
    /// A token for API and Git.
    pub token: String,
}

impl App {
    /// Opens the data folder and starts all that works in the background.
    ///
    /// # Errors
    /// Where another server uses the folder, or a part cannot be opened.
    pub async fn start(settings: Settings) -> Result<(Arc<Self>, Option<FirstStart>)> {
        let lock = claim_folder(&settings)?;
        remove_left(&settings);
        let store = Store::open(&settings.database()).await.map_err(|error| Error::internal("database", &error))?;
        let objects = Objects::open(settings.objects())?;
        let delivery = Delivery::new(&settings).await?;
        let logins = Logins::of_environment().map_err(Error::invalid)?;
        let containers = Containers::new(settings.containers).with_logins(logins.clone());
        let app = Arc::new(Self {
            settings,
            store,
            objects,
            hub: Hub::default(),
            pipelines: Pipelines::default(),
            queue: Queue::default(),
            resources: Resources::default(),
            holders: Holders::default(),
            outbox: Outbox::default(),
            analyses: tokio::sync::Notify::new(),
            containers,
            logins,
            packaging: Turns::default(),
            delivery,
            url: OnceLock::new(),
            repositories: Mutex::default(),
            background: Mutex::default(),
            _lock: lock,
        });
        let first = first_start(&app).await?;
        Ok((app, first))
    }

    /// Begins to work, once the address is known that jobs and people use.
    ///
    /// # Errors
    /// Where what was under way cannot be taken up.
    pub async fn run(self: &Arc<Self>, url: String) -> Result<()> {
        // The first address stays; there is only one call.
        let _ = self.url.set(self.settings.url.clone().unwrap_or(url));
        refs::compare_all(self).await?;
        pipeline::resume(self).await?;
        let containers = self.containers.clone();
        self.in_background(async move { containers.sweep().await });
        self.in_background(outbox::work(Arc::clone(self)));
        self.in_background(pipeline::watch_clock(Arc::clone(self)));
        self.in_background(crate::quality::sonarqube::analysis::work(Arc::clone(self)));
        self.in_background(runner::work(Arc::clone(self)));
        crate::delivery::start(self).await
    }

    /// Ends what works in the background. Nodes and gateway go on; jobs end with their guards and are lost runs to the
    /// next start, which runs them again.
    pub async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
        self.containers.end().await;
        self.store.close().await;
    }

    /// Runs something until the server stops.
    pub fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(work);
        let mut tasks = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// The address of the server, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.get().map_or("http://localhost", String::as_str).trim_end_matches('/')
    }

    /// A project's repository.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn repository(&self, project_id: i64) -> Result<Arc<ProjectRepository>> {
        let mut open = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repository) = open.get(&project_id) {
            return Ok(Arc::clone(repository));
        }
        let git = Repository::open(self.settings.repositories().join(format!("{project_id}.git")))?;
        let repository = Arc::new(ProjectRepository { git, refs: tokio::sync::Mutex::default() });
        open.insert(project_id, Arc::clone(&repository));
        Ok(repository)
    }
}

fn claim_folder(settings: &Settings) -> Result<fs::File> {
    for folder in [
        settings.data.clone(),
        settings.repositories(),
        settings.objects(),
        settings.builds(),
        settings.nodes(),
        settings.gateway(),
    ] {
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    }
    let lock = fs::File::create(settings.data.join("serin.lock"))?;
    lock.try_lock().map_err(|_| {
        Error::new(Kind::Conflict, format!("another server uses the data folder `{}`", settings.data.display()))
            .hint("stop it, or give another folder with `--data`")
    })?;
    Ok(lock)
}

/// Removes in the background what a killed server left of packages under way; new ones have other names.
fn remove_left(settings: &Settings) {
    let entries = fs::read_dir(settings.builds()).into_iter().flatten().flatten();
    let is_package = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("package-");
    let left: Vec<_> = entries.filter(is_package).map(|entry| entry.path()).collect();
    tokio::task::spawn_blocking(move || {
        for path in left {
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "folder not removed");
            }
        }
    });
}

async fn first_start(app: &App) -> Result<Option<FirstStart>> {
    if account::account_first_admin(&mut *app.store.read().await?).await?.is_some() {
        return Ok(None);
    }
    let admin = Account {
        id: 0,
        username: "admin".into(),
        name: "Administrator".into(),
        email: "admin@localhost".into(),
        password_hash: None,
        admin: true,
        created_at: now().0,
    };
    let mut tx = app.store.begin().await?;
    let id = account::account_create(&mut tx, &admin).await?;
    tx.commit().await?;
    let token = auth::token_create(app, id, auth::Terms { name: "first start", ..auth::Terms::default() }).await?;
    let link = auth::login_link_create(app, id).await?;
    Ok(Some(FirstStart { username: admin.username, login_path: format!("/login?link={link}"), token }))
}
