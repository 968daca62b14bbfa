//! All projects, and the form for a new one.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_server::error::{Kind, Result};
use serin_server::project::{self as server, DEFAULT_BRANCH, NewProject};
use serin_store::pipeline as pipelines;
use serin_store::project as rows;

use super::Fields;
use super::row::{self, PipelineRow};
use crate::frame::{Crumb, Frame, Tab};
use crate::icon;
use crate::reply::{html, redirect};
use crate::show::initials;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "projects.html")]
struct Page {
    f: Frame,
    may_create: bool,
    projects: Vec<ProjectRow>,
}

struct ProjectRow {
    id: i64,
    name: String,
    path: String,
    initials: String,
    pipeline: Option<PipelineRow>,
}

#[derive(Template)]
#[template(path = "new_project.html")]
struct Form {
    f: Frame,
    problem: Option<String>,
    name: String,
    path: String,
    branch: String,
}

/// The list.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn list(visit: &Visit) -> Result<Response> {
    let all = rows::project_list(&mut *visit.app.store.read().await?).await?;
    let mut projects = Vec::with_capacity(all.len());
    let mut topics = Vec::new();
    for project in &all {
        let newest = pipelines::pipeline_list(&mut *visit.app.store.read().await?, project.id, 1).await?;
        topics.extend(row::topics(project, &newest));
        projects.push(ProjectRow {
            id: project.id,
            name: project.name.clone(),
            path: project.path.clone(),
            initials: initials(&project.name),
            pipeline: newest.first().map(|newest| row::pipeline(visit.t(), project, newest)),
        });
    }
    let f = Frame::new(visit, visit.t().projects);
    let f = if topics.is_empty() { f } else { f.hears(topics) };
    html(StatusCode::OK, &Page { f, may_create: visit.account()?.admin, projects })
}

fn form(visit: &Visit) -> Form {
    let t = visit.t();
    let mut f = Frame::new(visit, t.new_project);
    f.crumbs.push(Crumb { label: t.new_project.to_owned(), href: None });
    Form { f, problem: None, name: String::new(), path: String::new(), branch: DEFAULT_BRANCH.to_owned() }
}

/// The form for a new project.
///
/// # Errors
/// Where the visitor may make none.
pub(crate) fn new(visit: &Visit) -> Result<Response> {
    server::admin_only(visit.account()?, "make projects")?;
    html(StatusCode::OK, &form(visit))
}

/// Makes a project, or shows the form with what is wrong.
///
/// # Errors
/// Where the visitor may make none, or the database fails.
pub(crate) async fn create(visit: &Visit, fields: &Fields) -> Result<Response> {
    server::admin_only(visit.account()?, "make projects")?;
    let field = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (name, path, branch) = (field("name"), field("path"), field("default_branch"));
    let made_path = if path.is_empty() { name.to_lowercase().replace(' ', "-") } else { path.clone() };
    let new = NewProject {
        path: made_path,
        name: name.clone(),
        default_branch: if branch.is_empty() { DEFAULT_BRANCH.to_owned() } else { branch.clone() },
    };
    match server::create(&visit.app, new).await {
        Ok(project) => Ok(redirect(&format!("/{}", project.path))),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            let page = Form { problem: Some(error.to_string()), name, path, branch, ..form(visit) };
            html(error.kind.status(), &page)
        }
        Err(error) => Err(error),
    }
}
