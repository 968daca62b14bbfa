//! Leases, retries, clicks, cancelling, resource groups: what an event does, and the effects that it has.

use serin_model::{FailureReason, JobId, Status, Timestamp};

use crate::scene::{LEASE_MS, Scene, check, plan};
use crate::{CANCEL_GRACE_MS, Effect, Event, Outcome, Pipeline, Refusal, TIMEOUT_GRACE_MS, next_wake, step};

fn acts(text: &str, lines: &[&str]) -> Scene {
    let mut scene = Scene::of(text);
    for line in lines {
        scene.act(line).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
    }
    scene
}

fn changed(job: i64) -> Effect {
    Effect::JobChanged { job: JobId(job) }
}

#[test]
fn creation_offers_the_first_jobs() {
    let scene = Scene::of("build: a b(action) c(trigger) | test: d");
    assert_eq!(
        scene.effects,
        [
            Effect::Offer { job: JobId(1), attempt: 1 },
            Effect::StartAction { job: JobId(2), attempt: 1, fence: 0 },
            Effect::StartTrigger { job: JobId(3), attempt: 1, fence: 0 },
            changed(1),
            changed(2),
            changed(3),
            Effect::PipelineChanged { status: Status::Pending },
        ]
    );
}

#[test]
fn creation_twice_changes_nothing() {
    let mut scene = acts("build: a | test: b", &["claim a"]);
    let before = scene.pipeline.clone();
    scene.send(Event::Created).unwrap();
    assert_eq!((scene.pipeline, scene.effects), (before, vec![]));
}

#[test]
fn last_result_finishes_the_pipeline() {
    let scene = acts("build: a", &["ok a"]);
    let finished = [
        changed(1),
        Effect::PipelineChanged { status: Status::Success },
        Effect::PipelineFinished { status: Status::Success },
    ];
    assert_eq!(scene.effects, finished);
    assert_eq!(scene.job("a").exit_code, Some(0));
    assert_eq!(scene.job("a").finished_at, Some(scene.now));
    assert_eq!(next_wake(&scene.pipeline), None);
}

#[test]
fn claim_gives_a_fence_and_a_lease() {
    let scene = acts("build: a", &["claim a"]);
    let job = scene.job("a");
    assert_eq!((job.fence, job.attempt, job.status), (1, 1, Status::Running));
    assert_eq!(job.lease_until, Some(scene.now.plus_ms(LEASE_MS)));
    assert_eq!(next_wake(&scene.pipeline), job.lease_until);
    check("build: a", "claim a => running | running\n claim a => refused: claiming job 1: it is running");
}

#[test]
fn renewing_moves_the_lease_and_tells_nobody() {
    let mut scene = acts("build: a", &["claim a"]);
    let until = scene.now.plus_ms(60_000);
    scene.send(Event::LeaseRenewed { job: JobId(1), fence: 1, lease_until: until }).unwrap();
    assert_eq!(scene.effects, [Effect::LeaseMoved { job: JobId(1) }]);
    assert_eq!(next_wake(&scene.pipeline), Some(until));
}

#[test]
fn lease_expires_at_its_time_and_not_before() {
    let mut scene = acts("build: a", &["claim a"]);
    scene.now = scene.now.plus_ms(LEASE_MS - 1);
    let refusal = scene.send(Event::LeaseExpired { job: JobId(1) }).unwrap_err();
    assert!(matches!(refusal, Refusal::NotDue { .. }), "{refusal}");
    scene.act("wait 1").unwrap();
    assert_eq!(scene.shown(), "running | pending");
}

#[test]
fn late_result_of_a_lost_lease_is_refused() {
    let mut scene = acts("build: a", &["claim a", "lost a"]);
    let late = Event::Finished { job: JobId(1), fence: 1, outcome: Outcome::Success };
    assert!(matches!(scene.send(late), Err(Refusal::WrongStatus { status: Status::Pending, .. })));
    scene.act("claim a").unwrap();
    let stale = Refusal::StaleFence { job: JobId(1), attempted: "finishing", given: 1, current: 2 };
    assert_eq!(scene.send(late), Err(stale));
    let renewal = Event::LeaseRenewed { job: JobId(1), fence: 1, lease_until: scene.now };
    assert!(matches!(scene.send(renewal), Err(Refusal::StaleFence { .. })));
    scene.act("ok a").unwrap();
    assert_eq!(scene.shown(), "success | success");
}

#[test]
fn result_counts_once() {
    let mut scene = acts("build: a", &["claim a", "ok a"]);
    let again = Event::Finished { job: JobId(1), fence: 1, outcome: Outcome::Success };
    assert!(matches!(scene.send(again), Err(Refusal::WrongStatus { status: Status::Success, .. })));
}

#[test]
fn lost_runner_is_retried_without_being_asked_and_not_for_ever() {
    for word in ["lost", "broken"] {
        let script = "W a => running | pending created
                      W a => running | pending created
                      W a => failed | failed skipped";
        check("build: a | test: b", &script.replace('W', word));
    }
    let scene = acts("build: a", &["lost a", "lost a", "lost a"]);
    let job = scene.job("a");
    assert_eq!((job.attempt, job.failure), (3, Some(FailureReason::RunnerLost)));
}

#[test]
fn retry_is_counted_and_told() {
    let scene = acts("build: a(retry 1) | test: b", &["fail a 3"]);
    assert_eq!(
        scene.effects,
        [
            Effect::Retried { job: JobId(1), attempt: 1, reason: FailureReason::ScriptFailure },
            Effect::Offer { job: JobId(1), attempt: 2 },
            changed(1),
        ]
    );
    check(
        "build: a(retry 1) | test: b",
        "fail a => running | pending created
         fail a => failed | failed skipped
         retry a => running | pending created
         fail a => running | pending created
         ok a => running | success pending",
    );
}

#[test]
fn retry_looks_at_the_cause() {
    let cases = [
        ("retry 2", "fail a", true),
        ("retry 2; retry_when always", "fail a", true),
        ("retry 2; retry_when script_failure", "fail a", true),
        ("retry 2; retry_when job_execution_timeout,api_failure", "fail a", false),
        ("retry 2; retry_codes 3,4", "fail a 4", true),
        ("retry 2; retry_codes 3,4", "fail a 5", false),
        ("retry 2; retry_codes 3; retry_when script_failure", "fail a 5", true),
        ("retry 0", "fail a", false),
        ("retry 1; optional", "fail a", true),
    ];
    for (attributes, line, retried) in cases {
        let scene = acts(&format!("build: a({attributes})"), &[line]);
        let expected = if retried { Status::Pending } else { Status::Failed };
        assert_eq!(scene.job("a").status, expected, "{attributes}, {line}");
    }
}

#[test]
fn servers_own_work_is_handed_over_again_and_loses_no_attempt() {
    for kind in ["action", "trigger"] {
        let mut scene = Scene::of(&format!("build: a({kind})"));
        for fence in 1..=5 {
            scene.act("lost a").unwrap();
            let job = scene.job("a");
            assert_eq!((job.status, job.attempt, job.fence), (Status::Pending, 1, fence));
            assert!(scene.effects.iter().any(|effect| match effect {
                Effect::StartAction { attempt, fence: of, .. } => kind == "action" && (*attempt, *of) == (1, fence),
                Effect::StartTrigger { attempt, fence: of, .. } => kind == "trigger" && (*attempt, *of) == (1, fence),
                _ => false,
            }));
        }
        assert_eq!(scene.job("a").started_at, Some(Timestamp(1_000)));
    }
}

#[test]
fn retrying_a_job_of_a_finished_pipeline_runs_what_it_held_back() {
    check(
        "build: a b | test: c | deploy: d(needs c)",
        "ok b    => running | pending success created created
         fail a  => failed | failed success skipped skipped
         retry d => refused: retrying job 4: it is skipped
         retry a => running | pending success created created
         ok a    => running | success success pending created
         ok c    => running | success success success pending
         ok d    => success | success success success success",
    );
}

#[test]
fn retrying_waits_for_what_runs_before_and_refuses_what_failed_before() {
    check(
        "build: a | test: b | deploy: c",
        "ok a => running | success pending created
         ok b => running | success success pending
         fail c => failed | success success failed
         retry a => running | pending success failed
         retry c => running | pending success created
         ok a => running | success success pending",
    );
    check(
        "build: a | test: b | deploy: c(always)",
        "fail a => running | failed skipped pending
         cancel => failed | failed skipped canceled
         retry c => running | failed skipped pending",
    );
    check(
        "build: a | test: b",
        "cancel => canceled | canceled canceled
         retry b => refused: retrying job 2: what comes before it is canceled; retry that first
         retry a => running | pending canceled",
    );
}

#[test]
fn retrying_a_played_job_needs_no_second_click_but_retrying_all_does() {
    let text = "test: a gate(manual; optional)";
    let start = "ok a => success | success manual
                 play gate => running | success pending
                 fail gate => success | success failed\n";
    check(text, &format!("{start} retry gate => running | success pending"));
    check(text, &format!("{start} retry all => success | success manual"));
}

#[test]
fn retrying_all_runs_what_failed_was_cancelled_or_skipped() {
    check(
        "build: a b(optional) | test: c | deploy: d",
        "ok a => running | success pending created created
         fail b => running | success failed pending created
         fail c => failed | success failed failed skipped
         retry all => running | success pending created created
         ok b => running | success success pending created
         cancel => canceled | success success canceled canceled
         retry all => running | success success pending created",
    );
    check("build: a", "retry all => refused: retrying the pipeline: it is pending");
}

#[test]
fn cancelling_waits_for_what_runs_alone() {
    check(
        "build: a b c(manual) d(delayed 9) e(group g) | test: f",
        "claim a => running | running pending manual scheduled waiting_for_resource created
         cancel => canceling | canceling canceled canceled canceled canceled canceled
         cancel a => refused: cancelling job 1: it is canceling
         stopped a => canceled | canceled canceled canceled canceled canceled canceled
         cancel => refused: cancelling the pipeline: it is canceled",
    );
    let scene = acts("build: a b", &["claim a", "cancel"]);
    assert_eq!(scene.effects[0], Effect::Stop { job: JobId(1), fence: 1 });
}

#[test]
fn job_that_was_asked_to_stop_is_cancelled_however_it_ends() {
    for end in ["ok a", "fail a", "broken a", "lost a", "stopped a"] {
        let scene = acts("build: a(retry 2)", &["claim a", "cancel a", end]);
        assert_eq!(scene.shown(), "canceled | canceled", "{end}");
    }
}

#[test]
fn silent_holder_that_was_asked_to_stop_is_waited_for_no_longer_than_its_lease() {
    let mut scene = acts("build: a", &["claim a", "cancel"]);
    assert_eq!(next_wake(&scene.pipeline), Some(scene.now.plus_ms(LEASE_MS)));
    scene.act(&format!("wait {LEASE_MS}")).unwrap();
    assert_eq!(scene.shown(), "canceled | canceled");
}

#[test]
fn one_tick_deals_with_everything_that_is_due() {
    let mut plan = plan("build: a b(delayed 15000) c(delayed 15001) d(action)");
    plan.auto_cancel.on_job_failure = serin_model::plan::OnJobFailure::All;
    plan.jobs[0].timeout_ms = Some(1);
    let mut scene = Scene::of_plan(&plan);
    for line in ["claim a", "claim d", "wait 15000"] {
        scene.act(line).unwrap();
    }
    assert_eq!(scene.shown(), "running | pending pending scheduled pending");
    assert_eq!(next_wake(&scene.pipeline), Some(scene.now.plus_ms(1)));
}

#[test]
fn job_that_is_readied_and_cancelled_in_one_step_is_offered_to_nobody() {
    let mut plan = plan("build: b(delayed 15000) a(action; timeout 15000)");
    plan.auto_cancel.on_job_failure = serin_model::plan::OnJobFailure::All;
    let mut scene = Scene::of_plan(&plan);
    scene.act("claim a").unwrap();
    scene.act("wait 15000").unwrap();
    assert_eq!(scene.shown(), "failed | canceled failed");
    assert!(!scene.effects.iter().any(|effect| matches!(effect, Effect::Offer { .. })), "{:?}", scene.effects);
}

#[test]
fn job_that_does_not_stop_is_not_waited_for_for_ever() {
    let mut scene = acts("build: a", &["claim a", "cancel"]);
    let far = scene.now.plus_ms(10 * CANCEL_GRACE_MS);
    scene.send(Event::LeaseRenewed { job: JobId(1), fence: 1, lease_until: far }).unwrap();
    assert_eq!(next_wake(&scene.pipeline), Some(scene.now.plus_ms(CANCEL_GRACE_MS)));
    scene.act(&format!("wait {CANCEL_GRACE_MS}")).unwrap();
    assert_eq!(scene.shown(), "canceled | canceled");
    assert!(scene.effects.contains(&Effect::Stop { job: JobId(1), fence: 1 }));
}

#[test]
fn time_out_ends_the_servers_work_at_once_and_a_runners_after_a_grace() {
    for (text, grace) in [("build: a(action; timeout 5000)", 0), ("build: a(timeout 5000)", TIMEOUT_GRACE_MS)] {
        let mut scene = acts(text, &["claim a"]);
        let far = scene.now.plus_ms(100 * TIMEOUT_GRACE_MS);
        scene.send(Event::LeaseRenewed { job: JobId(1), fence: 1, lease_until: far }).unwrap();
        scene.act(&format!("wait {}", 4_999 + grace)).unwrap();
        assert_eq!(scene.shown(), "running | running", "{text}");
        scene.act("wait 1").unwrap();
        assert_eq!(scene.shown(), "failed | failed", "{text}");
        assert_eq!(scene.job("a").failure, Some(FailureReason::JobExecutionTimeout));
        assert!(scene.effects.contains(&Effect::Stop { job: JobId(1), fence: 1 }));
    }
}

#[test]
fn failing_job_cancels_the_others_where_asked() {
    let fail = |line: &str| {
        let mut plan = plan("build: a b c(optional) | test: d");
        plan.auto_cancel.on_job_failure = serin_model::plan::OnJobFailure::All;
        let mut scene = Scene::of_plan(&plan);
        scene.act("claim b").unwrap();
        scene.act(line).unwrap();
        scene.shown()
    };
    assert_eq!(fail("fail a"), "canceling | failed canceling canceled canceled");
    assert_eq!(fail("fail c"), "running | pending running failed created");
}

#[test]
fn newer_commit_cancels_by_mode_and_by_what_has_started() {
    use serin_model::plan::OnNewCommit::{Conservative, Interruptible, None};
    let after = |mode, line: &str| {
        let mut plan = plan("build: a(interruptible) b | test: c(interruptible) d");
        plan.auto_cancel.on_new_commit = mode;
        let mut scene = Scene::of_plan(&plan);
        scene.act(line).unwrap();
        scene.act("superseded").unwrap();
        scene.shown()
    };
    assert_eq!(after(Conservative, "claim a"), "canceling | canceling canceled canceled canceled");
    assert_eq!(after(Conservative, "claim b"), "running | pending running created created");
    assert_eq!(after(Interruptible, "claim b"), "running | canceled running canceled created");
    assert_eq!(after(None, "claim a"), "running | running pending created created");
}

#[test]
fn newer_commit_leaves_a_finished_pipeline_alone() {
    let scene = acts("build: a(interruptible)", &["ok a", "superseded"]);
    assert_eq!((scene.shown().as_str(), scene.effects.len()), ("success | success", 0));
}

#[test]
fn resource_is_asked_for_and_given_back_for_every_attempt() {
    let group = || "production".to_owned();
    let job = JobId(1);
    let mut scene = Scene::of("deploy: a(group production; retry 1)");
    assert_eq!(scene.shown(), "waiting_for_resource | waiting_for_resource");
    assert_eq!(scene.effects[0], Effect::RequestResource { job, attempt: 1, group: group() });
    scene.act("grant a").unwrap();
    assert_eq!(scene.effects[0], Effect::Offer { job, attempt: 1 });
    scene.act("fail a").unwrap();
    assert_eq!(
        scene.effects[1..3],
        [
            Effect::ReleaseResource { job, attempt: 1, group: group() },
            Effect::RequestResource { job, attempt: 2, group: group() }
        ]
    );
    let late = scene.send(Event::ResourceGranted { job, attempt: 1 });
    assert!(matches!(late, Err(Refusal::StaleAttempt { given: 1, current: 2, .. })));
    scene.act("cancel").unwrap();
    assert_eq!(scene.effects[0], Effect::ReleaseResource { job, attempt: 2, group: group() });
}

#[test]
fn unknown_job_and_wrong_status_are_refused() {
    let mut scene = acts("build: a | test: b", &[]);
    let refusal = scene.send(Event::Play { job: JobId(9) }).unwrap_err();
    assert_eq!(refusal.to_string(), "playing job 9: the pipeline has no such job");
    check(
        "build: a | test: b",
        "play a  => refused: playing job 1: it is pending
         claim b => refused: claiming job 2: it is created
         ok b    => refused: finishing job 2: it is created
         retry a => refused: retrying job 1: it is pending
         grant a => refused: granting a resource to job 1: it is pending
         delay a => refused: ending the delay of job 1: it is pending",
    );
}

#[test]
fn stored_pipeline_goes_on_where_it_was() {
    let mut scene = acts("build: a | test: b(needs a) c", &["claim a"]);
    let stored = scene.pipeline.clone();
    let parts = (stored.stages.clone(), stored.jobs.clone());
    let mut restored =
        Pipeline::restore(stored.id, stored.status, parts.0, parts.1, stored.auto_cancel).expect("it was one");
    assert_eq!(restored, stored);
    let event = Event::Finished { job: JobId(1), fence: 1, outcome: Outcome::Success };
    let effects = step(&mut restored, event, scene.now).unwrap();
    scene.send(event).unwrap();
    assert_eq!((restored, effects), (scene.pipeline, scene.effects));
}
