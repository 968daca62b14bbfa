//! What happens to a rollout, and why it may say no.

use crate::consent::Freeze;
use serin_model::{Digest, NodeName, PoolName, RolloutId, Timestamp};

/// Something that happened. Every event may come twice, late, and after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// It may begin.
    Start,
    /// The gateway has taken this revision of the routes.
    RoutesApplied {
        /// The revision of [`crate::Rollout::revision`] that was current when the routes were read.
        revision: u64,
    },
    /// The gateway, having taken this revision, counts no request in flight on a draining node.
    Drained {
        /// The node.
        node: NodeName,
        /// The revision that it has taken.
        revision: u64,
    },
    /// A node answers its health check, for the first time or again.
    NodeHealthy {
        /// The node.
        node: NodeName,
        /// The generation that answers.
        generation: u64,
        /// When that was seen.
        at: Timestamp,
    },
    /// A node ended, or could not be started.
    NodeFailed {
        /// The node.
        node: NodeName,
        /// The generation.
        generation: u64,
        /// When that was seen.
        at: Timestamp,
        /// In words.
        reason: String,
    },
    /// A node that was healthy no longer answers.
    NodeLost {
        /// The node.
        node: NodeName,
        /// The generation.
        generation: u64,
        /// When that was seen.
        at: Timestamp,
    },
    /// The canary job has started: what tests the detached nodes has passed.
    CanaryRequested,
    /// The tests of the detached nodes have failed.
    VerificationFailed {
        /// In words.
        reason: String,
    },
    /// The judge has looked.
    Verdict {
        /// Number of the comparison, [`crate::Watch::number`].
        watch: u32,
        /// Number of the tick, growing within the comparison.
        tick: u64,
        /// What it says.
        verdict: Verdict,
        /// In words.
        sentence: String,
    },
    /// Time has passed.
    Wake,
    /// A person releases a pool.
    ReleasePool {
        /// The pool.
        pool: PoolName,
        /// Who.
        by: String,
    },
    /// A person holds it where it is.
    Pause {
        /// Who.
        by: String,
    },
    /// A person lets it go on after a pause.
    Resume {
        /// Who.
        by: String,
    },
    /// A host that its nodes are on does not answer.
    HostLost {
        /// Which, and why, in words.
        by: String,
    },
    /// Every host answers again.
    HostBack {
        /// In words.
        by: String,
    },
    /// A person accepts what the judge could not decide.
    Accept {
        /// Number of the comparison, [`crate::Watch::number`]: a second click does not accept another one.
        watch: u32,
        /// Who.
        by: String,
    },
    /// A person stops it: a release stays where it is, everything else goes back.
    Abort {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person wants the version before on every node.
    RollBack {
        /// Who.
        by: String,
    },
    /// A person agrees to this release.
    Approve {
        /// Who.
        by: String,
        /// What: a click on an older version approves nothing.
        digest: Digest,
    },
    /// A person lets this release go on against its terms.
    Override {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The calendar says which window without releases holds now.
    Freeze(Option<Freeze>),
    /// Another rollout takes its place, beginning on [`crate::Rollout::standing`].
    Superseded {
        /// That one.
        by: RolloutId,
    },
}

/// What the judge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Verdict {
    /// Not enough evidence either way.
    Continue,
    /// Within tolerance, with the configured confidence.
    Pass,
    /// Worse than tolerated.
    Fail,
    /// The time is over and neither is shown.
    Inconclusive,
}

/// Why an event is refused; it changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The environment has no node.
    #[error("the environment has no nodes; give it some under `environments` in `serin.yml`")]
    NoNodes,
    /// The environment is too large.
    #[error("the environment has {nodes} nodes, and at most {} are carried", crate::Rollout::NODES_MAX)]
    TooManyNodes {
        /// How many it has.
        nodes: usize,
    },
    /// Two nodes of one name.
    #[error("two nodes are named `{node}`; names are unique in an environment")]
    NodeTwice {
        /// The name.
        node: NodeName,
    },
    /// A canary without steps.
    #[error("the canary has no steps; give it some under `canary.steps` in `serin.yml`")]
    NoSteps,
    /// A canary without nodes.
    #[error("the canary has no nodes; set `canary.nodes` to 1 or more")]
    NoCanaryNodes,
    /// Nothing serves, so that there is nothing to compare with.
    #[error("no node serves yet, so a canary has nothing to compare with; deploy the first version instead")]
    NothingServing,
    /// Taking the canary nodes out would leave too few.
    #[error(
        "taking {wanted} nodes out would leave {left} serving, and {minimum} must go on; lower `canary.nodes` or \
         `min_serving`, or add nodes"
    )]
    TooFewServing {
        /// Canary nodes asked for.
        wanted: usize,
        /// Nodes that would go on serving.
        left: usize,
        /// Nodes that must.
        minimum: usize,
    },
    /// Too few healthy nodes.
    #[error(
        "the canary needs {wanted} healthy nodes, and {healthy} are; wait until nodes are back, or lower `canary.nodes`"
    )]
    TooFewHealthy {
        /// Canary nodes asked for.
        wanted: usize,
        /// Healthy ones.
        healthy: usize,
    },
    /// It is over.
    #[error("the rollout of `{}` is over; start a new one", target.short())]
    Over {
        /// Its target.
        target: Digest,
    },
    /// Not the pool's turn.
    #[error("pool `{pool}` cannot be released now{}", hint(next.as_ref()))]
    NotThisPool {
        /// The pool that was asked for.
        pool: PoolName,
        /// The one whose turn it is.
        next: Option<PoolName>,
    },
    /// It is held by a person.
    #[error("the rollout is paused by `{by}`; resume it first")]
    Paused {
        /// Who.
        by: String,
    },
    /// Too few people agreed.
    #[error("the release is not approved: {given} of {needed} approvals are given; `serin approve` gives one")]
    NotApproved {
        /// Approvals that it has.
        given: u32,
        /// Approvals that it needs.
        needed: u32,
    },
    /// A window without releases.
    #[error("releases are frozen until {ends} by `{window}`")]
    Frozen {
        /// The window, as written.
        window: String,
        /// When it ends, for people.
        ends: String,
    },
    /// Something else is released.
    #[error("`{}` is not what is released now, which is `{}`; look at that, then approve it", digest.short(), target.short())]
    NotThisVersion {
        /// What was approved.
        digest: Digest,
        /// What is released.
        target: Digest,
    },
    /// Who wrote the change does not agree to it.
    #[error("`{by}` wrote part of this change, and somebody else must approve it")]
    OwnChange {
        /// Who.
        by: String,
    },
    /// Not one of those who may.
    #[error("`{by}` is no approver; these are: {}", approvers.join(", "))]
    NoApprover {
        /// Who.
        by: String,
        /// Those who may.
        approvers: Vec<String>,
    },
    /// This cannot be done in the present phase.
    #[error("cannot {what} while the rollout is {phase}")]
    NotNow {
        /// What was asked for.
        what: &'static str,
        /// The present phase in words.
        phase: String,
    },
}

fn hint(next: Option<&PoolName>) -> String {
    next.map(|pool| format!("; the next one is `{pool}`")).unwrap_or_default()
}
