//! What a run came to: for people at its end, and as JSON.

use std::path::Path;

use serde_json::{Value, json};
use serin_engine as engine;
use serin_model::Status;

use super::output::Output;
use super::pipeline::{Pipeline, Record, Ticket, needs_server};
use super::session::{Session, name};
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW, styled};

impl Session {
    /// Tells a job's new status, where a person wants to know it.
    pub(super) fn tell(&self, ticket: Ticket) {
        let pipeline = &self.pipelines[ticket.pipeline];
        let job = &pipeline.state.jobs[ticket.job];
        let name = self.name(ticket);
        let took = duration(job);
        match job.status {
            Status::Running => self.output.started(&name),
            Status::Success => match &pipeline.records[ticket.job].taken {
                Some(run) => self.output.good(&name, &format!("taken from run {run}")),
                None => self.output.good(&name, &format!("succeeded in {took}")),
            },
            Status::Failed if job.allowed_to_fail => {
                self.output.odd(&name, &format!("failed in {took}, which is allowed{}", why(job)));
            }
            Status::Failed => self.output.bad(&name, &format!("failed in {took}{}", why(job))),
            Status::Canceled if job.started_at.is_some() => self.output.odd(&name, "canceled"),
            Status::Scheduled => self.output.aside(&name, &format!("starts in {}", wait(job))),
            Status::Manual => {
                let words = needs_server(&pipeline.plan.jobs[ticket.job]).map(|why| format!("skipped: {why}"));
                self.output.aside(&name, &words.unwrap_or_else(|| "waits to be started by hand".to_owned()));
            }
            _ => {}
        }
    }

    /// Tells how the run ended: what failed, with its last lines and where its log and artifacts are, what its reports
    /// say, and what became of its jobs.
    pub fn close(&self, quality: &[String]) {
        let output = &self.output;
        output.rest();
        for ticket in self.tickets() {
            let job = &self.pipelines[ticket.pipeline].state.jobs[ticket.job];
            if job.status == Status::Failed && !job.allowed_to_fail {
                self.tell_failure(ticket, output);
            }
        }
        if !quality.is_empty() {
            output.plain("");
            quality.iter().for_each(|line| output.plain(line));
        }
        self.count(output);
    }

    /// The jobs that were asked for by name; none: all.
    #[must_use]
    pub fn selected(&self) -> &[String] {
        &self.settings.selected
    }

    fn tell_failure(&self, ticket: Ticket, output: &Output) {
        let record = &self.pipelines[ticket.pipeline].records[ticket.job];
        let job = &self.pipelines[ticket.pipeline].state.jobs[ticket.job];
        let child_failed = record.child.is_some();
        output.plain("");
        output.plain(&format!("{} {}{}", styled(RED.bold(), "✗"), styled(BOLD, &self.name(ticket)), why(job)));
        if child_failed {
            return;
        }
        for line in &record.tail {
            output.plain(&format!("  {} {line}\x1b[0m", styled(DIM, "│")));
        }
        let mut places: Vec<(&str, &Path)> = Vec::new();
        places.extend(record.logs.last().map(|log| ("log", log.as_path())));
        places.extend(record.archive.as_ref().map(|archive| ("artifacts", archive.as_path())));
        places.extend(record.reports.iter().map(|(kind, path)| (kind.as_str(), path.as_path())));
        places.extend(record.workspace.as_ref().map(|folder| ("workspace", folder.as_path())));
        for (what, path) in places {
            output.plain(&format!("  {} {}", styled(DIM, &format!("{what}:")), path.display()));
        }
    }

    fn count(&self, output: &Output) {
        let mut parts = Vec::new();
        let words = |ticket: Ticket| {
            let job = &self.pipelines[ticket.pipeline].state.jobs[ticket.job];
            match job.status {
                Status::Success => "succeeded",
                Status::Failed if job.allowed_to_fail => "failed as allowed",
                Status::Failed => "failed",
                Status::Canceled => "canceled",
                Status::Skipped => "skipped",
                Status::Manual if needs_server(&self.pipelines[ticket.pipeline].plan.jobs[ticket.job]).is_some() => {
                    "for a server"
                }
                Status::Manual => "manual",
                _ => "not reached",
            }
        };
        for (word, style) in [
            ("succeeded", GREEN),
            ("failed", RED),
            ("failed as allowed", YELLOW),
            ("canceled", YELLOW),
            ("skipped", DIM),
            ("manual", DIM),
            ("for a server", DIM),
            ("not reached", DIM),
        ] {
            let number = self.tickets().filter(|ticket| words(*ticket) == word).count();
            if number > 0 {
                parts.push(styled(style, &format!("{number} {word}")));
            }
        }
        let root = &self.pipelines[0].state;
        let took = span(root.jobs.iter().chain(self.pipelines.iter().skip(1).flat_map(|p| &p.state.jobs)));
        output.plain("");
        let style = if self.failed() { RED } else { GREEN };
        let status = self.status().as_str();
        output.plain(&format!("{}  {}  {}", styled(style.bold(), status), parts.join(", "), styled(DIM, &took)));
    }

    /// The root pipeline's status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.pipelines[0].state.status
    }

    /// Whether something failed that counts.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.pipelines.iter().any(|pipeline| {
            let counts = |job: &engine::Job| job.status == Status::Failed && !job.allowed_to_fail;
            pipeline.parent.is_none()
                && (pipeline.state.status == Status::Failed || pipeline.state.jobs.iter().any(counts))
        })
    }

    fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.pipelines
            .iter()
            .enumerate()
            .flat_map(|(pipeline, list)| (0..list.plan.jobs.len()).map(move |job| Ticket { pipeline, job }))
    }

    /// The whole run as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = pipeline_json(&self.pipelines, 0);
        value["run"] = json!(self.common.folders.run);
        value["caches"] = json!(self.common.folders.caches());
        value["number"] = json!(self.common.folders.number());
        value["selected"] = json!(self.settings.selected);
        value
    }
}

fn pipeline_json(pipelines: &[Pipeline], index: usize) -> Value {
    let pipeline = &pipelines[index];
    let jobs: Vec<Value> =
        (0..pipeline.plan.jobs.len()).map(|job| job_json(pipelines, Ticket { pipeline: index, job })).collect();
    json!({ "status": pipeline.state.status.as_str(), "name": pipeline.plan.name, "jobs": jobs })
}

fn job_json(pipelines: &[Pipeline], ticket: Ticket) -> Value {
    let pipeline = &pipelines[ticket.pipeline];
    let plan = &pipeline.plan.jobs[ticket.job];
    let job = &pipeline.state.jobs[ticket.job];
    let record: &Record = &pipeline.records[ticket.job];
    let took = job.finished_at.zip(job.started_at).map(|(end, start)| end.since_ms(start));
    let reports: serde_json::Map<String, Value> =
        record.reports.iter().map(|(kind, path)| (kind.clone(), json!(path))).collect();
    json!({
        "name": plan.name,
        "path": name(pipelines, ticket),
        "stage": pipeline.plan.stages.get(plan.stage),
        "status": job.status.as_str(),
        "allowed_to_fail": job.status == Status::Failed && job.allowed_to_fail,
        "exit_code": job.exit_code,
        "failure": job.failure.filter(|_| job.status == Status::Failed).map(serin_model::FailureReason::as_str),
        "note": record.note,
        "taken_from_run": record.taken,
        "fingerprint": record.fingerprint,
        "dotenv": record.dotenv,
        "attempts": job.attempt,
        "order": record.order,
        "duration_ms": took,
        "coverage": record.coverage,
        "logs": record.logs,
        "artifacts": record.archive,
        "reports": reports,
        "workspace": record.workspace,
        "child": record.child.map(|child| pipeline_json(pipelines, child)),
    })
}

fn why(job: &engine::Job) -> String {
    use serin_model::FailureReason as Reason;
    match (job.failure, job.exit_code) {
        (_, Some(code)) if code != 0 => format!(": exit code {code}"),
        (Some(Reason::JobExecutionTimeout), _) => ": it took longer than its timeout".to_owned(),
        (Some(Reason::DownstreamFailure), _) => ": its child pipeline".to_owned(),
        (Some(Reason::RunnerSystemFailure), _) => ": it could not be carried out".to_owned(),
        (Some(Reason::MissingDependency), _) => ": something that it needs is missing".to_owned(),
        _ => String::new(),
    }
}

fn duration(job: &engine::Job) -> String {
    let took = job.finished_at.zip(job.started_at).map_or(0, |(end, start)| end.since_ms(start));
    time(took)
}

fn wait(job: &engine::Job) -> String {
    time(job.scheduled_at.map_or(0, |at| at.since_ms(super::session::now()).max(0)))
}

fn span<'a>(jobs: impl Iterator<Item = &'a engine::Job> + Clone) -> String {
    let first = jobs.clone().filter_map(|job| job.started_at).min();
    let last = jobs.filter_map(|job| job.finished_at).max();
    time(last.zip(first).map_or(0, |(end, start)| end.since_ms(start)))
}

/// A span of time for people.
#[must_use]
pub fn time(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{seconds}.{} s", ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
