//! What the nodes shall run and the gateway shall route: pure projections, applied again and again.

use crate::rollout::{Rollout, Watch};
use crate::slot::{Slot, Traffic};
use serin_model::{Digest, NodeName};

/// The whole traffic, in parts per million.
pub const PPM: u32 = 1_000_000;

/// What a node shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredNode {
    /// The node.
    pub node: NodeName,
    /// The version; `None`: nothing.
    pub digest: Option<Digest>,
    /// Grows with each replacement; the process of an older one is to be stopped.
    pub generation: u64,
}

/// What the gateway shall send a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRoute {
    /// The node.
    pub node: NodeName,
    /// The generation that is routed to, so that its address can be looked up.
    pub generation: u64,
    /// Its part of the traffic, in parts per million; all together have 1,000,000, or 0 where nothing serves.
    pub weight_ppm: u32,
    /// It gets nothing new, and its requests in flight are counted.
    pub draining: bool,
    /// Its part is of the canary group's share, which is all that it may get.
    pub canary: bool,
}

impl Rollout {
    /// What every node shall run.
    #[must_use]
    pub fn desired_nodes(&self) -> Vec<DesiredNode> {
        let desired = |slot: &Slot| DesiredNode {
            node: slot.node.clone(),
            digest: slot.assigned.clone(),
            generation: slot.generation,
        };
        self.slots.iter().map(desired).collect()
    }

    /// What the gateway shall send every node that it may know: serving, under canary traffic, draining.
    ///
    /// Nodes that are known to be unwell get nothing, unless all with a full part are: then those get it anyway, rather
    /// than more than its share going to the canary.
    #[must_use]
    pub fn desired_routes(&self) -> Vec<DesiredRoute> {
        let full = parts(&self.slots, &Traffic::Full);
        let shared: Vec<usize> = indexes(&self.slots, |slot| slot.traffic == Traffic::Share && slot.is_usable());
        let share = self.share_of(shared.len());
        let mut weights = vec![0; self.slots.len()];
        spread(&mut weights, &shared, share);
        spread(&mut weights, &full, PPM - share);
        let routed = self.slots.iter().zip(weights).filter(|(slot, _)| slot.traffic != Traffic::Out);
        routed.map(|(slot, weight_ppm)| route(slot, weight_ppm)).collect()
    }

    /// The share of so many canary nodes: a node that leaves the group takes its part along, rather than burdening the
    /// others with it.
    fn share_of(&self, nodes: usize) -> u32 {
        let nodes = u64::try_from(nodes).unwrap_or(u64::MAX).min(u64::from(PPM));
        let group = u64::from(self.share_nodes).max(nodes).max(1);
        let share = u64::from(self.share_ppm.min(PPM)) * nodes / group;
        u32::try_from(share).unwrap_or(PPM)
    }

    /// What the judge shall compare.
    #[must_use]
    pub fn desired_watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }
}

fn route(slot: &Slot, weight_ppm: u32) -> DesiredRoute {
    DesiredRoute {
        node: slot.node.clone(),
        generation: slot.generation,
        weight_ppm,
        draining: matches!(slot.traffic, Traffic::Draining(_)),
        canary: slot.traffic == Traffic::Share,
    }
}

/// The slots of that traffic that are well; all of that traffic where none is.
fn parts(slots: &[Slot], traffic: &Traffic) -> Vec<usize> {
    let usable = indexes(slots, |slot| slot.traffic == *traffic && slot.is_usable());
    if usable.is_empty() { indexes(slots, |slot| slot.traffic == *traffic) } else { usable }
}

fn indexes(slots: &[Slot], wanted: impl Fn(&Slot) -> bool) -> Vec<usize> {
    slots.iter().enumerate().filter(|(_, slot)| wanted(slot)).map(|(index, _)| index).collect()
}

/// Splits `total` equally; what does not divide goes to the first ones.
fn spread(weights: &mut [u32], members: &[usize], total: u32) {
    let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return;
    }
    let (each, rest) = (total / count, (total % count) as usize);
    for (place, index) in members.iter().enumerate() {
        weights[*index] = each + u32::from(place < rest);
    }
}
