//! Delivery: environments with their nodes behind the gateway, and the rollouts that change them.
//!
//! The rollout machine decides; its newest record describes what every node shall run and get. One reconciler for each
//! environment makes the world so, again and again, and tells the machine what it sees.

mod action;
mod back;
mod calendar;
mod chinese;
pub mod command;
mod departed;
mod judging;
mod platforms;
mod reconcile;
mod routes;
mod spec;
mod state;
mod terms;
pub mod view;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serin_gateway::GatewayCommand;
use serin_model::service::Config;
use serin_model::{CommitId, Digest};
use serin_platform::{Platform, SupervisorCommand};
use serin_rollout::{Event, Milestone};
use serin_store::delivery as rows;
use serin_store::pipeline::Pipeline;
use serin_store::release as releases;
use tokio::sync::Notify;

pub use action::carry_out;
pub use platforms::Platforms;
pub use state::step;

use crate::App;
use crate::error::{Error, Kind, Result};
use crate::pipeline::create::SERVICE_FILE;
use crate::settings::Settings;

/// What delivery holds while the server runs.
pub struct Delivery {
    platform: Arc<dyn Platform>,
    routes: routes::Gateway,
    watched: Mutex<HashMap<i64, Arc<Watched>>>,
}

/// An environment that has a reconciler.
#[derive(Default)]
struct Watched {
    /// Wakes its reconciler.
    wake: Notify,
    /// Held while its rollout is read, stepped and kept.
    step: tokio::sync::Mutex<()>,
    /// Held by its only reconciler.
    reconciler: tokio::sync::Mutex<()>,
    /// What was seen last, for pages.
    seen: Mutex<reconcile::Seen>,
}

impl Delivery {
    /// Adopts the nodes that run.
    ///
    /// # Errors
    /// Where the platform's folder cannot be used.
    pub async fn new(settings: &Settings) -> Result<Self> {
        let supervisor =
            SupervisorCommand { program: settings.program.clone(), args: vec!["node-supervisor".to_owned()] };
        let platform = Platforms::new(settings.nodes(), supervisor, &settings.docker)?;
        let command = GatewayCommand { program: settings.program.clone(), arguments: vec!["gateway".to_owned()] };
        let routes = routes::Gateway::new(command, settings.gateway());
        Ok(Self { platform: Arc::new(platform), routes, watched: Mutex::default() })
    }

    fn watched(&self, environment_id: i64) -> Arc<Watched> {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(environment_id).or_default())
    }

    /// Wakes an environment's reconciler.
    pub fn wake(&self, environment_id: i64) {
        self.watched(environment_id).wake.notify_one();
    }
}

/// Starts a reconciler for every environment.
///
/// # Errors
/// Where the database fails.
pub async fn start(app: &Arc<App>) -> Result<()> {
    let environments = rows::environment_list(&mut *app.store.read().await?, None).await?;
    for environment in environments {
        app.in_background(reconcile::run(Arc::clone(app), environment.id));
    }
    Ok(())
}

/// What a commit's `serin.yml` says.
///
/// # Errors
/// Where there is none, or it has errors; they are drawn.
pub async fn service_config(app: &App, project_id: i64, commit: &CommitId) -> Result<Config> {
    let repository = app.repository(project_id)?;
    let bytes = repository.git.read_file(commit, SERVICE_FILE, serin_model::limit::CONFIG_BYTES_MAX as u64).await?;
    let bytes = bytes.ok_or_else(|| {
        Error::invalid(format!("commit {} has no `{SERVICE_FILE}`", commit.short()))
            .hint("it says what the service is and how it is released; see docs/serin-yml.md")
    })?;
    let file = serin_lang::SourceFile::new(SERVICE_FILE, bytes);
    let (config, diagnostics) = serin_lang::service::parse(&file);
    config.ok_or_else(|| Error::invalid(serin_lang::render(&diagnostics, &[file], serin_lang::Color::Plain)))
}

/// What a project's people must know of a pipeline's end: a canary that waits for tests which failed turns back.
///
/// # Errors
/// Where the database fails.
pub async fn pipeline_finished(app: &Arc<App>, pipeline_id: i64) -> Result<()> {
    let rollouts = rows::rollout_of_pipeline(&mut *app.store.read().await?, pipeline_id).await?;
    for row in rollouts.into_iter().filter(|row| row.current && row.finished_at.is_none()) {
        let rollout = state::decode(&row)?;
        let waits = matches!(rollout.phase, serin_rollout::Phase::Detaching | serin_rollout::Phase::Verifying);
        if waits {
            let reason = format!("pipeline #{pipeline_id} ended before the canary began");
            let event = Event::VerificationFailed { reason };
            // Refused where it has moved on meanwhile.
            if let Err(error) = step(app, row.environment_id, event).await {
                tracing::debug!(rollout = row.id, %error, "verification's failure not taken");
            }
        }
    }
    Ok(())
}

/// The nodes that a pipeline deployed to last.
pub struct Targets {
    rollout_id: i64,
    /// Their addresses.
    pub nodes: Vec<SocketAddr>,
    environment: String,
}

impl Targets {
    /// `SERIN_TARGET_URLS` and `SERIN_ENVIRONMENT` of a job. That the job runs against them is noted, so that its tests
    /// stand beside the rollout.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn variables(self, app: &App, job_id: i64) -> Result<Vec<serin_model::plan::Variable>> {
        let urls: Vec<String> = self.nodes.iter().map(|address| format!("http://{address}")).collect();
        if !urls.is_empty() {
            let mut tx = app.store.begin().await?;
            rows::rollout_test_add(&mut tx, self.rollout_id, job_id).await?;
            tx.commit().await?;
        }
        Ok(vec![
            serin_model::plan::Variable::plain(serin_runner::TARGETS, urls.join(" ")),
            serin_model::plan::Variable::plain("SERIN_ENVIRONMENT", self.environment),
        ])
    }
}

/// The nodes that a pipeline deployed to last; `None`: it deployed nothing.
///
/// # Errors
/// Where the database fails.
pub async fn targets(app: &App, pipeline: &Pipeline) -> Result<Option<Targets>> {
    let rollouts = rows::rollout_of_pipeline(&mut *app.store.read().await?, pipeline.id).await?;
    let Some(row) = rollouts.last() else { return Ok(None) };
    let rollout = state::decode(row)?;
    let milestones: Vec<Milestone> = serde_json::from_str(&row.milestones)?;
    let detached = milestones.into_iter().find_map(|milestone| match milestone {
        Milestone::Detached { nodes } => Some(nodes),
        _ => None,
    });
    let nodes = detached.unwrap_or_else(|| rollout.canary_nodes());
    let environment = rows::environment_get(&mut *app.store.read().await?, row.environment_id).await?;
    let Some(environment) = environment else { return Ok(None) };
    let observed = app.delivery.platform.observe(&state::key(&environment)).await?;
    let addresses = observed.iter().filter(|seen| nodes.contains(&seen.key.node)).filter_map(|seen| seen.address);
    Ok(Some(Targets { rollout_id: row.id, nodes: addresses.collect(), environment: environment.name }))
}

/// The release of a digest, with the service that it was packaged with.
async fn release(
    app: &App,
    project_id: i64,
    digest: &Digest,
) -> Result<(releases::Release, serin_model::service::Service)> {
    let found = releases::release_of_digest(&mut *app.store.read().await?, project_id, &digest.0).await?;
    let release = found.ok_or_else(|| Error::new(Kind::Internal, format!("release {digest} is not known")))?;
    let service = crate::pipeline::record::decode(&release.service)?;
    Ok((release, service))
}

/// The last lines of a node's log.
///
/// # Errors
/// Where there is no such node.
pub async fn node_logs(app: &App, environment: &rows::Environment, (node, most): (&str, usize)) -> Result<Vec<String>> {
    let key = serin_platform::NodeKey { environment: state::key(environment), node: node.into() };
    let lines = app.delivery.platform.logs(&key, most).await;
    lines.map_err(|error| Error::new(Kind::NotFound, error.to_string()))
}
