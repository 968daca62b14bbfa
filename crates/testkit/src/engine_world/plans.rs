//! Random plans.

use serin_model::plan::{
    Action, AllowFailure, AutoCancel, Job, Need, OnJobFailure, OnNewCommit, Plan, Retry, Script, When, Work,
};

use crate::random::Random;

const STAGES_MAX: usize = 5;
const JOBS_MAX: usize = 12;

/// A plan with up to `JOBS_MAX` jobs, every feature in it now and then.
pub fn draw(random: &mut Random) -> Plan {
    let stages = 1 + random.below(STAGES_MAX);
    let mut places: Vec<usize> = (0..=random.below(JOBS_MAX)).map(|_| random.below(stages)).collect();
    places.sort_unstable();
    Plan {
        name: None,
        stages: (0..stages).map(|stage| format!("stage {stage}")).collect(),
        jobs: places.into_iter().enumerate().map(|(index, stage)| job(index, stage, random)).collect(),
        variables: Vec::new(),
        auto_cancel: auto_cancel(random),
    }
}

fn auto_cancel(random: &mut Random) -> AutoCancel {
    let on_new_commit = match random.below(3) {
        0 => OnNewCommit::Conservative,
        1 => OnNewCommit::Interruptible,
        _ => OnNewCommit::None,
    };
    let on_job_failure = if random.chance(20) { OnJobFailure::All } else { OnJobFailure::None };
    AutoCancel { on_new_commit, on_job_failure }
}

fn job(index: usize, stage: usize, random: &mut Random) -> Job {
    Job {
        name: format!("job {index}"),
        stage,
        when: when(random),
        allow_failure: allow_failure(random),
        needs: needs(index, random),
        dependencies: None,
        retry: Retry { max: random.below(3) as u32, ..Retry::default() },
        timeout_ms: random.chance(20).then(|| 1_000 + random.below(60_000) as i64),
        interruptible: random.chance(50),
        resource_group: random.chance(30).then(|| format!("group {}", random.below(2))),
        environment: None,
        work: work(random),
        variables: Vec::new(),
        tags: Vec::new(),
        manual_confirmation: None,
    }
}

fn needs(index: usize, random: &mut Random) -> Option<Vec<Need>> {
    if random.chance(60) {
        return None;
    }
    let needed = (0..index).filter(|_| random.chance(30));
    Some(needed.map(|other| Need { job: format!("job {other}"), artifacts: true }).collect())
}

fn when(random: &mut Random) -> When {
    match random.below(12) {
        0 => When::OnFailure,
        1 => When::Always,
        2 | 3 => When::Manual,
        4 => When::Delayed { start_in_ms: random.below(30_000) as i64 },
        _ => When::OnSuccess,
    }
}

fn allow_failure(random: &mut Random) -> AllowFailure {
    match random.below(5) {
        0 => AllowFailure::Yes,
        1 => AllowFailure::ExitCodes(vec![2]),
        _ => AllowFailure::No,
    }
}

fn work(random: &mut Random) -> Work {
    match random.below(6) {
        0 => Work::Action(Action::Package),
        1 => Work::Trigger(Box::default()),
        _ => Work::Script(Box::<Script>::default()),
    }
}
