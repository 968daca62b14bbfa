//! Connections to nodes for requests that ask for an upgrade.
//!
//! pingora-proxy 0.9 passes the end of such a request's empty body and the node's answer on side by side. Where the
//! 101 is read before the body's end is passed on, it takes that end for the end of the upgraded connection and closes
//! it. A connection whose first read yields for one turn puts the two in order.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Makes such connections, each within a time.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) limit: Duration,
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let address = address.as_inet().ok_or_else(|| Error::new(ErrorType::ConnectError))?;
        let connecting = timeout(self.limit, TcpStream::connect(address)).await;
        let stream = connecting
            .or_err(ErrorType::ConnectTimedout, "connecting to a node for an upgrade")?
            .or_err(ErrorType::ConnectError, "connecting to a node for an upgrade")?;
        stream.set_nodelay(true).or_err(ErrorType::SocketError, "setting a connection up")?;
        Ok(VirtualSocketStream::new(Box::new(OneTurnLate { stream, yielded: false })).into())
    }
}

#[derive(Debug)]
struct OneTurnLate {
    stream: TcpStream,
    yielded: bool,
}

impl AsyncRead for OneTurnLate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.yielded, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for OneTurnLate {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl VirtualSocket for OneTurnLate {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(true),
            _ => Ok(()),
        }
    }
}
