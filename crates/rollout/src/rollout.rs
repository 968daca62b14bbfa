//! The state: one rollout of one environment.

use crate::consent::{Approval, Freeze, Override};
use crate::entry::{Entry, HISTORY_ENTRIES_MAX, HISTORY_HEAD};
use crate::event::{Refusal, Verdict};
use crate::settings::Settings;
use crate::slot::{Slot, Standing, Traffic};
use serin_model::service::Order;
use serin_model::{Digest, NodeName, PoolName, RolloutId, Timestamp};
use std::collections::BTreeSet;

/// One progressive change of an environment: plain data, kept by the server as a versioned record.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rollout {
    /// Its number.
    pub id: RolloutId,
    /// What it is for.
    pub kind: Kind,
    /// The version that it brings.
    pub target: Digest,
    /// How it goes.
    pub settings: Settings,
    /// The environment's nodes, pool by pool in the order of release.
    pub slots: Vec<Slot>,
    /// Where it is.
    pub phase: Phase,
    /// Who holds it, if anyone.
    pub pause: Option<Pause>,
    /// When a host that was away came back last.
    #[cfg_attr(feature = "serde", serde(default))]
    pub host_back: Option<Timestamp>,
    /// The approved share of the canary group, in parts per million.
    pub share_ppm: u32,
    /// How many nodes that share was approved for.
    pub share_nodes: u32,
    /// Grows with each change of the desired routes, across rollouts of the environment.
    pub revision: u64,
    /// The newest revision of the routes that the gateway is known to have taken.
    pub applied: u64,
    /// What the judge compares now.
    pub watch: Option<Watch>,
    /// How many comparisons were begun; the number of the latest one.
    pub watches: u32,
    /// The judge's latest word on the latest comparison.
    pub judgement: Option<Judgement>,
    /// Pools that were released, in order.
    pub released: Vec<PoolName>,
    /// Who agreed to this release.
    #[cfg_attr(feature = "serde", serde(default))]
    pub approvals: Vec<Approval>,
    /// The window without releases that holds now, as the server says.
    #[cfg_attr(feature = "serde", serde(default))]
    pub freeze: Option<Freeze>,
    /// Who let the release go on against its terms.
    #[cfg_attr(feature = "serde", serde(default))]
    pub overridden: Option<Override>,
    /// The canary job has started already, before the nodes were ready.
    pub canary_requested: bool,
    /// Since when nothing can move without the world or a person changing; `None`: it moves.
    pub stuck: Option<Timestamp>,
    /// Whether people were told that it is stuck.
    pub stuck_told: bool,
    /// When it was made.
    pub created: Timestamp,
    /// What happened, for people, oldest first; at most [`HISTORY_ENTRIES_MAX`] entries.
    pub history: Vec<(Timestamp, Entry)>,
}

/// What a rollout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// All nodes, batch by batch: a test environment, or the first version of any.
    Deploy,
    /// A few nodes under a small share of traffic, judged.
    Canary,
    /// All nodes, pool by pool, judged.
    Release,
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Phase {
    /// Made, not started.
    Created,
    /// Canary: its nodes are drained, replaced and started.
    Detaching,
    /// Canary: its nodes are healthy without traffic; the pipeline tests them.
    Verifying,
    /// Canary: its nodes get a step's share.
    Stepping {
        /// Index into [`Settings::steps`].
        step: usize,
        /// When it began, moved on by pauses.
        since: Timestamp,
    },
    /// The judge could not tell: a person accepts, aborts or rolls back.
    Deciding,
    /// Canary passed: its nodes keep the version and the last share.
    Held,
    /// Release: waits for a person's click.
    AwaitingPool {
        /// The next pool.
        pool: PoolName,
    },
    /// Nodes are replaced batch by batch.
    Rolling {
        /// The pool; `None`: all of them.
        pool: Option<PoolName>,
    },
    /// Release: a pool is compared with the nodes that are not yet updated.
    Watching {
        /// The pool.
        pool: PoolName,
        /// When it began, moved on by pauses.
        since: Timestamp,
    },
    /// Nodes go back to the version before.
    Restoring(Cause),
    /// Nodes in the middle of a change finish, then it ends.
    Stopping(Cause),
    /// Nothing more happens, except that nodes come and go.
    Over(Outcome),
}

/// Why a rollout turned back or stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Cause {
    /// The change is bad, or the world did not let it in.
    Failed {
        /// In words.
        reason: String,
    },
    /// A person stopped it.
    Aborted {
        /// Who.
        by: String,
        /// Why, in the person's words.
        reason: String,
    },
    /// A person wanted the version before.
    RolledBack {
        /// Who.
        by: String,
    },
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome {
    /// Every node of its scope runs the target.
    Succeeded,
    /// Every node ran the target already.
    NothingToDo,
    /// It turned back or stopped.
    Stopped(Cause),
    /// Another rollout took its place.
    Superseded {
        /// That one.
        by: RolloutId,
    },
}

/// A hold, by a person or while a host is away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// A host is away: nothing is expected of nodes meanwhile.
    #[cfg_attr(feature = "serde", serde(default))]
    pub host: bool,
}

/// A comparison that the judge shall carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Watch {
    /// Its number in the rollout; a verdict of another number is ignored.
    pub number: u32,
    /// Nodes on the new version.
    pub canary: Vec<NodeName>,
    /// Nodes on the old version.
    pub baseline: Vec<NodeName>,
    /// When it began.
    pub since: Timestamp,
    /// Milliseconds after which the judge must have decided.
    pub horizon_ms: i64,
}

/// The judge's word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The tick after which it was said.
    pub tick: u64,
    /// In words.
    pub sentence: String,
}

/// What a new rollout shall bring.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The rollout's number.
    pub id: RolloutId,
    /// What it is for.
    pub kind: Kind,
    /// The version.
    pub digest: Digest,
    /// How it goes.
    pub settings: Settings,
}

/// The environment that a new rollout begins on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ground {
    /// Its nodes, pool by pool in the order of release.
    pub nodes: Vec<Standing>,
    /// The approved share of a held canary, in parts per million.
    pub share_ppm: u32,
    /// How many nodes that share was approved for.
    pub share_nodes: u32,
    /// Revision of the routes.
    pub revision: u64,
    /// Newest revision that the gateway is known to have taken.
    pub applied: u64,
}

impl Rollout {
    /// Nodes in one environment.
    pub const NODES_MAX: usize = 10_000;

    /// Makes a rollout; nothing moves before [`crate::Event::Start`].
    ///
    /// # Errors
    ///
    /// Refuses an environment without nodes, with too many or with two of one name, and a canary without steps or nodes.
    pub fn new(target: Target, ground: Ground, now: Timestamp) -> Result<Self, Refusal> {
        check(&target, &ground)?;
        Ok(Self {
            id: target.id,
            kind: target.kind,
            target: target.digest,
            settings: target.settings,
            slots: ground.nodes.into_iter().map(Slot::of).collect(),
            phase: Phase::Created,
            pause: None,
            host_back: None,
            share_ppm: ground.share_ppm,
            share_nodes: ground.share_nodes,
            revision: ground.revision,
            applied: ground.applied,
            watch: None,
            watches: 0,
            judgement: None,
            released: Vec::new(),
            approvals: Vec::new(),
            freeze: None,
            overridden: None,
            canary_requested: false,
            stuck: None,
            stuck_told: false,
            created: now,
            history: Vec::new(),
        })
    }

    /// Whether nothing more happens, except that nodes come and go.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Whether another rollout may take its place without anybody's work being cut off: over, or a held canary.
    #[must_use]
    pub fn may_be_superseded(&self) -> bool {
        self.is_over() || matches!(self.phase, Phase::Held | Phase::Created)
    }

    /// Whether it stands still until a person decides.
    #[must_use]
    pub fn waits_for_person(&self) -> bool {
        let asks = match self.phase {
            Phase::Deciding | Phase::Held => true,
            // Where only the calendar is against it, an automatic release goes on by itself.
            Phase::AwaitingPool { .. } => self.settings.order == Order::Manual || self.approvals_missing() > 0,
            _ => false,
        };
        asks || self.pause.is_some() || self.stuck_told
    }

    /// Whether it is held because a host is away.
    #[must_use]
    pub fn waits_for_host(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.host)
    }

    /// The approved share of the canary group, in parts per million.
    #[must_use]
    pub fn share_ppm(&self) -> u32 {
        self.share_ppm
    }

    /// The environment as it stands, for the next rollout to begin on.
    #[must_use]
    pub fn standing(&self) -> Ground {
        Ground {
            nodes: self.slots.iter().map(|slot| self.standing_of(slot)).collect(),
            share_ppm: self.share_ppm,
            share_nodes: self.share_nodes,
            revision: self.revision,
            applied: self.applied,
        }
    }

    fn standing_of(&self, slot: &Slot) -> Standing {
        let superseded = matches!(self.phase, Phase::Over(Outcome::Superseded { .. }));
        let accepted = self.is_over() && !superseded && slot.traffic == Traffic::Full;
        Standing {
            node: slot.node.clone(),
            pool: slot.pool.clone(),
            stable: if accepted { slot.assigned.clone() } else { slot.before.clone() },
            running: slot.assigned.clone(),
            generation: slot.generation,
            traffic: slot.traffic.clone(),
            health: slot.health.clone(),
            since: slot.since,
        }
    }

    /// The pools in the order of release.
    #[must_use]
    pub fn pools(&self) -> Vec<&PoolName> {
        let mut seen = BTreeSet::new();
        self.slots.iter().map(|slot| &slot.pool).filter(|pool| seen.insert(*pool)).collect()
    }

    pub(crate) fn slot_mut(&mut self, node: &NodeName) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.node == *node)
    }

    /// The nodes of this rollout's canary, in slot order.
    #[must_use]
    pub fn canary_nodes(&self) -> Vec<NodeName> {
        self.slots.iter().filter(|slot| slot.is_canary(&self.target)).map(|slot| slot.node.clone()).collect()
    }

    /// Nodes that must go on serving; where nothing ran before, nothing must.
    #[must_use]
    pub fn minimum(&self) -> usize {
        self.settings.minimum(self.slots.iter().filter(|slot| slot.before.is_some()).count())
    }

    pub(crate) fn serving(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_serving()).count()
    }

    /// Adds to the timeline; when it is full, the oldest entry behind the beginning goes.
    pub(crate) fn note(&mut self, now: Timestamp, entry: Entry) {
        if self.history.len() >= HISTORY_ENTRIES_MAX {
            self.history.remove(HISTORY_HEAD);
        }
        self.history.push((now, entry));
    }
}

fn check(target: &Target, ground: &Ground) -> Result<(), Refusal> {
    if ground.nodes.is_empty() {
        return Err(Refusal::NoNodes);
    }
    if ground.nodes.len() > Rollout::NODES_MAX {
        return Err(Refusal::TooManyNodes { nodes: ground.nodes.len() });
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = ground.nodes.iter().find(|node| !names.insert(&node.node)) {
        return Err(Refusal::NodeTwice { node: twice.node.clone() });
    }
    if target.kind == Kind::Canary && target.settings.steps.is_empty() {
        return Err(Refusal::NoSteps);
    }
    if target.kind == Kind::Canary && target.settings.canary_nodes == 0 {
        return Err(Refusal::NoCanaryNodes);
    }
    Ok(())
}
