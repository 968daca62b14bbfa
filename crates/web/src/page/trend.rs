//! A branch's quality from pipeline to pipeline.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_server::error::Result;
use serin_server::quality::{Point, trend};
use serin_store::project::Project;

use super::project;
use crate::chart::{self, Line, Value};
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::reply::html;
use crate::show::{self, At};
use crate::text::Text;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "trend.html")]
struct Page {
    f: Frame,
    here: String,
    branch: String,
    branches: Vec<String>,
    charts: Vec<Line>,
    rows: Vec<Row>,
}

/// One pipeline in figures.
struct Row {
    href: String,
    id: i64,
    at: At,
    coverage: String,
    findings: String,
    tests: String,
    took: String,
}

/// Shows the branch that the query names, or the default branch.
///
/// # Errors
/// Where the database fails.
pub(super) async fn show(visit: &Visit, project: &Project) -> Result<Response> {
    let t = visit.t();
    let branches: Vec<String> = project::branches(visit, project).await?.into_iter().map(|(name, _)| name).collect();
    let wanted = visit.query.get("branch").filter(|wanted| branches.contains(wanted));
    let branch = wanted.unwrap_or(&project.default_branch).clone();
    let points = trend(&visit.app, project.id, &branch).await?;
    let page = Page {
        f: Frame::of(visit, project, Tab::Quality, t.quality).hears([("project", project.id)]),
        here: format!("/{}/-/quality", project.path),
        charts: charts(&points, (&project.path, t)),
        rows: points.iter().rev().map(|point| row(point, (&project.path, t))).collect(),
        branch,
        branches,
    };
    html(StatusCode::OK, &page)
}

fn href(project: &str, point: &Point) -> String {
    format!("/{project}/-/pipelines/{}", point.pipeline)
}

/// The values that are there, each with its pipeline.
fn values<T>(
    (points, project): (&[Point], &str),
    value: impl Fn(&Point) -> Option<T>,
    word: impl Fn(&T) -> (f64, String),
) -> Vec<Value> {
    let known = points.iter().filter_map(|point| Some((point, value(point)?)));
    let drawn = known.map(|(point, value)| {
        let (value, text) = word(&value);
        Value { value, href: href(project, point), text: format!("{text} · #{}", point.pipeline) }
    });
    drawn.collect()
}

fn charts(points: &[Point], (project, t): (&str, &'static Text)) -> Vec<Line> {
    let whole = |value: f64| format!("{value:.0}");
    let of = (points, project);
    let coverage = values(of, Point::coverage_percent, |share| (*share, percent(*share)));
    let least = coverage.iter().map(|value| value.value).fold(100.0, f64::min);
    // The scale begins at a round tenth below the least, so that a change can be seen.
    let low = ((least / 10.0).floor() * 10.0).clamp(0.0, 90.0);
    let findings = values(
        of,
        |point| point.findings,
        |found| {
            let count: u64 = found.iter().sum();
            (count as f64, count.to_string())
        },
    );
    let failing = values(of, |point| point.tests, |tests| (tests[1] as f64, tests[1].to_string()));
    let took = values(
        of,
        |point| point.tests.filter(|tests| tests[3] > 0),
        |tests| (tests[3] as f64, show::duration(tests[3] as i64)),
    );
    let (of_findings, of_failing, of_took) = (highest(&findings), highest(&failing), highest(&took));
    let drawn = [
        chart::line(t.quality_coverage, coverage, (low, 100.0), percent),
        chart::line(t.quality_findings, findings, (0.0, of_findings), whole),
        chart::line(t.quality_tests_failed_chart, failing, (0.0, of_failing), whole),
        chart::line(t.quality_duration, took, (0.0, of_took), |ms| show::duration(ms as i64)),
    ];
    drawn.into_iter().flatten().collect()
}

fn highest(values: &[Value]) -> f64 {
    values.iter().map(|value| value.value).fold(1.0, f64::max)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 10.0).floor() / 10.0)
}

fn row(point: &Point, (project, t): (&str, &'static Text)) -> Row {
    let none = || "–".to_owned();
    Row {
        href: href(project, point),
        id: point.pipeline,
        at: show::at(point.at),
        coverage: point.coverage_percent().map_or_else(none, |share| {
            let counted = point.coverage.filter(|(_, total)| *total > 0);
            let counts = counted.map(|(covered, total)| format!(" ({covered}/{total})")).unwrap_or_default();
            format!("{}{counts}", percent(share))
        }),
        findings: point.findings.map_or_else(none, |found| {
            let names = ["info", "minor", "major", "critical", "blocker"];
            let parts = names.iter().zip(found).rev().filter(|(_, count)| *count > 0);
            let parts: Vec<String> = parts.map(|(name, count)| format!("{count} {name}")).collect();
            if parts.is_empty() { "0".to_owned() } else { parts.join(" · ") }
        }),
        tests: point.tests.map_or_else(none, |[passed, failed, skipped, _]| {
            format!(
                "{passed} {} · {failed} {} · {skipped} {}",
                t.quality_tests_passed, t.quality_tests_failed, t.quality_tests_skipped
            )
        }),
        took: point.tests.map_or_else(none, |tests| show::duration(tests[3] as i64)),
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;
    use crate::frame::tests::frame;
    use crate::text::Language;

    #[test]
    fn a_trend_is_drawn_without_scripts_and_styles() {
        let t = Language::English.text();
        let point = |pipeline: i64, covered: u64| Point {
            pipeline,
            at: 0,
            findings: Some([0, 2, 1, 0, 0]),
            tests: Some([9, 1, 0, 1_500]),
            coverage: Some((covered, 200)),
            job_coverage: None,
        };
        let points = [point(1, 150), Point { pipeline: 2, ..Point::default() }, point(3, 170)];
        let charts = charts(&points, ("shop", t));
        assert_eq!(charts.len(), 4);
        assert_eq!((charts[0].newest.as_str(), charts[0].bottom.as_str()), ("85.0 % · #3", "70.0 %"));
        assert_eq!(charts[0].dots.len(), 2);
        let rows: Vec<Row> = points.iter().map(|point| row(point, ("shop", t))).collect();
        assert_eq!(rows[0].findings, "1 major · 2 minor");
        assert_eq!(rows[1].coverage, "–");
        let hostile = "<img src=x onerror=alert(1)>\"'".to_owned();
        let page = Page {
            f: frame(),
            here: "/shop/-/quality".into(),
            branch: hostile.clone(),
            branches: vec![hostile],
            charts,
            rows,
        };
        let html = page.render().unwrap();
        for forbidden in ["<img", "<script>", "onerror=alert(1)>", " style=", "<style"] {
            assert!(!html.contains(forbidden), "{forbidden} in {html}");
        }
        assert!(html.contains("<polyline"), "{html}");
    }
}
