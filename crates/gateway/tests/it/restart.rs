//! The gateway needs no server, and comes back as it was.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serin_gateway::{Client, Error, NodeState};

use crate::http::{Connection, get};
use crate::node::Node;
use crate::process::{Gateway, command, draining, route, routes, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_listeners_and_table_are_back() {
    let mut gateway = Gateway::start().await;
    let (one, two) = (Node::start("one").await, Node::start("two").await);
    let address = gateway.serve(5, vec![route(&one, 1), draining(&two)]).await;
    let before = gateway.client.info().await.unwrap();
    gateway.crash_and_restart().await;
    let after = gateway.client.info().await.unwrap();
    assert_eq!(after.revision, 5);
    assert_ne!(before.pid, after.pid);
    for _ in 0..10 {
        assert_eq!(get(address, "/who").await.text(), "one");
    }
    assert!(matches!(
        gateway.client.apply(&routes(4, Vec::new())).await,
        Err(Error::StaleRevision { offered: 4, current: 5 })
    ));
    assert_eq!(gateway.serve(6, vec![route(&two, 1)]).await, address);
    assert_eq!(get(address, "/who").await.text(), "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_starters_at_once_get_the_same_gateway() {
    let tempdir = tempfile::tempdir().unwrap();
    let dir = tempdir.path().join("gateway");
    let command = command();
    let start = || serin_gateway::ensure_running(&command, &dir);
    let (first, second, third) = tokio::join!(start(), start(), start());
    let pid = first.unwrap().info().await.unwrap().pid;
    assert_eq!(pid, second.unwrap().info().await.unwrap().pid);
    assert_eq!(pid, third.unwrap().info().await.unwrap().pid);
    let gateway = Gateway::start_in(tempdir, dir).await;
    assert_eq!(u32::try_from(gateway.pid()).unwrap(), pid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_a_session_of_its_own_and_closed_files() {
    let gateway = Gateway::start().await;
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(gateway.pid()))).unwrap();
    assert_eq!(session.as_raw(), gateway.pid());
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(gateway.dir.clone()), 0o700);
    gateway.serve(1, Vec::new()).await;
    for name in ["control.sock", "routes.json", "lock", "gateway.log"] {
        assert_eq!(mode(gateway.dir.join(name)), 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_a_long_path_will_do() {
    let tempdir = tempfile::tempdir().unwrap();
    let dir = tempdir.path().join("d".repeat(120)).join("e".repeat(120));
    let gateway = Gateway::start_in(tempdir, dir).await;
    assert_eq!(gateway.client.info().await.unwrap().revision, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_it_lets_requests_finish() {
    let gateway = Gateway::start().await;
    let node = Node::start("slow").await;
    let address = gateway.serve(1, vec![route(&node, 1)]).await;
    let (mut busy, mut idle) = (Connection::open(address).await, Connection::open(address).await);
    idle.get("/who").await.unwrap();
    busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the request arrives", async || node.count() == 2).await;
    gateway.signal(Signal::SIGTERM);
    assert_eq!(idle.rest().await, b"", "an idle connection is closed");
    until("it stops listening", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    node.open_gate();
    let last = busy.response(false).await.unwrap();
    assert_eq!((last.text(), last.header("connection")), ("slow", Some("close")));
    gateway.wait_gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_command_ends_it() {
    let gateway = Gateway::start().await;
    gateway.client.shutdown().await.unwrap();
    gateway.wait_gone().await;
    let unreachable = Client::new(&gateway.dir).info().await;
    assert!(matches!(unreachable, Err(Error::Unreachable { .. })), "{unreachable:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_is_reported() {
    let tempdir = tempfile::tempdir().unwrap();
    let command = serin_gateway::GatewayCommand { program: "/bin/false".into(), arguments: Vec::new() };
    let failed = serin_gateway::ensure_running(&command, tempdir.path()).await;
    assert!(matches!(failed, Err(Error::NotStarted { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_out_stays_out_over_a_restart() {
    let mut gateway = Gateway::start().await;
    let (one, two) = (Node::start("one").await, Node::start("two").await);
    let mut out = route(&two, 1_000_000);
    out.state = NodeState::Out;
    let address = gateway.serve(1, vec![route(&one, 1), out]).await;
    gateway.crash_and_restart().await;
    for _ in 0..5 {
        get(address, "/who").await;
    }
    assert_eq!((one.count(), two.count()), (5, 0));
}
