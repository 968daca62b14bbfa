//! What the server shall do after a step.

use crate::rollout::{Outcome, Watch};
use serin_model::{Digest, NodeName, PoolName};

/// Something to carry out, at least once; each is harmless when repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// The desired nodes changed: wake what reconciles the platform.
    Nodes,
    /// The desired routes changed: wake what reconciles the gateway.
    Routes {
        /// Their new revision.
        revision: u64,
    },
    /// Begin a comparison (also in [`crate::Rollout::desired_watch`]).
    JudgeStart(Watch),
    /// End a comparison.
    JudgeStop {
        /// Its number.
        watch: u32,
    },
    /// End or advance the pipeline job that waits for this.
    Report(Milestone),
    /// Tell people.
    Notify {
        /// How it is meant.
        tone: Tone,
        /// One sentence.
        text: String,
    },
    /// Mark the target's commit as verified.
    MarkVerified,
    /// Mark the target's commit as failed.
    MarkFailed {
        /// In words.
        reason: String,
    },
    /// It ended: keep the deployment's record.
    Over {
        /// How.
        outcome: Outcome,
        /// What every node runs at the end.
        nodes: Vec<Assignment>,
    },
}

/// A point that a pipeline job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Milestone {
    /// Canary nodes run the new version without traffic: `detach` succeeded.
    Detached {
        /// Those nodes.
        nodes: Vec<NodeName>,
    },
    /// The canary passed: `canary` succeeded.
    CanaryPassed,
    /// Every node runs the new version: `deploy` succeeded.
    Deployed,
    /// A pool runs the new version; the job goes on.
    PoolReleased {
        /// That pool.
        pool: PoolName,
    },
    /// Every pool runs the new version: `release` succeeded.
    Released,
    /// Every node ran the target already: whichever job waits succeeded.
    NothingToDo,
    /// It failed, was aborted, rolled back or superseded: whichever job waits failed.
    Failed {
        /// In words.
        reason: String,
    },
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Tone {
    /// It goes its way.
    Info,
    /// It ended well.
    Good,
    /// It went wrong.
    Bad,
    /// A person must decide.
    Asks,
}

/// What a node runs at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Assignment {
    /// The node.
    pub node: NodeName,
    /// Its version; `None`: stopped.
    pub digest: Option<Digest>,
    /// Its generation.
    pub generation: u64,
}
