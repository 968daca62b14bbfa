//! Starts a node's supervisor.

use super::SupervisorCommand;
use crate::layout::NodeDir;
use crate::{Error, NodeKey, NodeSpec};
use serin_model::service::Probe;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const READY_TIMEOUT: Duration = Duration::from_secs(15);
const REASON_BYTES_MAX: u64 = 2000;
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
/// Variables of the server that a node gets as well; nothing else of the server's environment reaches it.
const INHERITED: [&str; 4] = ["PATH", "LANG", "LC_ALL", "TZ"];

/// Checks what a node could not be started with.
pub(super) fn check(spec: &NodeSpec) -> Result<(), Error> {
    let refuse = |reason: &str| Err(Error::Spec { key: spec.key.clone(), reason: reason.to_owned() });
    if spec.command.first().is_none_or(String::is_empty) {
        return refuse("its command is empty; `service.command` names the program");
    }
    if spec.command.iter().any(|word| word.contains('\0')) {
        return refuse("its command holds a zero byte");
    }
    let named = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    if spec.variables.iter().any(|(name, value)| !named(name) || value.contains('\0')) {
        return refuse("a variable's name is empty or holds `=`, or a zero byte is in it");
    }
    crate::layout::check_secrets(spec)?;
    if let Probe::Command(words) = &spec.health.probe
        && words.iter().any(|word| word.contains('\0'))
    {
        return refuse("its health command holds a zero byte");
    }
    let path = &spec.health.path;
    if !path.starts_with('/') || path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return refuse("`service.health.path` has to start with `/` and hold no blanks or control characters");
    }
    if !spec.release_dir.is_absolute() || !spec.release_dir.is_dir() {
        return refuse("its release is no folder; the package may have been removed");
    }
    Ok(())
}

/// Starts the supervisor and returns when it has taken the node over.
pub(super) async fn supervisor(command: &SupervisorCommand, key: &NodeKey, dir: &NodeDir) -> Result<(), Error> {
    let mut child = spawn(command, dir)?;
    let said = match child.stdout.take() {
        Some(mut stdout) => {
            let mut line = [0; 6];
            timeout(READY_TIMEOUT, stdout.read_exact(&mut line)).await.is_ok_and(|read| read.is_ok())
                && &line == b"ready\n"
        }
        None => false,
    };
    if !said {
        let _ = child.start_kill();
        let _ = child.wait().await;
        return Err(Error::Supervisor { key: key.clone(), reason: format!("did not start: {}", last_words(dir)) });
    }
    // Waits so that no zombie stays; the supervisor does not need this server.
    tokio::spawn(async move { child.wait().await });
    Ok(())
}

fn spawn(command: &SupervisorCommand, dir: &NodeDir) -> Result<Child, Error> {
    let path = dir.supervisor_log();
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let errors = options.map_err(Error::io("create", path))?;
    let mut process = Command::new(&command.program);
    process.args(&command.args).arg(&dir.0).env_clear().env("PATH", PATH_DEFAULT);
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            process.env(name, value);
        }
    }
    process.current_dir(&dir.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    process.spawn().map_err(Error::io("start", &command.program))
}

fn last_words(dir: &NodeDir) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(dir.supervisor_log()) {
        let _ = file.take(REASON_BYTES_MAX).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}
