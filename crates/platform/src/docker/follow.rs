//! Follows one container: its state by the engine's word and by health checks.

use super::absence::Absence;
use super::container::{self, Found};
use super::log::{Counts, Log, last_lines, seconds_of};
use super::probe::Prober;
use super::{Engine, guard, now};
use crate::NodeState;
use crate::health::{self, Check};
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::InspectContainerOptions;
use serin_model::Timestamp;
use serin_model::service::Restart;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// Failed checks in a row that make a healthy node unhealthy.
const FAILURES_MAX: u32 = 3;
/// Starts beyond the first of a container that was never healthy.
const RETRIES_MAX: u32 = 2;
/// What the engine gets to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What a node gets to answer while its engine is away.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(1);
/// Looked at that often even if no event tells anything.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Lines, and bytes of each, that a failure's reason quotes.
const LAST_LINES: usize = 10;
const LAST_LINE_BYTES: usize = 300;

/// What is known of a container.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) state: NodeState,
    pub(super) detail: Option<String>,
    pub(super) since: Timestamp,
    pub(super) address: Option<SocketAddr>,
    pub(super) pid: Option<u32>,
    pub(super) restarts: u32,
    pub(super) counts: Arc<Counts>,
}

impl Seen {
    /// What is known before anything was seen.
    pub(super) fn new() -> Self {
        Self {
            state: NodeState::Starting,
            detail: None,
            since: now(),
            address: None,
            pid: None,
            restarts: 0,
            counts: Arc::default(),
        }
    }
}

/// Follows one container until it is dropped.
pub(super) struct Follower {
    engine: Engine,
    found: Found,
    seen: Arc<Mutex<Seen>>,
    absence: Absence,
    process: Option<Process>,
    was_healthy: bool,
    failures: u32,
    last_check: String,
    deadline: Instant,
}

/// One run of the container's process.
struct Process {
    started_at: String,
    checks: mpsc::Receiver<Check>,
    tasks: [AbortHandle; 2],
}

impl Drop for Process {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What woke the follower.
enum Woken {
    Look,
    Checked(Check),
    Late,
}

impl Follower {
    pub(super) fn new((engine, absence): (Engine, Absence), found: Found, seen: Arc<Mutex<Seen>>) -> Self {
        let patience = Duration::from_millis(u64::try_from(found.health.timeout_ms).unwrap_or(0));
        Self {
            engine,
            found,
            seen,
            absence,
            process: None,
            was_healthy: false,
            failures: 0,
            last_check: "no check was made".to_owned(),
            deadline: Instant::now() + patience,
        }
    }

    /// Follows for ever, and tells after the first look; `changed` is called after each change of state.
    pub(super) async fn run(
        mut self,
        (mut wakes, looked): (mpsc::Receiver<()>, oneshot::Sender<()>),
        changed: impl Fn() + Send,
    ) {
        let (mut woken, mut looked) = (Woken::Look, Some(looked));
        loop {
            let before = guard(&self.seen).state.clone();
            match woken {
                Woken::Look => self.look().await,
                Woken::Checked(check) => self.checked(check),
                Woken::Late => self.give_up(format!("not healthy in time: {}", self.last_check)).await,
            }
            if guard(&self.seen).state != before {
                changed();
            }
            // Not everybody waits for that.
            let _ = looked.take().map(|looked| looked.send(()));
            woken = self.wait(&mut wakes).await;
        }
    }

    async fn wait(&mut self, wakes: &mut mpsc::Receiver<()>) -> Woken {
        let waits_for_health = guard(&self.seen).state == NodeState::Starting && !self.was_healthy;
        let again = Instant::now() + LOOK_AGAIN;
        let check = async {
            match &mut self.process {
                Some(process) => match process.checks.recv().await {
                    Some(check) => Woken::Checked(check),
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(()) = wakes.recv() => Woken::Look,
            () = sleep_until(self.deadline), if waits_for_health => Woken::Late,
            check = check => check,
            () = sleep_until(again) => Woken::Look,
        }
    }

    fn set(&self, state: NodeState, detail: Option<String>) {
        let mut seen = guard(&self.seen);
        if seen.state != state {
            seen.since = now();
            seen.state = state;
        }
        if detail.is_some() {
            seen.detail = detail;
        }
    }

    /// Asks the engine how the container is.
    async fn look(&mut self) {
        let inspect = self.engine.api().inspect_container(&self.found.id, None::<InspectContainerOptions>);
        let inspected = tokio::select! {
            inspected = timeout(ANSWER_TIMEOUT, inspect) => inspected,
            reason = self.absence.begun() => return self.doubt(&reason).await,
        };
        let Ok(inspected) = inspected else {
            guard(&self.seen).detail = Some("Docker Engine does not answer in time".to_owned());
            return;
        };
        match inspected {
            Ok(container) => self.inspected(&container).await,
            Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => {
                self.process = None;
                guard(&self.seen).pid = None;
                if guard(&self.seen).state != NodeState::Stopping {
                    self.set(NodeState::Lost, Some("its container is gone".to_owned()));
                }
            }
            // The engine is away: the health check tells whether the node still serves.
            Err(error) => guard(&self.seen).detail = Some(format!("Docker Engine does not answer: {error}")),
        }
    }

    /// Asks the node itself, once and shortly, as its engine is away: where it does not serve either, its host is lost.
    async fn doubt(&mut self, reason: &str) {
        let Some(address) = guard(&self.seen).address.filter(|_| self.was_healthy) else { return };
        match health::ask(address, &self.found.health, DOUBT_TIMEOUT).await {
            Ok(()) => guard(&self.seen).detail = Some(format!("{reason}; the node serves on")),
            Err(why) => self.set(NodeState::Unhealthy, Some(format!("{reason}, and {why}"))),
        }
    }

    async fn inspected(&mut self, container: &ContainerInspectResponse) {
        let Some(state) = &container.state else { return };
        if state.status == Some(ContainerStateStatusEnum::CREATED) {
            // Whoever made it was ended before it could be started.
            return self.set(NodeState::Lost, Some("its container was made and never started".to_owned()));
        }
        self.was_healthy |= self.has_lived(state);
        let restarts = container.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        guard(&self.seen).restarts = restarts;
        if state.running == Some(true) && state.restarting != Some(true) {
            let address = match self.engine.published_at() {
                Some(ip) => published(container, self.found.port).map(|port| SocketAddr::new(ip, port)),
                None => address(container).map(|ip| SocketAddr::new(ip, self.found.port)),
            };
            let pid = state.pid.and_then(|pid| u32::try_from(pid).ok());
            self.running(state, address, pid);
            return;
        }
        self.process = None;
        guard(&self.seen).pid = None;
        if matches!(guard(&self.seen).state, NodeState::Stopping | NodeState::Failed(_)) {
            return;
        }
        let how = ended(state.exit_code, state.oom_killed == Some(true));
        if self.was_healthy {
            // An engine that was killed ends its containers when it is back, and does not start them again.
            let is_left = state.restarting != Some(true) && self.is_to_run_again(state.exit_code);
            self.set(if is_left { NodeState::Lost } else { NodeState::Unhealthy }, Some(how));
        } else if restarts >= RETRIES_MAX || state.restarting != Some(true) {
            self.give_up(how).await;
        } else {
            guard(&self.seen).detail = Some(how);
        }
    }

    fn is_to_run_again(&self, exit_code: Option<i64>) -> bool {
        match self.found.restart {
            Restart::Always => true,
            Restart::OnFailure => exit_code != Some(0),
            Restart::Never => false,
        }
    }

    /// Whether a process that was found running is older than what it had to become healthy: it was, then.
    fn has_lived(&self, state: &ContainerState) -> bool {
        let started = seconds_of(state.started_at.as_deref().unwrap_or_default());
        let lived_ms = now().0 - i64::from(started) * 1000;
        self.process.is_none() && state.running == Some(true) && lived_ms > self.found.health.timeout_ms
    }

    /// Checks a process's health and follows its log, once for each start.
    fn running(&mut self, state: &ContainerState, address: Option<SocketAddr>, pid: Option<u32>) {
        let Some(address) = address else { return };
        let started_at = state.started_at.clone().unwrap_or_default();
        if self.process.as_ref().is_some_and(|process| process.started_at == started_at) {
            return;
        }
        let counts = Arc::new(Counts::default());
        {
            let mut seen = guard(&self.seen);
            seen.address = Some(address);
            seen.pid = pid;
            seen.counts = Arc::clone(&counts);
        }
        if guard(&self.seen).state == NodeState::Healthy {
            // The process before is gone, and this one has yet to answer.
            self.set(NodeState::Unhealthy, Some("its process ended and was started again".to_owned()));
        }
        self.failures = 0;
        let (sender, checks) = mpsc::channel(1);
        let prober = Prober::new(self.engine.clone(), &self.found, address);
        let interval_ms = self.found.health.interval_ms;
        let checking = async move { health::watch(|| prober.ask(), interval_ms, sender).await };
        let checker = tokio::spawn(checking).abort_handle();
        let log = Log { engine: self.engine.clone(), id: self.found.id.clone(), format: self.found.logs };
        // A process may have written before the engine notes that it started, but not before the last one's end.
        let begin = state.finished_at.clone().filter(|end| seconds_of(end) > 0).unwrap_or_default();
        let follower = tokio::spawn(log.follow(begin, counts)).abort_handle();
        self.process = Some(Process { started_at, checks, tasks: [checker, follower] });
    }

    fn checked(&mut self, check: Check) {
        match check {
            Ok(()) => {
                self.failures = 0;
                self.was_healthy = true;
                self.set(NodeState::Healthy, None);
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                if self.was_healthy && self.failures >= FAILURES_MAX {
                    self.set(NodeState::Unhealthy, Some(why.clone()));
                }
                self.last_check = why;
            }
        }
    }

    /// A node that never was healthy is stopped; its container stays, with its log.
    async fn give_up(&mut self, how: String) {
        let last = last_lines(&self.engine, &self.found.id, LAST_LINES).await.unwrap_or_default();
        let quoted: Vec<&str> = last.iter().map(|line| cut(line)).collect();
        let reason = if quoted.is_empty() { how } else { format!("{how}; its last lines:\n{}", quoted.join("\n")) };
        self.process = None;
        self.set(NodeState::Failed(reason), None);
        if let Err(error) = container::halt(&self.engine, &self.found).await {
            tracing::warn!(node = %self.found.key, %error, "a failed node is not stopped");
        }
    }
}

fn cut(line: &str) -> &str {
    let mut end = line.len().min(LAST_LINE_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default()
}

fn ended(code: Option<i64>, out_of_memory: bool) -> String {
    match (code, out_of_memory) {
        (_, true) => "ended: out of memory".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, _) => "ended".to_owned(),
    }
}

/// The port of the host at which the container's port is published.
fn published(container: &ContainerInspectResponse, port: u16) -> Option<u16> {
    let ports = container.network_settings.as_ref()?.ports.as_ref()?;
    let bindings = ports.get(&container::port_name(port))?.as_ref()?;
    bindings.iter().find_map(|binding| binding.host_port.as_deref()?.parse().ok())
}

/// Where the container is reached from this machine: its address on the first of its networks.
fn address(container: &ContainerInspectResponse) -> Option<IpAddr> {
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    let mut names: Vec<&String> = networks.keys().collect();
    names.sort();
    names.into_iter().find_map(|name| networks.get(name)?.ip_address.as_deref()?.parse().ok())
}
