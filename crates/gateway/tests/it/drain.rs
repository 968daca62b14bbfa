//! Taking a node out: nothing new, what is in flight finishes, the waiting ends with it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::{Connection, get};
use crate::node::Node;
use crate::process::{Gateway, KEY, PATIENCE, draining, route, until};

async fn in_flight(gateway: &Gateway, node: &str) -> u64 {
    let stats = gateway.client.stats().await.unwrap();
    stats.environments[0].nodes.iter().filter(|found| found.node == node).map(|found| found.in_flight).sum()
}

/// Drains `old`, whose one request is let go by `finish`; the drain must end then and not before.
async fn check_drain(gateway: &Gateway, old: &Node, new: &Node, finish: impl Future<Output = ()>) {
    assert_eq!(in_flight(gateway, "old").await, 1);
    let address = gateway.serve(2, vec![draining(old), route(new, 1)]).await;
    let before = old.count();
    for _ in 0..20 {
        assert_eq!(get(address, "/who").await.text(), "new");
    }
    assert_eq!(old.count(), before);
    assert!(!gateway.client.wait_drained(KEY, "old", Duration::from_millis(20)).await.unwrap());
    let waiting = tokio::spawn({
        let client = gateway.client.clone();
        async move { client.wait_drained(KEY, "old", PATIENCE).await }
    });
    finish.await;
    assert!(waiting.await.unwrap().unwrap());
    assert_eq!(in_flight(gateway, "old").await, 0);
}

async fn start() -> (Gateway, Node, Node, Connection) {
    let gateway = Gateway::start().await;
    let (old, new) = (Node::start("old").await, Node::start("new").await);
    let address = gateway.serve(1, vec![route(&old, 1)]).await;
    (gateway, old, new, Connection::open(address).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_request_finishes_on_the_draining_node() {
    let (gateway, old, new, mut connection) = start().await;
    connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the request arrives", async || old.count() == 1).await;
    check_drain(&gateway, &old, &new, async {
        old.open_gate();
        assert_eq!(connection.response(false).await.unwrap().text(), "old");
    })
    .await;
    assert_eq!(connection.get("/who").await.unwrap().text(), "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streaming_answer_is_in_flight_to_its_end() {
    let (gateway, old, new, mut connection) = start().await;
    connection.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    connection.head().await.unwrap();
    assert_eq!(connection.chunk().await.unwrap().unwrap(), b"begin");
    check_drain(&gateway, &old, &new, async {
        old.open_gate();
        assert_eq!(connection.chunk().await.unwrap().unwrap(), b"end");
        assert_eq!(connection.chunk().await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgraded_connection_is_in_flight_until_it_closes() {
    let (gateway, old, new, mut connection) = start().await;
    let upgrade = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    connection.send(upgrade.as_bytes()).await.unwrap();
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 101"));
    let mut echo = [0; 4];
    for _ in 0..3 {
        connection.send(b"ping").await.unwrap();
        connection.stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"ping");
    }
    check_drain(&gateway, &old, &new, async {
        connection.stream.shutdown().await.unwrap();
    })
    .await;
    let stats = gateway.settled().await;
    let node = stats.environments[0].nodes.iter().find(|node| node.node == "old").unwrap();
    assert_eq!((node.status[0], node.bytes_in, node.bytes_out), (1, 12, 12));
    assert_eq!(node.errors, serin_gateway::NodeErrors::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_is_no_longer_in_flight() {
    let (gateway, old, new, mut connection) = start().await;
    connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the request arrives", async || old.count() == 1).await;
    check_drain(&gateway, &old, &new, async { drop(connection) }).await;
    let stats = gateway.settled().await;
    let node = stats.environments[0].nodes.iter().find(|node| node.node == "old").unwrap();
    assert_eq!((node.errors.client, node.errors.of_node()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_on_a_serving_node_is_an_error() {
    let (gateway, ..) = start().await;
    let refused = gateway.client.wait_drained(KEY, "old", PATIENCE).await;
    assert!(matches!(refused, Err(serin_gateway::Error::NotDraining { .. })), "{refused:?}");
    assert!(gateway.client.wait_drained(KEY, "unknown", PATIENCE).await.unwrap());
    assert!(gateway.client.wait_drained("nowhere", "old", PATIENCE).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_generation_gets_connections_of_its_own() {
    let (gateway, old, _new, mut connection) = start().await;
    for _ in 0..5 {
        connection.get("/who").await.unwrap();
    }
    assert_eq!(old.connections(), 1);
    let mut next = route(&old, 1);
    next.generation = 2;
    gateway.serve(2, vec![next]).await;
    connection.get("/who").await.unwrap();
    connection.get("/who").await.unwrap();
    assert_eq!(old.connections(), 2);
}
