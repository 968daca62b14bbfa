//! `serin run`: the pipeline of the folder, carried out here.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serin_lang::{Color, Compilation, Context, NotCreated, Severity};
use serin_model::plan::{Variable, Work};
use serin_runner::HostEnvironment;

use crate::cli::{Format, Run};
use crate::local::compile;
use crate::local::folders::Folders;
use crate::local::output::{Output, Stream};
use crate::local::pipeline::Pipeline;
use crate::local::request::Common;
use crate::local::selection::{self, Selection};
use crate::local::session::{Interrupt, Session, Settings};
use crate::terminal;

/// Carries the pipeline out; exit code 0 where nothing failed that counts, 1 where something did.
pub async fn run(run: Run) -> Result<ExitCode> {
    let top = top(&run.folder)?;
    let context = context(&top, &run)?;
    let entry =
        compile::read(&top, &run.file)?.with_context(|| format!("`{}` has no `{}`", top.display(), run.file))?;
    let compilation = compile::compile(&top, &entry, &context)?;
    let color = if std::io::stderr().is_terminal() { Color::Ansi } else { Color::Plain };
    if !compilation.diagnostics.is_empty() {
        terminal::note(&serin_lang::render(&compilation.diagnostics, &compilation.sources, color));
    }
    if compilation.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Ok(ExitCode::from(1));
    }
    let Some(compilation) = selected(compilation, &run)? else { return Ok(ExitCode::SUCCESS) };
    carry_out(&run, top, (compilation, context)).await
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

async fn carry_out(run: &Run, top: PathBuf, (compilation, context): (Compilation, Context)) -> Result<ExitCode> {
    let stream = if run.format == Format::Json { Stream::Error } else { Stream::Output };
    let output = Arc::new(Output::new(stream));
    let folders = Folders::make(&top)?;
    let common = Common { top, host: HostEnvironment::of_this_process(), folders };
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

fn top(folder: &Path) -> Result<PathBuf> {
    let top = git(folder, &["rev-parse", "--show-toplevel"])
        .with_context(|| format!("`{}` is in no Git repository; jobs get copies of its work tree", folder.display()))?;
    Ok(PathBuf::from(top))
}

fn context(top: &Path, run: &Run) -> Result<Context> {
    let mut pipeline_variables = Vec::new();
    for text in &run.var {
        let Some((key, value)) = text.split_once('=') else {
            bail!("`--var {text}` is not `KEY=VALUE`");
        };
        pipeline_variables.push(Variable::plain(key, value));
    }
    let branch = git(top, &["symbolic-ref", "--short", "HEAD"]).unwrap_or_else(|_| "HEAD".to_owned());
    Ok(Context {
        branch: Some(branch.clone()),
        default_branch: branch,
        project: "local/project".to_owned(),
        sha: git(top, &["rev-parse", "HEAD"]).unwrap_or_default(),
        server_url: "http://localhost".to_owned(),
        pipeline_variables,
        ..Context::default()
    })
}

fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let output = std::process::Command::new("git").arg("-C").arg(folder).args(args).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
