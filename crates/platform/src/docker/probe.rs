//! Asks a container for its health.

use super::Engine;
use super::container::Found;
use crate::health::{self, CHECK_TIMEOUT, Check};
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{ExecConfig, ExecInspectResponse};
use futures_util::StreamExt;
use serin_model::service::{Health, Probe};
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::time::timeout;

/// Bytes of a health command's output that are quoted.
const OUTPUT_BYTES_MAX: usize = 300;

/// How one process of a node is asked.
pub(super) struct Prober {
    engine: Engine,
    id: String,
    address: SocketAddr,
    health: Health,
    /// A command that did not end in time: none is started beside it.
    under_way: Mutex<Option<String>>,
}

impl Prober {
    pub(super) fn new(engine: Engine, found: &Found, address: SocketAddr) -> Self {
        Self { engine, id: found.id.clone(), address, health: found.health.clone(), under_way: Mutex::default() }
    }

    pub(super) async fn ask(&self) -> Check {
        let Probe::Command(words) = &self.health.probe else {
            return health::ask(self.address, &self.health, CHECK_TIMEOUT).await;
        };
        let name = words.first().map_or("", String::as_str);
        match timeout(CHECK_TIMEOUT, self.run(words)).await {
            Ok(Ok(check)) => check,
            Ok(Err(error)) => Err(format!("`{name}` could not be run: {error}")),
            Err(_) => Err(format!("`{name}` did not end within {} s", CHECK_TIMEOUT.as_secs())),
        }
    }

    async fn run(&self, words: &[String]) -> Result<Check, bollard::errors::Error> {
        let name = words.first().map_or("", String::as_str);
        let before = super::guard(&self.under_way).clone();
        if let Some(before) = before
            && self.inspect(&before).await?.running == Some(true)
        {
            return Ok(Err(format!("`{name}` of the check before has not ended")));
        }
        let config = ExecConfig {
            cmd: Some(words.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self.engine.api().create_exec(&self.id, config).await?.id;
        *super::guard(&self.under_way) = Some(exec.clone());
        let output = match self.engine.api().start_exec(&exec, None).await? {
            StartExecResults::Attached { output, .. } => read(output).await,
            StartExecResults::Detached => String::new(),
        };
        let ended = self.inspect(&exec).await?;
        *super::guard(&self.under_way) = None;
        Ok(match ended.exit_code {
            Some(0) => Ok(()),
            Some(code) if output.is_empty() => Err(format!("`{name}` ended with exit code {code}")),
            Some(code) => Err(format!("`{name}` ended with exit code {code}: {output}")),
            None => Err(format!("the end of `{name}` could not be seen")),
        })
    }

    async fn inspect(&self, exec: &str) -> Result<ExecInspectResponse, bollard::errors::Error> {
        self.engine.api().inspect_exec(exec).await
    }
}

/// The beginning of what a command says, to its end.
async fn read(
    mut output: impl futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
) -> String {
    let mut text = Vec::new();
    while let Some(Ok(part)) = output.next().await {
        let bytes = part.into_bytes();
        let room = OUTPUT_BYTES_MAX.saturating_sub(text.len());
        text.extend_from_slice(bytes.get(..room).unwrap_or(&bytes));
    }
    String::from_utf8_lossy(&text).trim().replace('\n', " ")
}
