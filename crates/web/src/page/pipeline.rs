//! Pipelines: the list, and one with its stages and jobs.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_engine::Event;
use serin_server::error::{Error, Result};
use serin_server::pipeline::create::{self, NewPipeline, Source};
use serin_server::pipeline::{self as server, record};
use serin_server::refs::HEADS;
use serin_server::secret;
use serin_store::merge_request as requests;
use serin_store::pipeline::{self as rows, Pipeline};
use serin_store::project::{self as projects, Project};

use super::job::{self, JobCard};
use super::row::{self, PipelineRow};
use super::{Fields, project};
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::mark::{self, Mark};
use crate::reply::{html, redirect};
use crate::visit::Visit;

/// Pipelines of the first list.
const LIST: i64 = 50;
/// Pipelines of the longest list.
const LIST_MAX: i64 = 1_600;
/// Jobs of a stage that are shown unfolded.
const STAGE_JOBS: usize = 24;

#[derive(Template)]
#[template(path = "pipelines.html")]
struct List {
    f: Frame,
    branches: Vec<String>,
    default_branch: String,
    pipelines: Vec<PipelineRow>,
    older: Option<i64>,
}

#[derive(Template)]
#[template(path = "pipeline.html")]
struct Page {
    f: Frame,
    p: PipelineRow,
    author: String,
    request_href: Option<String>,
    upstream: Option<Upstream>,
    commit_mark: Option<Mark>,
    may_cancel: bool,
    may_retry: bool,
    problem: Option<String>,
    stages: Vec<Stage>,
    failures: Vec<JobCard>,
}

/// The trigger job that made a pipeline.
struct Upstream {
    name: String,
    href: String,
}

struct Stage {
    name: String,
    mark: Mark,
    jobs: Vec<JobCard>,
    more: Vec<JobCard>,
}

/// The list.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn list(visit: &Visit, project: &Project) -> Result<Response> {
    let t = visit.t();
    let most = visit.query.get("most").and_then(|text| text.parse().ok()).unwrap_or(LIST).clamp(1, LIST_MAX);
    let found = rows::pipeline_list(&mut *visit.app.store.read().await?, project.id, most).await?;
    let full = i64::try_from(found.len()).is_ok_and(|length| length == most) && most < LIST_MAX;
    let branches = project::branches(visit, project).await?;
    let page = List {
        f: Frame::of(visit, project, Tab::Pipelines, t.pipelines).hears(row::topics(project, &found)),
        branches: branches.into_iter().map(|(name, _)| name).collect(),
        default_branch: project.default_branch.clone(),
        pipelines: found.iter().map(|found| row::pipeline(t, project, found)).collect(),
        older: full.then_some(most * 2),
    };
    html(StatusCode::OK, &page)
}

/// Starts a pipeline by hand.
///
/// # Errors
/// Where the branch is missing, or its file wants no pipeline.
pub(crate) async fn run(visit: &Visit, project: &Project, fields: &Fields) -> Result<Response> {
    let branch = fields.get("ref").cloned().unwrap_or_else(|| project.default_branch.clone());
    let repository = visit.app.repository(project.id)?;
    let commit = repository.git.resolve(&format!("{HEADS}{branch}")).await?;
    let commit = commit.ok_or_else(|| Error::invalid(format!("there is no branch `{branch}`")))?;
    let cause = format!("web:{}", secret::hash(&secret::generate()?));
    let source = Source::Web { branch };
    let new = NewPipeline {
        project: project.clone(),
        cause,
        source,
        commit,
        account_id: visit.account()?.id,
        upstream: None,
    };
    let id = create::create(&visit.app, new).await?;
    let id = id.ok_or_else(|| Error::conflict("no job of the file runs for this branch when started by hand"))?;
    Ok(redirect(&format!("/{}/-/pipelines/{id}", project.path)))
}

async fn find(visit: &Visit, project: &Project, id: i64) -> Result<Pipeline> {
    let found = rows::pipeline_get(&mut *visit.app.store.read().await?, id).await?;
    found.filter(|row| row.project_id == project.id).ok_or_else(|| Error::not_found(format!("pipeline #{id}")))
}

/// Cancels or retries.
///
/// # Errors
/// Where the pipeline's state is against it.
pub(crate) async fn act(visit: &Visit, project: &Project, (id, fields): (i64, &Fields)) -> Result<Response> {
    let row = find(visit, project, id).await?;
    let event = match fields.get("action").map(String::as_str) {
        Some("cancel") => Event::Cancel,
        Some("retry") => Event::RetryAll,
        _ => return Err(Error::invalid("a pipeline can be canceled or retried")),
    };
    server::apply(&visit.app, row.id, event).await?;
    Ok(redirect(&visit.here))
}

/// One pipeline.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn show(visit: &Visit, project: &Project, id: i64) -> Result<Response> {
    let t = visit.t();
    let row = find(visit, project, id).await?;
    let p = row::pipeline(t, project, &row);
    let cards = job::cards(visit, project, &row).await?;
    let statuses: Vec<&str> = cards.iter().map(|card| card.status.as_str()).collect();
    let may_cancel = row.problem.is_none()
        && statuses
            .iter()
            .any(|s| matches!(*s, "created" | "waiting_for_resource" | "pending" | "running" | "scheduled"));
    let may_retry = statuses.iter().any(|status| matches!(*status, "failed" | "canceled"));
    let commit_mark =
        projects::commit_mark_get(&mut *visit.app.store.read().await?, project.id, &row.commit_id).await?;
    let page = Page {
        f: Frame::of(visit, project, Tab::Pipelines, format!("#{id} {}", p.title)).hears([("pipeline", row.id)]),
        author: row::author(visit, row.account_id, &mut BTreeMap::new()).await?,
        request_href: request_href(visit, project, &row).await?,
        upstream: upstream(visit, &row).await?,
        commit_mark: commit_mark.map(|(word, _)| mark::commit(&word, t)),
        may_cancel,
        may_retry,
        problem: row.problem.clone(),
        failures: cards.iter().filter(|card| card.status == "failed" && !card.why.is_empty()).cloned().collect(),
        stages: stages(visit, &row, cards)?,
        p,
    };
    html(StatusCode::OK, &page)
}

async fn request_href(visit: &Visit, project: &Project, row: &Pipeline) -> Result<Option<String>> {
    let Some(id) = row.merge_request_id else { return Ok(None) };
    let found = requests::merge_request_get(&mut *visit.app.store.read().await?, id).await?;
    Ok(found.map(|found| format!("/{}/-/merge_requests/{}", project.path, found.iid)))
}

async fn upstream(visit: &Visit, row: &Pipeline) -> Result<Option<Upstream>> {
    let Some(id) = row.upstream_job_id else { return Ok(None) };
    let mut db = visit.app.store.read().await?;
    let Some(job) = rows::job_get(&mut db, id).await? else { return Ok(None) };
    let of = projects::project_get(&mut db, job.project_id).await?;
    Ok(of.map(|of| Upstream { name: job.name, href: format!("/{}/-/jobs/{id}", of.path) }))
}

/// The stages that have jobs, in order.
fn stages(visit: &Visit, row: &Pipeline, cards: Vec<JobCard>) -> Result<Vec<Stage>> {
    let names: Vec<String> = record::decode(&row.stages)?;
    let mut by_stage: BTreeMap<i64, Vec<JobCard>> = BTreeMap::new();
    for card in cards {
        by_stage.entry(card.stage).or_default().push(card);
    }
    let stages = by_stage.into_iter().map(|(index, mut jobs)| {
        let name = usize::try_from(index).ok().and_then(|index| names.get(index));
        let marks: Vec<Mark> = jobs.iter().map(|card| card.mark).collect();
        let more = if jobs.len() > STAGE_JOBS { jobs.split_off(STAGE_JOBS) } else { Vec::new() };
        Stage { name: name.cloned().unwrap_or_default(), mark: mark::stage(&marks, visit.t()), jobs, more }
    });
    Ok(stages.collect())
}
