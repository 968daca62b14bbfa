//! Releases: what was packaged, what is in it, and how it was made.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serin_server::action::{PROVENANCE, SBOM};
use serin_server::api::releases;
use serin_server::error::{Kind, Result};
use serin_store::project::Project;
use serin_store::release::{self as stored, Release};

use crate::frame::{Frame, Tab};
use crate::icon;
use crate::reply::{html, protect};
use crate::show::{self, At};
use crate::visit::Visit;

/// Releases listed.
const RELEASES_MAX: i64 = 100;
/// Components on the page; the file has all.
const COMPONENTS_MAX: usize = 500;
/// Lists of packages named beside a component.
const PLACES_MAX: usize = 3;

#[derive(Template)]
#[template(path = "releases.html")]
struct List {
    f: Frame,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "release.html")]
struct Page {
    f: Frame,
    r: Row,
    here: String,
    bill: Option<Bill>,
    made: Option<Made>,
}

/// A release.
struct Row {
    href: String,
    short: String,
    digest: String,
    sha: String,
    commit: String,
    tree: String,
    image: Option<String>,
    pipeline_id: i64,
    pipeline_href: String,
    at: At,
}

/// What is in it.
struct Bill {
    count: usize,
    components: Vec<Component>,
    missing: Vec<String>,
}

struct Component {
    name: String,
    version: String,
    kind: String,
    licence: String,
    places: String,
}

/// How it was made.
struct Made {
    builder: String,
    parameters: String,
    bases: Vec<String>,
    finished: String,
}

/// The list.
///
/// # Errors
/// Where the database fails.
pub(super) async fn list(visit: &Visit, project: &Project) -> Result<Response> {
    let found = stored::release_list(&mut *visit.app.store.read().await?, project.id, RELEASES_MAX).await?;
    let page = List {
        f: Frame::of(visit, project, Tab::Environments, visit.t().releases).hears([("project", project.id)]),
        rows: found.iter().map(|release| row(project, release)).collect(),
    };
    html(StatusCode::OK, &page)
}

/// One release.
///
/// # Errors
/// Where there is none.
pub(super) async fn show(visit: &Visit, project: &Project, digest: &str) -> Result<Response> {
    let release = releases::find(&visit.app, project, digest).await?;
    let bill = said(visit, &release, SBOM).await?.as_ref().map(bill);
    let made = said(visit, &release, PROVENANCE).await?.as_ref().map(made);
    let r = row(project, &release);
    let title = format!("{} {}", visit.t().release, r.short);
    let f = Frame::of(visit, project, Tab::Environments, title);
    html(StatusCode::OK, &Page { f, here: r.href.clone(), r, bill, made })
}

/// A statement as a file.
///
/// # Errors
/// Where there is none.
pub(super) async fn statement(
    visit: &Visit,
    project: &Project,
    (digest, kind): (&str, &'static str),
) -> Result<Response> {
    let release = releases::find(&visit.app, project, digest).await?;
    let mut response = releases::file(kind, releases::body(&visit.app, &release, kind).await?);
    protect(&mut response);
    Ok(response)
}

async fn said(visit: &Visit, release: &Release, kind: &str) -> Result<Option<Value>> {
    match releases::body(&visit.app, release, kind).await {
        Ok(body) => Ok(Some(serde_json::from_str(&body)?)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn row(project: &Project, release: &Release) -> Row {
    Row {
        href: format!("/{}/-/releases/{}", project.path, releases::digits(&release.digest)),
        short: show::digest(&release.digest),
        digest: release.digest.clone(),
        sha: show::sha(&release.commit_id),
        commit: release.commit_id.clone(),
        tree: release.tree_id.clone(),
        image: release.image.clone(),
        pipeline_id: release.pipeline_id,
        pipeline_href: format!("/{}/-/pipelines/{}", project.path, release.pipeline_id),
        at: show::at(release.created_at),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn bill(bill: &Value) -> Bill {
    // The distribution itself is listed, and is no component.
    let count = list_of(&bill["components"]).filter(|one| one["purl"].is_string()).count();
    let component = |one: &Value| {
        let group = one["group"].as_str().map(|group| format!("{group}/")).unwrap_or_default();
        let purl = one["purl"].as_str().unwrap_or_default();
        let kind = purl.strip_prefix("pkg:").and_then(|rest| rest.split('/').next());
        let places: Vec<String> =
            list_of(&one["properties"]).map(|place| text(&place["value"])).take(PLACES_MAX).collect();
        Component {
            name: format!("{group}{}", text(&one["name"])),
            version: text(&one["version"]),
            kind: kind.map_or_else(|| text(&one["type"]), str::to_owned),
            licence: text(&one["licenses"][0]["license"]["name"]),
            places: places.join(", "),
        }
    };
    Bill {
        count,
        components: list_of(&bill["components"]).take(COMPONENTS_MAX).map(component).collect(),
        missing: list_of(&bill["metadata"]["properties"]).map(|what| text(&what["value"])).collect(),
    }
}

fn made(statement: &Value) -> Made {
    let definition = &statement["predicate"]["buildDefinition"];
    let details = &statement["predicate"]["runDetails"];
    let base = |one: &Value| {
        let name = one["uri"].as_str()?.strip_prefix("docker:")?;
        Some(format!("{name} sha256:{}", one["digest"]["sha256"].as_str()?))
    };
    Made {
        builder: text(&details["builder"]["id"]),
        parameters: serde_json::to_string_pretty(&definition["externalParameters"]).unwrap_or_default(),
        bases: list_of(&definition["resolvedDependencies"]).filter_map(base).collect(),
        finished: text(&details["metadata"]["finishedOn"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hostile_names_are_shown_as_text() {
        let evil = "<script>alert(1)</script>";
        let mut page = Page {
            f: crate::frame::tests::frame(),
            r: row_of(evil),
            here: "/shop/-/releases/0".into(),
            bill: Some(bill(&json!({
                "components": [{ "name": evil, "group": evil, "version": evil, "purl": "pkg:npm/x@1", "type": evil,
                    "licenses": [{ "license": { "name": evil } }], "properties": [{ "value": evil }] }],
                "metadata": { "properties": [{ "value": evil }] },
            }))),
            made: Some(made(&json!({ "predicate": {
                "buildDefinition": { "externalParameters": { "a": evil }, "resolvedDependencies": [
                    { "uri": format!("docker:{evil}"), "digest": { "sha256": evil } } ] },
                "runDetails": { "builder": { "id": evil } },
            } }))),
        };
        let shown = page.render().unwrap();
        assert!(!shown.contains("<script>alert") && shown.contains("npm"), "{shown}");
        page.bill = Some(bill(&json!({})));
        page.made = Some(made(&json!({})));
        assert!(page.render().unwrap().contains(page.f.t.components_none));
    }

    fn row_of(text: &str) -> Row {
        Row {
            href: "/shop/-/releases/0".into(),
            short: "0".into(),
            digest: "sha256:0".into(),
            sha: text.into(),
            commit: text.into(),
            tree: text.into(),
            image: Some(text.into()),
            pipeline_id: 1,
            pipeline_href: "/shop/-/pipelines/1".into(),
            at: show::at(0),
        }
    }
}
