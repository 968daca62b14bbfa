//! One module for each group of commands.

mod lint;
mod remote;
mod run;
mod serve;

use std::io::{self, BufReader};
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{Cli, Command, Language};
use crate::judge::{self, Detail};
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
        Command::Run(run) => runtime()?.block_on(run::run(run)),
        Command::Judge(judge) => judge_stream(judge.explain, judge.language),
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

fn judge_stream(explain: bool, language: Language) -> Result<ExitCode> {
    let language = match language {
        Language::En => serin_judge::Language::English,
        Language::Zh => serin_judge::Language::Chinese,
    };
    let detail = if explain { Detail::Explained(language) } else { Detail::Estimates };
    if let Err(error) = judge::serve(BufReader::new(io::stdin().lock()), io::stdout().lock(), detail) {
        terminal::error(&error.into());
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}
