//! Which nodes become the canary.

use crate::event::Refusal;
use crate::rollout::Rollout;
use crate::slot::{Known, Slot, Traffic};
use std::collections::BTreeMap;

/// Picks the slots of the canary: those that already left the stable version, then spread over the pools in order.
pub(crate) fn choose(rollout: &Rollout) -> Result<Vec<usize>, Refusal> {
    let wanted = rollout.settings.canary_nodes as usize;
    let serving = rollout.serving();
    if serving == 0 {
        return Err(Refusal::NothingServing);
    }
    let able: Vec<usize> = indexes(rollout, |slot| {
        slot.health == Known::Healthy && slot.traffic != Traffic::Out && slot.before.as_ref() != Some(&rollout.target)
    });
    if able.len() < wanted {
        return Err(Refusal::TooFewHealthy { wanted, healthy: able.len() });
    }
    let chosen = spread(rollout, &able, wanted);
    let taken = chosen.iter().filter(|index| rollout.slots[**index].is_serving()).count();
    let (left, minimum) = (serving - taken, rollout.minimum().max(1));
    if taken > 0 && left < minimum {
        return Err(Refusal::TooFewServing { wanted, left, minimum });
    }
    Ok(chosen)
}

fn indexes(rollout: &Rollout, wanted: impl Fn(&Slot) -> bool) -> Vec<usize> {
    rollout.slots.iter().enumerate().filter(|(_, slot)| wanted(slot)).map(|(index, _)| index).collect()
}

fn spread(rollout: &Rollout, able: &[usize], wanted: usize) -> Vec<usize> {
    let slots = &rollout.slots;
    let odd = |index: &usize| slots[*index].assigned != slots[*index].before;
    let order: BTreeMap<_, _> = rollout.pools().into_iter().enumerate().map(|(place, pool)| (pool, place)).collect();
    let mut left: Vec<usize> = able.to_vec();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < wanted {
        let taken_of = |index: usize| chosen.iter().filter(|other| slots[**other].pool == slots[index].pool).count();
        let rank = |index: &usize| (!odd(index), taken_of(*index), order.get(&slots[*index].pool).copied(), *index);
        let Some(best) = left.iter().copied().min_by_key(|index| rank(index)) else { break };
        left.retain(|index| *index != best);
        chosen.push(best);
    }
    chosen.sort_unstable();
    chosen
}
