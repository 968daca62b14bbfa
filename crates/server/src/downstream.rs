//! `trigger:` jobs: the server makes the downstream pipeline, and mirrors it where the job depends on it.
//!
//! The downstream pipeline's cause names job and attempt, so that a restarted server finds the one it made.

use std::sync::Arc;

use serin_engine::{Event, Outcome};
use serin_lang::SourceFile;
use serin_model::plan::{self, Trigger, Variable, Work};
use serin_model::{CommitId, FailureReason, Status};
use serin_objects::ArtifactName;
use serin_store::pipeline::{self as rows, Pipeline};
use serin_store::project::{self as projects, Project};
use tokio::sync::broadcast::error::RecvError;

use crate::App;
use crate::action::{belongings, claim, finish};
use crate::error::{Error, Result};
use crate::hub::Change;
use crate::pipeline::create::{self, Child, Inputs, NewPipeline, Source, Upstream};
use crate::pipeline::{self, predefined, record};
use crate::queue::Ticket;
use crate::refs::HEADS;
use crate::runner::{Stopper, attempt_key, keep_lease, trace_line};

/// Pipelines above a child pipeline, at most (GitLab: "nested child pipelines", two levels).
const DEPTH_MAX: usize = 2;
/// Downstream pipelines below one pipeline, at most (GitLab's limit of pipeline hierarchies).
const HIERARCHY_MAX: usize = 1_000;
/// Milliseconds after which a watched pipeline is looked at again, whatever was told.
const LOOK_AGAIN_MS: u64 = 5_000;

/// A trigger job under way.
struct Triggering<'a> {
    app: &'a Arc<App>,
    project: Project,
    pipeline: Pipeline,
    job: rows::Job,
    plan: plan::Job,
}

/// Claims a trigger job and carries it out.
pub fn start(app: &Arc<App>, ticket: Ticket) {
    let for_task = Arc::clone(app);
    app.in_background(async move {
        if let Err(error) = claim_and_run(&for_task, ticket).await {
            tracing::warn!(job = ticket.job, %error, "trigger job not carried out");
        }
    });
}

async fn claim_and_run(app: &Arc<App>, ticket: Ticket) -> Result<()> {
    let (job, stop) = claim(app, ticket).await?;
    let plan: plan::Job = record::decode(&job.plan)?;
    let Work::Trigger(trigger) = plan.work.clone() else {
        return Err(Error::invalid(format!("job `{}` is no trigger", job.name)));
    };
    let (project, pipeline) = belongings(app, &job).await?;
    let triggering = Triggering { app, project, pipeline, job, plan };
    let result = tokio::select! {
        result = triggering.carry_out(&trigger, &stop) => result,
        error = keep_lease(app, &triggering.job, &stop) => Err(error),
    };
    let (outcome, note) = match result {
        Ok(Status::Canceled) => (Outcome::Canceled, None),
        Ok(Status::Failed) => (failed(), Some("the downstream pipeline failed".to_owned())),
        Ok(_) => (Outcome::Success, None),
        Err(error) => (failed(), Some(error.to_string())),
    };
    if let Some(note) = &note {
        trace_line(app, &triggering.job, &format!("\x1b[31;1mERROR: {note}\x1b[0m")).await?;
    }
    finish(app, ticket, &triggering.job, (outcome, note.as_deref())).await
}

fn failed() -> Outcome {
    Outcome::Failed { reason: FailureReason::DownstreamFailure, exit_code: None }
}

impl Triggering<'_> {
    /// The status that the job ends with.
    async fn carry_out(&self, trigger: &Trigger, stop: &Stopper) -> Result<Status> {
        let mut changes = self.app.hub.listen();
        let downstream = self.make(trigger).await?;
        if let Some(problem) = &downstream.problem {
            let first = problem.lines().next().unwrap_or_default();
            return Err(Error::invalid(format!("downstream pipeline #{} could not be made: {first}", downstream.id)));
        }
        let href = format!("{}/{}/-/pipelines/{}", self.app.url(), self.path_of(&downstream).await?, downstream.id);
        trace_line(self.app, &self.job, &format!("downstream pipeline #{}: {href}", downstream.id)).await?;
        if trigger.strategy.is_none() {
            return Ok(Status::Success);
        }
        let mut told = false;
        loop {
            if let Some(status) = self.status_of(downstream.id).await?.filter(|status| status.is_final()) {
                trace_line(self.app, &self.job, &format!("it is {}", status.as_str())).await?;
                return Ok(status);
            }
            let again = std::time::Duration::from_millis(LOOK_AGAIN_MS);
            tokio::select! {
                () = stop.cancelled(), if !told => {
                    told = true;
                    pipeline::spawn(self.app, downstream.id, Event::Cancel);
                }
                () = changed(&mut changes, downstream.id) => {}
                () = tokio::time::sleep(again) => {}
            }
        }
    }

    async fn path_of(&self, downstream: &Pipeline) -> Result<String> {
        let project = projects::project_get(&mut *self.app.store.read().await?, downstream.project_id).await?;
        Ok(project.map_or_else(String::new, |project| project.path))
    }

    async fn status_of(&self, pipeline_id: i64) -> Result<Option<Status>> {
        let row = rows::pipeline_get(&mut *self.app.store.read().await?, pipeline_id).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("pipeline {pipeline_id}")))?;
        Ok(Status::parse(&row.status))
    }

    /// Makes the downstream pipeline, or finds the one that was made before.
    async fn make(&self, trigger: &Trigger) -> Result<Pipeline> {
        let cause = format!("trigger:{}:{}", self.job.id, self.job.attempt);
        if let Some(made) = rows::pipeline_of_cause(&mut *self.app.store.read().await?, &cause).await? {
            return Ok(made);
        }
        self.check_hierarchy().await?;
        let variables = self.forwarded(trigger).await?;
        let upstream = Upstream { job_id: self.job.id, variables, inputs: Inputs::default() };
        let new = match &trigger.project {
            Some(path) => self.of_project(path, trigger, (cause.clone(), upstream)).await?,
            None => self.of_files(trigger, (cause.clone(), upstream)).await?,
        };
        create::create(self.app, new).await?;
        let made = rows::pipeline_of_cause(&mut *self.app.store.read().await?, &cause).await?;
        made.ok_or_else(|| {
            Error::invalid("no job of the downstream pipeline's file is to run; its rules leave it empty")
        })
    }

    /// Refuses a hierarchy that never ends.
    async fn check_hierarchy(&self) -> Result<()> {
        let mut db = self.app.store.read().await?;
        let mut above = 0;
        let mut upstream = self.pipeline.upstream_job_id;
        while let Some(job_id) = upstream {
            above += 1;
            let job = rows::job_get(&mut db, job_id).await?;
            let Some(job) = job else { break };
            upstream = rows::pipeline_get(&mut db, job.pipeline_id).await?.and_then(|row| row.upstream_job_id);
            if above >= DEPTH_MAX {
                return Err(Error::invalid(format!("downstream pipelines nest at most {DEPTH_MAX} levels deep")));
            }
        }
        let made = rows::pipeline_count_downstream(&mut db, self.pipeline.id).await?;
        if usize::try_from(made).unwrap_or(usize::MAX) >= HIERARCHY_MAX {
            return Err(Error::invalid(format!("one pipeline makes at most {HIERARCHY_MAX} downstream pipelines")));
        }
        Ok(())
    }

    async fn forwarded(&self, trigger: &Trigger) -> Result<Vec<Variable>> {
        let context = create::context_of(self.app, &self.project, &self.pipeline).await?;
        let late = predefined::job_variables(self.app, &self.project, &self.pipeline, &self.job);
        let whole = record::shared_plan(&self.pipeline)?;
        serin_lang::child::forwarded((trigger, &self.plan), &whole, &context, &late)
            .map_err(|circle| Error::invalid(circle.to_string()))
    }

    async fn of_project(
        &self,
        path: &str,
        trigger: &Trigger,
        (cause, mut upstream): (String, Upstream),
    ) -> Result<NewPipeline> {
        let found = projects::project_by_path(&mut *self.app.store.read().await?, path).await?;
        let project = found.ok_or_else(|| Error::not_found(format!("project `{path}`")))?;
        let branch = trigger.branch.clone().unwrap_or_else(|| project.default_branch.clone());
        let repository = self.app.repository(project.id)?;
        let commit = repository.git.resolve(&format!("{HEADS}{branch}")).await?;
        let commit = commit.ok_or_else(|| Error::not_found(format!("branch `{branch}` of project `{path}`")))?;
        upstream.inputs = Inputs(trigger.inputs.clone());
        let account_id = self.pipeline.account_id;
        let source = Source::Project { branch };
        Ok(NewPipeline { project, cause, source, commit, account_id, upstream: Some(upstream) })
    }

    async fn of_files(&self, trigger: &Trigger, (cause, mut upstream): (String, Upstream)) -> Result<NewPipeline> {
        let entry = match serin_lang::child::entry(trigger) {
            Some(entry) => entry,
            None => {
                let (entry, inputs) = self.generated(trigger).await?;
                upstream.inputs = inputs;
                entry
            }
        };
        Ok(NewPipeline {
            project: self.project.clone(),
            cause,
            source: Source::Child(Box::new(Child { parent: self.pipeline.clone(), entry })),
            commit: CommitId(self.pipeline.commit_id.clone()),
            account_id: self.pipeline.account_id,
            upstream: Some(upstream),
        })
    }

    /// A file that a job of this pipeline left as an artifact.
    async fn generated(&self, trigger: &Trigger) -> Result<(SourceFile, Inputs)> {
        let [include] = &*trigger.include else {
            return Err(Error::invalid("an artifact is included alone: one entry in `trigger:include`"));
        };
        let (path, job) = serin_lang::child::artifact_entry(trigger)
            .ok_or_else(|| Error::invalid("`trigger:include` names no file"))?;
        let jobs = rows::job_list(&mut *self.app.store.read().await?, self.pipeline.id).await?;
        let made = jobs.iter().find(|known| known.name == job);
        let made = made.ok_or_else(|| Error::not_found(format!("job `{job}`, whose artifact is to be included")))?;
        let artifacts = &self.app.objects.artifacts;
        let bytes = artifacts.read_file(attempt_key(made), ArtifactName::Archive, path.to_owned()).await?;
        if bytes.len() > serin_model::limit::CONFIG_BYTES_MAX {
            return Err(Error::invalid(format!("`{path}` of job `{job}` is too large for a pipeline file")));
        }
        Ok((SourceFile::new(path, bytes), Inputs(include.inputs.clone())))
    }
}

/// Waits until something of that pipeline is told, or so much that it may have been missed.
async fn changed(changes: &mut tokio::sync::broadcast::Receiver<Change>, pipeline_id: i64) {
    loop {
        match changes.recv().await {
            Ok(Change::Pipeline(id)) if id == pipeline_id => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
