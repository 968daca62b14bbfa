use crate::scene::{Scene, new, nodes, old};
use crate::slot::tests::settings;
use crate::{Action, Cause, Event, Kind, Milestone, Outcome, Phase, Refusal, Settings, Verdict};
use serin_model::NodeName;
use serin_model::service::Order;

fn click(pool: &str) -> Event {
    Event::ReleasePool { pool: pool.into(), by: "ada".into() }
}

fn automatic() -> Scene {
    let settings = Settings { order: Order::Automatic, ..settings() };
    Scene::with(Kind::Release, nodes(&[("a", 2), ("b", 2), ("c", 1)], Some(old())), settings)
}

#[test]
fn a_person_releases_pool_by_pool_after_a_canary() {
    let mut scene = Scene::six(Kind::Canary).canary_held().follow(Kind::Release, new());
    scene.send(Event::Start);
    assert_eq!(scene.rollout.actions()[0], Action::ReleasePool("a".into()));
    let held = "a-1=100000 a-2=200000 a-3=200000 b-1=100000 b-2=200000 b-3=200000";
    assert_eq!(scene.routes(), held, "nothing moves before the click");
    scene.send(click("a"));
    assert_eq!(scene.routes(), "a-1=225000 a-2=drain a-3=225000 b-1=100000 b-2=225000 b-3=225000");
    scene.settle();
    assert_eq!(scene.versions(), "a-1:new a-2:new a-3:new b-1:new b-2:old b-3:old");
    let watch = scene.rollout.desired_watch().unwrap();
    assert_eq!(watch.canary, ["a-1", "a-2", "a-3"].map(NodeName::from));
    assert_eq!(watch.baseline, ["b-2", "b-3"].map(NodeName::from));
    scene.wait(20_000);
    assert_eq!(scene.rollout.phase, Phase::AwaitingPool { pool: "b".into() });
    assert!(scene.rollout.desired_watch().is_none());
    scene.send(click("b"));
    scene.settle();
    assert!(scene.everything_is(&new()));
    let pools = ["a", "b"].map(|pool| Milestone::PoolReleased { pool: pool.into() });
    assert_eq!(scene.milestones(), [pools[0].clone(), pools[1].clone(), Milestone::Released]);
}

#[test]
fn pools_are_released_in_order() {
    let mut scene = Scene::six(Kind::Release);
    scene.send(Event::Start);
    let refusal = scene.try_send(click("b")).unwrap_err();
    assert_eq!(refusal.to_string(), "pool `b` cannot be released now; the next one is `a`");
    scene.send(click("a"));
    assert_eq!(scene.send(click("a")), [], "a second click changes nothing");
    assert!(matches!(scene.try_send(click("b")), Err(Refusal::NotNow { .. })));
    scene.send(Event::Pause { by: "eve".into() });
    scene.settle();
    assert_eq!(scene.versions(), "a-1:new a-2:old a-3:old b-1:old b-2:old b-3:old", "what was begun is finished");
    scene.send(Event::Resume { by: "eve".into() });
    scene.settle();
    assert_eq!(scene.versions(), "a-1:new a-2:new a-3:new b-1:old b-2:old b-3:old");
    assert_eq!(scene.send(click("a")), []);
}

#[test]
fn an_automatic_release_goes_on_after_each_pass() {
    let mut scene = automatic();
    scene.send(Event::Start);
    for (pool, number) in [("a", 1), ("b", 2)] {
        scene.settle();
        assert!(matches!(&scene.rollout.phase, Phase::Watching { pool: watched, .. } if watched.as_str() == pool));
        assert_eq!(scene.rollout.watches, number);
        scene.wait(1_000);
        scene.verdict(Verdict::Pass);
    }
    scene.settle();
    assert_eq!(scene.rollout.phase, Phase::Over(Outcome::Succeeded), "the last pool has nothing to be compared with");
    assert!(scene.everything_is(&new()));
}

#[test]
fn an_automatic_release_asks_where_the_judge_cannot_tell() {
    let mut scene = automatic();
    scene.send(Event::Start);
    scene.settle();
    scene.wait(22_000);
    assert_eq!(scene.rollout.phase, Phase::Deciding);
    scene.send(Event::Accept { watch: 1, by: "ada".into() });
    scene.send(Event::Accept { watch: 1, by: "ada".into() });
    assert!(matches!(&scene.rollout.phase, Phase::Rolling { pool: Some(pool) } if pool.as_str() == "b"));
}

#[test]
fn a_failing_pool_brings_everything_back_the_canary_too() {
    let mut scene = Scene::six(Kind::Canary).canary_held().follow(Kind::Release, new());
    scene.send(Event::Start);
    scene.send(click("a"));
    scene.settle();
    scene.verdict(Verdict::Fail);
    assert!(matches!(scene.rollout.phase, Phase::Restoring(Cause::Failed { .. })));
    assert_eq!(scene.rollout.serving(), scene.rollout.minimum(), "as many as may be leave at once");
    scene.settle();
    assert!(scene.everything_is(&old()));
}

#[test]
fn a_node_that_does_not_start_fails_the_release() {
    let mut scene = automatic();
    scene.broken.insert("b-1".into());
    scene.send(Event::Start);
    scene.settle();
    scene.wait(1_000);
    scene.verdict(Verdict::Pass);
    scene.settle();
    scene.wait(30_000);
    scene.settle();
    assert!(scene.everything_is(&old()));
}

#[test]
fn a_canary_node_that_died_before_the_release_fails_it_in_time() {
    let mut scene = Scene::six(Kind::Canary).canary_held();
    scene.failed("a-1");
    let mut scene = scene.follow(Kind::Release, new());
    scene.send(Event::Start);
    scene.send(click("a"));
    scene.settle();
    for _ in 0..29 {
        scene.failed("a-1");
        scene.wait(1_000);
    }
    assert!(matches!(scene.rollout.phase, Phase::Rolling { .. }), "it may still come back");
    scene.failed("a-1");
    scene.wait(1_000);
    scene.settle();
    assert!(scene.everything_is(&old()));
}

#[test]
fn an_aborted_release_stays_where_it_is() {
    let mut scene = Scene::six(Kind::Release);
    scene.send(Event::Start);
    scene.send(click("a"));
    let revision = scene.rollout.revision;
    scene.send(Event::Drained { node: "a-1".into(), revision });
    scene.send(Event::Abort { by: "ada".into(), reason: "lunch".into() });
    assert!(matches!(scene.rollout.phase, Phase::Stopping(_)));
    scene.settle();
    assert_eq!(scene.versions(), "a-1:new a-2:old a-3:old b-1:old b-2:old b-3:old");
    assert!(scene.rollout.is_over());
    assert_eq!(scene.rollout.serving(), 6);
}

#[test]
fn a_node_that_fails_while_a_release_stops_goes_back() {
    let mut scene = Scene::six(Kind::Release);
    scene.broken.insert("a-1".into());
    scene.send(Event::Start);
    scene.send(click("a"));
    scene.settle();
    scene.send(Event::Abort { by: "ada".into(), reason: String::new() });
    scene.failed("a-1");
    scene.settle();
    assert!(scene.everything_is(&old()) && scene.rollout.is_over());
}

#[test]
fn a_person_rolls_back_between_two_pools() {
    let mut scene = Scene::six(Kind::Release);
    scene.send(Event::Start);
    scene.send(click("a"));
    scene.settle();
    scene.wait(20_000);
    scene.send(Event::RollBack { by: "ada".into() });
    scene.settle();
    assert!(scene.everything_is(&old()));
    assert!(matches!(scene.try_send(click("b")), Err(Refusal::Over { .. })));
}

#[test]
fn the_first_release_fills_empty_pools_at_once() {
    let mut scene = Scene::new(Kind::Release, nodes(&[("a", 2), ("b", 2)], None));
    scene.send(Event::Start);
    scene.send(click("a"));
    assert_eq!(scene.versions(), "a-1:new a-2:new b-1:- b-2:-");
    scene.settle();
    assert_eq!(scene.rollout.phase, Phase::AwaitingPool { pool: "b".into() });
    scene.send(click("b"));
    scene.settle();
    assert!(scene.everything_is(&new()));
}
