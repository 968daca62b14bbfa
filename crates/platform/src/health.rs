//! The health checks of every platform: a GET by hand, so that a supervisor stays small, a connection, or a command.

use serin_model::service::{Health, Probe};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Bytes read of an answer: the status line and something more.
const HEAD_BYTES_MAX: usize = 1024;
/// How long one check may take.
pub(crate) const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Interval of the first checks of a fresh process; grows up to the set one.
const INTERVAL_FIRST: Duration = Duration::from_millis(15);

/// One check's result: what was wrong, if anything.
pub(crate) type Check = Result<(), String>;

/// Checks again and again and sends each result, until the receiver is gone.
pub(crate) async fn watch<F>(ask: impl Fn() -> F, interval_ms: i64, results: mpsc::Sender<Check>)
where
    F: Future<Output = Check>,
{
    let interval = Duration::from_millis(u64::try_from(interval_ms).unwrap_or(0)).max(INTERVAL_MIN);
    let mut pause = INTERVAL_FIRST.min(interval);
    loop {
        let result = ask().await;
        pause = if result.is_ok() { interval } else { (pause * 5 / 4).min(interval) };
        if results.send(result).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

/// Asks over the network, by GET or, of any other probe, by a connection; `within` bounds it.
pub(crate) async fn ask(address: SocketAddr, health: &Health, within: Duration) -> Check {
    let port = address.port();
    let seconds = within.as_secs_f64();
    if health.probe != Probe::Http {
        return match timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("port {port} takes no connection: {error}")),
            Err(_) => Err(format!("port {port} took no connection within {seconds} s")),
        };
    }
    let path = &health.path;
    match timeout(within, get(address, path)).await {
        Ok(Ok(200..=399)) => Ok(()),
        Ok(Ok(status)) => Err(format!("`GET {path}` answered {status}")),
        Ok(Err(error)) => Err(format!("`GET {path}` on port {port}: {error}")),
        Err(_) => Err(format!("`GET {path}` had no answer within {seconds} s")),
    }
}

async fn get(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: serin-health\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    while head.len() < HEAD_BYTES_MAX && !head.contains(&b'\n') {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    status_of(&head).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

/// The status of an answer (RFC 9112, section 4).
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let digits = std::str::from_utf8(rest.get(2..5)?).ok()?;
    (rest.get(1) == Some(&b' ')).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::status_of;

    #[test]
    fn status_lines() {
        assert_eq!(status_of(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status_of(b"HTTP/1.0 503\r\n"), Some(503));
        for wrong in [&b""[..], b"HTTP/1.1", b"HTTP/2 200 x", b"SSH-2.0-x\r\n", b"HTTP/1.1 2x0 y"] {
            assert_eq!(status_of(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
