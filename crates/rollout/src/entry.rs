//! The timeline that people read.

use crate::event::Verdict;
use crate::rollout::{Cause, Outcome, Phase};
use serin_model::{Digest, NodeName, PoolName};
use std::fmt;

/// Entries of a rollout's timeline.
pub const HISTORY_ENTRIES_MAX: usize = 400;
/// The first entries, which are never dropped.
pub(crate) const HISTORY_HEAD: usize = 40;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Entry {
    /// It began.
    Started,
    /// A node gets no new requests any more.
    Draining(NodeName),
    /// A node was given another version; `None`: it was stopped.
    Replaced {
        /// The node.
        node: NodeName,
        /// The version.
        digest: Option<Digest>,
    },
    /// A node takes traffic.
    Serving(NodeName),
    /// A node ended or could not start.
    NodeFailed {
        /// The node.
        node: NodeName,
        /// In words.
        reason: String,
    },
    /// A node no longer answers.
    NodeLost(NodeName),
    /// A node answers again.
    NodeBack(NodeName),
    /// The canary's nodes are ready to be tested.
    Detached(Vec<NodeName>),
    /// A canary step began.
    Step {
        /// Its number, from 1.
        step: usize,
        /// Its share, in parts per million.
        share_ppm: u32,
    },
    /// The judge's word changed.
    Verdict {
        /// The verdict.
        verdict: Verdict,
        /// In words.
        sentence: String,
    },
    /// A pool's turn came.
    PoolBegun {
        /// The pool.
        pool: PoolName,
        /// Who released it; `None`: it was its turn.
        by: Option<String>,
    },
    /// A pool runs the new version.
    PoolReleased(PoolName),
    /// The judge could not tell.
    Undecided(String),
    /// A person accepted what the judge could not decide.
    Accepted {
        /// Who.
        by: String,
    },
    /// The canary passed.
    Passed,
    /// A person held it.
    Paused {
        /// Who.
        by: String,
    },
    /// A person let it go on.
    Resumed {
        /// Who.
        by: String,
    },
    /// A person wants an older version back.
    GoesBack {
        /// Who.
        by: String,
    },
    /// It waits for people to agree.
    NeedsApprovals {
        /// How many.
        missing: u32,
    },
    /// A person agreed.
    Approved {
        /// Who.
        by: String,
        /// How many more are needed.
        missing: u32,
    },
    /// A person let it go on against its terms.
    Overridden {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A window without releases holds.
    Frozen {
        /// The window, as written.
        window: String,
        /// When no window holds any more, for people.
        ends: String,
    },
    /// No window without releases holds any more.
    Thawed,
    /// It turned back or stops.
    Turned(Cause),
    /// It cannot go on by itself.
    Stuck(String),
    /// It ended.
    Over(Outcome),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Draining(node) => write!(f, "{node} gets no new requests"),
            Self::Replaced { node, digest: Some(digest) } => write!(f, "{node} is given {}", digest.short()),
            Self::Replaced { node, digest: None } => write!(f, "{node} is stopped"),
            Self::Serving(node) => write!(f, "{node} is healthy and serves"),
            Self::NodeFailed { node, reason } => write!(f, "{node} failed: {reason}"),
            Self::NodeLost(node) => write!(f, "{node} no longer answers"),
            Self::NodeBack(node) => write!(f, "{node} answers again"),
            Self::Detached(nodes) => write!(f, "{} ready for tests", names(nodes)),
            Self::Step { step, share_ppm } => write!(f, "step {step}: {} of the traffic", share(*share_ppm)),
            Self::Verdict { verdict, sentence } => write!(f, "judge: {}: {sentence}", verdict.as_str()),
            Self::PoolBegun { pool, by: Some(by) } => write!(f, "pool {pool} released by {by}"),
            Self::PoolBegun { pool, by: None } => write!(f, "pool {pool} begins"),
            Self::PoolReleased(pool) => write!(f, "pool {pool} runs the new version"),
            Self::Undecided(sentence) => write!(f, "undecided: {sentence}"),
            Self::Accepted { by } => write!(f, "accepted by {by}"),
            Self::Passed => f.write_str("the canary passed"),
            Self::Paused { by } => write!(f, "paused by {by}"),
            Self::Resumed { by } => write!(f, "resumed by {by}"),
            Self::GoesBack { by } => write!(f, "an older version is wanted back by {by}"),
            Self::NeedsApprovals { missing: 1 } => f.write_str("waits for 1 approval"),
            Self::NeedsApprovals { missing } => write!(f, "waits for {missing} approvals"),
            Self::Approved { by, missing: 0 } => write!(f, "approved by {by}: enough people agree"),
            Self::Approved { by, missing } => write!(f, "approved by {by}: {missing} more needed"),
            Self::Overridden { by, reason } => write!(f, "terms overridden by {by}: {reason}"),
            Self::Frozen { window, ends } => write!(f, "releases are frozen until {ends} by {window}"),
            Self::Thawed => f.write_str("releases are no longer frozen"),
            Self::Turned(cause) => cause.fmt(f),
            Self::Stuck(sentence) => write!(f, "cannot go on: {sentence}"),
            Self::Over(outcome) => outcome.fmt(f),
        }
    }
}

impl Verdict {
    /// The word used on every wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } => write!(f, "failed: {reason}"),
            Self::Aborted { by, reason } if reason.is_empty() => write!(f, "aborted by {by}"),
            Self::Aborted { by, reason } => write!(f, "aborted by {by}: {reason}"),
            Self::RolledBack { by } => write!(f, "rolled back by {by}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::NothingToDo => f.write_str("nothing to do: every node runs this version already"),
            Self::Stopped(cause) => cause.fmt(f),
            Self::Superseded { by } => write!(f, "superseded by rollout {by}"),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("not started"),
            Self::Detaching => f.write_str("taking nodes out"),
            Self::Verifying => f.write_str("being tested"),
            Self::Stepping { step, .. } => write!(f, "in canary step {}", step + 1),
            Self::Deciding => f.write_str("undecided, waiting for a person"),
            Self::Held => f.write_str("held after a passed canary"),
            Self::AwaitingPool { pool } => write!(f, "waiting for the release of pool {pool}"),
            Self::Rolling { pool: Some(pool) } => write!(f, "releasing pool {pool}"),
            Self::Rolling { pool: None } => f.write_str("deploying"),
            Self::Watching { pool, .. } => write!(f, "watching pool {pool}"),
            Self::Restoring(_) => f.write_str("restoring the version before"),
            Self::Stopping(_) => f.write_str("stopping"),
            Self::Over(outcome) => write!(f, "over: {outcome}"),
        }
    }
}

/// Joins names as in a sentence.
pub(crate) fn names(nodes: &[NodeName]) -> String {
    let texts: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    match texts.split_last() {
        None => String::from("no node"),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Writes parts per million as a percentage.
pub(crate) fn share(ppm: u32) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{names, share};

    #[test]
    fn shares_read_as_percentages() {
        for (ppm, text) in [(0, "0 %"), (10_000, "1 %"), (1_000, "0.1 %"), (205_000, "20.5 %"), (1_000_000, "100 %")] {
            assert_eq!(share(ppm), text);
        }
    }

    #[test]
    fn names_join_as_in_a_sentence() {
        assert_eq!(names(&[]), "no node");
        assert_eq!(names(&["a".into()]), "a");
        assert_eq!(names(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
