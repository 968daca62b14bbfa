//! What reaches a node and what reaches the client.

use crate::http::{Connection, field};
use crate::node::Node;
use crate::process::{Gateway, route, routes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_fields_are_the_gateways_and_hop_fields_end_here() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let mut connection = Connection::open(address).await;
    let request = "GET /echo?a=%2F&b=1 HTTP/1.1\r\nHost: shop.test:81\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nConnection: keep-alive, X-Hop\r\n\
                   X-Hop: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\nCookie: a=b\r\n\r\n";
    connection.send(request.as_bytes()).await.unwrap();
    let response = connection.response(false).await.unwrap();
    let head = node.heads().remove(0);
    assert!(head.starts_with("GET /echo?a=%2F&b=1 HTTP/1.1\r\n"), "{head}");
    for (name, value) in [("host", "shop.test:81"), ("cookie", "a=b"), ("x-forwarded-for", "127.0.0.1")] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    assert_eq!(field(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("shop.test:81"));
    for name in ["forwarded", "x-real-ip", "x-hop", "te", "proxy-authorization"] {
        assert_eq!(field(&head, name), None, "{name} in {head}");
    }
    assert!(!head.contains("6.6.6.6") && !head.contains("evil"));
    assert_eq!((response.header("keep-alive"), response.header("connection")), (None, Some("keep-alive")));
    assert_eq!(response.header("x-serin-node"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_is_shown_where_asked_for() {
    let gateway = Gateway::start().await;
    let node = Node::start("a-1").await;
    let mut table = routes(1, vec![route(&node, 1)]);
    table.environments[0].show_node = true;
    let address = gateway.apply(table).await.listens.into_values().next().unwrap();
    let response = crate::http::get(address, "/who").await;
    assert_eq!(response.header("x-serin-node"), Some("a-1/1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_pass_whole_in_both_framings() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let mut connection = Connection::open(address).await;
    let large = vec![b'q'; 1_000_000];
    let response = connection.request("POST", "/echo", &large).await.unwrap();
    assert!(response.body.ends_with(&large));
    let chunked =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nchun\r\n3;x=y\r\nked\r\n0\r\n\r\n";
    connection.send(chunked.as_bytes()).await.unwrap();
    assert!(connection.response(false).await.unwrap().body.ends_with(b"chunked"));
    assert_eq!(connection.get("/who").await.unwrap().text(), "one", "the connection is still in step");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_streams_through() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let response = crate::http::get(address, "/bytes/5000000").await;
    assert_eq!(response.body.len(), 5_000_000);
    assert_eq!(gateway.settled().await.environments[0].nodes[0].bytes_out, 5_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_expects_100_gets_it_from_the_node() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let mut connection = Connection::open(address).await;
    let head = "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    connection.send(head.as_bytes()).await.unwrap();
    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 100 "));
    connection.send(b"body").await.unwrap();
    assert!(connection.response(false).await.unwrap().body.ends_with(b"body"));
    let stats = gateway.settled().await;
    assert_eq!(stats.environments[0].nodes[0].status, [0, 1, 0, 0, 0]);
}
