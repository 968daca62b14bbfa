//! The loop that owns a run: events in, the engine's decisions carried out.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use serin_engine::resource::{Claim, Group};
use serin_engine::{self as engine, Effect, Event, Outcome};
use serin_model::plan::Work;
use serin_model::{FailureReason, Status, Timestamp};
use serin_runner::{CancelToken, Slot, Snapshot};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::fingerprint;
use super::output::Output;
use super::pipeline::{Pipeline, Ticket, needs_server};
use super::previous::{Known, Previous};
use super::request::{self, Common};
use super::slots::Slots;
use super::worker::{self, Ended};

/// Milliseconds until a claim would run out, were it not this very process that holds it.
const LEASE_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;
/// Pipelines in one run.
const PIPELINES_MAX: usize = 500;
/// Bytes of the workspaces that are left for the next run.
const KEPT_BYTES_MAX: u64 = 1 << 30;
/// Child pipelines within each other (GitLab: 2).
pub const DEPTH_MAX: usize = 2;

/// How a run is carried out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs at the same time.
    pub parallel: usize,
    /// Manual jobs that are started; `*` are all.
    pub play: Vec<String>,
    /// Whether delayed jobs start at once.
    pub no_delay: bool,
    /// Whether workspaces stay.
    pub keep: bool,
    /// The jobs that were asked for by name.
    pub selected: Vec<String>,
    /// Which results of earlier runs are taken.
    pub take: Take,
}

/// Which results of earlier runs are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Take {
    /// None.
    #[default]
    Nothing,
    /// What did not fail in the latest run.
    Unfailed,
    /// What succeeded with the same inputs.
    Unchanged,
}

/// A run under way.
pub struct Session {
    /// What all jobs have in common.
    pub common: Arc<Common>,
    /// The pipelines, the root first.
    pub pipelines: Vec<Pipeline>,
    /// The signal that ended it early.
    pub interrupted: Option<Interrupt>,
    pub(super) output: Arc<Output>,
    pub(super) settings: Settings,
    queue: VecDeque<Ticket>,
    running: usize,
    started: usize,
    groups: HashMap<String, Group>,
    snapshot: Option<Arc<Snapshot>>,
    slots: Slots,
    tree: Option<String>,
    previous: Previous,
    sender: mpsc::UnboundedSender<Message>,
    receiver: mpsc::UnboundedReceiver<Message>,
}

/// What a person or the system asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C.
    CtrlC,
    /// SIGTERM.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

enum Message {
    Ended { ticket: Ticket, fence: u64, slot: Arc<Slot>, ended: Ended },
}

impl Session {
    /// A run of that pipeline.
    #[must_use]
    pub fn new(root: Pipeline, common: Common, (output, settings): (Arc<Output>, Settings)) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            common: Arc::new(common),
            pipelines: vec![root],
            interrupted: None,
            output,
            settings,
            queue: VecDeque::new(),
            running: 0,
            started: 0,
            groups: HashMap::new(),
            snapshot: None,
            slots: Slots::default(),
            tree: None,
            previous: Previous::default(),
            sender,
            receiver,
        }
    }

    /// Carries the pipeline out until nothing moves any more.
    pub async fn run(&mut self) -> Result<()> {
        let mut signals = Signals::new()?;
        let into = self.common.folders.snapshot();
        let snapshot = Snapshot::take(self.common.project.root(), &into, &self.common.host);
        let snapshot = snapshot.await.map_err(|message| anyhow!(message))?;
        if self.settings.take != Take::Nothing {
            self.previous = Previous::of(&self.common.folders.project);
        }
        if self.settings.take == Take::Unchanged {
            self.tree = Some(fingerprint::of_tree(&snapshot)?);
        }
        self.snapshot = Some(Arc::new(snapshot));
        self.apply(0, Event::Created);
        loop {
            self.start_jobs();
            if self.running == 0 && self.queue.is_empty() && self.pipelines.iter().all(Pipeline::is_settled) {
                return Ok(());
            }
            let wake = self.next_wake();
            tokio::select! {
                Some(message) = self.receiver.recv() => self.hear(message),
                () = tokio::time::sleep(wake) => self.tick(),
                interrupt = signals.next() => {
                    if self.interrupted.is_some() {
                        self.output.note("ended at once");
                        return Ok(());
                    }
                    self.interrupt(interrupt);
                }
            }
        }
    }

    fn hear(&mut self, message: Message) {
        let Message::Ended { ticket, fence, slot, ended } = message;
        self.running -= 1;
        if !self.settings.keep {
            self.slots.give_back(slot);
        }
        let outcome = ended.outcome;
        self.record(ticket, ended);
        self.finish(ticket, fence, outcome);
    }

    fn record(&mut self, ticket: Ticket, ended: Ended) {
        let record = &mut self.pipelines[ticket.pipeline].records[ticket.job];
        record.archive = ended.archive;
        record.reports = ended.reports;
        record.dotenv = ended.dotenv;
        record.coverage = ended.coverage;
        record.tail = ended.tail;
        record.workspace = ended.workspace;
    }

    pub(super) fn finish(&mut self, ticket: Ticket, fence: u64, outcome: Outcome) {
        let job = self.pipelines[ticket.pipeline].state.jobs[ticket.job].id;
        self.apply(ticket.pipeline, Event::Finished { job, fence, outcome });
    }

    fn interrupt(&mut self, interrupt: Interrupt) {
        self.interrupted = Some(interrupt);
        self.output.note("stopping; once more to end everything at once");
        self.queue.clear();
        for index in 0..self.pipelines.len() {
            if !self.pipelines[index].state.status.is_final() {
                self.apply(index, Event::Cancel);
            }
        }
    }

    fn tick(&mut self) {
        for index in 0..self.pipelines.len() {
            self.apply(index, Event::Tick);
        }
    }

    fn next_wake(&self) -> Duration {
        let next = self.pipelines.iter().filter_map(|pipeline| engine::next_wake(&pipeline.state)).min();
        let wait = next.map_or(i64::from(u32::MAX), |at| at.since_ms(now()).max(1));
        Duration::from_millis(wait.unsigned_abs().min(u64::from(u32::MAX)))
    }

    /// Lets the engine decide, and carries out what follows; a refusal means that the pipeline has moved on.
    pub(super) fn apply(&mut self, index: usize, event: Event) {
        let mut open = VecDeque::from([(index, event)]);
        while let Some((index, event)) = open.pop_front() {
            match engine::step(&mut self.pipelines[index].state, event, now()) {
                Ok(effects) => {
                    for effect in effects {
                        self.carry_out(index, effect, &mut open);
                    }
                }
                Err(refusal) => tracing::debug!(%refusal, "event not applied"),
            }
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect, open: &mut VecDeque<(usize, Event)>) {
        let ticket =
            |session: &Self, job| session.pipelines[index].index_of(job).map(|job| Ticket { pipeline: index, job });
        match effect {
            Effect::Offer { job, .. } => self.queue.extend(ticket(self, job)),
            Effect::StartTrigger { job, .. } => {
                if let Some(ticket) = ticket(self, job) {
                    self.start_trigger(ticket, open);
                }
            }
            Effect::Stop { job, .. } => {
                if let Some(ticket) = ticket(self, job) {
                    self.stop(ticket, open);
                }
            }
            Effect::RequestResource { job, attempt, group } => {
                let holder = self.groups.entry(group).or_default().request(Claim { job, attempt });
                self.grant(holder, open);
            }
            Effect::ReleaseResource { job, attempt, group } => {
                let holder = self.groups.get_mut(&group).and_then(|group| group.release(Claim { job, attempt }));
                self.grant(holder, open);
            }
            Effect::Retried { job, reason, .. } => {
                if let Some(ticket) = ticket(self, job) {
                    let name = self.name(ticket);
                    self.output.odd(&name, &format!("failed ({}), tried again", reason.as_str()));
                }
            }
            Effect::JobChanged { job } => {
                if let Some(ticket) = ticket(self, job) {
                    self.changed(ticket, open);
                }
            }
            Effect::PipelineFinished { status } => self.pipeline_ended(index, status, open),
            // The server alone has actions; their jobs wait like manual ones here.
            Effect::StartAction { .. }
            | Effect::WakeAt { .. }
            | Effect::LeaseMoved { .. }
            | Effect::PipelineChanged { .. } => {}
        }
    }

    fn grant(&self, holder: Option<Claim>, open: &mut VecDeque<(usize, Event)>) {
        let Some(Claim { job, attempt }) = holder else { return };
        if let Some(index) = self.pipelines.iter().position(|pipeline| pipeline.index_of(job).is_some()) {
            open.push_back((index, Event::ResourceGranted { job, attempt }));
        }
    }

    fn stop(&mut self, ticket: Ticket, open: &mut VecDeque<(usize, Event)>) {
        let pipeline = &self.pipelines[ticket.pipeline];
        let job = &pipeline.state.jobs[ticket.job];
        if let Work::Trigger(_) = pipeline.plan.jobs[ticket.job].work {
            if let Some(child) = pipeline.records[ticket.job].child {
                open.push_back((child, Event::Cancel));
            }
            open.push_back((
                ticket.pipeline,
                Event::Finished { job: job.id, fence: job.fence, outcome: Outcome::Canceled },
            ));
        }
        pipeline.records[ticket.job].stop.cancel();
    }

    /// Tells about a job, and does what a person would do now.
    fn changed(&mut self, ticket: Ticket, open: &mut VecDeque<(usize, Event)>) {
        let pipeline = &self.pipelines[ticket.pipeline];
        let job = &pipeline.state.jobs[ticket.job];
        let plan = &pipeline.plan.jobs[ticket.job];
        let id = job.id;
        match job.status {
            Status::Manual if self.is_played(&plan.name) && needs_server(plan).is_none() => {
                open.push_back((ticket.pipeline, Event::Play { job: id }));
            }
            Status::Scheduled if self.settings.no_delay => {
                open.push_back((ticket.pipeline, Event::Play { job: id }));
            }
            _ => self.tell(ticket),
        }
    }

    fn is_played(&self, name: &str) -> bool {
        self.settings.play.iter().any(|word| {
            word == "*" || word == name || name.strip_prefix(word.as_str()).is_some_and(super::selection::is_instance)
        })
    }

    fn start_jobs(&mut self) {
        while self.running < self.settings.parallel {
            let Some(ticket) = self.queue.pop_front() else { return };
            if let Err(error) = self.start(ticket) {
                let name = self.name(ticket);
                self.output.bad(&name, &format!("{error:#}"));
                let fence = self.pipelines[ticket.pipeline].state.jobs[ticket.job].fence;
                let record = &mut self.pipelines[ticket.pipeline].records[ticket.job];
                record.note = Some(format!("{error:#}"));
                // Another attempt would fail in the same way.
                let failed = Outcome::Failed { reason: FailureReason::MissingDependency, exit_code: None };
                self.finish(ticket, fence, failed);
            }
        }
    }

    fn start(&mut self, ticket: Ticket) -> Result<()> {
        if !self.claim(ticket) {
            return Ok(());
        }
        if let Some(known) = self.known(ticket)? {
            return self.take_over(ticket, &known);
        }
        let name = self.name(ticket);
        let slot = self.slot(&name)?;
        let request = request::job(&self.pipelines, ticket, (&self.common, Arc::clone(&slot)))?;
        let job = &self.pipelines[ticket.pipeline].state.jobs[ticket.job];
        let (fence, attempt) = (job.fence, job.attempt);
        self.tell(ticket);
        let log = self.common.folders.log(&name, attempt);
        let record = &mut self.pipelines[ticket.pipeline].records[ticket.job];
        record.logs.push(log.clone());
        record.stop = CancelToken::new();
        let run = worker::Run {
            request,
            artifacts: self.common.folders.artifacts(&name),
            name,
            log,
            output: Arc::clone(&self.output),
            stop: record.stop.clone(),
            keep: self.settings.keep,
        };
        self.running += 1;
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let ended = run.carry_out().await;
            // Nobody listens where the run was ended at once.
            let _ = sender.send(Message::Ended { ticket, fence, slot, ended });
        });
        Ok(())
    }

    /// The result of an earlier run that stands for this job's.
    fn known(&mut self, ticket: Ticket) -> Result<Option<Known>> {
        let pipeline = &self.pipelines[ticket.pipeline];
        let plan = &pipeline.plan.jobs[ticket.job];
        match self.settings.take {
            Take::Nothing => Ok(None),
            Take::Unfailed => Ok(self.previous.unfailed(&self.name(ticket))),
            Take::Unchanged if !fingerprint::may_be_left_out(plan) => Ok(None),
            Take::Unchanged => {
                let sources = request::artifact_sources(pipeline, ticket.job);
                let variables = request::variables(&self.pipelines, ticket, (&sources, &self.common))?;
                let archives: Vec<&Path> =
                    sources.iter().filter_map(|index| pipeline.records[*index].archive.as_deref()).collect();
                let tree = self.tree.as_deref().unwrap_or_default();
                let fingerprint = fingerprint::of_job(plan, &variables, (tree, &archives))?;
                let known = self.previous.unchanged(&self.name(ticket), &fingerprint);
                self.pipelines[ticket.pipeline].records[ticket.job].fingerprint = Some(fingerprint);
                Ok(known)
            }
        }
    }

    /// Leaves the workspaces for the next run, which then copies only what changed; what cannot be left that way goes.
    pub fn leave_builds(&self) {
        let folders = &self.common.folders;
        folders.remove_spare_logs();
        if self.settings.keep {
            return;
        }
        if self.interrupted.is_some() {
            return folders.remove_builds();
        }
        match self.slots.keep(|number| folders.workspace_record(number)) {
            Ok((kept, bytes)) if bytes <= KEPT_BYTES_MAX && !kept.is_empty() => folders.keep_builds(&kept),
            Ok(_) => folders.remove_builds(),
            Err(error) => {
                tracing::debug!(%error, "the workspaces are not kept");
                folders.remove_builds();
            }
        }
    }

    fn take_over(&mut self, ticket: Ticket, known: &Known) -> Result<()> {
        let artifacts = self.common.folders.artifacts(&self.name(ticket));
        known.take_over(&artifacts, &mut self.pipelines[ticket.pipeline].records[ticket.job])?;
        let fence = self.pipelines[ticket.pipeline].state.jobs[ticket.job].fence;
        self.finish(ticket, fence, known.outcome());
        Ok(())
    }

    /// A workspace that no job works in; where it is free, the one that the job always has.
    fn slot(&mut self, name: &str) -> Result<Arc<Slot>> {
        let snapshot = self.snapshot.as_ref().context("the work tree was not copied")?;
        let among = if self.settings.keep { usize::MAX } else { self.settings.parallel };
        Ok(self.slots.take(name, among, |number| {
            let folders = &self.common.folders;
            Slot::reopen(Arc::clone(snapshot), folders.workspace(number), &folders.workspace_record(number))
        }))
    }

    /// Takes a job that is ready; `false`: it was cancelled meanwhile.
    pub(super) fn claim(&mut self, ticket: Ticket) -> bool {
        let pipeline = &mut self.pipelines[ticket.pipeline];
        let job = pipeline.state.jobs[ticket.job].id;
        let event = Event::Claimed { job, lease_until: now().plus_ms(LEASE_MS) };
        let claimed = engine::step(&mut pipeline.state, event, now()).is_ok();
        if claimed {
            let record = &mut pipeline.records[ticket.job];
            record.order.get_or_insert(self.started);
            self.started += 1;
        }
        claimed
    }

    /// A job's name, with those of the trigger jobs that lead to its pipeline.
    pub(super) fn name(&self, ticket: Ticket) -> String {
        name(&self.pipelines, ticket)
    }

    pub(super) fn has_room(&self) -> bool {
        self.pipelines.len() < PIPELINES_MAX
    }
}

/// A job's name, with those of the trigger jobs that lead to its pipeline.
#[must_use]
pub fn name(pipelines: &[Pipeline], ticket: Ticket) -> String {
    let pipeline = &pipelines[ticket.pipeline];
    let own = &pipeline.plan.jobs[ticket.job].name;
    pipeline.parent.map_or_else(|| own.clone(), |parent| format!("{} › {own}", name(pipelines, parent)))
}

/// The time of now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupt::CtrlC,
            _ = self.terminate.recv() => Interrupt::Terminate,
            _ = self.hang_up.recv() => Interrupt::HangUp,
        }
    }
}
