//! The control socket's side of the gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use crate::Error;
use crate::gateway::Gateway;
use crate::wire::{self, Request, Response};

/// Most control connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for a drain.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Pause after the system gave no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers commands until the gateway ends.
pub(crate) async fn serve(listener: UnixListener, gateway: Arc<Gateway>, end: mpsc::Sender<()>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (gateway, end) = (Arc::clone(&gateway), end.clone());
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = converse(stream, &gateway, &end).await {
                tracing::debug!(%error, "control connection ended");
            }
        });
    }
}

async fn converse(stream: UnixStream, gateway: &Gateway, end: &mpsc::Sender<()>) -> Result<(), Error> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = wire::read(&mut stream).await? {
        let response = match request {
            Request::WaitDrained { key, node, timeout_ms } => {
                let limit = Duration::from_millis(timeout_ms).min(DRAIN_WAIT_MAX);
                tokio::select! {
                    outcome = gateway.wait_drained(&key, &node, limit) => or_failed(outcome.map(Response::Drained)),
                    _ = tokio::io::AsyncBufReadExt::fill_buf(&mut stream) => return Ok(()),
                }
            }
            request => answer(request, gateway, end).await,
        };
        wire::write(&mut stream, &response).await?;
    }
    Ok(())
}

async fn answer(request: Request, gateway: &Gateway, end: &mpsc::Sender<()>) -> Response {
    match request {
        Request::Apply(routes) => or_failed(gateway.apply(routes).await.map(Response::Applied)),
        Request::Stats => Response::Stats(gateway.stats()),
        Request::Info | Request::WaitDrained { .. } => Response::Info(gateway.info()),
        Request::Shutdown => {
            let _ = end.try_send(());
            Response::Stopping
        }
    }
}

fn or_failed(outcome: Result<Response, Error>) -> Response {
    outcome.unwrap_or_else(|error| Response::Failed(error.into()))
}
