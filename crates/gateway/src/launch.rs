//! Starting the gateway as a process that outlives its starter.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::process::{DETACH_VARIABLE, prepare_dir};
use crate::{Client, Error};

/// How long a fresh gateway has to answer.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two attempts to reach it.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
/// A log longer than this is begun anew at the next start, in bytes.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A command line that runs [`crate::run`] when `--dir DIR` is appended to it.
#[derive(Clone, Debug)]
pub struct GatewayCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, such as `gateway`.
    pub arguments: Vec<String>,
}

/// Reaches the gateway of a folder, and starts it first, in a session of its own, if none answers.
///
/// Two callers at once end up with the same gateway.
///
/// # Errors
/// [`Error::NotStarted`] when the process ended or did not answer in time.
pub async fn ensure_running(command: &GatewayCommand, dir: &Path) -> Result<Client, Error> {
    prepare_dir(dir)?;
    let dir = dir.canonicalize().map_err(Error::io("resolve", dir))?;
    let client = Client::new(&dir);
    if client.info().await.is_ok() {
        return Ok(client);
    }
    let mut child = spawn(command, &dir)?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if client.info().await.is_ok() {
            return Ok(client);
        }
        fail_if_hopeless(&mut child, &dir, deadline)?;
        sleep(ATTEMPT_PAUSE).await;
    }
}

fn spawn(command: &GatewayCommand, dir: &Path) -> Result<Child, Error> {
    let log = open_log(&dir.join("gateway.log"))?;
    Command::new(&command.program)
        .args(&command.arguments)
        .arg("--dir")
        .arg(dir)
        .env(DETACH_VARIABLE, "1")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(Error::io("start", &command.program))
}

fn open_log(path: &Path) -> Result<std::fs::File, Error> {
    if std::fs::metadata(path).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        std::fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(Error::io("open", path))
}

/// An early end is no failure while another gateway holds the folder: it will answer, or the deadline comes.
fn fail_if_hopeless(child: &mut Child, dir: &Path, deadline: Instant) -> Result<(), Error> {
    let not_started = |reason| Err(Error::NotStarted { dir: dir.to_path_buf(), reason });
    if Instant::now() > deadline {
        return not_started(format!("no answer within {} s", START_TIMEOUT.as_secs()));
    }
    match child.try_wait() {
        Ok(Some(status)) if !crate::process::is_locked(dir) => not_started(format!("it ended with {status}")),
        _ => Ok(()),
    }
}
