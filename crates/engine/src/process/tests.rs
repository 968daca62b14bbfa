//! Which jobs run, given how what comes before them ended.

use serin_model::limit::PIPELINE_JOBS_MAX;
use serin_model::plan::{Need, OnJobFailure, Plan};
use serin_model::{JobId, PipelineId, Timestamp};

use crate::composite::LOOKS;
use crate::scene::{check, script_job};
use crate::{Event, Outcome, Pipeline, step};

#[test]
fn stages_run_one_after_the_other() {
    check(
        "build: a b | test: c | deploy: d",
        "start => pending | pending pending created created
         ok a  => running | success pending created created
         ok b  => running | success success pending created
         ok c  => running | success success success pending
         ok d  => success | success success success success",
    );
}

#[test]
fn failure_skips_what_follows() {
    check(
        "build: a b | test: c | deploy: d",
        "fail a => running | failed pending created created
         ok b   => failed | failed success skipped skipped",
    );
}

#[test]
fn failure_that_is_allowed_counts_as_success() {
    check(
        "build: a(optional) | test: b c(on_failure) | deploy: d",
        "fail a => running | failed pending skipped created
         ok b   => running | failed success skipped pending
         ok d   => success | failed success skipped success",
    );
}

#[test]
fn exit_codes_decide_whether_a_failure_counts() {
    let text = "build: a(codes 42,137) | test: b";
    check(text, "fail a 42 => running | failed pending");
    check(text, "fail a 137 => running | failed pending");
    check(text, "fail a 1 => failed | failed skipped");
    check(text, "cancel a => canceled | canceled skipped");
    check(
        text,
        "fail a 42 => running | failed pending
         ok b      => success | failed success
         retry a   => running | pending success
         fail a 1  => failed | failed success",
    );
}

#[test]
fn on_failure_runs_after_a_failure_alone() {
    let text = "build: a | test: b | rescue: c(on_failure) | end: d(always)";
    check(
        text,
        "fail a => running | failed skipped pending created
         ok c   => running | failed skipped success pending
         ok d   => failed | failed skipped success success",
    );
    check(
        text,
        "ok a => running | success pending created created
         ok b => running | success success skipped pending
         ok d => success | success success skipped success",
    );
}

#[test]
fn on_failure_in_the_first_stage_is_skipped() {
    check("test: a b(on_failure)", "start => pending | pending skipped\n ok a => success | success skipped");
    check("test: a(needs) b(needs; on_failure)", "start => pending | pending skipped");
}

#[test]
fn cancelled_job_stops_what_follows_even_always() {
    check(
        "build: a | test: b c(on_failure) d(always) | deploy: e",
        "cancel a => canceled | canceled skipped skipped skipped skipped",
    );
    check("build: a(optional) | test: b c(on_failure)", "cancel a => pending | canceled pending skipped");
}

#[test]
fn needs_start_early() {
    check(
        "build: a b | test: c(needs a) d",
        "start => pending | pending pending created created
         ok a  => running | success pending pending created
         ok c  => running | success pending success created
         ok b  => running | success success success pending",
    );
}

#[test]
fn empty_needs_start_at_once_whatever_fails() {
    check(
        ".pre: p | build: a | deploy: d(needs)",
        "start  => pending | pending created pending
         fail p => running | failed skipped pending
         ok d   => failed | failed skipped success",
    );
}

#[test]
fn needs_within_a_stage_run_in_order_whatever_the_order_of_the_file() {
    check(
        "test: c(needs b) b(needs a) a",
        "start  => pending | created created pending
         ok a   => running | created pending success
         fail b => failed | skipped failed success",
    );
}

#[test]
fn failed_need_skips_a_whole_chain() {
    check(
        "build: a x | test: b(needs a) | deploy: c(needs b) r(needs b; on_failure)",
        "fail a => running | failed pending skipped skipped skipped",
    );
    check(
        "build: a | test: b(needs a; on_failure) | deploy: c(needs b)",
        "fail a => running | failed pending created\n ok b => running | failed success pending",
    );
}

#[test]
fn needs_and_stages_see_the_same_failure_differently() {
    check(
        "build: a b | test: t | deploy: d(needs a,t) e(needs a,t; always)",
        "ok a   => running | success pending created created created
         fail b => running | success failed skipped skipped pending",
    );
}

#[test]
fn optional_manual_job_lets_stages_pass_and_skips_needs() {
    check(
        "test: a gate(manual; optional) | deploy: by_stage by_needs(needs gate) any(needs gate; always)",
        "start     => pending | pending manual created skipped pending
         ok a      => running | success manual pending skipped pending
         ok any    => running | success manual pending skipped success
         ok by_stage => success | success manual success skipped success
         play gate => running | success pending success created success
         ok gate   => running | success success success pending success
         ok by_needs => success | success success success success success",
    );
}

#[test]
fn pipeline_of_unplayed_optional_jobs_is_skipped() {
    check(
        "test: a(manual; optional) | deploy: b(needs a)",
        "start  => skipped | manual skipped
         play a => pending | pending created
         fail a => running | failed pending
         ok b   => success | failed success",
    );
}

#[test]
fn blocking_manual_job_holds_later_stages() {
    check(
        "test: a gate(manual) | deploy: b | end: c(needs)",
        "start     => running | pending manual created pending
         ok a      => running | success manual created pending
         ok c      => manual | success manual created success
         play gate => running | success pending created success
         ok gate   => running | success success pending success
         ok b      => success | success success success success",
    );
}

#[test]
fn blocking_manual_job_that_fails() {
    check(
        "test: gate(manual) | deploy: b(needs gate) c(needs gate; on_failure)",
        "start     => manual | manual created created
         play gate => pending | pending created created
         fail gate => running | failed skipped pending",
    );
}

#[test]
fn manual_job_after_a_failure_is_skipped() {
    check("build: a | deploy: b(manual) c(delayed 10)", "fail a => failed | failed skipped skipped");
}

#[test]
fn manual_jobs_in_a_row_by_needs() {
    check(
        "test: a(manual; optional) b(needs a) c(needs b; manual; optional) d(needs c)",
        "start  => skipped | manual skipped skipped skipped
         play a => pending | pending created created created
         ok a   => running | success pending created created
         ok b   => success | success success manual skipped
         play c => running | success success pending created",
    );
}

#[test]
fn playing_resets_only_what_it_may_let_run() {
    check(
        "build: a | test: t g(manual; optional) h(manual; optional) | deploy: s(needs g) p(needs h) | end: e(needs p) f(on_failure)",
        "ok a   => running | success pending manual manual skipped skipped skipped created
         ok t   => success | success success manual manual skipped skipped skipped skipped
         play g => running | success success pending manual created skipped skipped created
         ok g   => running | success success success manual pending skipped skipped created
         ok s   => success | success success success manual success skipped skipped skipped",
    );
}

#[test]
fn retrying_within_a_stage_resets_the_whole_chain() {
    check(
        "test: a b(needs a) c(needs b)",
        "fail a  => failed | failed skipped skipped
         retry a => running | pending created created
         ok a    => running | success pending created",
    );
    check(
        "test: a b(needs a) g(manual; optional) d(needs b,g)",
        "start   => pending | pending created manual skipped
         fail a  => failed | failed skipped manual skipped
         retry a => running | pending created manual skipped
         ok a    => running | success pending manual skipped",
    );
}

#[test]
fn playing_one_of_two_gates_leaves_what_needs_the_other() {
    check(
        "first: a(manual; optional) | second: b(manual; optional) | third: c(needs b) d(needs a)",
        "start  => skipped | manual manual skipped skipped
         play b => pending | manual pending created skipped",
    );
}

#[test]
fn delayed_job_waits_for_its_time() {
    check(
        "build: a | deploy: b(delayed 5000) | end: c",
        "ok a      => scheduled | success scheduled created
         wait 4999 => scheduled | success scheduled created
         delay b   => refused: ending the delay of job 2: not due yet
         wait 1    => running | success pending created
         ok b      => running | success success pending",
    );
    check("build: a(delayed 5000)", "play a => pending | pending\n ok a => success | success");
}

#[test]
fn stage_without_a_runnable_job_lets_the_next_one_run() {
    check("a: x(on_failure) | b: y", "start => pending | skipped pending\n ok y => success | skipped success");
    check("a: x(on_failure) | b: y(needs x)", "start => skipped | skipped skipped");
}

const WIDTH: usize = 100;

/// Stages of `WIDTH` jobs each; every second job needs its neighbours of the stage before.
fn wide_plan(jobs: usize) -> Plan {
    let mut plan = Plan { stages: (0..jobs / WIDTH).map(|stage| stage.to_string()).collect(), ..Plan::default() };
    plan.auto_cancel.on_job_failure = OnJobFailure::All;
    for index in 0..jobs {
        let mut job = script_job(&index.to_string(), index / WIDTH);
        let needs = (0..3).filter_map(|back| index.checked_sub(WIDTH + back));
        let needs = needs.map(|other| Need { job: other.to_string(), artifacts: true });
        job.needs = (index >= 2 * WIDTH && index % 2 == 0).then(|| needs.collect());
        plan.jobs.push(job);
    }
    plan
}

/// Jobs looked at by the most laborious step of a run with `jobs` jobs, for each job.
fn looks_for_each_job(jobs: usize) -> usize {
    let plan = wide_plan(jobs);
    let ids: Vec<JobId> = (1..).take(jobs).map(JobId).collect();
    let mut pipeline = Pipeline::from_plan(PipelineId(1), &plan, &ids).expect("the plan holds");
    let claims = (1..=WIDTH as i64).map(|id| Event::Claimed { job: JobId(id), lease_until: Timestamp(5) });
    let finished = Event::Finished { job: JobId(1), fence: 1, outcome: Outcome::Success };
    let events = [Event::Created].into_iter().chain(claims).chain([finished]);
    let ends = [Event::Tick, Event::Cancel, Event::Tick, Event::RetryAll, Event::Retry { job: JobId(1) }];
    let mut most = 0;
    for event in events.chain(ends) {
        LOOKS.set(0);
        step(&mut pipeline, event, Timestamp(5)).unwrap_or_else(|refusal| panic!("{refusal}"));
        most = most.max(LOOKS.get());
    }
    most.div_ceil(jobs)
}

#[test]
fn work_of_a_step_grows_linearly_with_the_jobs() {
    let (few, many) = (looks_for_each_job(1_000), looks_for_each_job(PIPELINE_JOBS_MAX));
    assert!(many <= few + 1 && many <= 5, "{few} jobs looked at for each of 1,000, {many} for each of the most");
}
