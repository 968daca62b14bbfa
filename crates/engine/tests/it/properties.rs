//! What holds after every step, whatever the pipeline and the events.

use proptest::prelude::*;
use serin_engine::{Effect, Event, Job, Outcome, Pipeline, composite, next_wake, step};
use serin_model::plan::{self, AllowFailure, AutoCancel, OnJobFailure, OnNewCommit, Plan, Script, When, Work};
use serin_model::{FailureReason, JobId, PipelineId, Status, Timestamp};

const STAGES: usize = 4;
const JOBS_MAX: usize = 12;
const EVENTS_MAX: usize = 60;

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        4 => Just(Work::Script(Box::<Script>::default())),
        1 => Just(Work::Action(plan::Action::Package)),
        1 => Just(Work::Trigger(Box::default())),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        6 => Just(When::OnSuccess),
        1 => Just(When::OnFailure),
        1 => Just(When::Always),
        2 => Just(When::Manual),
        1 => (0_i64..50).prop_map(|start_in_ms| When::Delayed { start_in_ms }),
    ]
}

fn allow_failure() -> impl Strategy<Value = AllowFailure> {
    prop_oneof![3 => Just(AllowFailure::No), 1 => Just(AllowFailure::Yes), 1 => Just(AllowFailure::ExitCodes(vec![2]))]
}

fn retry() -> impl Strategy<Value = plan::Retry> {
    (0_u32..3, prop::collection::vec(1_i32..3, 0..2)).prop_map(|(max, exit_codes)| plan::Retry {
        max,
        when: Vec::new(),
        exit_codes,
    })
}

/// A job that may need the jobs whose bit is set, as far as they come before it.
fn job() -> impl Strategy<Value = (plan::Job, Option<u16>)> {
    let flags = (any::<bool>(), prop::option::weighted(0.2, Just("g".to_owned())), prop::option::of(1_i64..100));
    let needs = prop::option::weighted(0.4, any::<u16>());
    (0..STAGES, when(), allow_failure(), retry(), work(), flags, needs).prop_map(
        |(stage, when, allow_failure, retry, work, (interruptible, resource_group, timeout_ms), needs)| {
            let job = plan::Job {
                name: String::new(),
                stage,
                when,
                allow_failure,
                needs: None,
                dependencies: None,
                retry,
                timeout_ms,
                interruptible,
                resource_group,
                environment: None,
                work,
                variables: Vec::new(),
                tags: Vec::new(),
                manual_confirmation: None,
            };
            (job, needs)
        },
    )
}

fn auto_cancel() -> impl Strategy<Value = AutoCancel> {
    let commit =
        prop_oneof![Just(OnNewCommit::Conservative), Just(OnNewCommit::Interruptible), Just(OnNewCommit::None)];
    let failure = prop_oneof![3 => Just(OnJobFailure::None), 1 => Just(OnJobFailure::All)];
    (commit, failure).prop_map(|(on_new_commit, on_job_failure)| AutoCancel { on_new_commit, on_job_failure })
}

prop_compose! {
    fn plans()(jobs in prop::collection::vec(job(), 1..JOBS_MAX), auto_cancel in auto_cancel()) -> Plan {
        let mut jobs = jobs;
        jobs.sort_by_key(|(job, _)| job.stage);
        let named = jobs.into_iter().enumerate().map(|(index, (mut job, needs))| {
            job.name = format!("j{index}");
            job.needs = needs.map(|bits| {
                let needed = (0..index).filter(|other| bits >> other & 1 == 1);
                needed.map(|other| plan::Need { job: format!("j{other}"), artifacts: true }).collect()
            });
            job
        });
        Plan {
            name: None,
            stages: (0..STAGES).map(|stage| format!("s{stage}")).collect(),
            jobs: named.collect(),
            variables: Vec::new(),
            auto_cancel,
        }
    }
}

/// An event about a job, as numbers: which one, which job, and a detail.
type Draw = (u8, usize, i32);

fn event(pipeline: &Pipeline, (kind, index, detail): Draw, now: Timestamp) -> Event {
    let job = &pipeline.jobs[index % pipeline.jobs.len()];
    let (id, lease_until) = (job.id, now.plus_ms(10));
    let fence = job.fence - u64::from(detail == 0 && job.fence > 0);
    let failed = |reason| Outcome::Failed { reason, exit_code: Some(detail) };
    let finished = |outcome| Event::Finished { job: id, fence, outcome };
    match kind {
        0..=11 => Event::Claimed { job: id, lease_until },
        12..=19 => finished(Outcome::Success),
        20..=23 => finished(failed(FailureReason::ScriptFailure)),
        24 => finished(failed(FailureReason::RunnerSystemFailure)),
        25 => finished(Outcome::Canceled),
        26 => Event::LeaseRenewed { job: id, fence, lease_until },
        27 => Event::LeaseExpired { job: id },
        28 => Event::DelayElapsed { job: id },
        29..=31 => Event::Tick,
        32..=34 => Event::ResourceGranted { job: id, attempt: job.attempt },
        35..=36 => Event::Play { job: id },
        37..=38 => Event::Retry { job: id },
        39 => Event::RetryAll,
        40 => Event::CancelJob { job: id },
        41 if detail == 0 => Event::Cancel,
        42 if detail == 0 => Event::Superseded,
        _ => Event::Created,
    }
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    prop::collection::vec((0_u8..43, 0_usize..JOBS_MAX, 0_i32..4), 0..EVENTS_MAX)
}

fn new_pipeline(plan: &Plan) -> Pipeline {
    let ids: Vec<JobId> = (1..).take(plan.jobs.len()).map(JobId).collect();
    Pipeline::from_plan(PipelineId(1), plan, &ids).expect("the plan holds")
}

/// Whether something can still happen to the job without anybody asking for it, or a person has to decide.
fn is_open(job: &Job) -> bool {
    match job.status {
        Status::Manual => !job.allowed_to_fail,
        status => !status.is_final(),
    }
}

fn check_jobs(before: &Pipeline, after: &Pipeline, effects: &[Effect]) {
    for (old, new) in before.jobs.iter().zip(&after.jobs) {
        let told = effects.contains(&Effect::JobChanged { job: new.id });
        let moved = effects.contains(&Effect::LeaseMoved { job: new.id });
        assert!(old == new || told || moved, "a change of {old:?} to {new:?} is not told");
        assert!(new.fence >= old.fence && new.attempt >= old.attempt, "{old:?} {new:?}");
        assert!(new.fence <= old.fence + 1 && new.attempt <= old.attempt + 1, "{old:?} {new:?}");
        assert_eq!(new.is_held(), new.lease_until.is_some(), "{new:?}");
        assert_eq!(new.status == Status::Scheduled, new.scheduled_at.is_some(), "{new:?}");
        assert!(new.attempt > 0 || (new.started_at.is_none() && new.fence == 0), "{new:?}");
        assert!(new.spec.resource_group.is_some() || new.status != Status::WaitingForResource, "{new:?}");
        let offered = effects.iter().any(|effect| match effect {
            Effect::Offer { job, attempt }
            | Effect::StartAction { job, attempt, .. }
            | Effect::StartTrigger { job, attempt, .. } => (*job, *attempt) == (new.id, new.attempt),
            _ => false,
        });
        let newly = new.status == Status::Pending
            && (old.status, old.attempt, old.fence) != (new.status, new.attempt, new.fence);
        assert_eq!(offered, newly, "{old:?} {new:?} {effects:?}");
        check_resource(old, new, effects);
    }
}

fn check_resource(old: &Job, new: &Job, effects: &[Effect]) {
    let released = effects.iter().any(|effect| {
        matches!(effect, Effect::ReleaseResource { job, attempt, .. } if (*job, *attempt) == (old.id, old.attempt))
    });
    let requested = effects.iter().any(|effect| {
        matches!(effect, Effect::RequestResource { job, attempt, .. } if (*job, *attempt) == (new.id, new.attempt))
    });
    let kept = new.occupies_resource() && new.attempt == old.attempt;
    assert_eq!(released, old.occupies_resource() && !kept, "{old:?} {new:?} {effects:?}");
    assert_eq!(requested, new.occupies_resource() && new.attempt != old.attempt, "{old:?} {new:?} {effects:?}");
}

fn check_pipeline(before: &Pipeline, after: &Pipeline, effects: &[Effect]) {
    let open = after.jobs.iter().any(is_open);
    assert_eq!(after.status.is_final(), !open, "{after:?}");
    let composite = composite(&after.jobs);
    assert!(after.status == composite || (after.status, composite) == (Status::Running, Status::Pending));
    let told = effects.contains(&Effect::PipelineChanged { status: after.status });
    assert_eq!(told, before.status != after.status);
    let finished = effects.contains(&Effect::PipelineFinished { status: after.status });
    assert_eq!(finished, told && after.status.is_final());
}

/// Nothing is left to decide: asking again gives nothing.
fn check_settled(after: &Pipeline, now: Timestamp) {
    let mut again = after.clone();
    assert_eq!(step(&mut again, Event::Created, now), Ok(vec![]));
    assert_eq!(&again, after);
}

/// Carries out whatever is still to do, every job well; manual jobs are played.
fn run_to_the_end(pipeline: &mut Pipeline, now: &mut Timestamp) -> usize {
    let mut steps = 0;
    while let Some(job) = pipeline.jobs.iter().find(|job| is_open(job) && job.status != Status::Created).cloned() {
        steps += 1;
        assert!(steps < 50 * JOBS_MAX, "the pipeline does not end: {pipeline:?}");
        let id = job.id;
        let event = match job.status {
            Status::Manual => Event::Play { job: id },
            Status::Scheduled => {
                *now = next_wake(pipeline).expect("a delay ends").max(*now);
                Event::Tick
            }
            Status::WaitingForResource => Event::ResourceGranted { job: id, attempt: job.attempt },
            Status::Pending => Event::Claimed { job: id, lease_until: now.plus_ms(1) },
            _ => Event::Finished { job: id, fence: job.fence, outcome: Outcome::Success },
        };
        step(pipeline, event, *now).unwrap_or_else(|refusal| panic!("{refusal}: {pipeline:?}"));
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_keeps_what_was_promised(plan in plans(), draws in draws()) {
        let mut pipeline = new_pipeline(&plan);
        let mut now = Timestamp(0);
        for draw in std::iter::once((u8::MAX, 0, 0)).chain(draws) {
            let before = pipeline.clone();
            let event = event(&pipeline, draw, now);
            match step(&mut pipeline, event, now) {
                Ok(effects) => {
                    check_jobs(&before, &pipeline, &effects);
                    check_pipeline(&before, &pipeline, &effects);
                    check_settled(&pipeline, now);
                }
                Err(_) => assert_eq!(before, pipeline),
            }
            now = now.plus_ms(i64::from(draw.2) * 3);
        }
        run_to_the_end(&mut pipeline, &mut now);
        prop_assert!(pipeline.status.is_final(), "{:?}", pipeline);
    }

    #[test]
    fn stale_fence_is_never_heard(plan in plans(), draws in draws(), given in 0_u64..4) {
        let mut pipeline = new_pipeline(&plan);
        let now = Timestamp(0);
        for draw in std::iter::once((u8::MAX, 0, 0)).chain(draws) {
            let event = event(&pipeline, draw, now);
            let _ = step(&mut pipeline, event, now);
            for job in pipeline.jobs.clone() {
                let finished = Event::Finished { job: job.id, fence: given, outcome: Outcome::Success };
                let heard = step(&mut pipeline.clone(), finished, now).is_ok();
                prop_assert_eq!(heard, job.fence == given && job.is_held());
            }
        }
    }
}
