//! Steady traffic through the gateway, and what became of every request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinHandle;

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Milliseconds between two bursts of the generator.
const BURST_MS: u64 = 20;

/// What part of the story a request was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// Version 1 alone.
    Before,
    /// The good change: from its push to its release.
    Good,
    /// The bad change: from its push to its roll back.
    Bad,
}

/// Counts of one chapter.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests sent.
    pub sent: u64,
    /// Requests that failed, by cause.
    pub failed: BTreeMap<String, u64>,
    /// Seconds that the chapter lasted so far.
    pub seconds: f64,
}

impl Counts {
    /// All that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

struct State {
    chapter: Chapter,
    since: Instant,
    counts: BTreeMap<Chapter, Counts>,
}

/// A running generator.
pub struct Load {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Sends `rate` requests a second to `base` until dropped.
    pub fn start(base: String, rate: u32) -> Self {
        let first = State { chapter: Chapter::Before, since: Instant::now(), counts: BTreeMap::new() };
        let state = Arc::new(Mutex::new(first));
        let task = tokio::spawn(generate(base, rate, Arc::clone(&state)));
        Self { state, task }
    }

    /// Begins a chapter: what is sent from now on counts for it.
    pub fn begin(&self, chapter: Chapter) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = state.since.elapsed().as_secs_f64();
        let last = state.chapter;
        state.counts.entry(last).or_default().seconds += elapsed;
        state.since = Instant::now();
        state.chapter = chapter;
    }

    /// What became of a chapter's requests so far.
    pub fn counts(&self, chapter: Chapter) -> Counts {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = state.counts.get(&chapter).cloned().unwrap_or_default();
        if state.chapter == chapter {
            counts.seconds += state.since.elapsed().as_secs_f64();
        }
        counts
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn generate(base: String, rate: u32, state: Arc<Mutex<State>>) {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(64).build_http();
    let mut burst = tokio::time::interval(Duration::from_millis(BURST_MS));
    burst.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut owed = 0.0;
    let mut number = 0_u64;
    loop {
        burst.tick().await;
        owed += f64::from(rate) * BURST_MS as f64 / 1000.0;
        while owed >= 1.0 {
            owed -= 1.0;
            number += 1;
            let chapter = {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let chapter = state.chapter;
                state.counts.entry(chapter).or_default().sent += 1;
                chapter
            };
            tokio::spawn(send(client.clone(), request(&base, number), (Arc::clone(&state), chapter)));
        }
    }
}

/// A shopper's request: pages and products mostly, a cart now and then.
fn request(base: &str, number: u64) -> hyper::Request<Full<Bytes>> {
    let product = number % 240 + 1;
    let (method, path, body) = match number % 10 {
        0 => ("POST", "/api/cart".to_owned(), format!("{{\"items\":[{{\"id\":{product},\"pieces\":2}}]}}")),
        1 => ("GET", "/api/products?q=oak+chair".to_owned(), String::new()),
        2 => ("GET", format!("/api/products/{product}/similar"), String::new()),
        3 => ("GET", format!("/?page={}", number % 8 + 1), String::new()),
        4 => ("GET", format!("/api/products/{product}/sales?days=7"), String::new()),
        _ => ("GET", format!("/api/products/{product}"), String::new()),
    };
    let mut request = hyper::Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = if method == "POST" { hyper::Method::POST } else { hyper::Method::GET };
    if let Ok(uri) = format!("{base}{path}").parse() {
        *request.uri_mut() = uri;
    }
    let json = hyper::header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    request
}

async fn send(
    client: Client<HttpConnector, Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
    (state, chapter): (Arc<Mutex<State>>, Chapter),
) {
    let answered = tokio::time::timeout(REQUEST_LIMIT, async {
        let response = client.request(request).await.map_err(|error| cause(&error))?;
        let status = response.status();
        response.into_body().collect().await.map_err(|_| "answer cut off".to_owned())?;
        if status.is_success() { Ok(()) } else { Err(format!("HTTP {}", status.as_u16())) }
    });
    let failure = match answered.await {
        Ok(Ok(())) => return,
        Ok(Err(cause)) => cause,
        Err(_) => "no answer in time".to_owned(),
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    *state.counts.entry(chapter).or_default().failed.entry(failure).or_default() += 1;
}

fn cause(error: &hyper_util::client::legacy::Error) -> String {
    if error.is_connect() { "connection refused".to_owned() } else { "connection broken".to_owned() }
}
