//! A small HTTP server that behaves as its paths say.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::http::{Connection, field};
use crate::process::until;

/// A node that serves until it is dropped.
pub struct Node {
    pub name: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    name: String,
    /// Heads of all requests, in order of arrival.
    heads: Mutex<Vec<String>>,
    /// Open lets `/slow` and `/stream` go on.
    gate: watch::Sender<bool>,
    connections: Mutex<Vec<AbortHandle>>,
}

impl Node {
    pub async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            heads: Mutex::default(),
            gate: watch::Sender::new(false),
            connections: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Self { name: name.to_owned(), address, shared, accepting }
    }

    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.shared.heads.lock().unwrap().len()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    pub fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    /// Ends it as a crash would; its address is closed afterwards.
    pub async fn stop(self) -> SocketAddr {
        let address = self.address;
        drop(self);
        until("the address is closed", async || TcpStream::connect(address).await.is_err()).await;
        address
    }

    /// Breaks all connections, keeps listening.
    pub fn break_connections(&self) {
        for connection in self.shared.connections.lock().unwrap().iter() {
            connection.abort();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.accepting.abort();
        self.break_connections();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let connection = Connection { stream: tokio::io::BufReader::new(stream) };
        let serving = tokio::spawn(serve(connection, Arc::clone(&shared)));
        shared.connections.lock().unwrap().push(serving.abort_handle());
    }
}

async fn serve(mut connection: Connection, shared: Arc<Shared>) {
    let mut served = 0;
    while let Ok(true) = serve_one(&mut connection, &shared, served).await {
        served += 1;
    }
}

async fn serve_one(connection: &mut Connection, shared: &Shared, served: usize) -> io::Result<bool> {
    let head = connection.head().await?;
    shared.heads.lock().unwrap().push(head.clone());
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let mut gate = shared.gate.subscribe();
    match path.as_str() {
        "/break" => return Ok(false),
        "/break-reused" if served > 0 => return Ok(false),
        "/slow" => drop(gate.wait_for(|open| *open).await),
        "/cut" => {
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await?;
            return Ok(false);
        }
        "/stream" => {
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n").await?;
            let _ = gate.wait_for(|open| *open).await;
            connection.send(b"3\r\nend\r\n0\r\n\r\n").await?;
            return Ok(true);
        }
        "/upgrade" => return upgrade(connection).await,
        _ => {}
    }
    answer(connection, shared, &head, &path).await
}

async fn upgrade(connection: &mut Connection) -> io::Result<bool> {
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await?;
    let mut buffer = [0; 1024];
    loop {
        let read = connection.stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(false);
        }
        connection.stream.write_all(&buffer[..read]).await?;
    }
}

async fn answer(connection: &mut Connection, shared: &Shared, head: &str, path: &str) -> io::Result<bool> {
    let mut received = Vec::new();
    if field(head, "expect").is_some() {
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if let Some(length) = field(head, "content-length") {
        received.resize(length.parse().unwrap(), 0);
        connection.stream.read_exact(&mut received).await?;
    } else if field(head, "transfer-encoding").is_some() {
        while let Some(chunk) = connection.chunk().await? {
            received.extend(chunk);
        }
    }
    let status = path.strip_prefix("/status/").unwrap_or("200");
    let body = match path {
        "/echo" => [head.as_bytes(), &received].concat(),
        path if path.starts_with("/bytes/") => vec![b'x'; path[7..].parse().unwrap()],
        _ => shared.name.clone().into_bytes(),
    };
    let length = if status == "204" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let hops = "Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n";
    let answer = format!("HTTP/1.1 {status} Whatever\r\n{hops}{length}\r\n");
    let headless = head.starts_with("HEAD ") || status == "204";
    connection.send(&[answer.as_bytes(), if headless { b"" } else { &body }].concat()).await?;
    Ok(true)
}
