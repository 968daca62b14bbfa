//! Whether an engine is away: asked again and again, told to all who wait for it.

use super::Engine;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take; an engine that gives none by then is away.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The same while it is away, or was not heard yet: a connection has to be made first.
const RETURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Refusals in a row that make it count as away: one alone may be a connection that has just become old.
const REFUSALS_MAX: u32 = 2;

/// What is known of an engine's absence: the reason while it is away.
#[derive(Clone)]
pub(super) struct Absence(watch::Receiver<Option<String>>);

impl Absence {
    /// Knows nothing yet; what is found is told to the sender.
    pub(super) fn new() -> (watch::Sender<Option<String>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// The reason, while it is away.
    pub(super) fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until it is away; the reason.
    pub(super) async fn begun(&mut self) -> String {
        let reason = self.0.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

/// Asks an engine until `tell` wants to hear no more; tells what each round showed: the reason where it is away.
pub(super) async fn attend(engine: Engine, name: String, tell: impl Fn(Option<String>) -> Option<()>) {
    let mut refusals = 0_u32;
    let mut patience = RETURN_TIMEOUT;
    loop {
        let answer = timeout(patience, engine.ping()).await;
        let why = match answer {
            Ok(Ok(())) => {
                refusals = 0;
                None
            }
            Ok(Err(error)) => {
                refusals = refusals.saturating_add(1);
                Some(error.to_string()).filter(|_| refusals >= REFUSALS_MAX)
            }
            Err(_) => Some(format!("no answer within {} s", patience.as_secs_f64())),
        };
        patience = if why.is_some() { RETURN_TIMEOUT } else { ANSWER_TIMEOUT };
        let reason = why.map(|why| format!("{name} does not answer: {why}"));
        if tell(reason).is_none() {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
