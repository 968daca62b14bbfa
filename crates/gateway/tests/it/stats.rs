//! Counters say what happened.

use std::time::{Duration, Instant};

use serin_gateway::NodeErrors;

use crate::http::{Connection, get};
use crate::node::Node;
use crate::process::{Gateway, route, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_classes_bytes_and_errors_are_exact() {
    let gateway = Gateway::start().await;
    let node = Node::start("only").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let mut connection = Connection::open(address).await;
    for path in ["/bytes/1000", "/bytes/0", "/status/204", "/status/302", "/status/404", "/status/404", "/status/500"] {
        connection.get(path).await.unwrap();
    }
    connection.request("POST", "/who", &[b'y'; 3_000]).await.unwrap();
    connection.request("HEAD", "/bytes/777", b"").await.unwrap();
    assert!(Connection::open(address).await.get("/cut").await.is_err());
    assert_eq!(Connection::open(address).await.request("POST", "/break", b"z").await.unwrap().status, 502);
    let stats = gateway.settled().await;
    let counted = &stats.environments[0].nodes[0];
    assert_eq!(counted.status, [0, 5, 1, 2, 1]);
    assert_eq!(counted.errors, NodeErrors { reset: 2, ..NodeErrors::default() });
    assert_eq!(counted.requests, 11);
    assert_eq!(counted.bytes_in, 3_001);
    assert_eq!(counted.bytes_out, 1_000 + 5 * "only".len() as u64 + "only this".len() as u64);
    assert_eq!(counted.latency.counts.iter().sum::<u64>(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_lies_in_the_bucket_of_the_time_it_took() {
    let gateway = Gateway::start().await;
    let node = Node::start("slow").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let (asked, pause) = (Instant::now(), Duration::from_millis(60));
    let asking = tokio::spawn(async move { get(address, "/slow").await.status });
    until("the request arrives", async || node.count() == 1).await;
    let arrived = Instant::now();
    until("it took a while", async || arrived.elapsed() >= pause).await;
    node.open_gate();
    assert_eq!(asking.await.unwrap(), 200);
    let at_most = asked.elapsed();
    let latency = gateway.settled().await.environments[0].nodes[0].latency.clone();
    assert_eq!(latency.counts, [1]);
    let bound = |index: i32| Duration::from_secs_f64((f64::from(index) / 16.0).exp2() / 1e3);
    assert!(bound(latency.first + 1) >= pause && bound(latency.first) <= at_most, "{latency:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_of_a_generation_outlive_its_place_in_the_table() {
    let gateway = Gateway::start().await;
    let (old, new) = (Node::start("a-1").await, Node::start("a-1").await);
    let address = gateway.serve(1, vec![route(&old, 1)]).await;
    get(address, "/who").await;
    let mut next = route(&new, 1);
    next.generation = 2;
    gateway.serve(2, vec![next]).await;
    get(address, "/who").await;
    get(address, "/who").await;
    let stats = gateway.settled().await;
    let requests: Vec<_> = stats.environments[0].nodes.iter().map(|node| (node.generation, node.requests)).collect();
    assert_eq!(requests, [(2, 2), (1, 1)]);
    assert_eq!(stats.revision, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_stays_small() {
    let gateway = Gateway::start().await;
    let node = Node::start("only").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let mut connections = Vec::new();
    for _ in 0..50 {
        let mut connection = Connection::open(address).await;
        connection.get("/bytes/100000").await.unwrap();
        connections.push(connection);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let resident = crate::http::field(&status, "VmRSS").unwrap().trim_end_matches(" kB").parse::<u64>().unwrap();
    println!("{resident} KiB resident");
    assert!(resident < 40 * 1024, "{resident} KiB resident");
}
