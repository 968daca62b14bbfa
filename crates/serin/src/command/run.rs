//! `serin run`: the pipeline of the folder, carried out here.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serin_lang::{Color, Compilation, Context, NotCreated, Severity};
use serin_model::plan::{Variable, Work};
use serin_runner::HostEnvironment;

use crate::cli::{Format, Run};
use crate::local::folders::Folders;
use crate::local::output::{Output, Stream};
use crate::local::pipeline::Pipeline;
use crate::local::request::Common;
use crate::local::selection::{self, Selection};
use crate::local::session::{Interrupt, Session, Settings};
use crate::terminal;
use crate::worktree::{self, Local, Project};

/// Carries the pipeline out; exit code 0 where nothing failed that counts, 1 where something did.
pub async fn run(mut run: Run) -> Result<ExitCode> {
    let secrets = secrets(&run.secret)?;
    run.event.variables.extend(secrets.iter().cloned());
    let Local { project, mut context, compilation } = worktree::compile(&run.folder, &run.event)?;
    say_findings(&compilation);
    if compilation.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Ok(ExitCode::from(1));
    }
    let is_secret = |variable: &&mut Variable| secrets.iter().any(|(key, _)| *key == variable.key);
    for variable in context.pipeline_variables.iter_mut().filter(is_secret) {
        (variable.masked, variable.raw) = (true, true);
    }
    let Some(compilation) = selected(compilation, &run)? else { return Ok(ExitCode::SUCCESS) };
    carry_out(&run, project, (compilation, context)).await
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

/// The compilation with the jobs that were asked for; `None`: there is no pipeline.
fn selected(mut compilation: Compilation, run: &Run) -> Result<Option<Compilation>> {
    let Some(plan) = &mut compilation.plan else {
        let why = match compilation.not_created {
            Some(NotCreated::Workflow) => "`workflow:rules` want no pipeline for this event",
            Some(NotCreated::NoJobs) | None => "no job is in the pipeline of this event",
        };
        terminal::note(&format!("there is no pipeline: {why}"));
        return Ok(None);
    };
    let selection = Selection { jobs: run.jobs.clone(), alone: run.no_needs };
    selection::select(plan, &selection)?;
    Ok(Some(compilation))
}

async fn carry_out(run: &Run, project: Project, (compilation, context): (Compilation, Context)) -> Result<ExitCode> {
    let stream = if run.format == Format::Json { Stream::Error } else { Stream::Output };
    let output = Arc::new(Output::new(stream));
    let folders = Folders::make(project.root())?;
    let common = Common { project, host: HostEnvironment::of_this_process(), folders, guards: Common::guards() };
    let settings = Settings {
        parallel: run.parallel.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        play: run.play.clone(),
        no_delay: run.no_delay,
        keep: run.keep,
    };
    let root = Pipeline::new(compilation, context, (0, 1))?;
    say_containers(&root, &output);
    let mut session = Session::new(root, common, (output, settings));
    session.run().await?;
    session.close();
    if !run.keep {
        session.common.folders.remove_builds();
    }
    if run.format == Format::Json {
        terminal::line(&serde_json::to_string_pretty(&session.to_json())?);
    }
    Ok(exit_code(&session))
}

fn exit_code(session: &Session) -> ExitCode {
    match session.interrupted {
        Some(Interrupt::CtrlC) => ExitCode::from(130),
        Some(Interrupt::Terminate) => ExitCode::from(143),
        Some(Interrupt::HangUp) => ExitCode::from(129),
        None => ExitCode::from(u8::from(session.failed())),
    }
}

/// Says once that jobs run on this machine, whatever image they name.
fn say_containers(pipeline: &Pipeline, output: &Output) {
    let scripts = || {
        pipeline.plan.jobs.iter().filter_map(|job| match &job.work {
            Work::Script(script) => Some(script),
            _ => None,
        })
    };
    let mut images: Vec<&str> = scripts().filter_map(|script| Some(script.image.as_ref()?.name.as_str())).collect();
    images.sort_unstable();
    images.dedup();
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
