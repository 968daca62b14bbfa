//! Server-sent events: says that something changed, so that a page asks for it anew; for a job also how far its log is.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serin_objects::TraceState;
use serin_server::hub::Change;
use serin_server::{App, auth, runner};
use serin_store::pipeline as rows;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Things that one page may listen to.
const TOPICS_MAX: usize = 64;
/// Events that wait for a slow browser.
const WAITING_MAX: usize = 16;
/// Time between two signs of life.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time between two words about a log.
const TRACE_PAUSE: Duration = Duration::from_millis(80);

/// `GET /events?project=1&pipeline=2…`
pub(crate) async fn events(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    match auth::account_of(&app, &headers).await {
        Ok(Some(_)) => {}
        Ok(None) => return StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => return error.into_response(),
    }
    let topics = topics(query.as_deref().unwrap_or_default());
    if topics.is_empty() {
        return (StatusCode::BAD_REQUEST, "name something to listen to\n").into_response();
    }
    let changes = app.hub.listen();
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(Stream { app, topics, changes, sender }.run());
    let mut response =
        Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What a query wants to hear of.
fn topics(query: &str) -> Vec<Change> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let known = pairs.filter_map(|(kind, id)| {
        let id = id.parse().ok()?;
        match kind {
            "project" => Some(Change::Project(id)),
            "merge_request" => Some(Change::MergeRequest(id)),
            "pipeline" => Some(Change::Pipeline(id)),
            "job" => Some(Change::Job(id)),
            "environment" => Some(Change::Environment(id)),
            _ => None,
        }
    });
    known.take(TOPICS_MAX).collect()
}

struct Stream {
    app: Arc<App>,
    topics: Vec<Change>,
    changes: broadcast::Receiver<Change>,
    sender: mpsc::Sender<Result<Event, Infallible>>,
}

impl Stream {
    /// Runs until the browser is gone or the server stops.
    async fn run(mut self) {
        let mut trace = self.trace().await;
        let mut stop = std::pin::pin!(stop_asked());
        loop {
            let event = tokio::select! {
                () = self.sender.closed() => return,
                () = &mut stop => return,
                change = self.changes.recv() => match change {
                    Ok(change) if self.topics.contains(&change) => {
                        if matches!(change, Change::Job(_)) {
                            trace = self.trace().await;
                        }
                        Event::default().event("change").data("1")
                    }
                    Ok(_) => continue,
                    Err(broadcast::error::RecvError::Lagged(_)) => Event::default().event("change").data("1"),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                state = next_state(&mut trace) => told(state),
            };
            if self.sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
    }

    /// Follows the log of the job that is listened to.
    async fn trace(&self) -> Option<watch::Receiver<TraceState>> {
        let id = self.topics.iter().find_map(|topic| if let Change::Job(id) = topic { Some(*id) } else { None })?;
        let row = rows::job_get(&mut *self.app.store.read().await.ok()?, id).await.ok()??;
        let mut receiver = self.app.objects.traces.follow(runner::attempt_key(&row)).await.ok()?;
        // What was printed before is told as well: the page may be older.
        receiver.mark_changed();
        Some(receiver)
    }
}

/// Waits until the process is asked to stop: a stream that stayed open would hold a server up that ends in good order.
async fn stop_asked() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn next_state(trace: &mut Option<watch::Receiver<TraceState>>) -> TraceState {
    let Some(receiver) = trace else { return std::future::pending().await };
    if receiver.changed().await.is_err() {
        *trace = None;
        return std::future::pending().await;
    }
    // Another event may end the pause; what was printed is then still to be told.
    receiver.mark_changed();
    // What is printed in the meantime is told with it.
    tokio::time::sleep(TRACE_PAUSE).await;
    *receiver.borrow_and_update()
}

fn told(state: TraceState) -> Event {
    let numbers = HashMap::from([("lines", state.lines), ("size", state.size)]);
    let text = serde_json::to_string(&numbers).unwrap_or_default();
    Event::default().event("trace").data(text)
}

#[cfg(test)]
mod tests {
    use serin_server::hub::Change;

    use super::{TOPICS_MAX, topics};

    #[test]
    fn topics_are_known_and_bounded() {
        assert_eq!(topics("pipeline=3&x=1&job=y&project=2"), [Change::Pipeline(3), Change::Project(2)]);
        assert_eq!(topics(&"job=1&".repeat(1000)).len(), TOPICS_MAX);
        assert_eq!(topics(""), []);
    }
}
