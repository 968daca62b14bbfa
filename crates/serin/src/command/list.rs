//! `serin list`: the jobs of a pipeline.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use serin_lang::{Compilation, JobDetail, Reason};
use serin_model::plan::{AllowFailure, Job, Plan, When, Work};

use super::table::{Cell, draw};
use crate::cli::{Format, List};
use crate::terminal::{self, BOLD, CYAN, DIM, YELLOW};

/// Lists the jobs; exit code 1 where the files have errors.
pub fn run(list: &List) -> Result<ExitCode> {
    let Some(local) = super::compiled(&list.of)? else { return Ok(ExitCode::from(1)) };
    let compilation = &local.compilation;
    let left_out: &[JobDetail] = if list.all { &compilation.excluded } else { &[] };
    if list.format == Format::Json {
        let plan = compilation.plan.iter();
        let jobs = plan.flat_map(|plan| {
            plan.jobs.iter().zip(&compilation.details).map(|(job, detail)| included(plan, job, detail))
        });
        let jobs: Vec<Entry<'_>> = jobs.chain(left_out.iter().map(excluded)).collect();
        terminal::json(&jobs)?;
    } else if let Some(drawn) = text(compilation, left_out) {
        terminal::line(&drawn);
    }
    // The process ends here, and with it its memory; taking a large pipeline apart would cost a tenth of the time.
    std::mem::forget(local);
    Ok(ExitCode::SUCCESS)
}

fn text(compilation: &Compilation, left_out: &[JobDetail]) -> Option<String> {
    let plan = compilation.plan.as_ref();
    let mut rows: Vec<Vec<Cell>> = plan.iter().flat_map(|plan| plan.jobs.iter().map(|job| row(plan, job))).collect();
    rows.extend(left_out.iter().map(|detail| {
        let cells = [detail.job.as_str(), "", "left out", why(detail)];
        cells.map(|text| Cell::styled(text, DIM)).into()
    }));
    (!rows.is_empty()).then(|| draw(&["NAME", "STAGE", "WHEN", "NEEDS"], &rows))
}

fn row(plan: &Plan, job: &Job) -> Vec<Cell> {
    let mut when = job.when.as_str().to_owned();
    if let When::Delayed { start_in_ms } = job.when {
        when = format!("delayed {}", duration(start_in_ms));
    }
    match &job.allow_failure {
        AllowFailure::No => {}
        AllowFailure::Yes => when.push_str(", may fail"),
        AllowFailure::ExitCodes(codes) => {
            let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
            when = format!("{when}, may fail with {}", codes.join(" "));
        }
    }
    let style = if job.when == When::OnSuccess { DIM } else { YELLOW };
    let needs = match &job.needs {
        None => String::new(),
        Some(needs) if needs.is_empty() => "none, starts at once".to_owned(),
        Some(needs) => needs.iter().map(|need| need.job.as_str()).collect::<Vec<_>>().join(", "),
    };
    let stage = stage(plan, job);
    vec![Cell::styled(&job.name, BOLD), Cell::styled(stage, CYAN), Cell::styled(&when, style), Cell::new(&needs)]
}

/// A duration in the largest unit that tells it exactly.
fn duration(ms: i64) -> String {
    let seconds = ms / 1000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(length, _)| seconds > 0 && seconds % length == 0);
    unit.map_or_else(|| format!("{seconds} s"), |(length, unit)| format!("{} {unit}", seconds / length))
}

/// The stage of a job.
pub fn stage<'p>(plan: &'p Plan, job: &Job) -> &'p str {
    plan.stages.get(job.stage).map_or("", String::as_str)
}

/// Why a job is left out.
fn why(detail: &JobDetail) -> &'static str {
    match detail.reason {
        Reason::NoRules => "",
        Reason::Rule => "a rule says never",
        Reason::NoRuleHolds => "no rule holds",
        Reason::Filter => "only, except, or no rules in a merge request",
    }
}

/// A job as JSON, of the pipeline or left out of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'c> {
    Included(Included<'c>),
    Excluded(Excluded<'c>),
}

#[derive(Serialize)]
struct Included<'c> {
    name: &'c str,
    description: &'static str,
    stage: &'c str,
    when: &'static str,
    allow_failure: Allowed<'c>,
    needs: Option<Vec<Needed<'c>>>,
    kind: &'static str,
    environment: Option<&'c str>,
    tags: &'c [String],
    included: bool,
    file: &'c str,
    line: u32,
}

#[derive(Serialize)]
struct Needed<'c> {
    job: &'c str,
    artifacts: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Allowed<'c> {
    Any(bool),
    Codes { exit_codes: &'c [i32] },
}

#[derive(Serialize)]
struct Excluded<'c> {
    name: &'c str,
    included: bool,
    why: &'static str,
    file: &'c str,
    line: u32,
}

fn included<'c>(plan: &'c Plan, job: &'c Job, detail: &'c JobDetail) -> Entry<'c> {
    let need = |need: &'c serin_model::plan::Need| Needed { job: &need.job, artifacts: need.artifacts };
    Entry::Included(Included {
        name: &job.name,
        description: "",
        stage: stage(plan, job),
        when: job.when.as_str(),
        allow_failure: match &job.allow_failure {
            AllowFailure::No => Allowed::Any(false),
            AllowFailure::Yes => Allowed::Any(true),
            AllowFailure::ExitCodes(codes) => Allowed::Codes { exit_codes: codes },
        },
        needs: job.needs.as_ref().map(|needs| needs.iter().map(need).collect()),
        kind: kind(&job.work),
        environment: job.environment.as_ref().map(|environment| environment.name.as_str()),
        tags: &job.tags,
        included: true,
        file: &detail.defined.file,
        line: detail.defined.line,
    })
}

fn excluded(detail: &JobDetail) -> Entry<'_> {
    let defined = &detail.defined;
    Entry::Excluded(Excluded {
        name: &detail.job,
        included: false,
        why: why(detail),
        file: &defined.file,
        line: defined.line,
    })
}

fn kind(work: &Work) -> &'static str {
    match work {
        Work::Script(_) => "script",
        Work::Action(_) => "action",
        Work::Trigger(_) => "trigger",
    }
}
