//! A project: its newest pipelines, open merge requests, branches, environments, and what people were told.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_model::CommitId;
use serin_server::api::view;
use serin_server::error::Result;
use serin_server::refs::HEADS;
use serin_store::merge_request as requests;
use serin_store::pipeline as pipelines;
use serin_store::project::{self as rows, Project};

use super::environment::{self, EnvironmentRow};
use super::row::{self, PipelineRow, RequestRow};
use crate::address::is_local;
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::mark::{self, Mark};
use crate::reply::html;
use crate::show::{self, At};
use crate::visit::Visit;

/// Pipelines, merge requests and notices shown.
const NEWEST: i64 = 6;
/// Branches shown.
const BRANCHES_MAX: usize = 20;

#[derive(Template)]
#[template(path = "project.html")]
struct Page {
    f: Frame,
    name: String,
    path: String,
    folder: String,
    default_branch: String,
    clone_url: String,
    branches: Vec<BranchRow>,
    branch_count: usize,
    pipelines: Vec<PipelineRow>,
    requests: Vec<RequestRow>,
    environments: Vec<EnvironmentRow>,
    notices: Vec<NoticeRow>,
}

struct BranchRow {
    name: String,
    protected: bool,
    title: String,
    sha: String,
    at: Option<At>,
    mark: Option<Mark>,
}

struct NoticeRow {
    id: i64,
    mark: Mark,
    message: String,
    href: Option<String>,
    at: At,
}

/// The page.
///
/// # Errors
/// Where database or repository fail.
pub(crate) async fn show(visit: &Visit, project: &Project) -> Result<Response> {
    let t = visit.t();
    let store = &visit.app.store;
    let newest = pipelines::pipeline_list(&mut *store.read().await?, project.id, NEWEST).await?;
    let open = requests::merge_request_list(&mut *store.read().await?, project.id, "opened", NEWEST).await?;
    let mut names = BTreeMap::new();
    let mut shown = Vec::with_capacity(open.len());
    for request in &open {
        shown.push(row::request(visit, project, request, &mut names).await?);
    }
    let heads = branches(visit, project).await?;
    let mut topics = row::topics(project, &newest);
    topics.extend(open.iter().map(|request| ("merge_request", request.id)));
    let page = Page {
        f: Frame::of(visit, project, Tab::Overview, t.overview).hears(topics),
        name: project.name.clone(),
        path: project.path.clone(),
        folder: project.path.rsplit('/').next().unwrap_or_default().to_owned(),
        default_branch: project.default_branch.clone(),
        clone_url: view::project(&visit.app, project).http_url_to_repo,
        branch_count: heads.len(),
        branches: branch_rows(visit, project, heads).await?,
        pipelines: newest.iter().map(|newest| row::pipeline(t, project, newest)).collect(),
        requests: shown,
        environments: environment::rows(visit, project).await?,
        notices: notices(visit, project).await?,
    };
    html(StatusCode::OK, &page)
}

/// The branches and their commits, the default branch first.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn branches(visit: &Visit, project: &Project) -> Result<Vec<(String, String)>> {
    let refs = rows::ref_list(&mut *visit.app.store.read().await?, project.id).await?;
    let heads = refs.into_iter().filter_map(|(name, commit)| Some((name.strip_prefix(HEADS)?.to_owned(), commit)));
    let mut heads: Vec<(String, String)> = heads.collect();
    heads.sort_by_key(|(name, _)| (*name != project.default_branch, name.clone()));
    Ok(heads)
}

async fn branch_rows(visit: &Visit, project: &Project, heads: Vec<(String, String)>) -> Result<Vec<BranchRow>> {
    let protected = rows::protected_branch_list(&mut *visit.app.store.read().await?, project.id).await?;
    let protected: BTreeSet<String> = protected.into_iter().map(|branch| branch.name).collect();
    let repository = visit.app.repository(project.id)?;
    let mut shown = Vec::new();
    for (name, commit) in heads.into_iter().take(BRANCHES_MAX) {
        // A branch that moved in this very moment is shown without its title.
        let known = repository.git.commit(&CommitId(commit.clone())).await.ok();
        let mark = rows::commit_mark_get(&mut *visit.app.store.read().await?, project.id, &commit).await?;
        shown.push(BranchRow {
            protected: protected.contains(&name),
            name,
            sha: show::sha(&commit),
            at: known.as_ref().map(|commit| show::at(commit.committer.time_ms)),
            title: known.map(|commit| commit.title).unwrap_or_default(),
            mark: mark.map(|(word, _)| mark::commit(&word, visit.t())),
        });
    }
    Ok(shown)
}

async fn notices(visit: &Visit, project: &Project) -> Result<Vec<NoticeRow>> {
    let list = rows::notice_list(&mut *visit.app.store.read().await?, project.id, NEWEST).await?;
    let shown = list.into_iter().map(|notice| NoticeRow {
        id: notice.id,
        mark: mark::notice(&notice.kind, visit.t()),
        message: notice.message,
        href: notice.link.filter(|link| is_local(link)),
        at: show::at(notice.at),
    });
    Ok(shown.collect())
}
