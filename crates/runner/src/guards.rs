//! The guard processes of a runner, kept from job to job where that is asked for.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::process::{Ending, OUTPUT_PATIENCE};
use crate::request::GuardCommand;

/// Guards that wait for a job at most.
const IDLE_MAX: usize = 256;

/// Where a job's guard comes from.
#[derive(Clone, Debug)]
pub struct Guards {
    command: GuardCommand,
    idle: Option<Arc<Mutex<Vec<Guard>>>>,
}

/// A guard process and its pipes.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
    pub(crate) input: ChildStdin,
    pub(crate) notices: Lines<BufReader<ChildStdout>>,
    pub(crate) output: pipe::Receiver,
}

impl From<GuardCommand> for Guards {
    /// Each job gets a guard of its own.
    fn from(command: GuardCommand) -> Self {
        Self { command, idle: None }
    }
}

impl Guards {
    /// Guards that serve one job after the other, for jobs that trust each other; idle ones end with the last clone.
    #[must_use]
    pub fn kept(command: GuardCommand) -> Self {
        Self { command, idle: Some(Arc::default()) }
    }

    /// A guard without a job; an error says why there is none.
    pub(crate) fn take(&self) -> Result<Guard, String> {
        let idle = self.idle.as_ref().and_then(|idle| idle.lock().unwrap_or_else(PoisonError::into_inner).pop());
        match idle {
            Some(guard) => Ok(guard),
            None => Guard::start(&self.command)
                .map_err(|error| format!("cannot start `{}`: {error}", self.command.program.display())),
        }
    }

    /// Ends the guards that wait, and returns when they are gone.
    pub async fn end(&self) {
        let idle = self.idle.as_ref().map(|idle| {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *idle)
        });
        for guard in idle.into_iter().flatten() {
            // Whatever it says now is of no job.
            let _ = guard.ended(Ending::Exited(0)).await;
        }
    }

    /// Takes a free guard back; where it is not kept, it ends.
    pub(crate) fn give_back(&self, guard: Guard) {
        if let Some(idle) = &self.idle {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(guard);
            }
        }
    }
}

impl Guard {
    fn start(command: &GuardCommand) -> io::Result<Self> {
        let (output, errors) = io::pipe()?;
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, notices) = pipes.ok_or_else(|| io::Error::other("the guard has no pipes"))?;
        let output = pipe::Receiver::from_owned_fd(output.into())?;
        Ok(Self { child, input, notices: BufReader::new(notices).lines(), output })
    }

    /// Waits for the end of a guard that broke off; kills it where it does not end.
    pub(crate) async fn ended(mut self, ending: Ending) -> Ending {
        drop(self.input);
        if tokio::time::timeout(OUTPUT_PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
            return Ending::Failed("the guard of the job did not end".to_owned());
        }
        ending
    }
}
