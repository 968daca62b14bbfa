//! What every platform has to do, whatever runs its nodes.

use crate::world::{ENVIRONMENT, FIXTURE, World, find, is_healthy, key, poll, spec, wait};
use serin_model::service::{Health, Probe};
use serin_model::{Digest, NodeName};
use serin_platform::{Error, NodeKey, NodeSpec, NodeState, Platform, Secret};

/// Makes the specification of node `a-1` at a generation: a healthy service (`ok`), one that ends at once (`fail`), or one
/// that says what it finds in `COLOUR` and in its secret `token`, and is healthy after that (`tell`).
pub type Make = fn(&str, u64) -> NodeSpec;

/// Runs the whole suite; leaves no node behind.
pub async fn suite(platform: &dyn Platform, make: Make) {
    assert_eq!(platform.observe(ENVIRONMENT).await.unwrap(), []);
    starts_and_stays(platform, make).await;
    newer_replaces_and_older_is_refused(platform, make).await;
    failing_start_says_why(platform, make).await;
    environments_are_apart(platform, make).await;
    health_is_asked_by_tcp_and_by_command(platform, make).await;
    secrets_and_variables_arrive(platform, make).await;
    removes(platform).await;
    refuses_names(platform, make).await;
}

async fn starts_and_stays(platform: &dyn Platform, make: Make) {
    platform.apply(&make("ok", 1)).await.unwrap();
    let first = wait(platform, "a-1", is_healthy).await;
    assert_eq!((first.generation, first.restarts), (1, 0));
    assert!(first.address.is_some() && first.usage.memory_bytes > 0);
    platform.apply(&make("ok", 1)).await.unwrap();
    let second = find(platform, "a-1").await.unwrap();
    assert_eq!((second.pid, second.address, second.since), (first.pid, first.address, first.since));
}

async fn newer_replaces_and_older_is_refused(platform: &dyn Platform, make: Make) {
    let before = find(platform, "a-1").await.unwrap();
    platform.apply(&NodeSpec { digest: Digest("sha256:new".to_owned()), ..make("ok", 3) }).await.unwrap();
    let after = wait(platform, "a-1", is_healthy).await;
    assert_eq!((after.generation, after.digest.as_str()), (3, "sha256:new"));
    assert_ne!(after.pid, before.pid);
    let refused = platform.apply(&make("ok", 2)).await;
    assert!(matches!(refused, Err(Error::Outdated { generation: 2, current: 3, .. })), "{refused:?}");
    assert_eq!(find(platform, "a-1").await.unwrap().pid, after.pid);
}

async fn failing_start_says_why(platform: &dyn Platform, make: Make) {
    platform.apply(&make("fail", 4)).await.unwrap();
    let seen = wait(platform, "a-1", |seen| matches!(seen.state, NodeState::Failed(_))).await;
    let NodeState::Failed(reason) = &seen.state else { unreachable!() };
    assert!(reason.contains("cannot open the database") && reason.contains('3'), "{reason}");
    let log = platform.logs(&key("a-1"), 50).await.unwrap();
    assert!(log.iter().any(|line| line.contains("cannot open the database")), "{log:?}");
    assert_eq!(platform.logs(&key("a-1"), 2).await.unwrap(), log[log.len() - 2..]);
    platform.apply(&make("ok", 5)).await.unwrap();
    wait(platform, "a-1", is_healthy).await;
}

async fn environments_are_apart(platform: &dyn Platform, make: Make) {
    let other = NodeKey { environment: "2-other".to_owned(), node: NodeName("a-1".to_owned()) };
    platform.apply(&NodeSpec { key: other.clone(), ..make("ok", 1) }).await.unwrap();
    let here = find(platform, "a-1").await.unwrap();
    let there = platform.observe("2-other").await.unwrap();
    assert_eq!((here.generation, there.len(), there[0].generation), (5, 1, 1));
    platform.remove(&other).await.unwrap();
    assert_eq!(platform.observe("2-other").await.unwrap(), []);
    poll(platform, "a-1", is_healthy).await;
}

async fn health_is_asked_by_tcp_and_by_command(platform: &dyn Platform, make: Make) {
    let by = |probe: Probe, generation| {
        let spec = make("ok", generation);
        // Only the probe itself can tell: there is nothing at that path.
        NodeSpec { health: Health { probe, path: "/nothing".to_owned(), ..spec.health.clone() }, ..spec }
    };
    platform.apply(&by(Probe::Tcp, 6)).await.unwrap();
    wait(platform, "a-1", |seen| is_healthy(seen) && seen.generation == 6).await;
    let command = |line: &str| Probe::Command(["/bin/busybox", "sh", "-c", line].map(str::to_owned).to_vec());
    platform.apply(&by(command("test -n \"$PORT\""), 7)).await.unwrap();
    wait(platform, "a-1", |seen| is_healthy(seen) && seen.generation == 7).await;
    let sick = by(command("exit 9"), 8);
    platform.apply(&NodeSpec { health: Health { timeout_ms: 1_500, ..sick.health.clone() }, ..sick }).await.unwrap();
    let seen = wait(platform, "a-1", |seen| matches!(seen.state, NodeState::Failed(_))).await;
    let NodeState::Failed(reason) = &seen.state else { unreachable!() };
    assert!(reason.contains("busybox") && reason.contains('9'), "{reason}");
    let dark = by(Probe::Http, 9);
    platform.apply(&NodeSpec { health: Health { timeout_ms: 1_500, ..dark.health.clone() }, ..dark }).await.unwrap();
    let seen = wait(platform, "a-1", |seen| matches!(seen.state, NodeState::Failed(_))).await;
    assert!(format!("{:?}", seen.state).contains("404"), "{seen:?}");
}

async fn secrets_and_variables_arrive(platform: &dyn Platform, make: Make) {
    let value = "s3cret \"of' many\n$(lines)";
    let secrets = vec![("token".to_owned(), Secret(value.to_owned()))];
    let spec = NodeSpec { secrets, ..make("tell", 10) };
    assert!(!format!("{spec:?}").contains("s3cret"), "a specification shows its secrets");
    platform.apply(&spec).await.unwrap();
    wait(platform, "a-1", |seen| is_healthy(seen) && seen.generation == 10).await;
    let log = platform.logs(&key("a-1"), 50).await.unwrap().join("\n");
    assert!(log.contains("colour blue") && log.contains(value) && log.contains("mode 400"), "{log}");
    let shown = format!("{:?}", find(platform, "a-1").await);
    assert!(!shown.contains("s3cret"), "{shown}");
    for name in ["../token", "", "a/b", "a b"] {
        let spec = NodeSpec { secrets: vec![(name.to_owned(), Secret("x".to_owned()))], ..make("ok", 11) };
        let refused = platform.apply(&spec).await;
        assert!(matches!(refused, Err(Error::Name { .. })), "{name:?}: {refused:?}");
    }
}

async fn removes(platform: &dyn Platform) {
    platform.remove(&key("a-1")).await.unwrap();
    platform.remove(&key("a-1")).await.unwrap();
    assert_eq!(platform.observe(ENVIRONMENT).await.unwrap(), []);
    let unknown = platform.logs(&key("a-1"), 5).await;
    assert!(matches!(unknown, Err(Error::Unknown { .. })), "{unknown:?}");
}

async fn refuses_names(platform: &dyn Platform, make: Make) {
    for name in ["../a", "", ".", "a/b", "-x", "a\nb"] {
        let refused = platform.apply(&NodeSpec { key: key(name), ..make("ok", 1) }).await;
        assert!(matches!(refused, Err(Error::Name { .. })), "{name:?}: {refused:?}");
        assert!(platform.remove(&key(name)).await.is_err(), "{name:?}");
    }
    assert!(platform.observe("../x").await.is_err());
}

#[tokio::test]
async fn process_platform_conforms() {
    let world = World::new();
    suite(&world.platform, of_mode).await;
}

/// What tells of itself in a shell, before it turns into the service.
pub const TELL: &str = "busybox() { /bin/busybox \"$@\"; }; echo colour $COLOUR; busybox cat $SERIN_SECRETS/token; echo; \
                        echo mode $(busybox stat -L -c %a $SERIN_SECRETS/token)";

fn of_mode(mode: &str, generation: u64) -> NodeSpec {
    let spec = spec(mode, generation);
    if mode != "tell" {
        return spec;
    }
    let line = format!("{TELL}; exec \"$0\" service ok");
    let command = ["/bin/busybox", "sh", "-c", &line, FIXTURE].map(str::to_owned).to_vec();
    NodeSpec { command, ..spec }
}
