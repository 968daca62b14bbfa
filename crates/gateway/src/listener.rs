//! A listening address and the connections that come in over it.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::{GetSocketDigest, SocketDigest, Stream, l4};
use pingora_proxy::HttpProxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::preamble::{self, Preamble, Refusal};
use crate::proxy::Edge;
use crate::table::Environment;

/// How long a client's connection is kept between requests, in seconds.
const KEEPALIVE_SECONDS: u64 = 75;
/// Pause after the system gave no connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a refused client may go on sending before the connection is cut.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it is read at most, in bytes.
const LINGER_BYTES_MAX: u64 = 256 * 1024;

/// What every connection of an environment shares.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) environment: Arc<Environment>,
    pub(crate) proxy: Arc<HttpProxy<Edge>>,
    /// Turns true when the environment or the gateway ends.
    pub(crate) stop: watch::Receiver<bool>,
    /// One permit per connection, for the whole gateway.
    pub(crate) connections: Arc<Semaphore>,
}

/// An open listener; dropped, it stops accepting, and its connections go on.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Listening {
    pub(crate) fn start(listener: TcpListener, address: SocketAddr, door: Door) -> Self {
        Self { address, accepting: tokio::spawn(accept(listener, door)) }
    }

    /// Stops accepting; the address is free afterwards.
    pub(crate) async fn close(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, door: Door) {
    loop {
        let Ok(permit) = Arc::clone(&door.connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => drop(tokio::spawn(serve(stream, client, door.clone(), permit))),
            Err(error) => {
                tracing::warn!(environment = %door.environment.key, %error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, mut door: Door, _permit: OwnedSemaphorePermit) {
    let mut next = wrap(stream, client);
    while let Some(mut stream) = next {
        next = match preamble::read(&mut stream, &mut door.stop).await {
            Preamble::Request(begun) => serve_request(stream, begun, &door).await,
            Preamble::Refused(refusal) => {
                door.environment.refused.fetch_add(1, Ordering::Relaxed);
                refuse(&mut stream, refusal).await;
                None
            }
            Preamble::End => None,
        };
    }
}

async fn serve_request(stream: Stream, begun: bytes::BytesMut, door: &Door) -> Option<Stream> {
    let mut session = ServerSession::new_http1(stream);
    session.set_keepalive(Some(KEEPALIVE_SECONDS));
    session.set_pipelined_prefix(begun);
    let reusable = door.proxy.process_new_http(session, &door.stop).await?;
    Some(reusable.consume().0)
}

fn wrap(stream: TcpStream, client: SocketAddr) -> Option<Stream> {
    let mut stream = l4::stream::Stream::from(stream);
    stream.set_nodelay().ok()?;
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    let _ = digest.peer_addr.set(Some(client.into()));
    stream.set_socket_digest(digest);
    Some(Box::new(stream))
}

/// Answers and closes; reads on for a moment, since a close with unread bytes could destroy the answer on its way.
async fn refuse(stream: &mut Stream, refusal: Refusal) {
    let (status, reason) = (refusal.status(), refusal.reason());
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
         {reason}\n",
        reason.len() + 1
    );
    let farewell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        AsyncWriteExt::shutdown(stream).await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await
    };
    let _ = timeout(LINGER, farewell).await;
}
