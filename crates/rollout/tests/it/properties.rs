//! Properties of every step, over random environments and events.

use proptest::prelude::*;
use serin_model::service::{Order, Step};
use serin_model::{Digest, NodeName, PoolName, RolloutId, Timestamp};
use serin_rollout::{Event, Ground, Kind, Known, PPM, Rollout, Settings, Standing, Target, Traffic, Verdict, step};

#[derive(Clone, Debug)]
enum Act {
    Wait(i64),
    Applied(u64),
    Drained(usize),
    Healthy(usize),
    Failed(usize),
    Lost(usize),
    Verdict(Verdict),
    Other(Event),
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Deploy), Just(Kind::Canary), Just(Kind::Release)]
}

fn acts() -> impl Strategy<Value = Act> {
    let verdicts =
        prop_oneof![Just(Verdict::Continue), Just(Verdict::Pass), Just(Verdict::Fail), Just(Verdict::Inconclusive)];
    prop_oneof![
        4 => (0_i64..12_000).prop_map(Act::Wait),
        6 => (0_u64..2).prop_map(Act::Applied),
        6 => (0_usize..8).prop_map(Act::Drained),
        10 => (0_usize..8).prop_map(Act::Healthy),
        1 => (0_usize..8).prop_map(Act::Failed),
        1 => (0_usize..8).prop_map(Act::Lost),
        2 => verdicts.prop_map(Act::Verdict),
        4 => others().prop_map(Act::Other),
    ]
}

fn others() -> impl Strategy<Value = Event> {
    let by = || String::from("ada");
    let pools = (0_usize..3).prop_map(move |pool| Event::ReleasePool { pool: PoolName(format!("p{pool}")), by: by() });
    prop_oneof![
        4 => pools,
        4 => Just(Event::CanaryRequested),
        1 => Just(Event::Pause { by: by() }),
        1 => Just(Event::HostLost { by: by() }),
        1 => Just(Event::HostBack { by: by() }),
        2 => Just(Event::Resume { by: by() }),
        1 => (0_u32..3).prop_map(move |watch| Event::Accept { watch, by: by() }),
        1 => Just(Event::Abort { by: by(), reason: String::new() }),
        1 => Just(Event::RollBack { by: by() }),
        1 => Just(Event::VerificationFailed { reason: String::from("2 of 9") }),
    ]
}

fn rollout(kind: Kind, pools: &[usize], order: Order, serves: bool) -> Rollout {
    let nodes = pools.iter().enumerate().flat_map(|(pool, count)| {
        (0..*count).map(move |number| {
            let (node, pool) = (NodeName(format!("p{pool}-{number}")), PoolName(format!("p{pool}")));
            match serves {
                true => Standing::serving(node, pool, Digest::from("sha256:old")),
                false => Standing::empty(node, pool),
            }
        })
    });
    let steps = [10_000, 300_000].map(|traffic_ppm| Step { traffic_ppm, for_ms: 5_000 }).to_vec();
    let settings = Settings {
        canary_nodes: 2,
        min_serving: None,
        drain_timeout_ms: 4_000,
        start_timeout_ms: 9_000,
        steps,
        tick_ms: 1_000,
        order,
        watch_ms: 3_000,
        batch: 1,
        terms: serin_rollout::Terms::default(),
    };
    let target = Target { id: RolloutId(1), kind, digest: Digest::from("sha256:new"), settings };
    Rollout::new(target, Ground { nodes: nodes.collect(), ..Ground::default() }, Timestamp(1_000))
        .unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn event(act: Act, rollout: &Rollout, now: &mut Timestamp) -> Event {
    let slot = |index: usize| {
        let slot = &rollout.slots[index % rollout.slots.len()];
        (slot.node.clone(), slot.generation)
    };
    let reason = String::from("exit code 1");
    match act {
        Act::Wait(ms) => {
            *now = now.plus_ms(ms);
            Event::Wake
        }
        Act::Applied(behind) => Event::RoutesApplied { revision: rollout.revision.saturating_sub(behind) },
        Act::Drained(index) => Event::Drained { node: slot(index).0, revision: rollout.revision },
        Act::Healthy(index) => Event::NodeHealthy { node: slot(index).0, generation: slot(index).1, at: *now },
        Act::Failed(index) => Event::NodeFailed { node: slot(index).0, generation: slot(index).1, at: *now, reason },
        Act::Lost(index) => Event::NodeLost { node: slot(index).0, generation: slot(index).1, at: *now },
        Act::Verdict(verdict) => {
            let tick = now.0.unsigned_abs();
            Event::Verdict { watch: rollout.watches, tick, verdict, sentence: String::from("said") }
        }
        Act::Other(event) => event,
    }
}

fn check(before: &Rollout, after: &Rollout, now: Timestamp) -> Result<(), TestCaseError> {
    let routes = after.desired_routes();
    let total: u64 = routes.iter().map(|route| u64::from(route.weight_ppm)).sum();
    let any_full = after.slots.iter().any(|slot| slot.traffic == Traffic::Full);
    prop_assert!(!any_full || total == u64::from(PPM), "{routes:?}");
    prop_assert!(routes.iter().all(|route| !route.draining || route.weight_ppm == 0));
    prop_assert!(
        after.next_wake().is_none_or(|wake| wake > now),
        "due at {:?}, now {now:?}: {after:?}",
        after.next_wake()
    );
    prop_assert!((before.desired_routes() == routes) == (before.revision == after.revision));
    let mut taken_while_needed = 0;
    for (old, new) in before.slots.iter().zip(&after.slots) {
        let replaced = new.generation != old.generation;
        prop_assert!(!replaced || !matches!(old.traffic, Traffic::Full | Traffic::Share), "{} was cut off", new.node);
        prop_assert!(
            new.traffic == old.traffic
                || new.traffic != Traffic::Full
                || old.traffic != Traffic::Out
                || new.health == Known::Healthy
        );
        let was_well = old.is_serving() && new.health == Known::Healthy;
        taken_while_needed += usize::from(was_well && new.traffic != Traffic::Full);
    }
    let serving = after.slots.iter().filter(|slot| slot.is_serving()).count();
    prop_assert!(taken_while_needed == 0 || serving >= after.minimum(), "{serving} of {}", after.minimum());
    prop_assert!(after.history.len() <= serin_rollout::HISTORY_ENTRIES_MAX);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_keeps_the_invariants_and_a_second_delivery_changes_nothing(
        kind in kinds(),
        pools in proptest::collection::vec(1_usize..4, 1..4),
        automatic in any::<bool>(),
        serves in proptest::bool::weighted(0.8),
        acts in proptest::collection::vec(acts(), 0..120),
    ) {
        let order = if automatic { Order::Automatic } else { Order::Manual };
        let mut rollout = rollout(kind, &pools, order, serves);
        let mut now = Timestamp(1_000);
        let mut events = vec![Act::Other(Event::Start)];
        events.extend(acts);
        for act in events {
            let event = event(act, &rollout, &mut now);
            // What was due is due first: the server wakes the rollout before anything that comes later.
            step(&mut rollout, Event::Wake, now).unwrap();
            let before = rollout.clone();
            if step(&mut rollout, event.clone(), now).is_err() {
                prop_assert_eq!(&rollout, &before, "a refused event changed something");
                continue;
            }
            check(&before, &rollout, now)?;
            let once = rollout.clone();
            let again = step(&mut rollout, event.clone(), now);
            prop_assert_eq!(&rollout, &once, "{:?} twice is not once: {:?}", event, again);
        }
    }
}
