//! A small obedient world for scenario tests: a gateway that takes routes at once, nodes that start unless told not to.

use crate::slot::tests::settings;
use crate::{
    Action, DesiredRoute, Effect, Event, Ground, Kind, Milestone, Phase, Refusal, Rollout, Settings, Standing, Target,
    Traffic, Verdict, step,
};
use serin_model::{Digest, NodeName, PoolName, RolloutId, Timestamp};
use std::collections::BTreeSet;

pub(crate) struct Scene {
    pub(crate) rollout: Rollout,
    pub(crate) now: Timestamp,
    pub(crate) effects: Vec<Effect>,
    /// Nodes that never become healthy on the target.
    pub(crate) broken: BTreeSet<NodeName>,
}

pub(crate) fn old() -> Digest {
    Digest::from("sha256:old")
}

pub(crate) fn new() -> Digest {
    Digest::from("sha256:new")
}

/// Nodes `a-1 a-2 …` out of `("a", 3)`.
pub(crate) fn nodes(pools: &[(&str, usize)], running: Option<Digest>) -> Vec<Standing> {
    let mut nodes = Vec::new();
    for (pool, count) in pools {
        for number in 1..=*count {
            let (node, pool) = (NodeName(format!("{pool}-{number}")), PoolName::from(*pool));
            nodes.push(match &running {
                Some(digest) => Standing::serving(node, pool, digest.clone()),
                None => Standing::empty(node, pool),
            });
        }
    }
    nodes
}

impl Scene {
    pub(crate) fn new(kind: Kind, nodes: Vec<Standing>) -> Self {
        Self::with(kind, nodes, settings())
    }

    pub(crate) fn with(kind: Kind, nodes: Vec<Standing>, settings: Settings) -> Self {
        let target = Target { id: RolloutId(1), kind, digest: new(), settings };
        let now = Timestamp(1_000_000);
        let rollout = Rollout::new(target, Ground { nodes, ..Ground::default() }, now).unwrap();
        Self { rollout, now, effects: Vec::new(), broken: BTreeSet::new() }
    }

    /// Two pools of three nodes on the old version.
    pub(crate) fn six(kind: Kind) -> Self {
        Self::new(kind, nodes(&[("a", 3), ("b", 3)], Some(old())))
    }

    /// The rollout that follows this one.
    pub(crate) fn follow(self, kind: Kind, digest: Digest) -> Self {
        let mut before = self.rollout;
        let id = RolloutId(before.id.0 + 1);
        step(&mut before, Event::Superseded { by: id }, self.now).unwrap();
        let target = Target { id, kind, digest, settings: before.settings.clone() };
        let now = self.now.plus_ms(1_000);
        let rollout = Rollout::new(target, before.standing(), now).unwrap();
        Self { rollout, now, effects: Vec::new(), broken: BTreeSet::new() }
    }

    pub(crate) fn try_send(&mut self, event: Event) -> Result<Vec<Effect>, Refusal> {
        let effects = step(&mut self.rollout, event, self.now)?;
        self.effects.extend(effects.clone());
        Ok(effects)
    }

    pub(crate) fn send(&mut self, event: Event) -> Vec<Effect> {
        self.try_send(event).unwrap()
    }

    pub(crate) fn wait(&mut self, ms: i64) -> Vec<Effect> {
        self.now = self.now.plus_ms(ms);
        self.send(Event::Wake)
    }

    pub(crate) fn healthy(&mut self, node: &str) {
        let (node, generation) = self.slot_key(node);
        self.send(Event::NodeHealthy { node, generation, at: self.now });
    }

    pub(crate) fn lost(&mut self, node: &str) {
        let (node, generation) = self.slot_key(node);
        self.send(Event::NodeLost { node, generation, at: self.now });
    }

    pub(crate) fn failed(&mut self, node: &str) {
        let (node, generation) = self.slot_key(node);
        self.send(Event::NodeFailed { node, generation, at: self.now, reason: "exit code 1".into() });
    }

    fn slot_key(&self, node: &str) -> (NodeName, u64) {
        let slot = self.rollout.slots.iter().find(|slot| slot.node.as_str() == node).unwrap();
        (slot.node.clone(), slot.generation)
    }

    pub(crate) fn verdict(&mut self, verdict: Verdict) -> Vec<Effect> {
        let (watch, tick) = (self.rollout.watches, (self.now.0 / 1_000).unsigned_abs());
        self.send(Event::Verdict { watch, tick, verdict, sentence: "errors doubled".into() })
    }

    /// The gateway takes the routes and drains, nodes become healthy, until nothing moves; checks the minimum each time.
    pub(crate) fn settle(&mut self) {
        loop {
            let before = self.rollout.clone();
            let revision = self.rollout.revision;
            self.send(Event::RoutesApplied { revision });
            for slot in before.slots.iter().filter(|slot| matches!(slot.traffic, Traffic::Draining(_))) {
                self.send(Event::Drained { node: slot.node.clone(), revision });
            }
            for slot in &before.slots {
                let stays_down = self.broken.contains(&slot.node) && slot.assigned == Some(new());
                if slot.health == crate::Known::Starting && !stays_down {
                    self.healthy(slot.node.as_str());
                }
            }
            assert!(self.rollout.serving() >= self.rollout.minimum().min(before.serving()), "{:?}", self.rollout.slots);
            if self.rollout == before {
                return;
            }
        }
    }

    /// A canary up to its first step.
    pub(crate) fn canary_steps(mut self) -> Self {
        self.send(Event::Start);
        self.settle();
        self.send(Event::CanaryRequested);
        assert!(matches!(self.rollout.phase, Phase::Stepping { step: 0, .. }), "{}", self.rollout.phase);
        self
    }

    /// A canary that has passed.
    pub(crate) fn canary_held(self) -> Self {
        let mut scene = self.canary_steps();
        scene.wait(60_000);
        scene.wait(1_000);
        scene.verdict(Verdict::Pass);
        assert_eq!(scene.rollout.phase, Phase::Held);
        scene
    }

    pub(crate) fn milestones(&self) -> Vec<Milestone> {
        let reports = self.effects.iter().filter_map(|effect| match effect {
            Effect::Report(milestone) => Some(milestone.clone()),
            _ => None,
        });
        reports.collect()
    }

    /// `a-1:new a-2:old …`, with `-` for a stopped node.
    pub(crate) fn versions(&self) -> String {
        let version =
            |digest: &Option<Digest>| digest.as_ref().map_or("-".to_owned(), |digest| digest.short().to_owned());
        let slots = self.rollout.slots.iter();
        slots.map(|slot| format!("{}:{}", slot.node, version(&slot.assigned))).collect::<Vec<_>>().join(" ")
    }

    /// `a-1=10000 a-2=drain …`, without nodes that the gateway need not know.
    pub(crate) fn routes(&self) -> String {
        let route = |route: &DesiredRoute| match route.draining {
            true => format!("{}=drain", route.node),
            false => format!("{}={}", route.node, route.weight_ppm),
        };
        self.rollout.desired_routes().iter().map(route).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn can(&self, action: &Action) -> bool {
        self.rollout.actions().contains(action)
    }

    pub(crate) fn everything_is(&self, digest: &Digest) -> bool {
        self.rollout.slots.iter().all(|slot| slot.runs(digest) && slot.traffic == Traffic::Full)
    }
}
