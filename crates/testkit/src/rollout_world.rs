//! A simulated world around the rollout: nodes, gateway, judge, crashes.
