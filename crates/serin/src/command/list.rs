//! `serin list`: the jobs of a pipeline.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};
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
        let mut jobs = included(compilation);
        jobs.extend(left_out.iter().map(excluded));
        terminal::line(&serde_json::to_string_pretty(&jobs)?);
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

fn included(compilation: &Compilation) -> Vec<Value> {
    let Some(plan) = &compilation.plan else { return Vec::new() };
    let jobs = plan.jobs.iter().zip(&compilation.details);
    jobs.map(|(job, detail)| entry(plan, job, detail)).collect()
}

fn entry(plan: &Plan, job: &Job, detail: &JobDetail) -> Value {
    let need = |need: &serin_model::plan::Need| json!({ "job": need.job, "artifacts": need.artifacts });
    json!({
        "name": job.name,
        "description": "",
        "stage": stage(plan, job),
        "when": job.when.as_str(),
        "allow_failure": allow_failure(&job.allow_failure),
        "needs": job.needs.as_ref().map(|needs| needs.iter().map(need).collect::<Vec<_>>()),
        "kind": kind(&job.work),
        "environment": job.environment.as_ref().map(|environment| &environment.name),
        "tags": job.tags,
        "included": true,
        "file": detail.defined.file,
        "line": detail.defined.line,
    })
}

fn excluded(detail: &JobDetail) -> Value {
    json!({
        "name": detail.job,
        "included": false,
        "why": why(detail),
        "file": detail.defined.file,
        "line": detail.defined.line,
    })
}

fn allow_failure(allow: &AllowFailure) -> Value {
    match allow {
        AllowFailure::No => json!(false),
        AllowFailure::Yes => json!(true),
        AllowFailure::ExitCodes(codes) => json!({ "exit_codes": codes }),
    }
}

fn kind(work: &Work) -> &'static str {
    match work {
        Work::Script(_) => "script",
        Work::Action(_) => "action",
        Work::Trigger(_) => "trigger",
    }
}
