//! Merge requests: the list, the form, one of them with what blocks it, and what it changes.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_server::error::{Error, Result};
use serin_server::merge_request::{self as server, NewMergeRequest};
use serin_store::merge_request::{self as requests, MergeRequest};
use serin_store::pipeline as pipelines;
use serin_store::project::{self as projects, Project};

use super::job::{self, JobCard};
use super::quality::{self, QualityView};
use super::row::{self, PipelineRow, RequestRow};
use super::{Fields, project};
use crate::diff;
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::mark::{self, Mark};
use crate::reply::{html, redirect};
use crate::show::{self, At};
use crate::text::Text;
use crate::visit::Visit;

/// Merge requests of one list.
const LIST_MAX: i64 = 200;
/// How a reason begins that the gate gives.
const GATE: &str = "quality gate: ";
/// Commits listed.
const COMMITS_MAX: u32 = 100;

#[derive(Template)]
#[template(path = "requests.html")]
struct List {
    f: Frame,
    path: String,
    tabs: Vec<(&'static str, &'static str, bool)>,
    requests: Vec<RequestRow>,
}

#[derive(Template)]
#[template(path = "new_request.html")]
struct Form {
    f: Frame,
    path: String,
    branches: Vec<String>,
    source: String,
    target: String,
}

#[derive(Template)]
#[template(path = "request.html")]
struct Page {
    f: Frame,
    r: RequestRow,
    open: bool,
    ready: Mark,
    pipeline_check: Mark,
    newest: Option<PipelineRow>,
    newest_jobs: Vec<JobCard>,
    conflict_check: Mark,
    conflict_text: String,
    blockers: Vec<String>,
    /// What blocks the merge besides the gate.
    reasons: Vec<String>,
    gate_blocks: bool,
    quality: Option<QualityView>,
    waits: bool,
    may_wait: bool,
    merged_sha: Option<String>,
    merged_at: Option<At>,
    description: String,
    pipelines: Vec<PipelineRow>,
    commits: Vec<CommitRow>,
}

struct CommitRow {
    title: String,
    sha: String,
    author: String,
    mark: Option<Mark>,
}

pub(super) async fn find(visit: &Visit, project: &Project, iid: i64) -> Result<MergeRequest> {
    let found = requests::merge_request_by_iid(&mut *visit.app.store.read().await?, project.id, iid).await?;
    found.ok_or_else(|| Error::not_found(format!("merge request !{iid}")))
}

/// The list, filtered by state.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn list(visit: &Visit, project: &Project) -> Result<Response> {
    let t = visit.t();
    let states =
        [("opened", t.request_opened), ("merged", t.request_merged), ("closed", t.request_closed), ("all", t.all)];
    let wanted = visit.query.get("state").map_or("opened", String::as_str);
    let wanted = states.iter().map(|(word, _)| *word).find(|word| *word == wanted).unwrap_or("opened");
    let found = requests::merge_request_list(&mut *visit.app.store.read().await?, project.id, wanted, LIST_MAX).await?;
    let mut names = BTreeMap::new();
    let mut shown = Vec::with_capacity(found.len());
    for request in &found {
        shown.push(row::request(visit, project, request, &mut names).await?);
    }
    let page = List {
        f: Frame::of(visit, project, Tab::MergeRequests, t.merge_requests).hears([("project", project.id)]),
        path: project.path.clone(),
        tabs: states.iter().map(|(word, name)| (*word, *name, *word == wanted)).collect(),
        requests: shown,
    };
    html(StatusCode::OK, &page)
}

/// The form for a new one.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn new(visit: &Visit, project: &Project) -> Result<Response> {
    let branches: Vec<String> = project::branches(visit, project).await?.into_iter().map(|(name, _)| name).collect();
    let source = visit.query.get("source").cloned();
    let other = branches.iter().find(|name| **name != project.default_branch).cloned();
    let page = Form {
        f: Frame::of(visit, project, Tab::MergeRequests, visit.t().new_request),
        path: project.path.clone(),
        branches,
        source: source.or(other).unwrap_or_default(),
        target: visit.query.get("target").unwrap_or(&project.default_branch).clone(),
    };
    html(StatusCode::OK, &page)
}

/// Opens a merge request.
///
/// # Errors
/// Where a branch is missing.
pub(crate) async fn create(visit: &Visit, project: &Project, fields: &Fields) -> Result<Response> {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let new = NewMergeRequest {
        source_branch: field("source_branch"),
        target_branch: field("target_branch"),
        title: Some(field("title")),
        description: field("description"),
        merge_when_pipeline_succeeds: false,
        author_id: visit.account()?.id,
    };
    let made = server::open(&visit.app, project, new).await?;
    Ok(redirect(&format!("/{}/-/merge_requests/{}", project.path, made.iid)))
}

/// Does what a person asks for.
///
/// # Errors
/// Where something blocks the merge.
pub(crate) async fn act(visit: &Visit, project: &Project, (iid, fields): (i64, &Fields)) -> Result<Response> {
    let mut request = find(visit, project, iid).await?;
    let account = visit.account()?;
    match fields.get("action").map(String::as_str) {
        Some("merge") => server::merge(&visit.app, &mut request, account).await?,
        Some("merge_when_ready") => server::merge_when_ready(&visit.app, &mut request, account).await?,
        Some("override") => {
            let reason = fields.get("reason").map(String::as_str).unwrap_or_default();
            serin_server::quality::let_pass(&visit.app, &request, (account, reason)).await?;
        }
        Some("pipeline") => {
            server::run_pipeline(&visit.app, &mut request, account).await?;
        }
        _ => return Err(Error::invalid("a merge request can be merged, let pass its gate, or given a new pipeline")),
    }
    Ok(redirect(&visit.here))
}

/// One merge request.
///
/// # Errors
/// Where database or repository fail.
pub(crate) async fn show(visit: &Visit, project: &Project, iid: i64) -> Result<Response> {
    let t = visit.t();
    let request = find(visit, project, iid).await?;
    let shown = row::request(visit, project, &request, &mut BTreeMap::new()).await?;
    let open = request.state == "opened";
    let all = pipelines::pipeline_of_merge_request(&mut *visit.app.store.read().await?, request.id).await?;
    // Read after the pipelines, or they would still speak of one that runs where it is shown as ended.
    let blockers = server::blockers(&visit.app, &request).await?;
    let newest_jobs = match all.first() {
        Some(newest) => job::cards(visit, project, newest).await?,
        None => Vec::new(),
    };
    let unfinished = all.iter().filter(|row| row.finished_at.is_none()).map(|row| ("pipeline", row.id));
    let topics: Vec<_> = std::iter::once(("merge_request", request.id)).chain(unfinished).collect();
    let (conflict_check, conflict_text) = conflicts(&request, t);
    let quality = quality::view(visit, &request, all.first()).await?;
    let page = Page {
        f: Frame::of(visit, project, Tab::MergeRequests, format!("!{iid} {}", request.title)).hears(topics),
        ready: readiness(&request, blockers.is_empty(), t),
        pipeline_check: match all.first() {
            Some(newest) => mark::status(&newest.status, t),
            None => Mark::new(icon::CREATED, t.check_no_pipeline, "idle"),
        },
        newest: all.first().map(|newest| row::pipeline(t, project, newest)),
        newest_jobs,
        conflict_check,
        conflict_text,
        waits: request.merge_when_pipeline_succeeds,
        may_wait: all.first().is_some_and(|newest| newest.finished_at.is_none()),
        merged_sha: request.merge_commit.as_deref().map(show::sha),
        merged_at: request.merged_at.map(show::at),
        description: request.description.clone(),
        pipelines: all.iter().map(|row| row::pipeline(t, project, row)).collect(),
        commits: commits(visit, project, &request).await?,
        gate_blocks: quality.is_some() && blockers.iter().any(|why| why.starts_with(GATE)),
        // The gate's own card tells its conditions.
        reasons: blockers.iter().filter(|why| quality.is_none() || !why.starts_with(GATE)).cloned().collect(),
        quality,
        r: shown,
        open,
        blockers: if open { blockers } else { Vec::new() },
    };
    html(StatusCode::OK, &page)
}

fn readiness(request: &MergeRequest, free: bool, t: &'static Text) -> Mark {
    match (request.state.as_str(), free) {
        ("opened", true) => Mark::new(icon::SUCCESS, t.check_ready, "ok"),
        ("opened", false) => Mark::new(icon::BLOCKED, t.check_blocked, "warn"),
        (state, _) => mark::request(state, t),
    }
}

fn conflicts(request: &MergeRequest, t: &'static Text) -> (Mark, String) {
    match request.merge_status.as_str() {
        "can_be_merged" => (Mark::new(icon::SUCCESS, t.check_mergeable, "ok"), t.conflict_clean.to_owned()),
        "checking" => (Mark::new(icon::RUNNING, t.check_making, "run"), t.conflict_making.to_owned()),
        _ => {
            let paths: Vec<String> = serde_json::from_str(&request.conflicts).unwrap_or_default();
            let text = format!("{} {}", t.conflict_paths, paths.join(", "));
            (Mark::new(icon::FAILED, t.check_conflicts, "bad"), text)
        }
    }
}

async fn commits(visit: &Visit, project: &Project, request: &MergeRequest) -> Result<Vec<CommitRow>> {
    let repository = visit.app.repository(project.id)?;
    let (base, head) = diff::ends(&repository.git, request).await?;
    let found = repository.git.log(Some(&base), &head, COMMITS_MAX).await?;
    let mut shown = Vec::with_capacity(found.len());
    for commit in found {
        let mark = projects::commit_mark_get(&mut *visit.app.store.read().await?, project.id, &commit.id.0).await?;
        shown.push(CommitRow {
            title: commit.title,
            sha: show::sha(&commit.id.0),
            author: commit.author.name,
            mark: mark.map(|(word, _)| mark::commit(&word, visit.t())),
        });
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::List;
    use crate::frame::tests::frame;
    use crate::page::row::tests::request_row;

    #[test]
    fn pages_carry_nothing_inline_and_titles_stay_text() {
        let list = List { f: frame(), path: "shop".into(), tabs: Vec::new(), requests: vec![request_row()] };
        let html = list.render().unwrap();
        for forbidden in [" style=", "<style", " onclick=", "javascript:", "<img", "<script>", "onerror=alert(1)>"] {
            assert!(!html.contains(forbidden), "{forbidden} in {html}");
        }
    }
}
