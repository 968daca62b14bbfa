//! The live state of an environment: its nodes, their counts, and who gets the next request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::balance::{Balance, Share};
use crate::stats::LatencyCounts;
use crate::{EnvironmentRoutes, EnvironmentStats, Error, NodeErrors, NodeStats};

/// How many generations that left the table keep their counts, per environment.
const RETIRED_MAX: usize = 64;

/// One environment while the gateway runs.
pub(crate) struct Environment {
    pub(crate) key: String,
    pub(crate) unrouted: AtomicU64,
    pub(crate) refused: AtomicU64,
    show_node: AtomicBool,
    ending: AtomicBool,
    nodes: Mutex<Nodes>,
    drained: Notify,
}

#[derive(Default)]
struct Nodes {
    entries: Vec<Entry>,
    balance: Balance,
    retired: VecDeque<Arc<Node>>,
}

struct Entry {
    node: Arc<Node>,
    address: Option<SocketAddr>,
    weight_ppm: u32,
    canary: bool,
}

/// Where a request was before.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    nodes: Vec<u64>,
    /// Whether it was part of a canary's share.
    is_canarys: bool,
}

impl Tried {
    /// Notes one more node.
    pub(crate) fn add(&mut self, attempt: &Attempt) {
        self.nodes.push(attempt.node.id);
        self.is_canarys = attempt.is_canarys;
    }
}

/// One generation of a node and its counts.
pub(crate) struct Node {
    /// Unique in the process; upstream connections are pooled under it.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) generation: u64,
    counts: Mutex<Counts>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

#[derive(Default)]
struct Counts {
    in_flight: u64,
    requests: u64,
    status: [u64; 5],
    errors: NodeErrors,
    latency: LatencyCounts,
}

/// Why a node's answer is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Connect,
    Reset,
    Timeout,
    Client,
}

/// A request handed to a node; it is in flight until this is finished or dropped.
pub(crate) struct Attempt {
    environment: Arc<Environment>,
    pub(crate) node: Arc<Node>,
    pub(crate) address: SocketAddr,
    /// Whether the request is part of a canary's share, wherever it is now.
    is_canarys: bool,
    started: Instant,
    status: Option<u16>,
    answered_after: Option<Duration>,
    finished: bool,
}

impl Environment {
    pub(crate) fn new(key: &str) -> Arc<Self> {
        Arc::new(Self {
            key: key.to_owned(),
            unrouted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            show_node: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            nodes: Mutex::default(),
            drained: Notify::new(),
        })
    }

    /// Puts new routes in force: every pick after the return follows them.
    pub(crate) fn set(&self, routes: &EnvironmentRoutes) {
        self.show_node.store(routes.show_node, Ordering::Relaxed);
        lock(&self.nodes).set(routes);
        self.drained.notify_waiters();
    }

    /// Says whether responses name their node.
    pub(crate) fn shows_node(&self) -> bool {
        self.show_node.load(Ordering::Relaxed)
    }

    /// Notes that its connections close after the request they are at.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Says whether clients should be told to close.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Hands the next request to a node that has not been tried; `None`: there is none.
    pub(crate) fn pick(self: &Arc<Self>, tried: &Tried) -> Option<Attempt> {
        let mut nodes = lock(&self.nodes);
        let (node, address, is_canarys) = nodes.pick(tried)?;
        node.begin();
        drop(nodes);
        Some(Attempt {
            environment: Arc::clone(self),
            node,
            address,
            is_canarys,
            started: Instant::now(),
            status: None,
            answered_after: None,
            finished: false,
        })
    }

    /// Waits until generations of the node without new requests have none in flight.
    pub(crate) async fn wait_drained(&self, name: &str, limit: Duration) -> Result<bool, Error> {
        self.check_draining(name)?;
        let drained = async {
            loop {
                let mut notified = std::pin::pin!(self.drained.notified());
                notified.as_mut().enable();
                if self.leaving(name) == 0 {
                    return;
                }
                notified.await;
            }
        };
        Ok(timeout(limit, drained).await.is_ok())
    }

    fn check_draining(&self, name: &str) -> Result<(), Error> {
        let nodes = lock(&self.nodes);
        let of_node = || nodes.entries.iter().filter(|entry| entry.node.name == name);
        let leaving =
            of_node().any(|entry| entry.weight_ppm == 0) || nodes.retired.iter().any(|node| node.name == name);
        if leaving || of_node().next().is_none() {
            return Ok(());
        }
        Err(Error::NotDraining { key: self.key.clone(), node: name.to_owned() })
    }

    /// Counts requests in flight on generations of the node that take no new ones.
    fn leaving(&self, name: &str) -> u64 {
        let nodes = lock(&self.nodes);
        let unweighted = nodes.entries.iter().filter(|entry| entry.weight_ppm == 0).map(|entry| &entry.node);
        unweighted.chain(&nodes.retired).filter(|node| node.name == name).map(|node| lock(&node.counts).in_flight).sum()
    }

    pub(crate) fn stats(&self, listen: Option<SocketAddr>) -> EnvironmentStats {
        let nodes = lock(&self.nodes);
        let all = nodes.entries.iter().map(|entry| &entry.node).chain(&nodes.retired);
        EnvironmentStats {
            key: self.key.clone(),
            listen,
            unrouted: self.unrouted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            nodes: all.map(|node| node.stats()).collect(),
        }
    }
}

impl Nodes {
    /// The shares are shares of requests: one that is repeated was counted, and comes to a canary only if it was counted
    /// as its own.
    fn pick(&mut self, tried: &Tried) -> Option<(Arc<Node>, SocketAddr, bool)> {
        let (mut first, mut is_canarys) = (None, tried.is_canarys);
        if tried.nodes.is_empty() {
            let entry = self.entries.get(self.balance.pick()?)?;
            is_canarys = entry.canary;
            first = entry.address.map(|address| (entry, address));
        }
        let may = |entry: &Entry| (is_canarys || !entry.canary) && !tried.nodes.contains(&entry.node.id);
        let other = || {
            let usable = |index: usize| self.entries.get(index).is_some_and(|one| one.address.is_some() && may(one));
            let entry = self.entries.get(self.balance.next(usable)?)?;
            Some((entry, entry.address?))
        };
        let (entry, address) = first.or_else(other)?;
        Some((Arc::clone(&entry.node), address, is_canarys))
    }

    fn set(&mut self, routes: &EnvironmentRoutes) {
        let old_total = self.balance.total();
        let mut old: Vec<(Arc<Node>, Share)> = self
            .entries
            .drain(..)
            .enumerate()
            .map(|(index, entry)| (entry.node, self.balance.share(index).unwrap_or(Share::fresh())))
            .collect();
        let mut shares = Vec::new();
        for route in &routes.nodes {
            let is_same = |node: &Node| node.name == route.node && node.generation == route.generation;
            let (node, share) = match old.iter().position(|(node, _)| is_same(node)) {
                Some(index) => old.swap_remove(index),
                None => {
                    (self.revive(is_same).unwrap_or_else(|| Node::new(&route.node, route.generation)), Share::fresh())
                }
            };
            let weight_ppm = route.effective_weight_ppm();
            shares.push((share, weight_ppm));
            self.entries.push(Entry { node, address: route.address, weight_ppm, canary: route.canary });
        }
        self.balance = Balance::new(shares, old_total);
        self.retire(old.into_iter().map(|(node, _)| node));
    }

    fn revive(&mut self, is_same: impl Fn(&Node) -> bool) -> Option<Arc<Node>> {
        let index = self.retired.iter().position(|node| is_same(node))?;
        self.retired.remove(index)
    }

    /// Keeps the counts of the newest that left; idle ones go first.
    fn retire(&mut self, left: impl Iterator<Item = Arc<Node>>) {
        self.retired.extend(left);
        while self.retired.len() > RETIRED_MAX {
            let idle = self.retired.iter().position(|node| lock(&node.counts).in_flight == 0);
            self.retired.remove(idle.unwrap_or(0));
        }
    }
}

impl Node {
    fn new(name: &str, generation: u64) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            generation,
            counts: Mutex::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        })
    }

    fn begin(&self) {
        let mut counts = lock(&self.counts);
        counts.requests += 1;
        counts.in_flight += 1;
    }

    fn stats(&self) -> NodeStats {
        let counts = lock(&self.counts);
        NodeStats {
            node: self.name.clone(),
            generation: self.generation,
            in_flight: counts.in_flight,
            requests: counts.requests,
            status: counts.status,
            errors: counts.errors,
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            latency: counts.latency.trimmed(),
        }
    }
}

impl Counts {
    fn answered(&mut self, status: u16, latency: Duration) {
        let class = usize::from(status / 100).clamp(1, 5);
        self.status[class - 1] += 1;
        self.latency.add(latency);
    }

    fn failed(&mut self, failure: Failure) {
        *match failure {
            Failure::Connect => &mut self.errors.connect,
            Failure::Reset => &mut self.errors.reset,
            Failure::Timeout => &mut self.errors.timeout,
            Failure::Client => &mut self.errors.client,
        } += 1;
    }
}

impl Attempt {
    /// Notes the header of the answer; an upgraded connection counts as answered by it.
    pub(crate) fn header(&mut self, status: u16) {
        self.status = Some(status);
        if status == 101 {
            self.end_of_answer();
        }
    }

    /// Says whether a header of the answer, other than an interim one, has come.
    pub(crate) fn has_header(&self) -> bool {
        self.status.is_some()
    }

    /// Notes that the node has sent all of its answer.
    pub(crate) fn end_of_answer(&mut self) {
        self.answered_after.get_or_insert_with(|| self.started.elapsed());
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.node.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.node.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Ends the attempt; what failed matters only if the node's answer is not complete.
    pub(crate) fn finish(mut self, failure: Option<Failure>) {
        self.close(failure);
    }

    fn close(&mut self, failure: Option<Failure>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let mut counts = lock(&self.node.counts);
        match (self.status, self.answered_after, failure) {
            (Some(status), Some(latency), _) => counts.answered(status, latency),
            (Some(status), None, None) => counts.answered(status, self.started.elapsed()),
            (_, _, failure) => counts.failed(failure.unwrap_or(Failure::Client)),
        }
        counts.in_flight -= 1;
        let idle = counts.in_flight == 0;
        drop(counts);
        if idle {
            self.environment.drained.notify_waiters();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.close(Some(Failure::Client));
    }
}

/// Locks; what these locks guard is never left half-changed, so a poisoned one is as good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeRoute, NodeState};

    fn route(node: &str, generation: u64, weight_ppm: u32) -> NodeRoute {
        let address = "127.0.0.1:1".parse().ok();
        NodeRoute {
            node: node.to_owned(),
            generation,
            address,
            weight_ppm,
            state: NodeState::Serving,
            canary: node == "canary",
        }
    }

    fn set(environment: &Environment, nodes: Vec<NodeRoute>) {
        environment.set(&EnvironmentRoutes { key: "e".to_owned(), nodes, ..EnvironmentRoutes::default() });
    }

    fn stats_of(environment: &Environment, generation: u64) -> NodeStats {
        environment.stats(None).nodes.into_iter().find(|node| node.generation == generation).unwrap()
    }

    #[test]
    fn requests_are_the_sum_of_outcomes_and_those_in_flight() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 1, 1)]);
        let mut answered = environment.pick(&Tried::default()).unwrap();
        answered.header(204);
        answered.finish(None);
        let mut cut = environment.pick(&Tried::default()).unwrap();
        cut.header(200);
        cut.finish(Some(Failure::Reset));
        let mut slow_client = environment.pick(&Tried::default()).unwrap();
        slow_client.header(200);
        slow_client.end_of_answer();
        slow_client.finish(Some(Failure::Client));
        drop(environment.pick(&Tried::default()).unwrap());
        let _in_flight = environment.pick(&Tried::default()).unwrap();
        let stats = stats_of(&environment, 1);
        assert_eq!(stats.status, [0, 2, 0, 0, 0]);
        assert_eq!(stats.errors, NodeErrors { reset: 1, client: 1, ..NodeErrors::default() });
        assert_eq!((stats.requests, stats.in_flight), (5, 1));
        assert_eq!(stats.latency.counts.iter().sum::<u64>(), 2);
    }

    #[test]
    fn a_tried_node_is_not_picked_again() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 1, 1), route("b", 1, 1)]);
        let mut tried = Tried::default();
        let first = environment.pick(&tried).unwrap();
        tried.add(&first);
        let second = environment.pick(&tried).unwrap();
        assert_ne!(first.node.name, second.node.name);
        tried.add(&second);
        assert!(environment.pick(&tried).is_none());
    }

    /// Parts of a hundred requests that come to the canary, where every node of the others fails, or is nowhere.
    fn canarys(environment: &Arc<Environment>) -> usize {
        let is_touched = |_: &usize| {
            let (mut tried, mut touched) = (Tried::default(), false);
            while let Some(attempt) = environment.pick(&tried) {
                touched |= attempt.node.name == "canary";
                tried.add(&attempt);
            }
            touched
        };
        (0..100).filter(is_touched).count()
    }

    #[test]
    fn a_canary_gets_its_share_of_the_requests_whatever_becomes_of_the_others() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 1, 400_000), route("canary", 1, 200_000), route("b", 1, 400_000)]);
        assert_eq!(canarys(&environment), 20);
        let nowhere = |node: &str| NodeRoute { address: None, ..route(node, 2, 400_000) };
        set(&environment, vec![nowhere("a"), route("canary", 1, 200_000), route("b", 1, 400_000)]);
        assert_eq!(canarys(&environment), 20);
        set(&environment, vec![nowhere("a"), route("canary", 1, 200_000), nowhere("b")]);
        assert_eq!(canarys(&environment), 20);
        // What was the canary's comes to others where it fails.
        set(&environment, vec![route("canary", 1, 1), route("b", 1, 0), route("c", 1, 1)]);
        let mut tried = Tried::default();
        let names = std::iter::from_fn(|| {
            let attempt = environment.pick(&tried)?;
            tried.add(&attempt);
            Some(attempt.node.name.clone())
        });
        assert_eq!(names.collect::<Vec<_>>(), ["canary", "c"]);
    }

    #[test]
    fn counts_survive_leaving_the_table_and_coming_back() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 1, 1)]);
        drop(environment.pick(&Tried::default()).unwrap());
        set(&environment, vec![route("a", 2, 1)]);
        assert_eq!(stats_of(&environment, 1).requests, 1);
        set(&environment, vec![route("a", 1, 1)]);
        drop(environment.pick(&Tried::default()).unwrap());
        assert_eq!(stats_of(&environment, 1).requests, 2);
        assert_eq!(environment.stats(None).nodes.len(), 2);
    }

    #[test]
    fn old_generations_are_forgotten_idle_ones_first() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 0, 1)]);
        let _in_flight = environment.pick(&Tried::default()).unwrap();
        for generation in 1..=100 {
            set(&environment, vec![route("a", generation, 1)]);
        }
        let nodes = environment.stats(None).nodes;
        assert_eq!(nodes.len(), RETIRED_MAX + 1);
        assert!(nodes.iter().any(|node| node.generation == 0));
    }

    #[tokio::test]
    async fn a_drain_waits_for_every_request_of_every_generation_that_leaves() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 1, 1)]);
        let (first, second) =
            (environment.pick(&Tried::default()).unwrap(), environment.pick(&Tried::default()).unwrap());
        set(&environment, vec![route("a", 2, 1)]);
        let third = environment.pick(&Tried::default()).unwrap();
        set(&environment, vec![route("a", 2, 0), route("b", 1, 1)]);
        for attempt in [first, third, second] {
            assert!(!environment.wait_drained("a", Duration::from_millis(1)).await.unwrap());
            attempt.finish(None);
        }
        assert!(environment.wait_drained("a", Duration::from_millis(1)).await.unwrap());
    }

    #[tokio::test]
    async fn waiting_for_a_drain_ends_with_the_last_request() {
        let environment = Environment::new("e");
        set(&environment, vec![route("a", 1, 1)]);
        let attempt = environment.pick(&Tried::default()).unwrap();
        assert!(matches!(environment.wait_drained("a", Duration::ZERO).await, Err(Error::NotDraining { .. })));
        set(&environment, vec![route("a", 1, 0), route("a", 2, 1)]);
        assert!(!environment.wait_drained("a", Duration::from_millis(1)).await.unwrap());
        let waiting = tokio::spawn({
            let environment = Arc::clone(&environment);
            async move { environment.wait_drained("a", Duration::from_secs(60)).await.unwrap() }
        });
        tokio::task::yield_now().await;
        attempt.finish(None);
        assert!(waiting.await.unwrap());
    }
}
