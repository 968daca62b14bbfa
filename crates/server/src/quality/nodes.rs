//! Integration tests: what the jobs that ran against a rollout's nodes report.

use serin_quality::{Outcome, TestCase};
use serin_store::delivery as rollouts;
use serin_store::pipeline::Job;
use serin_store::quality as rows;
use serin_wire::rest::{FailingTest, RolloutTest, TestCounts};

use super::facts::test_name;
use super::record::Body;
use super::trend::Summary;
use crate::App;
use crate::error::Result;
use crate::pipeline::record::decode;

/// Failing tests that are shown of a job.
const FAILING_MAX: usize = 20;
/// Bytes of a report in which failing tests are looked for each time that it is shown.
const REPORT_BYTES_MAX: i64 = 8 << 20;

/// The jobs that ran against the nodes of a rollout, with what their reports of tests say.
///
/// # Errors
/// Where the database fails.
pub async fn of_rollout(app: &App, rollout_id: i64) -> Result<Vec<RolloutTest>> {
    let jobs = rollouts::rollout_test_list(&mut *app.store.read().await?, rollout_id).await?;
    let mut shown = Vec::with_capacity(jobs.len());
    for job in jobs {
        shown.push(of_job(app, job).await?);
    }
    Ok(shown)
}

async fn of_job(app: &App, job: Job) -> Result<RolloutTest> {
    let mut test = RolloutTest { job_id: job.id, name: job.name, status: job.status, ..RolloutTest::default() };
    let mut db = app.store.read().await?;
    for report in rows::quality_outline_list(&mut db, job.id, "junit").await? {
        if let Some(problem) = report.problem {
            test.problem = Some(format!("{}: {problem}", report.path));
            continue;
        }
        // What a later version wrote is nothing that this one can show.
        let Ok(Summary::Tests([passed, failed, skipped, ms])) = serde_json::from_str(&report.summary) else { continue };
        let counts = test.counts.get_or_insert_with(TestCounts::default);
        counts.passed += passed;
        counts.failed += failed;
        counts.skipped += skipped;
        counts.duration_ms += ms;
        if failed > 0 && report.bytes <= REPORT_BYTES_MAX && test.failing.len() < FAILING_MAX {
            let whole = rows::quality_report_get(&mut db, report.id).await?;
            let Some(Body::Tests(found)) = whole.map(|whole| decode(&whole.body)).transpose()? else { continue };
            let found = found.into_iter().map(TestCase::from).filter(|one| one.outcome == Outcome::Failed);
            test.failing.extend(found.take(FAILING_MAX - test.failing.len()).map(failing));
        }
    }
    Ok(test)
}

fn failing(test: TestCase) -> FailingTest {
    let name = test_name(&test);
    FailingTest { name, message: test.detail.map(|detail| detail.message).unwrap_or_default() }
}
