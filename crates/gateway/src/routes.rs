//! What the server tells the gateway: environments, their listeners, their nodes and weights.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Most environments in one table.
const ENVIRONMENTS_MAX: usize = 1_000;
/// Most nodes in one environment.
const NODES_MAX: usize = 1_000;
/// Longest key or node name, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// Largest weight of one node, in parts per million.
const WEIGHT_PPM_MAX: u32 = 1_000_000;

/// The whole route table; a newer revision replaces an older one as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// Grows with every change; an older one than that in force is refused.
    pub revision: u64,
    /// The environments that are served.
    pub environments: Vec<EnvironmentRoutes>,
}

/// One environment: a listener and the nodes behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentRoutes {
    /// Names the environment; unique in the table.
    pub key: String,
    /// `host:port` to listen on; `None` takes a free port on loopback and keeps it for this key.
    pub listen: Option<String>,
    /// The nodes.
    pub nodes: Vec<NodeRoute>,
    /// Adds `X-Serin-Node: NODE/GENERATION` to every response.
    #[serde(default)]
    pub show_node: bool,
}

/// One node as the gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoute {
    /// The node's name, unique in its environment.
    pub node: String,
    /// Grows each time that the node is started anew; counters and connections belong to one generation.
    pub generation: u64,
    /// Where it answers; `None`: it is not known yet, and its part of the requests goes to others that are no canary's.
    pub address: Option<SocketAddr>,
    /// Its share of new requests in proportion to the sum of all; 0 gets none.
    pub weight_ppm: u32,
    /// Whether it takes new requests at all.
    pub state: NodeState,
    /// Whether its part of the requests is all that it may get: what fails elsewhere is not repeated on it.
    #[serde(default)]
    pub canary: bool,
}

/// Whether a node takes new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Takes new requests by its weight.
    Serving,
    /// Takes no new requests; those in flight may finish.
    Draining,
    /// Takes no new requests and is expected to be down.
    Out,
}

/// What a new table led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The revision in force.
    pub revision: u64,
    /// Where each environment is served, by key.
    pub listens: BTreeMap<String, SocketAddr>,
    /// Environments whose listener could not be opened; all else is in force, and the next apply tries again.
    pub failures: Vec<ListenFailure>,
}

/// A listener that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenFailure {
    /// The environment.
    pub key: String,
    /// The address that was asked for.
    pub listen: String,
    /// What the system said.
    pub message: String,
}

/// Who answers on the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The revision in force.
    pub revision: u64,
    /// When it started, in milliseconds since 1970; counters begin at zero then.
    pub started_ms: i64,
}

impl NodeRoute {
    /// Says what new requests it gets.
    #[must_use]
    pub fn effective_weight_ppm(&self) -> u32 {
        if self.state == NodeState::Serving { self.weight_ppm } else { 0 }
    }
}

impl Routes {
    /// Checks names, limits and uniqueness.
    ///
    /// # Errors
    /// [`Error::InvalidRoutes`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(), Error> {
        if self.environments.len() > ENVIRONMENTS_MAX {
            return invalid(format!("more than {ENVIRONMENTS_MAX} environments"));
        }
        let mut keys = BTreeSet::new();
        for environment in &self.environments {
            if !keys.insert(&environment.key) {
                return invalid(format!("environment `{}` appears twice", environment.key));
            }
            environment.check()?;
        }
        Ok(())
    }
}

impl EnvironmentRoutes {
    fn check(&self) -> Result<(), Error> {
        check_name(&self.key)?;
        if self.nodes.len() > NODES_MAX {
            return invalid(format!("environment `{}` has more than {NODES_MAX} nodes", self.key));
        }
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            check_name(&node.node)?;
            if !seen.insert((&node.node, node.generation)) {
                return invalid(format!("node `{}` generation {} appears twice", node.node, node.generation));
            }
            if node.weight_ppm > WEIGHT_PPM_MAX {
                return invalid(format!("node `{}` has a weight above {WEIGHT_PPM_MAX}", node.node));
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return invalid(format!("name `{}` is empty, too long or has control characters", name.escape_debug()));
    }
    Ok(())
}

fn invalid<T>(reason: String) -> Result<T, Error> {
    Err(Error::InvalidRoutes { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, generation: u64) -> NodeRoute {
        let (address, state) = ("127.0.0.1:1".parse().ok(), NodeState::Serving);
        NodeRoute { node: name.to_owned(), generation, address, weight_ppm: 1, state, canary: false }
    }

    fn table(nodes: Vec<NodeRoute>) -> Routes {
        let environment = EnvironmentRoutes { key: "shop/test".to_owned(), nodes, ..EnvironmentRoutes::default() };
        Routes { revision: 1, environments: vec![environment] }
    }

    #[test]
    fn a_node_may_appear_in_two_generations_but_not_twice_in_one() {
        assert!(table(vec![node("a-1", 1), node("a-1", 2)]).check().is_ok());
        assert!(table(vec![node("a-1", 1), node("a-1", 1)]).check().is_err());
    }

    #[test]
    fn bad_names_and_weights_are_refused() {
        assert!(table(vec![node("", 1)]).check().is_err());
        assert!(table(vec![node("a\nb", 1)]).check().is_err());
        let mut heavy = node("a-1", 1);
        heavy.weight_ppm = 1_000_001;
        assert!(table(vec![heavy]).check().is_err());
    }

    #[test]
    fn only_serving_nodes_have_a_weight() {
        let mut draining = node("a-1", 1);
        assert_eq!(draining.effective_weight_ppm(), 1);
        draining.state = NodeState::Draining;
        assert_eq!(draining.effective_weight_ppm(), 0);
    }
}
