//! `serin demo`: the whole way once, for real, over public interfaces alone: Git, REST, and the gateway.

mod load;
mod report;
mod server;
mod shop;
mod story;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Demo, Format, Platform};
use crate::terminal::{self, BOLD, CYAN, DIM, styled};
use report::Report;
use server::Server;
use story::Story;

/// How long the whole story may take before it is given up.
const STORY_LIMIT: Duration = Duration::from_secs(600);

/// Tells the story; the exit code is 0 only if all of it held.
pub async fn run(demo: Demo) -> Result<ExitCode> {
    if demo.platform == Platform::Docker {
        // Told before anything is begun, with the way to get one.
        serin_platform::Engine::connect().await?;
    }
    let folder = tempfile::Builder::new().prefix("serin-demo-").tempdir().context("cannot make a temporary folder")?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut server = Server::start(folder.path(), demo.listen).await?;
    terminal::note(&format!(
        "{}  pages at {}  {}",
        styled(BOLD, "Serin demo"),
        styled(CYAN, &server.login_url()),
        styled(DIM, &format!("data in {}", folder.path().display()))
    ));
    let told = tokio::select! {
        told = tokio::time::timeout(STORY_LIMIT, tell(&demo, folder.path(), &mut server)) => {
            told.unwrap_or_else(|_| Err(anyhow::anyhow!("the story did not end within {} s", STORY_LIMIT.as_secs())))
        }
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    let code = match &told {
        Ok(report) => {
            print(report, demo.format)?;
            ExitCode::from(u8::from(!report.held()))
        }
        Err(error) => {
            terminal::error(error);
            server.show_log();
            ExitCode::from(1)
        }
    };
    if told.is_ok() && !demo.exit {
        terminal::note(&format!("\nThe server stays up at {}; Ctrl-C ends it.", styled(CYAN, &server.login_url())));
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    server.stop().await;
    Ok(code)
}

async fn tell(demo: &Demo, folder: &std::path::Path, server: &mut Server) -> Result<Report> {
    Story::new(demo, folder, server).await?.tell().await
}

fn print(report: &Report, format: Format) -> Result<()> {
    match format {
        Format::Json => terminal::json(report)?,
        Format::Text => report.lines().iter().for_each(|line| terminal::line(line)),
    }
    Ok(())
}
