//! A job: its status, its log, and what a person may do with it.

use std::collections::HashMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_engine::Event;
use serin_model::{JobId, plan};
use serin_objects::ArtifactName;
use serin_server::api::view;
use serin_server::error::{Error, Result};
use serin_server::pipeline::{self as server, record};
use serin_server::runner::attempt_key;
use serin_store::pipeline::{self as rows, Job, Pipeline};
use serin_store::project::Project;

use super::Fields;
use super::row::{self, PipelineRow};
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::log as lines_of;
use crate::mark::{self, Mark};
use crate::reply::{html, redirect};
use crate::show;
use crate::text::Text;
use crate::visit::Visit;

/// A job among others.
#[derive(Clone)]
pub(crate) struct JobCard {
    pub(crate) id: i64,
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) stage: i64,
    pub(crate) status: String,
    pub(crate) mark: Mark,
    pub(crate) why: String,
    /// Numbers of the jobs that it waits for, separated by blanks.
    pub(crate) needs: String,
    pub(crate) running_since: Option<String>,
    pub(crate) took: Option<String>,
    /// Action, word, icon.
    pub(crate) act: Option<(&'static str, &'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct Page {
    f: Frame,
    j: JobCard,
    pipeline_id: i64,
    pipeline_href: String,
    stage: String,
    attempt: i64,
    exit_code: Option<i64>,
    coverage: Option<String>,
    question: Option<String>,
    acts: Vec<Act>,
    artifacts_href: Option<String>,
    downstream: Vec<PipelineRow>,
    lines: u64,
    running: bool,
}

struct Act {
    action: &'static str,
    word: &'static str,
    icon: &'static str,
    danger: bool,
    primary: bool,
}

/// The jobs of a pipeline.
///
/// # Errors
/// Where the database fails, or a record is damaged.
pub(crate) async fn cards(visit: &Visit, project: &Project, pipeline: &Pipeline) -> Result<Vec<JobCard>> {
    let jobs = rows::job_list(&mut *visit.app.store.read().await?, pipeline.id).await?;
    let ids: HashMap<&str, i64> = jobs.iter().map(|job| (job.name.as_str(), job.id)).collect();
    let cards = jobs.iter().map(|job| {
        let plan = view::plan(job)?;
        let mut shown = card(visit, project, job);
        shown.needs = needs(&plan, &ids);
        Ok(shown)
    });
    cards.collect()
}

fn needs(plan: &plan::Job, ids: &HashMap<&str, i64>) -> String {
    let needs = plan.needs.iter().flatten().filter_map(|need| ids.get(need.job.as_str()));
    needs.map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn card(visit: &Visit, project: &Project, job: &Job) -> JobCard {
    let t = visit.t();
    let act = acts(&job.status, t).into_iter().next().map(|act| (act.action, act.word, act.icon));
    JobCard {
        id: job.id,
        href: format!("/{}/-/jobs/{}", project.path, job.id),
        name: job.name.clone(),
        stage: job.stage,
        status: job.status.clone(),
        mark: mark::job(&job.status, job.allowed_to_fail, t),
        why: why(job),
        needs: String::new(),
        running_since: job.started_at.filter(|_| job.finished_at.is_none()).map(|at| show::at(at).machine),
        took: job.started_at.zip(job.finished_at).map(|(from, to)| show::duration(to - from)),
        act,
    }
}

/// Why it failed, in words.
fn why(job: &Job) -> String {
    if job.status != "failed" {
        return String::new();
    }
    match (&job.failure_note, &job.failure) {
        (Some(note), _) => note.clone(),
        (None, Some(reason)) => reason.replace('_', " "),
        (None, None) => String::new(),
    }
}

fn acts(status: &str, t: &'static Text) -> Vec<Act> {
    let act = |action, word, icon, danger, primary| Act { action, word, icon, danger, primary };
    match status {
        "manual" => vec![act("play", t.play, icon::PLAY, false, true)],
        "scheduled" => {
            vec![act("play", t.play, icon::PLAY, false, true), act("cancel", t.cancel_job, icon::STOP, true, false)]
        }
        "success" | "failed" | "canceled" => vec![act("retry", t.retry, icon::RETRY, false, false)],
        "created" | "pending" | "running" | "waiting_for_resource" => {
            vec![act("cancel", t.cancel_job, icon::STOP, true, false)]
        }
        _ => Vec::new(),
    }
}

async fn find(visit: &Visit, project: &Project, id: i64) -> Result<Job> {
    let found = rows::job_get(&mut *visit.app.store.read().await?, id).await?;
    found.filter(|row| row.project_id == project.id).ok_or_else(|| Error::not_found(format!("job {id}")))
}

/// One job.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn show(visit: &Visit, project: &Project, id: i64) -> Result<Response> {
    let row = find(visit, project, id).await?;
    let plan = view::plan(&row)?;
    let pipeline = rows::pipeline_get(&mut *visit.app.store.read().await?, row.pipeline_id).await?;
    let stages: Vec<String> = pipeline.map(|row| record::decode(&row.stages)).transpose()?.unwrap_or_default();
    let key = attempt_key(&row);
    let artifacts = visit.app.objects.artifacts.find(key, &ArtifactName::Archive)?;
    let api = format!("/api/v4/projects/{}/jobs/{}/artifacts", project.id, row.id);
    let manual = row.status == "manual";
    let page = Page {
        f: Frame::of(visit, project, Tab::Pipelines, row.name.clone()).hears([("job", row.id)]),
        pipeline_id: row.pipeline_id,
        pipeline_href: format!("/{}/-/pipelines/{}", project.path, row.pipeline_id),
        stage: usize::try_from(row.stage).ok().and_then(|index| stages.get(index).cloned()).unwrap_or_default(),
        attempt: row.attempt,
        exit_code: row.exit_code,
        coverage: row.coverage.map(|coverage| format!("{coverage:.1} %")),
        question: plan.manual_confirmation.filter(|_| manual),
        acts: acts(&row.status, visit.t()),
        artifacts_href: artifacts.map(|_| api),
        downstream: row::downstream(visit, row.id).await?,
        lines: visit.app.objects.traces.state(key).await?.lines,
        running: row.started_at.is_some() && row.finished_at.is_none(),
        j: card(visit, project, &row),
    };
    html(StatusCode::OK, &page)
}

/// Lines of its log.
///
/// # Errors
/// Where there is no such job.
pub(crate) async fn log(visit: &Visit, project: &Project, id: i64) -> Result<Response> {
    lines_of::lines(visit, attempt_key(&find(visit, project, id).await?)).await
}

/// Its log as it is.
///
/// # Errors
/// Where there is no such job.
pub(crate) async fn raw(visit: &Visit, project: &Project, id: i64) -> Result<Response> {
    lines_of::raw(visit, attempt_key(&find(visit, project, id).await?)).await
}

/// Starts, retries or cancels it.
///
/// # Errors
/// Where its state is against it.
pub(crate) async fn act(visit: &Visit, project: &Project, (id, fields): (i64, &Fields)) -> Result<Response> {
    let row = find(visit, project, id).await?;
    let job = JobId(row.id);
    let event = match fields.get("action").map(String::as_str) {
        Some("play") => Event::Play { job },
        Some("retry") => Event::Retry { job },
        Some("cancel") => Event::CancelJob { job },
        _ => return Err(Error::invalid("a job can be played, retried or canceled")),
    };
    server::apply(&visit.app, row.pipeline_id, event).await?;
    match fields.get("to").map(String::as_str) {
        Some("pipeline") => Ok(redirect(&format!("/{}/-/pipelines/{}", project.path, row.pipeline_id))),
        _ => Ok(redirect(&visit.here)),
    }
}
