use crate::scene::{Scene, new, nodes, old};
use crate::{Event, Kind, Known, Phase};
use serin_model::PoolName;

fn away(scene: &mut Scene) {
    scene.send(Event::HostLost { by: "the server: host `blue` does not answer".into() });
}

fn back(scene: &mut Scene) {
    scene.send(Event::HostBack { by: "the server".into() });
}

fn health(scene: &Scene, node: &str) -> Known {
    scene.rollout.slots.iter().find(|slot| slot.node.as_str() == node).unwrap().health.clone()
}

#[test]
fn a_canary_whose_nodes_are_taken_out_waits_for_a_lost_host() {
    let mut scene = Scene::six(Kind::Canary);
    scene.send(Event::Start);
    let revision = scene.rollout.revision;
    scene.send(Event::RoutesApplied { revision });
    for node in ["a-1", "b-1"] {
        scene.send(Event::Drained { node: node.into(), revision });
    }
    assert_eq!(scene.versions(), "a-1:new a-2:old a-3:old b-1:new b-2:old b-3:old");
    away(&mut scene);
    assert!(scene.rollout.waits_for_host());
    scene.wait(3_600_000);
    assert_eq!(scene.rollout.phase, Phase::Detaching, "nobody can start in time while the host is away");
    assert_eq!(scene.rollout.next_wake(), None);
    back(&mut scene);
    scene.settle();
    assert_eq!((&scene.rollout.phase, scene.rollout.pause.clone()), (&Phase::Verifying, None));
}

#[test]
fn a_start_has_the_time_again_that_its_host_was_away() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 2)], None));
    scene.send(Event::Start);
    scene.wait(20_000);
    away(&mut scene);
    scene.wait(60_000);
    back(&mut scene);
    scene.wait(9_999);
    assert_eq!(scene.rollout.phase, Phase::Rolling { pool: None });
    scene.wait(1);
    assert!(scene.rollout.is_over(), "30 s in all were too long");
}

#[test]
fn a_release_waits_for_nodes_that_were_lost_with_their_host() {
    let mut scene = Scene::six(Kind::Release);
    scene.send(Event::Start);
    scene.send(Event::ReleasePool { pool: PoolName::from("a"), by: "ada".into() });
    scene.settle();
    assert!(matches!(scene.rollout.phase, Phase::Watching { .. }));
    away(&mut scene);
    scene.lost("a-1");
    scene.lost("b-1");
    assert!(matches!(scene.rollout.phase, Phase::Watching { .. }), "{}", scene.rollout.phase);
    assert!(!scene.routes().contains("a-1=1") && !scene.routes().contains("b-1=1"), "{}", scene.routes());
    back(&mut scene);
    // Its engine ends what it finds, and the platform starts it again.
    scene.wait(1_000);
    scene.lost("a-2");
    assert_eq!([health(&scene, "a-1"), health(&scene, "a-2")], [Known::Starting, Known::Starting]);
    for node in ["a-1", "a-2", "b-1"] {
        scene.healthy(node);
    }
    scene.wait(20_000);
    assert_eq!(scene.rollout.phase, Phase::AwaitingPool { pool: PoolName::from("b") });
    // What ends long after that ends by itself.
    scene.send(Event::ReleasePool { pool: PoolName::from("b"), by: "ada".into() });
    scene.settle();
    assert!(scene.everything_is(&new()));
}

#[test]
fn a_node_that_does_not_come_back_with_its_host_turns_a_release_back() {
    let mut scene = Scene::six(Kind::Release);
    scene.send(Event::Start);
    scene.send(Event::ReleasePool { pool: PoolName::from("a"), by: "ada".into() });
    scene.settle();
    away(&mut scene);
    scene.lost("a-1");
    back(&mut scene);
    scene.wait(10_000);
    assert!(matches!(scene.rollout.phase, Phase::Watching { .. }));
    scene.wait(20_000);
    assert!(matches!(scene.rollout.phase, Phase::Restoring(_)), "{}", scene.rollout.phase);
    scene.settle();
    assert!(scene.everything_is(&old()));
}

#[test]
fn a_node_that_ends_long_after_its_host_was_back_turns_a_release_back() {
    let mut scene = Scene::six(Kind::Release);
    scene.send(Event::Start);
    scene.send(Event::ReleasePool { pool: PoolName::from("a"), by: "ada".into() });
    scene.settle();
    away(&mut scene);
    back(&mut scene);
    scene.wait(15_001);
    scene.lost("a-1");
    assert!(matches!(scene.rollout.phase, Phase::Restoring(_)), "{}", scene.rollout.phase);
}

#[test]
fn a_canary_turns_back_at_once_where_its_own_nodes_are_lost_with_their_host() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    away(&mut scene);
    scene.lost("a-1");
    assert!(matches!(scene.rollout.phase, Phase::Restoring(_)));
    assert_eq!(scene.rollout.share_ppm(), 0);
}

#[test]
fn a_persons_pause_is_not_ended_by_a_hosts_return() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    scene.send(Event::Pause { by: "ada".into() });
    away(&mut scene);
    back(&mut scene);
    assert_eq!(scene.rollout.pause.as_ref().map(|pause| pause.by.as_str()), Some("ada"));
}
