//! Tables: listeners come and go, old and malformed ones are refused.

use std::net::SocketAddr;

use serin_gateway::{EnvironmentRoutes, Error, Routes};

use crate::http::{Connection, get};
use crate::node::Node;
use crate::process::{Gateway, KEY, route, routes, until};

fn environment(key: &str, listen: Option<String>, node: &Node) -> EnvironmentRoutes {
    EnvironmentRoutes { key: key.to_owned(), listen, nodes: vec![route(node, 1)], show_node: false }
}

async fn free_address() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_come_and_go_without_touching_others() {
    let gateway = Gateway::start().await;
    let (one, two) = (Node::start("one").await, Node::start("two").await);
    let stays = environment("stays", None, &one);
    let first = gateway.apply(Routes { revision: 1, environments: vec![stays.clone()] }).await;
    let mut connection = Connection::open(first.listens["stays"]).await;
    assert_eq!(connection.get("/who").await.unwrap().text(), "one");
    let both = vec![stays.clone(), environment("goes", None, &two)];
    let second = gateway.apply(Routes { revision: 2, environments: both.clone() }).await;
    assert_eq!(second.listens["stays"], first.listens["stays"]);
    let goes = second.listens["goes"];
    let mut leaving = Connection::open(goes).await;
    assert_eq!(leaving.get("/who").await.unwrap().text(), "two");
    gateway.apply(Routes { revision: 3, environments: vec![stays] }).await;
    assert!(tokio::net::TcpStream::connect(goes).await.is_err());
    assert_eq!(leaving.rest().await, b"", "an idle connection to an environment that left is closed");
    assert_eq!(connection.get("/who").await.unwrap().text(), "one");
    let fourth = gateway.apply(Routes { revision: 4, environments: both }).await;
    assert_eq!(fourth.listens["goes"], goes, "the port is kept for the key");
    assert_eq!(get(goes, "/who").await.text(), "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_moves_and_its_connections_go_on() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let (here, there) = (free_address().await, free_address().await);
    let at = |address: SocketAddr| vec![environment(KEY, Some(address.to_string()), &node)];
    assert_eq!(gateway.apply(Routes { revision: 1, environments: at(here) }).await.listens[KEY], here);
    let mut connection = Connection::open(here).await;
    connection.get("/who").await.unwrap();
    assert_eq!(gateway.apply(Routes { revision: 2, environments: at(there) }).await.listens[KEY], there);
    assert_eq!(get(there, "/who").await.status, 200);
    assert!(tokio::net::TcpStream::connect(here).await.is_err());
    assert_eq!(connection.get("/who").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_address_fails_alone_and_is_opened_once_free() {
    let gateway = Gateway::start().await;
    let node = Node::start("one").await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let environments = vec![environment("blocked", Some(address.to_string()), &node), environment("free", None, &node)];
    let applied = gateway.client.apply(&Routes { revision: 1, environments }).await.unwrap();
    assert_eq!(applied.failures.len(), 1);
    assert_eq!(
        (applied.failures[0].key.as_str(), applied.failures[0].listen.as_str()),
        ("blocked", address.to_string().as_str())
    );
    assert_eq!(get(applied.listens["free"], "/who").await.status, 200);
    drop(taken);
    until("it listens", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
    assert_eq!(get(address, "/who").await.text(), "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_malformed_tables_change_nothing() {
    let gateway = Gateway::start().await;
    let (one, two) = (Node::start("one").await, Node::start("two").await);
    let address = gateway.serve(7, vec![route(&one, 1)]).await;
    assert_eq!(gateway.serve(7, vec![route(&one, 1)]).await, address, "the same again is no change");
    let older = gateway.client.apply(&routes(6, vec![route(&two, 1)])).await;
    assert!(matches!(older, Err(Error::StaleRevision { offered: 6, current: 7 })), "{older:?}");
    let other = gateway.client.apply(&routes(7, vec![route(&two, 1)])).await;
    assert!(matches!(other, Err(Error::StaleRevision { offered: 7, current: 7 })), "{other:?}");
    let double = gateway.client.apply(&routes(8, vec![route(&two, 1), route(&two, 1)])).await;
    assert!(matches!(double, Err(Error::InvalidRoutes { .. })), "{double:?}");
    for _ in 0..4 {
        assert_eq!(get(address, "/who").await.text(), "one");
    }
    assert_eq!(gateway.client.info().await.unwrap().revision, 7);
}
