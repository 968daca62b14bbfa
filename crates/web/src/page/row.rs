//! Rows of lists that several pages share.

use std::collections::BTreeMap;

use serin_server::api::view;
use serin_server::error::Result;
use serin_store::merge_request::MergeRequest;
use serin_store::pipeline as pipelines;
use serin_store::project::{self as projects, Project};

use crate::mark::{self, Mark};
use crate::show::{self, At};
use crate::text::Text;
use crate::visit::Visit;

/// A pipeline in a list.
pub(crate) struct PipelineRow {
    pub(crate) id: i64,
    pub(crate) href: String,
    pub(crate) mark: Mark,
    pub(crate) title: String,
    pub(crate) ref_name: String,
    pub(crate) sha: String,
    pub(crate) source: String,
    pub(crate) at: At,
    pub(crate) running_since: Option<String>,
    pub(crate) took: Option<String>,
}

/// A merge request in a list.
pub(crate) struct RequestRow {
    pub(crate) iid: i64,
    pub(crate) href: String,
    pub(crate) mark: Mark,
    pub(crate) title: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) author: String,
    pub(crate) at: At,
    pub(crate) pipeline: Option<PipelineRow>,
}

/// A pipeline's row.
pub(crate) fn pipeline(t: &'static Text, project: &Project, row: &pipelines::Pipeline) -> PipelineRow {
    let title = if row.title.trim().is_empty() { show::sha(&row.commit_id) } else { row.title.clone() };
    let started = row.started_at.unwrap_or(row.created_at);
    let running = row.finished_at.is_none() && row.status == "running";
    PipelineRow {
        id: row.id,
        href: format!("/{}/-/pipelines/{}", project.path, row.id),
        mark: mark::status(&row.status, t),
        title: row.name.clone().unwrap_or(title),
        ref_name: show::ref_name(&row.ref_name),
        sha: show::sha(&row.commit_id),
        source: source(&row.source, t),
        at: show::at(row.created_at),
        running_since: running.then(|| show::at(started).machine),
        took: row.finished_at.map(|finished| show::duration(finished - started)),
    }
}

/// The pipelines that a trigger job made, newest first.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn downstream(visit: &Visit, job_id: i64) -> Result<Vec<PipelineRow>> {
    let mut db = visit.app.store.read().await?;
    let mut rows = Vec::new();
    for made in pipelines::pipeline_of_upstream_job(&mut db, job_id).await?.into_iter().rev() {
        if let Some(project) = projects::project_get(&mut db, made.project_id).await? {
            rows.push(pipeline(visit.t(), &project, &made));
        }
    }
    Ok(rows)
}

fn source(word: &str, t: &'static Text) -> String {
    match word {
        "push" => t.source_push.to_owned(),
        "web" => t.source_web.to_owned(),
        "merge_request_event" => t.source_merge_request.to_owned(),
        "parent_pipeline" => t.source_parent.to_owned(),
        "pipeline" => t.source_upstream.to_owned(),
        other => other.replace('_', " "),
    }
}

/// A merge request's row, with its newest pipeline.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn request(
    visit: &Visit,
    project: &Project,
    row: &MergeRequest,
    names: &mut BTreeMap<i64, String>,
) -> Result<RequestRow> {
    let t = visit.t();
    let of_it = pipelines::pipeline_of_merge_request(&mut *visit.app.store.read().await?, row.id).await?;
    Ok(RequestRow {
        iid: row.iid,
        href: format!("/{}/-/merge_requests/{}", project.path, row.iid),
        mark: mark::request(&row.state, t),
        title: row.title.clone(),
        source: row.source_branch.clone(),
        target: row.target_branch.clone(),
        author: author(visit, row.author_id, names).await?,
        at: show::at(row.created_at),
        pipeline: of_it.first().map(|row| pipeline(t, project, row)),
    })
}

/// The name of an account, asked for once.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn author(visit: &Visit, id: i64, names: &mut BTreeMap<i64, String>) -> Result<String> {
    if let Some(name) = names.get(&id) {
        return Ok(name.clone());
    }
    let name = view::account_name(&visit.app, id).await?;
    names.insert(id, name.clone());
    Ok(name)
}

/// What a list of pipelines wants to hear of: the project, and each pipeline that is not finished.
pub(crate) fn topics(project: &Project, rows: &[pipelines::Pipeline]) -> Vec<(&'static str, i64)> {
    /// Pipelines of one page that are listened to.
    const PIPELINES_MAX: usize = 40;
    let unfinished = rows.iter().filter(|row| row.finished_at.is_none()).take(PIPELINES_MAX);
    std::iter::once(("project", project.id)).chain(unfinished.map(|row| ("pipeline", row.id))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serin_store::pipeline::Pipeline;
    use serin_store::project::Project;

    use super::{PipelineRow, RequestRow, pipeline};
    use crate::mark;
    use crate::show;
    use crate::text::Language;

    const HOSTILE: &str = "\"><script>alert('x')</script>";

    pub(crate) fn request_row() -> RequestRow {
        RequestRow {
            iid: 1,
            href: "/shop/-/merge_requests/1".into(),
            mark: mark::request("opened", Language::English.text()),
            title: HOSTILE.into(),
            source: HOSTILE.into(),
            target: HOSTILE.into(),
            author: HOSTILE.into(),
            at: show::at(0),
            pipeline: Some(pipeline_row()),
        }
    }

    pub(crate) fn pipeline_row() -> PipelineRow {
        let t = Language::English.text();
        pipeline(t, &project(), &row())
    }

    pub(crate) fn project() -> Project {
        Project { id: 1, path: "shop".into(), name: HOSTILE.into(), default_branch: HOSTILE.into(), created_at: 0 }
    }

    fn row() -> Pipeline {
        Pipeline {
            id: 7,
            project_id: 1,
            iid: 1,
            cause: String::new(),
            source: HOSTILE.into(),
            ref_name: HOSTILE.into(),
            commit_id: HOSTILE.into(),
            tree_id: String::new(),
            upstream_job_id: None,
            merge_request_id: None,
            head_commit: None,
            target_commit: None,
            account_id: 1,
            title: HOSTILE.into(),
            name: None,
            status: "running".into(),
            problem: None,
            stages: String::new(),
            variables: String::new(),
            auto_cancel: String::new(),
            created_at: 0,
            started_at: Some(1_000),
            finished_at: None,
        }
    }

    #[test]
    fn a_running_pipeline_grows() {
        let row = pipeline_row();
        assert_eq!(row.running_since.as_deref(), Some("1970-01-01T00:00:01Z"));
        assert_eq!(row.took, None);
        assert_eq!(row.href, "/shop/-/pipelines/7");
    }
}
