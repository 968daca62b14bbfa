//! Tells open pages what changed, so that they ask for it anew.

use tokio::sync::broadcast;

/// Changes that a slow page may fall behind before it is told to reload all.
const BACKLOG: usize = 1024;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A project's refs or settings.
    Project(i64),
    /// A merge request.
    MergeRequest(i64),
    /// A pipeline or one of its jobs.
    Pipeline(i64),
    /// A job.
    Job(i64),
    /// An environment, its nodes, its rollout.
    Environment(i64),
}

/// Where changes are told.
#[derive(Clone, Debug)]
pub struct Hub(broadcast::Sender<Change>);

impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Hub {
    /// Tells whoever listens.
    pub fn tell(&self, change: Change) {
        // No listener is no failure.
        let _ = self.0.send(change);
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}
