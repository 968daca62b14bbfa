//! Steady traffic through a gateway, every answer counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Time between two requests of one client.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of the requests.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests answered with 200.
    pub good: u64,
    /// Others, by cause.
    pub failed: BTreeMap<String, u64>,
    /// Good answers by their body.
    pub bodies: BTreeMap<String, u64>,
}

/// Clients that send requests until this value ends.
pub struct Load {
    counts: Arc<Mutex<Counts>>,
    _clients: JoinSet<()>,
}

impl Load {
    /// Starts so many clients, 50 requests a second each.
    #[must_use]
    pub fn start(address: &str, clients: usize) -> Self {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn(client(address.to_owned(), Arc::clone(&counts)));
        }
        Self { counts, _clients: running }
    }

    /// What came of the requests so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn client(address: String, counts: Arc<Mutex<Counts>>) {
    let http = reqwest::Client::builder().timeout(ANSWER_TIME_MAX).build().unwrap_or_default();
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = match http.get(&address).send().await {
            Ok(answer) if answer.status().is_success() => answer.text().await.map_err(|error| format!("{error:?}")),
            Ok(answer) => Err(answer.status().to_string()),
            Err(error) => Err(format!("{error:?}")),
        };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(body) => {
                counts.good += 1;
                *counts.bodies.entry(body).or_default() += 1;
            }
            Err(cause) => *counts.failed.entry(cause).or_default() += 1,
        }
    }
}
