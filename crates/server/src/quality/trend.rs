//! A branch's figures from pipeline to pipeline.

use serde::{Deserialize, Serialize};
use serin_model::quality::Severity;
use serin_quality::Content;
use serin_quality::test_case::Counts;
use serin_store::quality as rows;

use crate::App;
use crate::error::Result;

/// Pipelines that a trend shows.
const PIPELINES_MAX: i64 = 60;

/// What one report holds in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Summary {
    /// Findings by severity, from `info` to `blocker`.
    Findings([u64; 5]),
    /// Tests that passed, failed, and were left out, and milliseconds of all.
    Tests([u64; 4]),
    /// Lines that ran, of lines that could.
    Coverage([u64; 2]),
}

impl Summary {
    pub(super) fn of(content: &Content) -> Self {
        match content {
            Content::Findings(findings) => {
                let of = |severity: &Severity| findings.iter().filter(|one| one.severity == *severity).count() as u64;
                Self::Findings(Severity::ALL.each_ref().map(of))
            }
            Content::Tests(tests) => {
                let counts = Counts::of(tests);
                let ms = tests.iter().map(|test| u64::from(test.duration_ms)).sum();
                Self::Tests([counts.passed.into(), counts.failed.into(), counts.skipped.into(), ms])
            }
            Content::Coverage(coverage) => {
                let ratio = coverage.ratio();
                Self::Coverage([ratio.covered, ratio.total])
            }
        }
    }
}

/// The figures of one pipeline; what no report tells is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// The pipeline.
    pub pipeline: i64,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// Findings by severity, from `info` to `blocker`.
    pub findings: Option<[u64; 5]>,
    /// Tests that passed, failed, and were left out, and milliseconds of all.
    pub tests: Option<[u64; 4]>,
    /// Lines that ran, of lines that could.
    pub coverage: Option<(u64, u64)>,
    /// What `coverage:` found in the output of its jobs on average, percent.
    pub job_coverage: Option<f64>,
}

/// The figures of a branch's newest pipelines, the oldest first.
///
/// # Errors
/// Where the database fails.
pub async fn trend(app: &App, project_id: i64, branch: &str) -> Result<Vec<Point>> {
    let mut db = app.store.read().await?;
    let found = rows::quality_figures_list(&mut db, (project_id, branch), PIPELINES_MAX).await?;
    let mut points: Vec<Point> = Vec::new();
    for figures in found {
        if points.last().is_none_or(|point| point.pipeline != figures.pipeline_id) {
            points.push(Point { pipeline: figures.pipeline_id, at: figures.created_at, ..Point::default() });
        }
        // What a later version wrote is nothing that this one can show.
        if let (Some(point), Ok(summary)) = (points.last_mut(), serde_json::from_str(&figures.summary)) {
            point.add(summary);
        }
    }
    for (pipeline, at, percent) in
        rows::quality_job_coverage_trend(&mut db, (project_id, branch), PIPELINES_MAX).await?
    {
        match points.iter_mut().find(|point| point.pipeline == pipeline) {
            Some(point) => point.job_coverage = Some(percent),
            None => points.push(Point { pipeline, at, job_coverage: Some(percent), ..Point::default() }),
        }
    }
    points.sort_by_key(|point| point.pipeline);
    Ok(points)
}

impl Point {
    /// The share of lines that ran in percent: by reports, or else by what jobs print.
    #[must_use]
    pub fn coverage_percent(&self) -> Option<f64> {
        let counted = self.coverage.filter(|(_, total)| *total > 0);
        counted.map(|(covered, total)| 100.0 * covered as f64 / total as f64).or(self.job_coverage)
    }

    /// Reports of several jobs add up; covered lines of several reports cannot be told apart and add up as well.
    fn add(&mut self, summary: Summary) {
        match summary {
            Summary::Findings(more) => self.findings = Some(sum(self.findings.unwrap_or_default(), more)),
            Summary::Tests(more) => self.tests = Some(sum(self.tests.unwrap_or_default(), more)),
            Summary::Coverage([covered, total]) => {
                let (before, of) = self.coverage.unwrap_or_default();
                self.coverage = Some((before.saturating_add(covered), of.saturating_add(total)));
            }
        }
    }
}

fn sum<const N: usize>(mut before: [u64; N], more: [u64; N]) -> [u64; N] {
    before.iter_mut().zip(more).for_each(|(one, more)| *one = one.saturating_add(more));
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_back_and_add_up() {
        let mut point = Point::default();
        for summary in [Summary::Findings([0, 1, 2, 0, 0]), Summary::Tests([7, 1, 0, 90]), Summary::Coverage([3, 4])] {
            let text = serde_json::to_string(&summary).unwrap();
            assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
            point.add(summary.clone());
            point.add(summary);
        }
        assert_eq!(point.findings, Some([0, 2, 4, 0, 0]));
        assert_eq!(point.tests, Some([14, 2, 0, 180]));
        assert_eq!(point.coverage, Some((6, 8)));
    }
}
