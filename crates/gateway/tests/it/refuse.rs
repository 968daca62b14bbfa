//! Requests that no node may see.

use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::node::Node;
use crate::process::{Gateway, PATIENCE, route, until};

/// Sends bytes and gives all that comes back until the connection closes.
async fn raw(gateway: &Gateway, node: &Node, bytes: &[u8]) -> String {
    let address = gateway.serve(1, vec![route(node, 1)]).await;
    let mut connection = Connection::open(address).await;
    connection.send(bytes).await.unwrap();
    String::from_utf8_lossy(&connection.rest().await).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smuggling_shapes_are_refused_and_the_connection_is_closed() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let shapes = [
        format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Content-Length: 0, {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("X: y\nContent-Length: 4\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Content-Length: -1\r\n\r\n{smuggled}"),
        format!("Host: b\r\n\r\n{smuggled}"),
    ];
    for shape in &shapes {
        let answer = raw(&gateway, &node, format!("POST /x HTTP/1.1\r\nHost: a\r\n{shape}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{shape:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    assert_eq!(node.heads(), Vec::<String>::new());
    assert_eq!(gateway.settled().await.environments[0].refused, shapes.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_after_a_request_are_never_a_second_one() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let pipelined = "GET /who HTTP/1.1\r\nHost: a\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    raw(&gateway, &node, pipelined.as_bytes()).await;
    assert!(node.heads().iter().all(|head| !head.contains("/admin")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_chunks_are_not_passed_on_as_a_whole_body() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    for body in
        ["zz\r\nabc\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n", "3\r\nabcdef\r\n0\r\n\r\n", "fffffffffffffffff\r\na\r\n"]
    {
        let request = format!("POST /who HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let answer = raw(&gateway, &node, request.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{body:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_headers_get_431() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(70 * 1024));
    assert!(raw(&gateway, &node, long.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(150));
    assert!(raw(&gateway, &node, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let fits = format!("GET /who HTTP/1.0\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(60 * 1024));
    assert!(raw(&gateway, &node, fits.as_bytes()).await.contains(" 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_protocols_and_methods_are_refused() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let preface = raw(&gateway, &node, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(preface.starts_with("HTTP/1.1 505 "), "{preface}");
    let connect = raw(&gateway, &node, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await;
    assert!(connect.starts_with("HTTP/1.1 405 "), "{connect}");
    let hello = raw(&gateway, &node, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await;
    assert!(hello.starts_with("HTTP/1.1 400 "), "{hello}");
    assert_eq!(node.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_trickles_in_is_cut_off_while_others_are_served() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut connection = Connection::open(address).await;
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").await.unwrap();
        slow.push(connection);
    }
    let mut last = slow.pop().unwrap();
    let trickle = async {
        until("the gateway cuts it off", async || {
            last.send(b"y").await.is_err() || began.elapsed() > Duration::from_secs(11)
        })
        .await;
        String::from_utf8_lossy(&last.rest().await).into_owned()
    };
    let (answer, ()) = tokio::join!(trickle, async {
        for _ in 0..20 {
            assert_eq!(crate::http::get(address, "/who").await.status, 200);
        }
    });
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(began.elapsed() < PATIENCE);
    for connection in &mut slow {
        assert!(connection.rest().await.starts_with(b"HTTP/1.1 408 "));
    }
}
