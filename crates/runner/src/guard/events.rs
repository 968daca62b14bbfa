//! What a guard hears of: orders, and the ends of its children.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{Notice, Order};

/// Something that a guard acts on.
pub(super) enum Event {
    /// The runner asks for something.
    Order(Order),
    /// The runner is gone, or has nothing more to do.
    RunnerGone,
    /// A child ended with that exit code; 128 and the signal's number where a signal ended it.
    Ended {
        /// Which.
        pid: Pid,
        /// The exit code.
        status: i32,
    },
    /// No child is left: as all orphans come to the subreaper, nothing of the job is.
    NothingLeft,
}

/// Waits for one event after the other, in one thread, so that a job wakes as few as can be.
pub(super) struct Events {
    /// Standard input without a buffer, so that what is still to be read is seen from outside.
    input: File,
    output: File,
    /// SIGCHLD, and the signals that must not end the guard.
    signals: SignalFd,
    heard: VecDeque<Event>,
    notices: Vec<u8>,
    has_job: bool,
    runner_gone: bool,
}

impl Events {
    /// Makes the guard deaf to what would end it.
    pub(super) fn new() -> io::Result<Self> {
        use Signal::{SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
        let signals: SigSet = [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE].into_iter().collect();
        signals.thread_block()?;
        Ok(Self {
            input: File::from(io::stdin().as_fd().try_clone_to_owned()?),
            output: File::from(io::stdout().as_fd().try_clone_to_owned()?),
            signals: SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            heard: VecDeque::new(),
            notices: Vec::new(),
            has_job: false,
            runner_gone: false,
        })
    }

    /// From now on there are children, until [`Event::NothingLeft`].
    pub(super) fn job_begins(&mut self) {
        self.has_job = true;
    }

    /// Whether nobody gives orders any more.
    pub(super) fn is_runner_gone(&self) -> bool {
        self.runner_gone
    }

    /// Tells the runner, at the latest before the next wait.
    pub(super) fn tell(&mut self, notice: &Notice) {
        let _ = writeln!(self.notices, "{notice}");
    }

    /// The next event; `None`: there was none before `deadline`.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = self.heard.pop_front() {
                return Ok(Some(event));
            }
            self.send_notices();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Rounded up: nothing is looked for again and again within a millisecond.
            let wait = left.map_or(PollTimeout::NONE, |left| {
                PollTimeout::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(PollTimeout::MAX)
            });
            if !self.listen(wait)? && left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
        }
    }

    /// Waits for something to happen; whether something did.
    fn listen(&mut self, wait: PollTimeout) -> io::Result<bool> {
        let mut sources =
            [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        let count = if self.runner_gone { 1 } else { 2 };
        match poll(&mut sources[..count], wait) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [signalled, ordered] = sources.map(|source| source.any().unwrap_or_default());
        if signalled {
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.reap();
        }
        if ordered {
            let order = self.take_order();
            self.heard.push_back(order);
        }
        Ok(true)
    }

    fn take_order(&mut self) -> Event {
        if let Ok(order) = Order::read_from(&mut self.input) {
            return Event::Order(order);
        }
        self.runner_gone = true;
        Event::RunnerGone
    }

    /// Reaps the children that ended.
    fn reap(&mut self) {
        while self.has_job {
            let event = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return,
                Ok(WaitStatus::Exited(pid, code)) => Event::Ended { pid, status: code },
                Ok(WaitStatus::Signaled(pid, signal, _)) => Event::Ended { pid, status: 128 + signal as i32 },
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => {
                    self.has_job = false;
                    Event::NothingLeft
                }
            };
            self.heard.push_back(event);
        }
    }

    /// A runner that is gone needs no notice.
    fn send_notices(&mut self) {
        if !self.notices.is_empty() {
            let _ = self.output.write_all(&self.notices);
            self.notices.clear();
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.send_notices();
    }
}
