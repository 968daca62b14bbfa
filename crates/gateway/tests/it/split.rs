//! Shares of traffic hold exactly.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::{Connection, get};
use crate::node::Node;
use crate::process::{Gateway, draining, route};
use serin_gateway::NodeRoute;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_percent_is_one_in_each_hundred_over_one_connection() {
    let gateway = Gateway::start().await;
    let (canary, one, two) = (Node::start("canary").await, Node::start("one").await, Node::start("two").await);
    let address = gateway.serve(1, vec![route(&canary, 10_000), route(&one, 495_000), route(&two, 495_000)]).await;
    let mut connection = Connection::open(address).await;
    for hundred in 1..=3 {
        for _ in 0..100 {
            assert_eq!(connection.get("/who").await.unwrap().status, 200);
        }
        assert_eq!(canary.count(), hundred);
    }
    assert!(one.count().abs_diff(two.count()) <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_exact_under_concurrent_requests() {
    let gateway = Gateway::start().await;
    let mut nodes = Vec::new();
    for name in ["a", "b", "c", "d", "idle"] {
        nodes.push(Node::start(name).await);
    }
    let weights = [500_000, 300_000, 150_000, 50_000, 0];
    let address = gateway.serve(1, nodes.iter().zip(weights).map(|(node, weight)| route(node, weight)).collect()).await;
    let left = Arc::new(AtomicUsize::new(2_000));
    let clients = (0..16).map(|_| {
        let left = Arc::clone(&left);
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let mut seen = HashMap::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let name = connection.get("/who").await.unwrap().text().to_owned();
                *seen.entry(name).or_insert(0) += 1;
            }
            seen
        })
    });
    let mut total: HashMap<String, usize> = HashMap::new();
    for client in clients.collect::<Vec<_>>() {
        for (name, count) in client.await.unwrap() {
            *total.entry(name).or_default() += count;
        }
    }
    let counts = ["a", "b", "c", "d", "idle"].map(|name| total.get(name).copied().unwrap_or(0));
    assert_eq!(counts, [1_000, 600, 300, 100, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_follows_each_new_table_at_once() {
    let gateway = Gateway::start().await;
    let (one, two) = (Node::start("one").await, Node::start("two").await);
    let address = gateway.serve(1, vec![route(&one, 1), route(&two, 0)]).await;
    let mut connection = Connection::open(address).await;
    for revision in 2..40 {
        let expected = if revision % 2 == 0 { "two" } else { "one" };
        let nodes =
            if revision % 2 == 0 { vec![draining(&one), route(&two, 1)] } else { vec![route(&one, 1), draining(&two)] };
        assert_eq!(gateway.serve(revision, nodes).await, address);
        assert_eq!(connection.get("/who").await.unwrap().text(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_node_the_answer_is_503_and_the_connection_stays() {
    let gateway = Gateway::start().await;
    let node = Node::start("late").await;
    let address = gateway.serve(1, Vec::new()).await;
    let mut connection = Connection::open(address).await;
    let response = connection.get("/who").await.unwrap();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert!(response.text().contains("no node"));
    gateway.serve(2, vec![route(&node, 0)]).await;
    assert_eq!(connection.get("/who").await.unwrap().status, 503);
    gateway.serve(3, vec![route(&node, 1)]).await;
    assert_eq!(connection.get("/who").await.unwrap().text(), "late");
    assert_eq!(gateway.settled().await.environments[0].unrouted, 2);
    assert_eq!(get(address, "/who").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_elsewhere_never_comes_to_a_canary() {
    let gateway = Gateway::start().await;
    let (canary, one, two) = (Node::start("canary").await, Node::start("one").await, Node::start("two").await);
    // Nobody listens there any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = |node: &Node| NodeRoute { address: Some(closed), ..route(node, 450_000) };
    let few = NodeRoute { canary: true, ..route(&canary, 100_000) };
    let address = gateway.serve(1, vec![few.clone(), gone(&one), gone(&two)]).await;
    let mut statuses = HashMap::new();
    for _ in 0..100 {
        *statuses.entry(get(address, "/who").await.status).or_insert(0) += 1;
    }
    assert_eq!((canary.count(), statuses), (10, HashMap::from([(200, 10), (502, 90)])));
    // One of the others takes all that the other one does not.
    gateway.serve(2, vec![few, gone(&one), route(&two, 450_000)]).await;
    for _ in 0..100 {
        assert_eq!(get(address, "/who").await.status, 200);
    }
    assert_eq!((canary.count(), two.count()), (20, 90));
}
