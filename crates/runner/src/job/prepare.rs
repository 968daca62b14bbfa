//! What comes before the script: folders, sources, caches, artifacts of earlier jobs.

use serin_model::plan::Variable;
use serin_objects::archive::{self, Limits};
use tokio::time::Instant;

use super::{Halt, Job, blocking};
use crate::cache;
use crate::environment::Environment;
use crate::executor::Executor;
use crate::executor::docker::{TARGETS, Trouble};
use crate::process::Stop;
use crate::request::{Dependency, JobRequest, Source};
use crate::workspace::{self, Checkout, Strategy, Workspace};

/// Makes the folders of the run, and the job's environment with the runner's own variables.
pub(super) async fn folders_and_environment(
    request: &JobRequest,
    workspace: &Workspace,
    executor: &Executor,
) -> Result<Environment, String> {
    let raw = |key: &str, path: &std::path::Path| Variable {
        raw: true,
        ..Variable::plain(key, path.to_string_lossy().into_owned())
    };
    let places = executor.places(&request.builds_dir, workspace);
    let mut variables: Vec<Variable> = places.temporary.iter().map(|folder| raw("TMPDIR", folder)).collect();
    variables.extend(request.variables.iter().cloned());
    variables.push(raw("CI_BUILDS_DIR", &places.builds));
    variables.push(raw("CI_PROJECT_DIR", &places.project));
    let kind = match executor {
        Executor::Shell { .. } => "CI_SHARED_ENVIRONMENT",
        Executor::Docker(_) => "CI_DISPOSABLE_ENVIRONMENT",
    };
    variables.push(Variable::plain(kind, "true"));
    let strategy = Strategy::parse(strategy_word(&request.variables))?;
    let (workspace, host) = (workspace.clone(), executor.host(&request.host));
    let in_slot = matches!(request.source, Source::Slot(_));
    blocking(move || {
        if in_slot { workspace.make_in_slot(strategy) } else { workspace.make(strategy) }?;
        let files = workspace.variables();
        Environment::new(&host, &variables, (&files, &places.variables))
            .map_err(|error| format!("cannot write file variables to `{}`: {error}", files.display()))
    })
    .await?
}

/// Where the job works.
pub(super) fn workspace(request: &JobRequest) -> Workspace {
    match request.source {
        Source::Slot(_) => {
            // A word that is none fails the job in a moment.
            let strategy = Strategy::parse(strategy_word(&request.variables)).unwrap_or(Strategy::Empty);
            Workspace::of_slot(&request.builds_dir, strategy)
        }
        _ => Workspace::below(&request.builds_dir),
    }
}

/// `GIT_STRATEGY`, which is needed before there is a folder for file variables.
fn strategy_word(variables: &[Variable]) -> Option<&str> {
    variables.iter().rev().find(|variable| variable.key == "GIT_STRATEGY").map(|variable| variable.value.trim())
}

impl Job<'_> {
    pub(super) async fn prepare(&mut self) -> Result<(), Halt> {
        self.prepare_executor().await?;
        self.say_environment().await;
        self.get_sources().await?;
        self.still_wanted()?;
        self.restore_caches().await?;
        self.still_wanted()?;
        self.unpack_dependencies().await?;
        self.still_wanted()
    }

    fn still_wanted(&self) -> Result<(), Halt> {
        if self.cancel.is_cancelled() {
            return Err(Halt::Canceled);
        }
        if Instant::now() >= self.deadline { Err(Halt::TimedOut) } else { Ok(()) }
    }

    async fn prepare_executor(&mut self) -> Result<(), Halt> {
        let title = match &self.executor {
            Executor::Shell { .. } => "Preparing the \"shell\" executor",
            Executor::Docker(_) => "Preparing the \"docker\" executor",
        };
        self.trace.section("prepare_executor", title).await;
        let result = match self.prepare_containers().await {
            Err(Trouble::Missing(reason)) if self.request.containers.falls_back() => self.fall_back(&reason).await,
            result => result.map_err(Halt::from),
        };
        if result.is_ok() {
            self.say_shell().await;
        }
        self.trace.section_end("prepare_executor").await;
        result
    }

    async fn prepare_containers(&mut self) -> Result<(), Trouble> {
        let Executor::Docker(room) = &mut self.executor else { return Ok(()) };
        let image = self.request.script.image.as_ref().map(|image| self.environment.expand(&image.name));
        let words = "the job names it, and a Docker Engine answers";
        self.trace.line(&format!("Using Docker executor with image {}: {words}", image.unwrap_or_default())).await;
        let stop = Stop { deadline: self.deadline, cancel: &self.cancel };
        room.prepare(&self.environment, &stop, &mut self.trace).await?;
        if let Some(urls) = self.environment.get(TARGETS).map(|urls| room.led(urls)) {
            self.environment.set(TARGETS, &urls);
        }
        Ok(())
    }

    /// Goes on in a shell of this machine.
    async fn fall_back(&mut self, reason: &str) -> Result<(), Halt> {
        self.trace.warning(&format!("{reason}; the job runs in a shell of this machine")).await;
        self.executor.close().await;
        self.executor = Executor::shell(&self.request.host, "it cannot be had").map_err(Halt::System)?;
        let environment = folders_and_environment(&self.request, &self.workspace, &self.executor);
        self.environment = environment.await.map_err(Halt::System)?;
        Ok(())
    }

    /// Says that a shell of this machine is used, and what of the job's wishes is not.
    async fn say_shell(&mut self) {
        let Executor::Shell { shell, why } = &self.executor else { return };
        self.trace.line(&format!("Using Shell ({}) executor...", shell.name())).await;
        if let Some(image) = &self.request.script.image {
            let name = self.environment.expand(&image.name);
            let words = format!("Image {name} is not used: the shell executor runs on this machine ({why}).");
            self.trace.line(&words).await;
        }
        if !self.request.script.services.is_empty() {
            self.trace.warning("services are not started: the shell executor has no containers").await;
        }
    }

    async fn say_environment(&mut self) {
        self.trace.section("prepare_script", "Preparing environment").await;
        let host = nix::unistd::gethostname().unwrap_or_default();
        self.trace.line(&format!("Running on {}...", host.to_string_lossy())).await;
        self.trace.section_end("prepare_script").await;
    }

    async fn get_sources(&mut self) -> Result<(), Halt> {
        self.trace.section("get_sources", "Getting source from Git repository").await;
        let mut result = self.hook_and_sources().await;
        if let (Ok(()), Executor::Docker(room)) = (&result, &mut self.executor) {
            result = room.share_objects().map_err(Halt::System);
        }
        self.trace.section_end("get_sources").await;
        result
    }

    async fn hook_and_sources(&mut self) -> Result<(), Halt> {
        let hooks = self.request.script.pre_get_sources_script.clone();
        if !hooks.is_empty() {
            let (deadline, cancel) = (self.deadline, self.cancel.clone());
            self.shell("pre-get-sources", &hooks, (deadline, &cancel)).await?;
            self.empty_after_hook().await?;
        }
        let strategy = Strategy::parse(strategy_word(&self.request.variables)).map_err(Halt::System)?;
        match strategy {
            Strategy::Fresh => self.fresh_sources().await?,
            Strategy::None => self.trace.line("Skipping Git repository setup").await,
            Strategy::Empty => self.trace.line("Skipping Git repository setup: the folder is empty").await,
        }
        Ok(())
    }

    /// What ran in a container may have left links that must not lead this machine's own work astray.
    async fn empty_after_hook(&self) -> Result<(), Halt> {
        if let Executor::Shell { .. } = self.executor {
            return Ok(());
        }
        let workspace = self.workspace.clone();
        let emptied = blocking(move || workspace.empty_project()).await.map_err(Halt::System)?;
        emptied.map_err(|error| Halt::System(format!("cannot empty the project folder: {error}")))
    }

    async fn fresh_sources(&mut self) -> Result<(), Halt> {
        match self.request.source.clone() {
            Source::LocalRepository { git_dir, commit, ref_name } => {
                let words = format!("Checking out {} as detached HEAD (ref is {ref_name})...", commit.short());
                self.trace.line(&words).await;
                let remote = self.environment.get("CI_REPOSITORY_URL").filter(|url| !url.is_empty());
                let remote = remote.map_or_else(|| git_dir.display().to_string(), str::to_owned);
                let checkout = Checkout { git_dir, commit, remote, host: self.request.host.clone() };
                workspace::check_out(&self.workspace, &checkout).await.map_err(Halt::System)
            }
            Source::WorkingTree { folder } => {
                self.trace.line(&format!("Copying the work tree {}...", folder.display())).await;
                let copied = workspace::copy_work_tree(&self.workspace, &folder, &self.request.host).await;
                copied.map(drop).map_err(Halt::System)
            }
            Source::Slot(slot) => {
                self.trace.line("Copying the work tree...").await;
                let project = self.workspace.project.clone();
                let restored = blocking(move || slot.restore(&project)).await.map_err(Halt::System)?;
                restored.map_err(|error| Halt::System(format!("cannot copy the work tree: {error}")))
            }
            Source::None => {
                self.trace.line("The job has no repository").await;
                Ok(())
            }
        }
    }

    async fn restore_caches(&mut self) -> Result<(), Halt> {
        let Some(folder) = self.request.caches_dir.clone() else { return Ok(()) };
        if self.request.script.caches.is_empty() {
            return Ok(());
        }
        self.trace.section("restore_cache", "Restoring cache").await;
        for cache in self.request.script.caches.clone() {
            let resolved = cache::resolve(&cache, &self.workspace.project, |text| self.environment.expand(text));
            let resolved = match resolved {
                Ok(resolved) if resolved.policy.pulls() => resolved,
                Ok(_) => continue,
                Err(message) => {
                    self.trace.warning(&message).await;
                    continue;
                }
            };
            let (folder, project) = (folder.clone(), self.workspace.project.clone());
            self.trace.line(&format!("Checking cache for {}...", resolved.key)).await;
            match blocking(move || cache::restore(&folder, &resolved, &project)).await.flatten() {
                Ok(Some(key)) => self.trace.line(&format!("Successfully extracted cache {key}")).await,
                Ok(None) => self.trace.line("There is no such cache yet").await,
                Err(message) => self.trace.warning(&format!("the cache could not be extracted: {message}")).await,
            }
        }
        self.trace.section_end("restore_cache").await;
        Ok(())
    }

    async fn unpack_dependencies(&mut self) -> Result<(), Halt> {
        if self.request.dependencies.is_empty() {
            return Ok(());
        }
        self.trace.section("download_artifacts", "Downloading artifacts").await;
        let result = self.unpack_each_dependency().await;
        self.trace.section_end("download_artifacts").await;
        result
    }

    async fn unpack_each_dependency(&mut self) -> Result<(), Halt> {
        for Dependency { job_id, name, archive } in self.request.dependencies.clone() {
            self.trace.line(&format!("Downloading artifacts for {name} ({job_id})...")).await;
            if !archive.is_file() {
                let message = format!("the artifacts of `{name}` ({job_id}) are gone; run that job again");
                return Err(Halt::MissingDependency(message));
            }
            let project = self.workspace.project.clone();
            let unpacked = blocking(move || archive::unpack(&archive, &project, Limits::default())).await;
            match unpacked.map_err(Halt::System)? {
                Ok(unpacked) => {
                    for link in &unpacked.left_out {
                        self.trace.warning(&format!("{link}: left out, a link that leads out of the project")).await;
                    }
                }
                Err(error) => return Err(Halt::System(format!("the artifacts of `{name}` ({job_id}): {error}"))),
            }
        }
        Ok(())
    }
}
