//! Nodes that `serin.yml` no longer names: they run, and the rollout does not know them.
//!
//! They go on serving until a deployment or release with that file has succeeded; then they get nothing new, finish what is
//! in flight, and are stopped and removed.

use std::collections::HashMap;

use serin_gateway::{NodeRoute, NodeState as RouteState};
use serin_model::{NodeName, PoolName, Timestamp};
use serin_platform::{NodeState, Observation};
use serin_rollout::{Kind, Outcome, PPM, Phase, Rollout, Slot, Standing, Traffic};

use super::reconcile::Seen;

/// The nodes that run and are in no slot.
pub(super) fn of<'n>(machine: &'n Rollout, nodes: &'n [Observation]) -> impl Iterator<Item = &'n Observation> {
    nodes.iter().filter(|seen| machine.slots.iter().all(|slot| slot.node != seen.key.node))
}

/// Whether their time is over: the whole environment runs what leaves them out.
fn shall_go(machine: &Rollout) -> bool {
    let succeeded = matches!(machine.phase, Phase::Over(Outcome::Succeeded | Outcome::NothingToDo));
    succeeded && machine.kind != Kind::Canary
}

/// Their routes beside the others'. While they serve, each gets as much as a node of the rollout that gets most; what is
/// not the version before has no traffic.
pub(super) fn routes(machine: &Rollout, nodes: &[Observation]) -> Vec<NodeRoute> {
    let most = machine.desired_routes().iter().map(|route| route.weight_ppm).max();
    let full = most.filter(|weight| *weight > 0).unwrap_or(PPM);
    let goes = shall_go(machine);
    let route = |seen: &Observation| {
        let serves = !goes && seen.state == NodeState::Healthy && is_stable(machine, seen);
        Some(NodeRoute {
            node: seen.key.node.0.clone(),
            generation: seen.generation,
            address: Some(seen.address?),
            weight_ppm: if serves { full } else { 0 },
            canary: false,
            state: if serves { RouteState::Serving } else { RouteState::Draining },
        })
    };
    of(machine, nodes).filter_map(route).collect()
}

/// Whether it runs what the environment stood on; where the file names none of its nodes any more, nothing tells.
fn is_stable(machine: &Rollout, seen: &Observation) -> bool {
    let mut before = machine.slots.iter().filter_map(|slot| slot.before.as_ref()).peekable();
    before.peek().is_none() || before.any(|digest| *digest == seen.digest)
}

/// Since when nodes have been on their way out, as far as this server knows.
#[derive(Default)]
pub(super) struct Leaving(HashMap<NodeName, Timestamp>);

impl Leaving {
    /// The nodes that may be stopped now: nothing is in flight on them, or their time to finish is over. The routes that
    /// drain them are in force.
    pub(super) fn due(&mut self, machine: &Rollout, seen: &Seen, now: Timestamp) -> Vec<(NodeName, u64)> {
        if !shall_go(machine) {
            self.0.clear();
            return Vec::new();
        }
        let gone: Vec<&Observation> = of(machine, &seen.nodes).collect();
        self.0.retain(|node, _| gone.iter().any(|seen| seen.key.node == *node));
        let mut due = Vec::new();
        for node in gone {
            let since = *self.0.entry(node.key.node.clone()).or_insert(now);
            let in_flight = seen.counters(&node.key.node, node.generation).map_or(0, |stats| stats.in_flight);
            if in_flight == 0 || now.since_ms(since) > machine.settings.drain_timeout_ms {
                due.push((node.key.node.clone(), node.generation));
            }
        }
        due
    }
}

/// What API and pages show of such a node.
pub(super) fn slot(seen: &Observation, serves: bool) -> Slot {
    let (node, pool) = (seen.key.node.clone(), seen.key.node.as_str().rsplit_once('-').map_or("", |(pool, _)| pool));
    let standing = Standing::serving(node, PoolName(pool.to_owned()), seen.digest.clone());
    let traffic = if serves { Traffic::Full } else { Traffic::Out };
    Slot::of(Standing { generation: seen.generation, traffic, ..standing })
}

/// A node that the file names and the rollout before did not know: as it runs, where it runs.
pub(super) fn standing(node: NodeName, pool: PoolName, nodes: &[Observation]) -> Standing {
    let Some(seen) = nodes.iter().find(|seen| seen.key.node == node) else { return Standing::empty(node, pool) };
    let known = match seen.state {
        NodeState::Healthy => Standing::serving(node, pool, seen.digest.clone()),
        _ => Standing::empty(node, pool),
    };
    Standing { generation: seen.generation, ..known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_model::{Digest, RolloutId};
    use serin_platform::{NodeKey, Usage};
    use serin_rollout::{Event, Ground, Settings, Target, step};

    fn seen(node: &str, digest: &str, generation: u64) -> Observation {
        Observation {
            key: NodeKey { environment: "1-production".into(), node: node.into() },
            generation,
            digest: Digest::from(digest),
            host: None,
            address: Some("127.0.0.1:9".parse().unwrap()),
            state: NodeState::Healthy,
            detail: None,
            pid: None,
            since: Timestamp(0),
            restarts: 0,
            usage: Usage::default(),
            sampled_at: Timestamp(0),
        }
    }

    fn machine() -> Rollout {
        let text = "service: {name: x}\nenvironments: {p: {nodes: 1}}";
        let config = serin_lang::service::parse(&serin_lang::SourceFile::new("serin.yml", text)).0.unwrap();
        let settings = Settings::new(&config.service, &config.environments[0], &config.canary, &config.release);
        let nodes = vec![Standing::serving("a-1".into(), "a".into(), "sha256:old".into())];
        let target = Target { id: RolloutId(2), kind: Kind::Deploy, digest: "sha256:new".into(), settings };
        let mut machine = Rollout::new(target, Ground { nodes, ..Ground::default() }, Timestamp(0)).unwrap();
        step(&mut machine, Event::Start, Timestamp(0)).unwrap();
        machine
    }

    #[test]
    fn they_serve_until_the_whole_environment_runs_without_them() {
        let mut machine = machine();
        let nodes = [seen("a-1", "sha256:old", 1), seen("a-2", "sha256:old", 4), seen("a-3", "sha256:odd", 2)];
        let shown = |machine: &Rollout| {
            let routes = routes(machine, &nodes);
            routes.into_iter().map(|route| (route.node, route.weight_ppm, route.state)).collect::<Vec<_>>()
        };
        let drained = |node: &str| (node.to_owned(), 0, RouteState::Draining);
        assert_eq!(shown(&machine), [("a-2".to_owned(), PPM, RouteState::Serving), drained("a-3")]);
        let all = Seen { nodes: nodes.to_vec(), ..Seen::default() };
        let mut leaving = Leaving::default();
        assert_eq!(leaving.due(&machine, &all, Timestamp(1)), []);
        machine.phase = Phase::Over(Outcome::Succeeded);
        assert_eq!(shown(&machine), [drained("a-2"), drained("a-3")]);
        assert_eq!(leaving.due(&machine, &all, Timestamp(2)), [("a-2".into(), 4), ("a-3".into(), 2)]);
        machine.kind = Kind::Canary;
        assert_eq!(leaving.due(&machine, &all, Timestamp(3)), [], "a canary decides nothing about others");
    }

    #[test]
    fn a_node_that_is_named_again_stands_as_it_runs() {
        let nodes = [seen("a-2", "sha256:old", 4)];
        let again = standing("a-2".into(), "a".into(), &nodes);
        assert_eq!((again.generation, again.running), (4, Some(Digest::from("sha256:old"))));
        assert_eq!(standing("a-9".into(), "a".into(), &nodes), Standing::empty("a-9".into(), "a".into()));
    }
}
