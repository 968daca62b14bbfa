//! One module for each group of commands.

mod compile;
mod explain;
mod graph;
mod judge;
mod lint;
mod list;
mod people;
mod quality;
mod remote;
mod run;
mod serve;
mod table;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use serin_lang::NotCreated;

use crate::cli::{Cli, Command, OfFolder, SchemaOf};
use crate::worktree::{self, Local};
use crate::{demo, terminal};

pub use remote::short;

/// Carries a command out; its exit code.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Demo(demo) => runtime()?.block_on(demo::run(demo)),
        Command::Serve(serve) => runtime()?.block_on(serve::run(serve)),
        Command::Gateway(gateway) => {
            serve::log(crate::cli::LogFormat::Text);
            serin_gateway::run(&gateway.dir)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lint(lint) => lint::run(&lint),
        Command::List(list) => list::run(&list),
        Command::Explain(explain) => explain::run(&explain),
        Command::Compile(compile) => compile::run(&compile),
        Command::Graph(graph) => graph::run(&graph),
        Command::Schema { of } => {
            terminal::line(&match of {
                SchemaOf::Pipeline => serin_lang::schema::pipeline(),
                SchemaOf::Service => serin_lang::schema::service(),
            });
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => single_threaded()?.block_on(run::run(run)),
        Command::Quality(quality) => quality::run(&quality),
        Command::Judge(judge) => runtime()?.block_on(judge::run(judge)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "serin", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        remote => runtime()?.block_on(remote::run(remote)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// For work that is done by processes of its own: threads that wake each other would cost more than they give.
fn single_threaded() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Compiles a folder's pipeline and shows what was found; `None`: there are errors.
fn compiled(of: &OfFolder) -> Result<Option<Local>> {
    let local = worktree::compile(&of.folder, &of.event)?;
    let compilation = &local.compilation;
    if local.has_errors() {
        let errors = compilation.diagnostics.iter().filter(|found| found.severity == serin_lang::Severity::Error);
        let errors: Vec<serin_lang::Diagnostic> = errors.cloned().collect();
        terminal::note(&serin_lang::render(&errors, &compilation.sources, serin_lang::Color::Ansi));
        return Ok(None);
    }
    match compilation.not_created {
        Some(NotCreated::Workflow) => {
            terminal::note("there is no pipeline: no rule of `workflow:rules` wants one for this event");
        }
        Some(NotCreated::NoJobs) => {
            terminal::note("there is no pipeline: this event leaves no job, or only jobs of `.pre` and `.post`");
        }
        None => {}
    }
    Ok(Some(local))
}
