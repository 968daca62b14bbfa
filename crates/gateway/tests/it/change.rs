//! No request fails while nodes come and go under load, and what may be repeated is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinHandle;

use crate::http::{Connection, get};
use crate::node::Node;
use crate::process::{Gateway, KEY, PATIENCE, draining, route, until};

/// Clients that ask without a pause and count what was not 200.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..clients)
            .map(|client| tokio::spawn(ask_on(address, client, Arc::clone(&stop), Arc::clone(&sent))))
            .collect();
        Self { stop, sent, clients }
    }

    async fn wait_for(&self, more: usize) {
        let goal = self.sent.load(Ordering::Relaxed) + more;
        until("the load goes on", async || self.sent.load(Ordering::Relaxed) >= goal).await;
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        (self.sent.load(Ordering::Relaxed), failures)
    }
}

/// Mixes reads and writes; every tenth request comes over a fresh connection.
async fn ask_on(address: SocketAddr, client: usize, stop: Arc<AtomicBool>, sent: Arc<AtomicUsize>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut connection = Connection::open(address).await;
    for number in client.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if number % 10 == 0 {
            connection = Connection::open(address).await;
        }
        let outcome = match number % 3 {
            0 => connection.request("POST", "/echo", b"some body").await,
            _ => connection.get("/bytes/2000").await,
        };
        sent.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Ok(response) if response.status == 200 => {}
            Ok(response) => failures.push(format!("{} {}", response.status, response.text())),
            Err(error) => {
                failures.push(error.to_string());
                connection = Connection::open(address).await;
            }
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_replaced_under_load_without_a_failed_request() {
    let gateway = Gateway::start().await;
    let mut nodes = Vec::new();
    for name in ["a-1", "a-2", "a-3", "a-4"] {
        nodes.push((Node::start(name).await, 1));
    }
    let mut revision = 1;
    let table = |nodes: &[(Node, u64)], out: Option<usize>| {
        let of = |(index, (node, generation)): (usize, &(Node, u64))| {
            let mut route = if Some(index) == out { draining(node) } else { route(node, 250_000) };
            route.generation = *generation;
            route
        };
        nodes.iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let address = gateway.serve(revision, table(&nodes, None)).await;
    let load = Load::start(address, 8);
    for round in 0..12_usize {
        let index = round % nodes.len();
        load.wait_for(200).await;
        revision += 1;
        gateway.serve(revision, table(&nodes, Some(index))).await;
        let name = nodes[index].0.name.clone();
        assert!(gateway.client.wait_drained(KEY, &name, PATIENCE).await.unwrap());
        nodes[index] = (Node::start(&name).await, revision);
        revision += 1;
        gateway.serve(revision, table(&nodes, None)).await;
    }
    load.wait_for(500).await;
    let (sent, failures) = load.end().await;
    assert!(failures.is_empty(), "{} of {sent} failed, such as {:?}", failures.len(), failures.first());
    assert!(sent >= 2_900, "only {sent} sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_costs_no_request() {
    let gateway = Gateway::start().await;
    let (dead, alive) = (Node::start("dead").await, Node::start("alive").await);
    let address = gateway.serve(1, vec![route(&dead, 500_000), route(&alive, 500_000)]).await;
    dead.stop().await;
    let mut connection = Connection::open(address).await;
    for number in 0..40 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        let response = connection.request(method, "/echo", b"body").await.unwrap();
        assert!(response.status == 200 && response.text().ends_with("body"));
    }
    let stats = gateway.settled().await;
    let [dead, alive] = &stats.environments[0].nodes[..] else { panic!("{stats:?}") };
    assert_eq!((dead.errors.connect, dead.requests), (dead.requests, dead.errors.connect));
    assert!(dead.requests > 0);
    assert_eq!((alive.status[1], alive.errors.of_node()), (40, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_nodes_dead_the_answer_is_502_after_three() {
    let gateway = Gateway::start().await;
    let mut routes = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let node = Node::start(name).await;
        routes.push(route(&node, 1));
        node.stop().await;
    }
    let address = gateway.serve(1, routes).await;
    assert_eq!(get(address, "/who").await.status, 502);
    let stats = gateway.settled().await;
    assert_eq!(stats.environments[0].nodes.iter().map(|node| node.errors.connect).sum::<u64>(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_on_a_stale_connection_is_repeated_a_write_is_not() {
    let gateway = Gateway::start().await;
    let (one, two) = (Node::start("one").await, Node::start("two").await);
    let address = gateway.serve(1, vec![route(&one, 500_000), route(&two, 500_000)]).await;
    let mut connection = Connection::open(address).await;
    for _ in 0..2 {
        assert_eq!(connection.get("/who").await.unwrap().status, 200);
    }
    let read = connection.get("/break-reused").await.unwrap();
    assert_eq!(read.status, 502, "both nodes' connections are reused ones: two breaks, no third node");
    assert_eq!(one.count() + two.count(), 4);
    let mut connection = Connection::open(address).await;
    for _ in 0..2 {
        assert_eq!(connection.get("/who").await.unwrap().status, 200);
    }
    let before = one.count() + two.count();
    let write = connection.request("POST", "/break-reused", b"once").await.unwrap();
    assert_eq!(write.status, 502);
    assert_eq!(one.count() + two.count(), before + 1, "it reached one node, and only one");
    let stats = gateway.settled().await;
    assert_eq!(stats.environments[0].nodes.iter().map(|node| node.errors.reset).sum::<u64>(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_repeated_once_where_a_fresh_connection_breaks() {
    let gateway = Gateway::start().await;
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(Node::start(name).await);
    }
    let address = gateway.serve(1, nodes.iter().map(|node| route(node, 1)).collect()).await;
    assert_eq!(get(address, "/break").await.status, 502);
    assert_eq!(nodes.iter().map(Node::count).sum::<usize>(), 2, "a request that kills nodes must not kill three");
}
