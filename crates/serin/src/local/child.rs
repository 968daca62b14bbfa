//! Child pipelines: what a trigger job makes.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, bail};
use serin_engine::{Event, Outcome};
use serin_lang::{Color, Compilation, Context, Parsed, PipelineSource, Severity, SourceFile, child};
use serin_model::limit::CONFIG_BYTES_MAX;
use serin_model::plan::{Trigger, Variable, Work};
use serin_model::{FailureReason, Status};

use super::pipeline::{Pipeline, Ticket};
use super::request;
use super::session::{DEPTH_MAX, Session};

impl Session {
    /// Makes the child pipeline of a trigger job; without `strategy` that is all of the job's work.
    pub(super) fn start_trigger(&mut self, ticket: Ticket, open: &mut VecDeque<(usize, Event)>) {
        if !self.claim(ticket) {
            return;
        }
        let job = &self.pipelines[ticket.pipeline].state.jobs[ticket.job];
        let (id, fence) = (job.id, job.fence);
        let waits = match &self.pipelines[ticket.pipeline].plan.jobs[ticket.job].work {
            Work::Trigger(trigger) => trigger.strategy.is_some(),
            _ => false,
        };
        let outcome = match self.make_child(ticket) {
            Ok(child) => {
                self.pipelines[ticket.pipeline].records[ticket.job].child = Some(child);
                open.push_back((child, Event::Created));
                if waits {
                    return;
                }
                Outcome::Success
            }
            Err(error) => {
                let message = format!("{error:#}");
                let name = self.name(ticket);
                message.lines().for_each(|line| self.output.line(&name, line));
                let record = &mut self.pipelines[ticket.pipeline].records[ticket.job];
                record.tail = message.lines().map(str::to_owned).collect();
                record.note = message.lines().next().map(str::to_owned);
                Outcome::Failed { reason: FailureReason::DownstreamFailure, exit_code: None }
            }
        };
        open.push_back((ticket.pipeline, Event::Finished { job: id, fence, outcome }));
    }

    fn make_child(&mut self, ticket: Ticket) -> Result<usize> {
        let depth = std::iter::successors(Some(ticket), |ticket| self.pipelines[ticket.pipeline].parent).count();
        if depth > DEPTH_MAX {
            bail!("child pipelines nest {DEPTH_MAX} deep at most");
        }
        if !self.has_room() {
            bail!("this run has too many child pipelines");
        }
        let (entry, context) = self.entry(ticket)?;
        let compilation = self.common.project.compile(Parsed::new(&entry), &context)?;
        let wrong = compilation.diagnostics.iter().any(|found| found.severity == Severity::Error);
        if wrong {
            bail!("{}", serin_lang::render(&compilation.diagnostics, &compilation.sources, Color::Plain));
        }
        if compilation.plan.is_none() {
            bail!("the child pipeline has no jobs");
        }
        self.add_child(ticket, compilation, context)
    }

    fn add_child(&mut self, ticket: Ticket, compilation: Compilation, context: Context) -> Result<usize> {
        let index = self.pipelines.len();
        let mut child = Pipeline::new(compilation, context, (index, request::next_id(&self.pipelines)))?;
        child.parent = Some(ticket);
        self.pipelines.push(child);
        self.expect(index);
        Ok(index)
    }

    /// Tells the output the names of a pipeline's jobs.
    pub fn expect(&self, index: usize) {
        let jobs = 0..self.pipelines[index].plan.jobs.len();
        let names: Vec<String> = jobs.map(|job| self.name(Ticket { pipeline: index, job })).collect();
        self.output.expect(names.iter().map(String::as_str));
    }

    fn entry(&self, ticket: Ticket) -> Result<(SourceFile, Context)> {
        let pipeline = &self.pipelines[ticket.pipeline];
        let Work::Trigger(trigger) = &pipeline.plan.jobs[ticket.job].work else { bail!("it is no trigger job") };
        let mut context = Context {
            source: PipelineSource::ParentPipeline,
            pipeline_variables: self.forwarded(ticket, trigger)?,
            inputs: Vec::new(),
            ..pipeline.context.clone()
        };
        let Some((path, job)) = child::artifact_entry(trigger) else {
            let entry = child::entry(trigger).context("it includes nothing that a child pipeline could be made of")?;
            return Ok((entry, context));
        };
        let made = pipeline.plan.jobs.iter().position(|other| other.name == job);
        let archive = made.and_then(|index| pipeline.records[index].archive.clone());
        let archive = archive.with_context(|| format!("job `{job}` has no artifacts, so there is no `{path}`"))?;
        let bytes = serin_objects::archive::read_file(&archive, path, CONFIG_BYTES_MAX as u64)
            .with_context(|| format!("the artifacts of job `{job}` have no `{path}`"))?;
        if let Some(include) = trigger.include.first() {
            context.inputs.clone_from(&include.inputs);
        }
        Ok((SourceFile::new(path, bytes), context))
    }

    /// The variables that a trigger job hands down; they are pipeline variables in the child.
    fn forwarded(&self, ticket: Ticket, trigger: &Trigger) -> Result<Vec<Variable>> {
        let pipeline = &self.pipelines[ticket.pipeline];
        let plan = &pipeline.plan.jobs[ticket.job];
        let late = request::late(&self.pipelines, ticket, &self.common);
        Ok(child::forwarded((trigger, plan), &pipeline.plan, &pipeline.context, &late)?)
    }

    /// A pipeline is over: the trigger job that waits for it ends as it did.
    pub(super) fn pipeline_ended(&mut self, index: usize, status: Status, open: &mut VecDeque<(usize, Event)>) {
        let Some(parent) = self.pipelines[index].parent else { return };
        let job = &self.pipelines[parent.pipeline].state.jobs[parent.job];
        if !job.is_held() || self.pipelines[parent.pipeline].records[parent.job].child != Some(index) {
            return;
        }
        let outcome = match status {
            Status::Success | Status::Skipped => Outcome::Success,
            Status::Canceled => Outcome::Canceled,
            _ => Outcome::Failed { reason: FailureReason::DownstreamFailure, exit_code: None },
        };
        open.push_back((parent.pipeline, Event::Finished { job: job.id, fence: job.fence, outcome }));
    }
}
