//! Pipelines and what happens to them, written as text, for tests.
//!
//! A pipeline is `stage: job job(attribute; attribute) | stage: job`. What happens is one line each: an event, `=>`, and
//! then the pipeline's status, `|`, and the statuses of all jobs in their order.

use serin_model::plan::{self, AllowFailure, Plan, Script, When, Work};
use serin_model::{FailureReason, JobId, PipelineId, Status, Timestamp};

use crate::{Effect, Event, Outcome, Pipeline, Refusal, step};

/// How long a claim holds in a scene.
pub const LEASE_MS: i64 = 15_000;

/// A pipeline under test, its clock, and the effects of the latest event.
pub struct Scene {
    pub pipeline: Pipeline,
    pub now: Timestamp,
    pub effects: Vec<Effect>,
}

impl Scene {
    /// A pipeline of that text, started.
    pub fn of(text: &str) -> Self {
        Self::of_plan(&plan(text))
    }

    pub fn of_plan(plan: &Plan) -> Self {
        let ids: Vec<JobId> = (1..).take(plan.jobs.len()).map(JobId).collect();
        let pipeline = Pipeline::from_plan(PipelineId(1), plan, &ids).expect("the scene's plan holds");
        let mut scene = Self { pipeline, now: Timestamp(1_000), effects: Vec::new() };
        scene.send(Event::Created).expect("a pipeline starts");
        scene
    }

    pub fn id(&self, name: &str) -> JobId {
        self.pipeline.jobs.iter().find(|job| job.name == name).unwrap_or_else(|| panic!("no job `{name}`")).id
    }

    pub fn job(&self, name: &str) -> &crate::Job {
        self.pipeline.job(self.id(name)).expect("found by name")
    }

    pub fn send(&mut self, event: Event) -> Result<(), Refusal> {
        self.effects = step(&mut self.pipeline, event, self.now)?;
        Ok(())
    }

    /// Does what a line says: `ok a`, `fail a 42`, `lost a`, `play a`, `retry all`, `wait 1000` and so on.
    pub fn act(&mut self, line: &str) -> Result<(), Refusal> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["wait", ms] => {
                self.now = self.now.plus_ms(ms.parse().expect("a number"));
                self.send(Event::Tick)
            }
            ["cancel"] => self.send(Event::Cancel),
            ["superseded"] => self.send(Event::Superseded),
            ["retry", "all"] => self.send(Event::RetryAll),
            ["fail", name, code] => self.fail(name, FailureReason::ScriptFailure, code.parse().ok()),
            [word, name] => self.act_on(word, name),
            _ => panic!("unknown line `{line}`"),
        }
    }

    fn act_on(&mut self, word: &str, name: &str) -> Result<(), Refusal> {
        let job = self.id(name);
        match word {
            "claim" => self.send(Event::Claimed { job, lease_until: self.now.plus_ms(LEASE_MS) }),
            "ok" => self.finish(name, Outcome::Success),
            "fail" => self.fail(name, FailureReason::ScriptFailure, Some(1)),
            "broken" => self.fail(name, FailureReason::RunnerSystemFailure, None),
            "stopped" => self.finish(name, Outcome::Canceled),
            "lost" => self.lose(name),
            "play" => self.send(Event::Play { job }),
            "retry" => self.send(Event::Retry { job }),
            "cancel" => self.send(Event::CancelJob { job }),
            "delay" => self.send(Event::DelayElapsed { job }),
            "grant" => self.send(Event::ResourceGranted { job, attempt: self.job(name).attempt }),
            _ => panic!("unknown word `{word}`"),
        }
    }

    fn fail(&mut self, name: &str, reason: FailureReason, exit_code: Option<i32>) -> Result<(), Refusal> {
        self.finish(name, Outcome::Failed { reason, exit_code })
    }

    /// Ends a job, which is claimed first where nobody holds it.
    pub fn finish(&mut self, name: &str, outcome: Outcome) -> Result<(), Refusal> {
        if self.job(name).status == Status::Pending {
            self.act_on("claim", name)?;
        }
        let (job, fence) = (self.id(name), self.job(name).fence);
        self.send(Event::Finished { job, fence, outcome })
    }

    fn lose(&mut self, name: &str) -> Result<(), Refusal> {
        if self.job(name).status == Status::Pending {
            self.act_on("claim", name)?;
        }
        self.now = self.now.plus_ms(LEASE_MS);
        self.send(Event::LeaseExpired { job: self.id(name) })
    }

    /// The pipeline's status, `|`, and the statuses of all jobs.
    pub fn shown(&self) -> String {
        let jobs: Vec<&str> = self.pipeline.jobs.iter().map(|job| job.status.as_str()).collect();
        format!("{} | {}", self.pipeline.status, jobs.join(" "))
    }
}

/// Runs a case: every line of `script` is `event => statuses`, or `event => refused: message`; the first is `start`.
pub fn check(text: &str, script: &str) {
    let mut scene = Scene::of(text);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once("=>").expect("a line has `=>`");
        let before = scene.pipeline.clone();
        let outcome = if event.trim() == "start" { Ok(()) } else { scene.act(event) };
        let shown = match outcome {
            Ok(()) => scene.shown(),
            Err(refusal) => {
                assert_eq!(before, scene.pipeline, "a refused event changed the pipeline: {line}");
                format!("refused: {refusal}")
            }
        };
        assert_eq!(shown, expected.trim(), "\n  pipeline: {text}\n  line: {line}");
    }
}

/// The plan of a text.
pub fn plan(text: &str) -> Plan {
    let mut plan = Plan::default();
    for (stage, part) in text.split('|').enumerate() {
        let (name, jobs) = part.split_once(':').expect("a stage has `:`");
        plan.stages.push(name.trim().to_owned());
        plan.jobs.extend(jobs_of(jobs).iter().map(|job| planned(job, stage)));
    }
    plan
}

/// Splits at blanks outside parentheses.
fn jobs_of(text: &str) -> Vec<String> {
    let mut jobs = vec![String::new()];
    let mut inside = false;
    for letter in text.chars() {
        inside = if inside { letter != ')' } else { letter == '(' };
        match jobs.last_mut() {
            Some(job) if inside || letter != ' ' => job.push(letter),
            _ => jobs.push(String::new()),
        }
    }
    jobs.retain(|job| !job.is_empty());
    jobs
}

fn planned(text: &str, stage: usize) -> plan::Job {
    let (name, attributes) = text.split_once('(').unwrap_or((text, ")"));
    let mut job = script_job(name, stage);
    for attribute in attributes.trim_end_matches(')').split(';').map(str::trim).filter(|text| !text.is_empty()) {
        set(&mut job, attribute);
    }
    job
}

/// A job with every default.
pub fn script_job(name: &str, stage: usize) -> plan::Job {
    plan::Job {
        name: name.to_owned(),
        stage,
        when: When::OnSuccess,
        allow_failure: AllowFailure::No,
        needs: None,
        dependencies: None,
        retry: plan::Retry::default(),
        timeout_ms: None,
        interruptible: false,
        resource_group: None,
        environment: None,
        work: Work::Script(Box::<Script>::default()),
        variables: Vec::new(),
        tags: Vec::new(),
        manual_confirmation: None,
    }
}

fn set(job: &mut plan::Job, attribute: &str) {
    let (word, rest) = attribute.split_once(' ').unwrap_or((attribute, ""));
    let list = || rest.split([',', ' ']).filter(|item| !item.is_empty());
    let number = || rest.parse().expect("a number");
    match word {
        "needs" => {
            job.needs = Some(list().map(|job| plan::Need { job: job.to_owned(), artifacts: true }).collect());
        }
        "manual" => job.when = When::Manual,
        "always" => job.when = When::Always,
        "on_failure" => job.when = When::OnFailure,
        "delayed" => job.when = When::Delayed { start_in_ms: number() },
        "optional" => job.allow_failure = AllowFailure::Yes,
        "codes" => job.allow_failure = AllowFailure::ExitCodes(list().filter_map(|code| code.parse().ok()).collect()),
        "retry" => job.retry.max = rest.parse().expect("a number"),
        "retry_when" => job.retry.when = list().map(str::to_owned).collect(),
        "retry_codes" => job.retry.exit_codes = list().filter_map(|code| code.parse().ok()).collect(),
        "timeout" => job.timeout_ms = Some(number()),
        "interruptible" => job.interruptible = true,
        "group" => job.resource_group = Some(rest.to_owned()),
        "action" => job.work = Work::Action(plan::Action::Package),
        "trigger" => job.work = Work::Trigger(Box::default()),
        _ => panic!("unknown attribute `{attribute}`"),
    }
}
