//! `serin run`: the pipeline of the folder, carried out here.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use serin_image::Logins;
use serin_lang::{Color, Compilation, Context, NotCreated, Severity};
use serin_model::plan::{Plan, Variable, Work};
use serin_runner::{Containers, HostEnvironment, Missing};

use super::quality;
use crate::cli::{Format, Run};
use crate::local::folders::{self, Folders};
use crate::local::output::{Output, Stream};
use crate::local::pipeline::{Pipeline, needs_server};
use crate::local::previous::{self, Previous};
use crate::local::request::Common;
use crate::local::selection::{self, Selection};
use crate::local::session::{Interrupt, Session, Settings, Take};
use crate::local::watch;
use crate::terminal::{self, BOLD, DIM, styled};
use crate::worktree::{self, Local, Project};

/// Carries the pipeline out; exit code 0 where nothing failed that counts, 1 where something did.
pub async fn run(mut run: Run) -> Result<ExitCode> {
    let secrets = secrets(&run.secret)?;
    run.event.variables.extend(secrets.iter().cloned());
    if !run.watch {
        return Ok(once(&run, &secrets).await?.0);
    }
    loop {
        let project = Project::open(&run.folder, &run.event)?;
        let seen = watch::look(&project)?;
        let (code, interrupted) = once(&run, &secrets).await?;
        if interrupted {
            return Ok(code);
        }
        terminal::note(&styled(DIM, "waiting for a change; Ctrl-C ends"));
        tokio::select! {
            changed = watch::change(&project, &seen) => changed?,
            ended = tokio::signal::ctrl_c() => {
                ended?;
                return Ok(code);
            }
        }
    }
}

/// One run, and whether it was interrupted.
async fn once(run: &Run, secrets: &[(String, String)]) -> Result<(ExitCode, bool)> {
    let Local { project, mut context, compilation } = worktree::compile(&run.folder, &run.event)?;
    say_findings(&compilation);
    if compilation.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Ok((ExitCode::from(1), false));
    }
    let is_secret = |variable: &&mut Variable| secrets.iter().any(|(key, _)| *key == variable.key);
    for variable in context.pipeline_variables.iter_mut().filter(is_secret) {
        (variable.masked, variable.raw) = (true, true);
    }
    let selected = asked_for(run, &project)?;
    let Some(compilation) = select(compilation, (run, &selected))? else { return Ok((ExitCode::SUCCESS, false)) };
    if run.dry_run {
        let plan = compilation.plan.unwrap_or_default();
        match run.format {
            Format::Json => terminal::json(&plan_json(&plan))?,
            Format::Text => say_plan(&plan),
        }
        return Ok((ExitCode::SUCCESS, false));
    }
    carry_out((run, selected), project, (compilation, context)).await
}

fn say_findings(compilation: &Compilation) {
    let color = if std::io::stderr().is_terminal() { Color::Ansi } else { Color::Plain };
    if !compilation.diagnostics.is_empty() {
        terminal::note(&serin_lang::render(&compilation.diagnostics, &compilation.sources, color));
    }
}

/// Variables that are hidden in logs: `KEY=VALUE`, or `KEY` with the value of the environment.
fn secrets(given: &[String]) -> Result<Vec<(String, String)>> {
    let secret = |text: &String| {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => {
                (text.as_str(), std::env::var(text).with_context(|| format!("`{text}` is not in the environment"))?)
            }
        };
        Ok((key.to_owned(), value))
    };
    given.iter().map(secret).collect()
}

/// The names of the jobs to run: with `--only-failed` alone those of the latest run.
fn asked_for(run: &Run, project: &Project) -> Result<Vec<String>> {
    if !run.only_failed || !run.jobs.is_empty() {
        return Ok(run.jobs.clone());
    }
    let previous = Previous::of(&folders::project_folder(project.root())?);
    let Some(selected) = previous.selected() else {
        bail!("there is no earlier run; run the pipeline without `--only-failed` first");
    };
    Ok(selected)
}

/// The compilation with the jobs that were asked for; `None`: there is no pipeline.
fn select(mut compilation: Compilation, (run, selected): (&Run, &[String])) -> Result<Option<Compilation>> {
    let Some(plan) = &mut compilation.plan else {
        let why = match compilation.not_created {
            Some(NotCreated::Workflow) => "`workflow:rules` want no pipeline for this event",
            Some(NotCreated::NoJobs) | None => "no job is in the pipeline of this event",
        };
        terminal::note(&format!("there is no pipeline: {why}"));
        if run.format == Format::Json {
            terminal::line(&json!({ "status": null, "jobs": [], "note": why }).to_string());
        }
        return Ok(None);
    };
    selection::select(plan, &Selection { jobs: selected.to_vec(), alone: run.no_needs })?;
    Ok(Some(compilation))
}

async fn carry_out(
    (run, selected): (&Run, Vec<String>),
    project: Project,
    (compilation, context): (Compilation, Context),
) -> Result<(ExitCode, bool)> {
    let output = Arc::new(match run.format {
        Format::Json => Output::lines(Stream::Error),
        Format::Text if std::io::stdout().is_terminal() && !run.lines => Output::live(),
        Format::Text => Output::lines(Stream::Output),
    });
    let folders = Folders::make(project.root())?;
    let logins = Logins::of_environment().map_err(anyhow::Error::msg)?;
    // The person's own: what they may pull by hand, their jobs may as well.
    let home = std::env::home_dir().map(|home| Logins::of_home(&home)).unwrap_or_default();
    let containers = Containers::new(run.executor.settings(Missing::RunInShell)).with_logins(logins.or(&home));
    let host = HostEnvironment::of_this_process();
    let common = Common { project, host, folders, guards: Common::guards(), containers };
    let root = Pipeline::new(compilation, context, (0, 1))?;
    say_containers(&root, &output, &common.containers).await;
    let mut session = Session::new(root, common, (output, settings(run, selected)));
    session.expect(0);
    let ran = session.run().await;
    session.common.guards.end().await;
    session.common.containers.end().await;
    let quality = quality_of(&session, run);
    session.leave_builds();
    ran?;
    session.close(&quality.as_ref().map(|quality| quality::text(quality, run.language.into())).unwrap_or_default());
    let mut outcome = session.to_json();
    outcome["quality"] = quality.as_ref().map_or(serde_json::Value::Null, quality::whole);
    previous::keep(&session.common.folders, &outcome)?;
    if run.format == Format::Json {
        terminal::json(&outcome)?;
    }
    Ok((exit_code(&session), session.interrupted.is_some()))
}

/// What the run's reports say, and keeps them where later runs are compared with this one.
fn quality_of(session: &Session, run: &Run) -> Option<quality::Outcome> {
    if session.interrupted.is_some() {
        return None;
    }
    let against = run.against.as_deref();
    let found = quality::of_run(session, against).and_then(|found| {
        quality::base_kept(session, against)?;
        Ok(found)
    });
    found.unwrap_or_else(|error| {
        terminal::note(&format!("the reports were not looked at: {error:#}"));
        None
    })
}

fn settings(run: &Run, selected: Vec<String>) -> Settings {
    let take = match (run.only_failed, run.cached) {
        (true, _) => Take::Unfailed,
        (false, true) => Take::Unchanged,
        (false, false) => Take::Nothing,
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Settings {
        parallel: run.parallel.unwrap_or_else(cores).max(1),
        play: run.play.clone(),
        no_delay: run.no_delay,
        keep: run.keep,
        selected,
        take,
    }
}

fn exit_code(session: &Session) -> ExitCode {
    match session.interrupted {
        Some(Interrupt::CtrlC) => ExitCode::from(130),
        Some(Interrupt::Terminate) => ExitCode::from(143),
        Some(Interrupt::HangUp) => ExitCode::from(129),
        None => ExitCode::from(u8::from(session.failed())),
    }
}

/// Says once that jobs run on this machine, whatever image they name, where there are no containers.
async fn say_containers(pipeline: &Pipeline, output: &Output, containers: &Containers) {
    let scripts = || {
        pipeline.plan.jobs.iter().filter_map(|job| match &job.work {
            Work::Script(script) => Some(script),
            _ => None,
        })
    };
    let mut images: Vec<&str> = scripts().filter_map(|script| Some(script.image.as_ref()?.name.as_str())).collect();
    images.sort_unstable();
    images.dedup();
    if !images.is_empty() && containers.are_there().await {
        return;
    }
    if !images.is_empty() {
        output.note(&format!("jobs run in a shell of this machine, not in their images ({})", images.join(", ")));
    }
    let mut services: Vec<&str> =
        scripts().flat_map(|script| &script.services).map(|service| service.name.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    if !services.is_empty() {
        output.note(&format!("services are not started by the shell executor ({})", services.join(", ")));
    }
}

/// Says what would run, stage by stage.
fn say_plan(plan: &Plan) {
    for (index, stage) in plan.stages.iter().enumerate() {
        let mut jobs = plan.jobs.iter().filter(|job| job.stage == index).peekable();
        if jobs.peek().is_some() {
            terminal::line(&styled(BOLD, stage));
        }
        for job in jobs {
            let mut words = Vec::new();
            if job.when != serin_model::plan::When::OnSuccess {
                words.push(job.when.as_str().to_owned());
            }
            if let Some(needs) = &job.needs {
                let names: Vec<&str> = needs.iter().map(|need| need.job.as_str()).collect();
                words.push(if names.is_empty() { "at once".to_owned() } else { format!("after {}", names.join(", ")) });
            }
            words.extend(needs_server(job));
            let words = if words.is_empty() { String::new() } else { format!("  {}", styled(DIM, &words.join("; "))) };
            terminal::line(&format!("  {}{words}", job.name));
        }
    }
}

fn plan_json(plan: &Plan) -> serde_json::Value {
    let jobs: Vec<serde_json::Value> = plan
        .jobs
        .iter()
        .map(|job| {
            let needs = job.needs.as_ref().map(|needs| needs.iter().map(|need| &need.job).collect::<Vec<_>>());
            json!({ "name": job.name, "stage": plan.stages.get(job.stage), "when": job.when.as_str(), "needs": needs })
        })
        .collect();
    json!({ "stages": plan.stages, "jobs": jobs })
}
