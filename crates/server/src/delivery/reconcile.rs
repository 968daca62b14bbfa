//! One reconciler for each environment: reads everything, computes the difference, acts. The same path for the happy
//! case and for what a crash left behind.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serin_gateway::{EnvironmentRoutes, EnvironmentStats, NodeRoute, NodeStats};
use serin_model::{NodeName, Timestamp};
use serin_platform::{NodeKey, NodeState, Observation, Platform};
use serin_rollout::{DesiredNode, Event, Known, Rollout, Traffic};
use serin_store::delivery::{self as rows, Environment};
use tokio::task::JoinSet;

use super::judging::Session;
use super::{Watched, departed, spec, state};
use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::hub::Change;

/// Milliseconds between two rounds where nothing wakes the reconciler.
const ROUND_MS: i64 = 1_000;
/// Milliseconds between two notes to the pages that figures changed.
const TELL_MS: i64 = 500;
/// Milliseconds between two looks at the requests in flight on a draining node.
const DRAIN_LOOK_MS: i64 = 25;

/// What was seen last, for pages and judge.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Nodes on the platform.
    pub nodes: Vec<Observation>,
    /// The gateway's counters.
    pub stats: Option<EnvironmentStats>,
    /// Percent of one core, by node.
    pub cpu_percent: HashMap<NodeName, f64>,
    /// Where the gateway serves it.
    pub listen: Option<SocketAddr>,
}

impl Seen {
    /// A node's counters in its present generation.
    #[must_use]
    pub fn counters(&self, node: &NodeName, generation: u64) -> Option<&NodeStats> {
        let all = &self.stats.as_ref()?.nodes;
        all.iter().find(|stats| stats.node == node.0 && stats.generation == generation)
    }
}

struct Reconciler {
    app: Arc<App>,
    environment: Environment,
    watched: Arc<Watched>,
    session: Session,
    applied: Option<EnvironmentRoutes>,
    orders: JoinSet<NodeName>,
    ordered: HashMap<NodeName, u64>,
    /// How often each node's process had been started again, by its generation.
    restarts: HashMap<NodeName, (u64, u32)>,
    told: Timestamp,
    leaving: departed::Leaving,
}

/// Reconciles an environment until the server stops; a second call for the same one ends at once.
pub async fn run(app: Arc<App>, environment_id: i64) {
    let watched = app.delivery.watched(environment_id);
    let Ok(_only) = watched.reconciler.try_lock() else {
        watched.wake.notify_one();
        return;
    };
    let environment = match load(&app, environment_id).await {
        Ok(environment) => environment,
        Err(error) => {
            tracing::error!(environment_id, %error, "environment cannot be reconciled");
            return;
        }
    };
    let mut reconciler = Reconciler {
        session: Session::default(),
        applied: None,
        orders: JoinSet::new(),
        ordered: HashMap::new(),
        restarts: HashMap::new(),
        told: Timestamp::default(),
        leaving: departed::Leaving::default(),
        watched: Arc::clone(&watched),
        environment,
        app: Arc::clone(&app),
    };
    let mut changes = app.delivery.platform.changes();
    loop {
        let wait = match reconciler.round().await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(environment = reconciler.environment.name, %error, "round failed");
                ROUND_MS
            }
        };
        tokio::select! {
            () = watched.wake.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(wait.max(1).unsigned_abs())) => {}
        }
    }
}

async fn load(app: &App, environment_id: i64) -> Result<Environment> {
    let found = rows::environment_get(&mut *app.store.read().await?, environment_id).await?;
    found.ok_or_else(|| Error::not_found(format!("environment {environment_id}")))
}

impl Reconciler {
    /// One round; milliseconds until the next one.
    async fn round(&mut self) -> Result<i64> {
        self.environment = load(&self.app, self.environment.id).await?;
        let Some(machine) = self.machine().await? else { return Ok(ROUND_MS) };
        self.tell_trouble(&machine).await;
        let nodes = self.app.delivery.platform.observe(&state::key(&self.environment)).await?;
        if let Some(reason) = self.of_hosts(|platform, host| platform.unseen(host)) {
            // What runs there runs on, and what the gateway was told holds.
            tracing::debug!(environment = self.environment.name, reason, "nodes are not seen yet");
            return Ok(ROUND_MS);
        }
        self.tell_health(&machine, &nodes).await;
        let Some(machine) = self.machine().await? else { return Ok(ROUND_MS) };
        self.order_nodes(&machine, &nodes).await?;
        self.route(&machine, &nodes).await?;
        let Some(machine) = self.machine().await? else { return Ok(ROUND_MS) };
        self.look(nodes).await?;
        self.end_departed(&machine).await?;
        let drains = self.tell_drained(&machine).await;
        if machine.next_wake().is_some_and(|at| at <= now()) {
            self.step(Event::Wake).await;
        }
        let next_tick = self.judge(&machine).await?;
        Ok(self.wait(&machine, (drains, next_tick)))
    }

    fn wait(&self, machine: &Rollout, (drains, next_tick): (bool, Timestamp)) -> i64 {
        let mut wait = ROUND_MS.min(next_tick.since_ms(now()));
        if let Some(at) = machine.next_wake() {
            wait = wait.min(at.since_ms(now()));
        }
        if drains { wait.min(DRAIN_LOOK_MS) } else { wait }
    }

    async fn machine(&self) -> Result<Option<Rollout>> {
        let row = rows::rollout_current(&mut *self.app.store.read().await?, self.environment.id).await?;
        row.as_ref().map(state::decode).transpose()
    }

    async fn step(&self, event: Event) {
        if let Err(error) = state::step(&self.app, self.environment.id, event).await {
            tracing::debug!(environment = self.environment.name, %error, "event not taken");
        }
    }

    /// Holds the rollout while a host is away that its nodes are on, and lets it go on after that.
    async fn tell_trouble(&self, machine: &Rollout) {
        let trouble = self.of_hosts(|platform, host| platform.trouble(host));
        match trouble {
            Some(trouble) if machine.pause.is_none() && !machine.is_over() => {
                self.step(Event::HostLost { by: format!("the server: {trouble}") }).await;
            }
            None if machine.waits_for_host() => {
                self.step(Event::HostBack { by: "the server: every host answers again".to_owned() }).await;
            }
            _ => {}
        }
    }

    /// The first answer that there is to a question about the hosts of this environment's containers.
    fn of_hosts(&self, ask: impl Fn(&dyn Platform, Option<&str>) -> Option<String>) -> Option<String> {
        let config = state::config(&self.environment).ok()?;
        let own = state::part(&config, &self.environment.name).ok()?;
        if own.platform != serin_model::service::Platform::Docker {
            return None;
        }
        let platform = self.app.delivery.platform.as_ref();
        match own.hosts.is_empty() {
            true => ask(platform, None),
            false => own.hosts.iter().find_map(|host| ask(platform, Some(host))),
        }
    }

    /// Tells the machine what it does not know yet of its nodes' health.
    async fn tell_health(&mut self, machine: &Rollout, nodes: &[Observation]) {
        for slot in machine.slots.iter().filter(|slot| slot.assigned.is_some()) {
            let seen = nodes.iter().find(|seen| seen.key.node == slot.node && seen.generation == slot.generation);
            let Some(seen) = seen else { continue };
            let (node, generation, at) = (slot.node.clone(), slot.generation, now());
            let was_started_again = self.was_started_again(seen);
            if was_started_again && (&seen.state, &slot.health) == (&NodeState::Healthy, &Known::Healthy) {
                // It crashed, and was well again before anybody looked.
                self.step(Event::NodeLost { node: node.clone(), generation, at }).await;
                self.step(Event::NodeHealthy { node, generation, at: now() }).await;
                continue;
            }
            let event = match (&seen.state, &slot.health) {
                (NodeState::Healthy, Known::Healthy) => continue,
                (NodeState::Healthy, _) => Event::NodeHealthy { node, generation, at },
                (NodeState::Failed(_), Known::Failed(_)) => continue,
                (NodeState::Failed(reason), _) => Event::NodeFailed { node, generation, at, reason: reason.clone() },
                (NodeState::Lost | NodeState::Unhealthy | NodeState::Stopped, Known::Healthy) => {
                    Event::NodeLost { node, generation, at }
                }
                _ => continue,
            };
            self.step(event).await;
        }
    }

    /// Whether the node's process was started again since the last look.
    fn was_started_again(&mut self, seen: &Observation) -> bool {
        let now = (seen.generation, seen.restarts);
        let before = self.restarts.insert(seen.key.node.clone(), now);
        before.is_some_and(|(generation, restarts)| generation == now.0 && restarts < now.1)
    }

    /// Orders what a node shall run, where the platform has something else; orders go side by side.
    async fn order_nodes(&mut self, machine: &Rollout, nodes: &[Observation]) -> Result<()> {
        while let Some(done) = self.orders.try_join_next() {
            if let Ok(node) = done {
                self.ordered.remove(&node);
            }
        }
        for desired in machine.desired_nodes() {
            let seen = nodes.iter().find(|seen| seen.key.node == desired.node);
            let under_way = self.ordered.get(&desired.node) == Some(&desired.generation);
            if !under_way && is_due(&desired, seen) {
                self.order(desired).await?;
            }
        }
        Ok(())
    }

    async fn order(&mut self, desired: DesiredNode) -> Result<()> {
        let key = NodeKey { environment: state::key(&self.environment), node: desired.node.clone() };
        let platform = Arc::clone(&self.app.delivery.platform);
        let spec = match &desired.digest {
            Some(digest) => {
                Some(spec::of(&self.app, &self.environment, (&desired.node, digest, desired.generation)).await?)
            }
            None => None,
        };
        self.ordered.insert(desired.node.clone(), desired.generation);
        let watched = Arc::clone(&self.watched);
        self.orders.spawn(async move {
            let result = match &spec {
                Some(spec) => platform.apply(spec).await,
                None => platform.remove(&key).await,
            };
            if let Err(error) = result {
                tracing::warn!(node = %key, %error, "node not changed");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            watched.wake.notify_one();
            desired.node
        });
        Ok(())
    }

    /// Gives the gateway the machine's routes, and tells the machine when they are in force.
    async fn route(&mut self, machine: &Rollout, nodes: &[Observation]) -> Result<()> {
        let part = part(&self.environment, machine, nodes);
        if self.applied.as_ref() != Some(&part) {
            let listen = self.app.delivery.routes.apply(&self.app, part.clone()).await?;
            self.applied = Some(part);
            self.keep_listen(listen).await?;
        }
        if machine.applied < machine.revision {
            self.step(Event::RoutesApplied { revision: machine.revision }).await;
        }
        Ok(())
    }

    async fn keep_listen(&mut self, listen: Option<SocketAddr>) -> Result<()> {
        let Some(listen) = listen else { return Ok(()) };
        let mut seen = self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.listen = Some(listen);
        Ok(())
    }

    /// Takes the gateway's counters and what the nodes use.
    async fn look(&mut self, nodes: Vec<Observation>) -> Result<()> {
        let key = state::key(&self.environment);
        let stats = self.app.delivery.routes.stats().await?.environments.into_iter().find(|stats| stats.key == key);
        if stats.is_none() {
            // A gateway that was started anew without its table gets it again.
            self.applied = None;
        }
        let mut seen = self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for node in &nodes {
            let before = seen.nodes.iter().find(|old| old.key == node.key && old.pid == node.pid);
            if let Some(percent) = before.and_then(|old| cpu_percent(old, node)) {
                seen.cpu_percent.insert(node.key.node.clone(), percent);
            }
        }
        seen.listen = stats.as_ref().and_then(|stats| stats.listen).or(seen.listen);
        seen.stats = stats;
        seen.nodes = nodes;
        drop(seen);
        if now().since_ms(self.told) >= TELL_MS {
            self.told = now();
            self.app.hub.tell(Change::Environment(self.environment.id));
        }
        Ok(())
    }

    /// Tells the machine which draining nodes have no request in flight; says whether any drains.
    async fn tell_drained(&self, machine: &Rollout) -> bool {
        let seen = self.seen();
        let draining: BTreeMap<&NodeName, u64> = machine
            .slots
            .iter()
            .filter(|slot| matches!(slot.traffic, Traffic::Draining(_)))
            .map(|slot| (&slot.node, slot.generation))
            .collect();
        for (node, generation) in &draining {
            let in_flight = seen.counters(node, *generation).map_or(0, |stats| stats.in_flight);
            if in_flight == 0 && machine.applied == machine.revision {
                self.step(Event::Drained { node: (*node).clone(), revision: machine.applied }).await;
            }
        }
        !draining.is_empty()
    }

    /// Stops the nodes that `serin.yml` no longer names, once nothing is in flight on them.
    async fn end_departed(&mut self, machine: &Rollout) -> Result<()> {
        let seen = self.seen();
        let serves = |route: &&NodeRoute| route.state == serin_gateway::NodeState::Serving;
        let Some(applied) = &self.applied else { return Ok(()) };
        // The rollout may have ended after this round's routes were made.
        let serving: Vec<String> = applied.nodes.iter().filter(serves).map(|route| route.node.clone()).collect();
        for (node, generation) in self.leaving.due(machine, &seen, now()) {
            if !self.ordered.contains_key(&node) && !serving.contains(&node.0) {
                self.order(DesiredNode { node, digest: None, generation }).await?;
            }
        }
        Ok(())
    }

    fn seen(&self) -> Seen {
        self.watched.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn judge(&mut self, machine: &Rollout) -> Result<Timestamp> {
        let row = rows::rollout_current(&mut *self.app.store.read().await?, self.environment.id).await?;
        let Some(row) = row else { return Ok(now().plus_ms(ROUND_MS)) };
        let config = state::config(&self.environment)?;
        let seen = self.seen();
        let (event, next) = self.session.round(&self.app, (&row, machine), (&config, &seen)).await?;
        if let Some(event) = event {
            self.step(event).await;
        }
        Ok(next)
    }
}

fn is_due(desired: &DesiredNode, seen: Option<&Observation>) -> bool {
    match (&desired.digest, seen) {
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
        (Some(_), Some(seen)) => {
            seen.generation < desired.generation || matches!(seen.state, NodeState::Lost | NodeState::Stopped)
        }
    }
}

/// An environment's part of the gateway's table.
fn part(environment: &Environment, machine: &Rollout, nodes: &[Observation]) -> EnvironmentRoutes {
    EnvironmentRoutes {
        key: state::key(environment),
        listen: environment.listen.clone(),
        nodes: node_routes(machine, nodes),
        show_node: false,
    }
}

fn node_routes(machine: &Rollout, nodes: &[Observation]) -> Vec<NodeRoute> {
    let route = |desired: serin_rollout::DesiredRoute| {
        let same = |seen: &&Observation| seen.key.node == desired.node && seen.generation == desired.generation;
        let address = nodes.iter().find(same).and_then(|seen| seen.address);
        // One that gets a part of the traffic keeps it, lest the others get more than theirs.
        (address.is_some() || desired.weight_ppm > 0).then_some(NodeRoute {
            node: desired.node.0,
            generation: desired.generation,
            address,
            weight_ppm: desired.weight_ppm,
            state: match desired.draining {
                true => serin_gateway::NodeState::Draining,
                false => serin_gateway::NodeState::Serving,
            },
            canary: desired.canary,
        })
    };
    let mut routes: Vec<NodeRoute> = machine.desired_routes().into_iter().filter_map(route).collect();
    routes.extend(departed::routes(machine, nodes));
    routes
}

fn cpu_percent(old: &Observation, new: &Observation) -> Option<f64> {
    let wall_ms = new.sampled_at.since_ms(old.sampled_at);
    let used_us = new.usage.cpu_us.checked_sub(old.usage.cpu_us)?;
    (wall_ms > 0).then(|| used_us as f64 / (wall_ms as f64 * 10.0))
}
