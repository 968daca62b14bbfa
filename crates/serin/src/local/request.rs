//! What the runner is told about a job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use serin_model::JobId;
use serin_model::limit::JOB_TIMEOUT_MS_DEFAULT;
use serin_model::plan::{Job, Variable, Work};
use serin_runner::{
    Afterwards, Containers, Dependency, GuardCommand, Guards, HostEnvironment, JobRequest, Slot, Source,
};

use super::folders::Folders;
use super::pipeline::{Pipeline, Ticket};
use crate::worktree::Project;

/// What all jobs of a run have in common.
#[derive(Debug)]
pub struct Common {
    /// The person's project.
    pub project: Project,
    /// What jobs see of the machine.
    pub host: HostEnvironment,
    /// The run's folders.
    pub folders: Folders,
    /// What ends the processes of jobs.
    pub guards: Guards,
    /// Where containers come from.
    pub containers: Containers,
}

impl Common {
    /// Guards that are this very program.
    #[must_use]
    pub fn guards() -> Guards {
        Guards::kept(GuardCommand { program: "/proc/self/exe".into(), args: vec!["job-guard".into()] })
    }
}

/// The request for a job's present attempt, in a workspace.
pub fn job(pipelines: &[Pipeline], ticket: Ticket, (common, slot): (&Common, Arc<Slot>)) -> Result<JobRequest> {
    let pipeline = &pipelines[ticket.pipeline];
    let plan = &pipeline.plan.jobs[ticket.job];
    let state = &pipeline.state.jobs[ticket.job];
    let Work::Script(script) = &plan.work else { return Err(anyhow!("job `{}` has no script", plan.name)) };
    let sources = artifact_sources(pipeline, ticket.job);
    let archive = |index: &usize| {
        let archive = pipeline.records[*index].archive.clone()?;
        Some(Dependency {
            job_id: pipeline.state.jobs[*index].id,
            name: pipeline.plan.jobs[*index].name.clone(),
            archive,
        })
    };
    Ok(JobRequest {
        targets: Vec::new(),
        job_id: state.id,
        attempt: state.attempt,
        name: plan.name.clone(),
        builds_dir: slot.builds_dir().to_owned(),
        source: Source::Slot(slot),
        afterwards: Afterwards::Keep,
        variables: variables(pipelines, ticket, (&sources, common))?,
        script: (**script).clone(),
        timeout_ms: plan.timeout_ms.unwrap_or(JOB_TIMEOUT_MS_DEFAULT),
        dependencies: sources.iter().filter_map(archive).collect(),
        caches_dir: Some(common.folders.caches()),
        guard: common.guards.clone(),
        host: common.host.clone(),
        containers: common.containers.clone(),
    })
}

/// The variables of a job as its script sees them, but for what the runner expands and adds.
pub fn variables(
    pipelines: &[Pipeline],
    ticket: Ticket,
    (sources, common): (&[usize], &Common),
) -> Result<Vec<Variable>> {
    let pipeline = &pipelines[ticket.pipeline];
    let plan = &pipeline.plan.jobs[ticket.job];
    let handed_on = sources.iter().flat_map(|index| &pipeline.records[*index].dotenv);
    let dotenv: Vec<Variable> = handed_on.map(|(key, value)| Variable::plain(key, value)).collect();
    let late = late(pipelines, ticket, common);
    serin_lang::variables::of_job(&pipeline.plan, plan, &pipeline.context, &late, &dotenv)
        .with_context(|| format!("job `{}` cannot start", plan.name))
}

/// Variables that are known only now.
pub fn late(pipelines: &[Pipeline], ticket: Ticket, common: &Common) -> Vec<Variable> {
    let pipeline = &pipelines[ticket.pipeline];
    let state = &pipeline.state.jobs[ticket.job];
    let raw = |key: &str, value: &str| Variable { raw: true, ..Variable::plain(key, value) };
    let started = state.started_at.map_or(0, |at| at.0);
    let number = pipeline_number(common, ticket.pipeline).to_string();
    let timeout = pipeline.plan.jobs[ticket.job].timeout_ms.unwrap_or(JOB_TIMEOUT_MS_DEFAULT) / 1000;
    let mut list = vec![
        raw("CI_PIPELINE_ID", &number),
        raw("CI_PIPELINE_IID", &number),
        raw("CI_PIPELINE_CREATED_AT", &timestamp(started)),
        raw("CI_JOB_ID", &state.id.0.to_string()),
        raw("CI_JOB_STARTED_AT", &timestamp(started)),
        raw("CI_JOB_STATUS", "running"),
        raw("CI_JOB_TIMEOUT", &timeout.to_string()),
        raw("CI_CONCURRENT_ID", &state.id.0.to_string()),
        raw("CI_CONCURRENT_PROJECT_ID", &state.id.0.to_string()),
        raw("CI_RUNNER_ID", "1"),
        raw("CI_RUNNER_DESCRIPTION", "serin run"),
        raw("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION")),
        raw("CI_RUNNER_EXECUTABLE_ARCH", &format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)),
        raw("SERIN_RUN", "true"),
    ];
    if let Some(parent) = pipeline.parent {
        list.push(raw("PARENT_PIPELINE_ID", &pipeline_number(common, parent.pipeline).to_string()));
    }
    list
}

/// A pipeline's number, unique over the last million runs' pipelines.
fn pipeline_number(common: &Common, index: usize) -> u64 {
    common.folders.number() * 1_000 + index as u64
}

fn timestamp(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The jobs whose artifacts and variables a job gets (GitLab: `needs`, `dependencies`, else all earlier stages).
#[must_use]
pub fn artifact_sources(pipeline: &Pipeline, job: usize) -> Vec<usize> {
    let plan = &pipeline.plan.jobs[job];
    let wanted = |(index, other): &(usize, &Job)| {
        let listed = plan.dependencies.as_ref().is_none_or(|names| names.contains(&other.name));
        let reached = match &plan.needs {
            Some(needs) => needs.iter().any(|need| need.job == other.name && need.artifacts),
            None => other.stage < plan.stage,
        };
        listed && reached && pipeline.state.jobs[*index].status.is_final()
    };
    pipeline.plan.jobs.iter().enumerate().filter(wanted).map(|(index, _)| index).collect()
}

/// Moves a job's archives to where the run keeps them.
pub fn keep(folder: &Path, from: &Path, name: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let to = folder.join(name);
    std::fs::rename(from, &to).with_context(|| format!("cannot keep `{}`", to.display()))?;
    Ok(to)
}

/// The first number of a new pipeline's jobs.
#[must_use]
pub fn next_id(pipelines: &[Pipeline]) -> i64 {
    let last = pipelines.iter().flat_map(|pipeline| &pipeline.state.jobs).map(|job| job.id).max();
    last.map_or(1, |JobId(last)| last + 1)
}
