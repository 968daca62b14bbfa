//! The life of a node: start, watch, start again after a crash, stop.

use super::control::{self, Meter, Shared};
use super::log::{Counts, Log};
use super::port::{self, Port};
use super::{child, now, sweep};
use crate::health::{self, CHECK_TIMEOUT, Check};
use crate::layout::{self, EndedRecord, NodeDir, SpecRecord};
use crate::protocol::{State, Status, UsageRecord};
use serin_model::service::Probe;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Starts of a process that ends before the node was ever healthy.
const START_TRIES_MAX: u32 = 3;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A process that lived that long is started again without a longer pause.
const BACKOFF_RESET: Duration = Duration::from_secs(30);
/// Failed checks in a row that make a healthy node unhealthy.
const FAILURES_MAX: u32 = 3;
/// What a dead process's last lines get to arrive.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
const REASON_BYTES_MAX: usize = 4 * 1024;

/// Runs the node until it is stopped.
pub(super) async fn run(dir: NodeDir, spec: SpecRecord) -> io::Result<()> {
    let log = Log::open(&dir, spec.log_format())?;
    let listener = control::listen(&dir)?;
    let (stop, stops) = mpsc::channel(1);
    let status = watch::Sender::new(first_status(&spec));
    let shared = Arc::new(Shared { status, stop, meter: Mutex::default() });
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::child())?);
    tokio::spawn(control::serve(listener, Arc::clone(&shared)));
    announce()?;
    let deadline = Instant::now() + millis(spec.health_timeout_ms);
    let mut life = Life {
        dir,
        spec,
        log,
        shared,
        stops,
        terminate: signals.0,
        children: signals.1,
        port: None,
        deadline,
        was_healthy: false,
        tries: 0,
        backoff: BACKOFF_FIRST,
        last_check: "none was made".to_owned(),
        trouble: None,
    };
    life.live().await;
    Ok(())
}

/// Tells the server that the node is taken over, and lets go of its pipe.
fn announce() -> io::Result<()> {
    let _ = io::stdout().write_all(b"ready\n");
    let _ = io::stdout().flush();
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    Ok(nix::unistd::dup2_stdout(null)?)
}

fn first_status(spec: &SpecRecord) -> Status {
    Status {
        generation: spec.generation,
        digest: spec.digest.clone(),
        port: None,
        state: State::Starting,
        detail: None,
        pid: None,
        since_ms: now().0,
        restarts: 0,
        usage: UsageRecord::default(),
        sampled_ms: 0,
    }
}

struct Life {
    dir: NodeDir,
    spec: SpecRecord,
    log: Log,
    shared: Arc<Shared>,
    stops: mpsc::Receiver<()>,
    terminate: Signal,
    children: Signal,
    port: Option<Port>,
    /// Until when the node has to be healthy for the first time.
    deadline: Instant,
    was_healthy: bool,
    tries: u32,
    backoff: Duration,
    /// What the last failed check said.
    last_check: String,
    /// The last crash, or what made the node unhealthy.
    trouble: Option<String>,
}

/// One process of the service.
struct Running {
    child: Child,
    started: Instant,
    capture: JoinHandle<io::Result<()>>,
    checks: mpsc::Receiver<Check>,
    checker: AbortHandle,
    failures: u32,
    is_proved: bool,
}

/// How one process of the service ended.
enum Ended {
    /// By itself, or it could not be started: says how.
    Crashed(String),
    /// It was given up, because it was not healthy in time: says why.
    GivenUp(String),
    /// The node was asked to stop.
    Asked,
}

impl Life {
    async fn live(&mut self) {
        loop {
            let began = Instant::now();
            let reason = match self.one_process().await {
                Ended::Asked => return,
                Ended::GivenUp(reason) => return self.fail(reason).await,
                Ended::Crashed(reason) => reason,
            };
            self.tries += 1;
            if !self.was_healthy && (self.tries >= START_TRIES_MAX || Instant::now() >= self.deadline) {
                return self.fail(reason).await;
            }
            let reset = began.elapsed() >= BACKOFF_RESET;
            self.backoff = if reset { BACKOFF_FIRST } else { self.backoff };
            let state = if self.was_healthy { State::Unhealthy } else { State::Starting };
            self.trouble = Some(reason.clone());
            self.enter(state, Some(reason), None);
            if self.pause().await {
                return self.stopped(None).await;
            }
            self.shared.status.send_modify(|status| status.restarts += 1);
        }
    }

    /// Waits before the next start; true where the node was asked to stop meanwhile.
    async fn pause(&mut self) -> bool {
        let pause = self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        tokio::select! {
            () = sleep(pause) => false,
            () = asked(&mut self.stops, &mut self.terminate) => true,
        }
    }

    async fn one_process(&mut self) -> Ended {
        let mut running = match self.start() {
            Ok(running) => running,
            Err(error) => return Ended::Crashed(error.to_string()),
        };
        loop {
            let is_starting = !self.was_healthy;
            tokio::select! {
                status = running.child.wait() => return self.crashed(running, status).await,
                () = asked(&mut self.stops, &mut self.terminate) => {
                    self.stopped(Some(running)).await;
                    return Ended::Asked;
                }
                () = sleep_until(self.deadline), if is_starting => return self.late(running).await,
                Some(check) = running.checks.recv() => self.checked(&mut running, check),
                _ = self.children.recv() => child::reap_orphans(running.child.id()),
            }
        }
    }

    fn start(&mut self) -> io::Result<Running> {
        let number = self.take_port()?;
        self.log.forget();
        let counts = Arc::new(Counts::default());
        *self.shared.meter.lock().unwrap_or_else(PoisonError::into_inner) =
            Meter { counts: Arc::clone(&counts), used: UsageRecord::default() };
        let (child, pipe) = child::start(&self.dir, &self.spec, number)?;
        let pid = child.id();
        self.log.remark(&format!(
            "started generation {}, {}, port {number}, process {}",
            self.spec.generation,
            self.spec.digest,
            pid.unwrap_or_default()
        ));
        let capture = tokio::spawn(self.log.clone().capture(pipe, counts));
        let (sender, checks) = mpsc::channel(1);
        let checker = tokio::spawn(check_for_ever(self.dir.clone(), self.spec.clone(), number, sender)).abort_handle();
        self.shared.status.send_modify(|status| {
            status.port = Some(number);
            status.pid = pid;
        });
        Ok(Running { child, started: Instant::now(), capture, checks, checker, failures: 0, is_proved: false })
    }

    /// The node's port: the same as before, unless someone else has taken it.
    fn take_port(&mut self) -> io::Result<u16> {
        if let Some(port) = self.port.take_if(|port| port.is_free()) {
            return Ok(self.port.insert(port).number);
        }
        let seed = (&self.dir.0, self.spec.generation, self.tries);
        let port = port::find(&self.spec.ports_dir, seed)?;
        Ok(self.port.insert(port).number)
    }

    fn checked(&mut self, running: &mut Running, check: Check) {
        match check.and_then(|()| self.prove(running)) {
            Ok(()) => {
                running.failures = 0;
                self.was_healthy = true;
                if self.state() != State::Healthy {
                    self.enter(State::Healthy, self.trouble.clone(), running.child.id());
                }
            }
            Err(reason) => {
                running.failures = running.failures.saturating_add(1);
                self.last_check.clone_from(&reason);
                if self.state() == State::Healthy && running.failures >= FAILURES_MAX {
                    self.trouble = Some(reason.clone());
                    self.enter(State::Unhealthy, Some(reason), running.child.id());
                }
            }
        }
    }

    /// Makes sure, once a process, that it is this node's service that answered.
    fn prove(&self, running: &mut Running) -> Check {
        let number = self.port.as_ref().map_or(0, |port| port.number);
        if matches!(self.spec.probe, Probe::Command(_)) {
            return Ok(());
        }
        if !running.is_proved && !port::is_held_by(number, &sweep::family()) {
            return Err(format!("another process answers on port {number}"));
        }
        running.is_proved = true;
        Ok(())
    }

    async fn crashed(&mut self, running: Running, status: io::Result<ExitStatus>) -> Ended {
        let how = match status {
            Ok(status) => format!("the service ended with {status}"),
            Err(error) => format!("the service's end could not be seen: {error}"),
        };
        let lived = running.started.elapsed();
        self.drain(running).await;
        child::stop(None, Duration::ZERO).await;
        self.log.remark(&how);
        Ended::Crashed(self.quote(&format!("{how} after {:.1} s", lived.as_secs_f64())))
    }

    async fn late(&mut self, mut running: Running) -> Ended {
        child::stop(Some(&mut running.child), millis(self.spec.stop_timeout_ms)).await;
        self.drain(running).await;
        let seconds = self.spec.health_timeout_ms as f64 / 1000.0;
        Ended::GivenUp(self.quote(&format!("not healthy within {seconds} s; last check: {}", self.last_check)))
    }

    /// Lets the last lines of an ended process arrive.
    async fn drain(&self, mut running: Running) {
        running.checker.abort();
        let _ = timeout(DRAIN_TIMEOUT, &mut running.capture).await;
    }

    /// A reason with the service's last log lines.
    fn quote(&self, reason: &str) -> String {
        let lines = self.log.last_lines();
        let mut text = reason.to_owned();
        if !lines.is_empty() {
            text.push_str("; its last lines:\n");
            text.push_str(&lines.join("\n"));
        }
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
        text
    }

    /// Gives the node up and waits until it is asked to stop.
    async fn fail(&mut self, reason: String) {
        child::stop(None, Duration::ZERO).await;
        self.enter(State::Failed, Some(reason), None);
        asked(&mut self.stops, &mut self.terminate).await;
        self.stopped(None).await;
    }

    async fn stopped(&mut self, mut running: Option<Running>) {
        let pid = running.as_ref().and_then(|running| running.child.id());
        self.enter(State::Stopping, None, pid);
        let child = running.as_mut().map(|running| &mut running.child);
        child::stop(child, millis(self.spec.stop_timeout_ms)).await;
        if let Some(running) = running {
            self.drain(running).await;
        }
        self.log.remark("stopped");
        let status = self.shared.status.borrow().clone();
        let ended = EndedRecord { generation: status.generation, since_ms: now().0, restarts: status.restarts };
        // Without the record the node is lost in place of stopped: it would be started again, which is safe.
        let _ = layout::write_record(&self.dir.ended(), &ended);
        self.enter(State::Stopped, None, None);
    }

    fn state(&self) -> State {
        self.shared.status.borrow().state
    }

    fn enter(&self, state: State, detail: Option<String>, pid: Option<u32>) {
        self.shared.status.send_modify(|status| {
            if status.state != state {
                status.since_ms = now().0;
            }
            status.state = state;
            status.detail = detail;
            status.pid = pid;
        });
    }
}

/// Checks one process's health again and again.
async fn check_for_ever(dir: NodeDir, spec: SpecRecord, port: u16, results: mpsc::Sender<Check>) {
    let (health, spec, dir) = (spec.health(), &spec, &dir);
    let ask = || async {
        match &health.probe {
            Probe::Command(words) => child::probe(dir, spec, (port, words), CHECK_TIMEOUT).await,
            Probe::Http | Probe::Tcp => health::ask((Ipv4Addr::LOCALHOST, port).into(), &health, CHECK_TIMEOUT).await,
        }
    };
    health::watch(ask, health.interval_ms, results).await;
}

/// Waits for a request to stop, over the socket or by SIGTERM.
async fn asked(stops: &mut mpsc::Receiver<()>, terminate: &mut Signal) {
    tokio::select! {
        _ = stops.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
