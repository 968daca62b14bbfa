use crate::scene::{Scene, new, nodes, old};
use crate::{Cause, Effect, Event, Kind, Milestone, Outcome, Phase, Settings, Traffic};

#[test]
fn nodes_are_replaced_one_after_the_other() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("default", 3)], Some(old())));
    scene.send(Event::Start);
    assert_eq!(scene.routes(), "default-1=drain default-2=500000 default-3=500000");
    assert_eq!(scene.versions(), "default-1:old default-2:old default-3:old");
    scene.settle();
    assert!(scene.everything_is(&new()));
    assert_eq!(scene.milestones(), [Milestone::Deployed]);
    assert_eq!(scene.rollout.phase, Phase::Over(Outcome::Succeeded));
    assert_eq!(scene.rollout.next_wake(), None);
}

#[test]
fn a_batch_takes_several_but_never_below_the_minimum() {
    for (batch, min_serving, drained) in [(1, None, 1), (2, None, 2), (4, None, 2), (4, Some(1), 3), (3, Some(4), 1)] {
        let settings = Settings { batch, min_serving, ..crate::slot::tests::settings() };
        let mut scene = Scene::with(Kind::Deploy, nodes(&[("a", 4)], Some(old())), settings);
        scene.send(Event::Start);
        assert_eq!(scene.routes().matches("drain").count(), drained, "batch {batch}, minimum {min_serving:?}");
        scene.settle();
        assert!(scene.everything_is(&new()));
    }
}

#[test]
fn the_first_version_starts_everywhere_at_once_without_draining() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], None));
    let effects = scene.send(Event::Start);
    assert_eq!(scene.versions(), "a-1:new a-2:new a-3:new");
    assert!(effects.contains(&Effect::Nodes));
    assert_eq!(scene.routes(), "");
    scene.settle();
    assert_eq!(scene.routes(), "a-1=333334 a-2=333333 a-3=333333");
}

#[test]
fn a_first_version_that_does_not_start_leaves_nothing_running() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], None));
    scene.broken.insert("a-2".into());
    scene.send(Event::Start);
    scene.settle();
    scene.wait(30_000);
    scene.settle();
    assert_eq!(scene.versions(), "a-1:- a-2:- a-3:-");
    assert!(matches!(scene.rollout.phase, Phase::Over(Outcome::Stopped(Cause::Failed { .. }))));
}

#[test]
fn one_node_is_replaced_with_nobody_left() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 1)], Some(old())));
    scene.send(Event::Start);
    assert_eq!(scene.routes(), "a-1=drain");
    scene.settle();
    assert!(scene.everything_is(&new()));
}

#[test]
fn a_node_that_does_not_start_brings_the_old_version_back() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], Some(old())));
    scene.broken.insert("a-2".into());
    scene.send(Event::Start);
    scene.settle();
    assert_eq!(scene.versions(), "a-1:new a-2:new a-3:old");
    assert_eq!(scene.routes(), "a-1=500000 a-3=500000");
    scene.wait(29_999);
    assert!(matches!(scene.rollout.phase, Phase::Rolling { .. }));
    scene.wait(1);
    assert_eq!(scene.versions(), "a-1:new a-2:old a-3:old", "a-1 is drained first");
    scene.settle();
    assert!(scene.everything_is(&old()));
    let reason = "failed: a-2 did not become healthy within 30 s".to_owned();
    assert_eq!(scene.milestones(), [Milestone::Failed { reason }]);
}

#[test]
fn a_node_that_ends_fails_the_deployment_at_once() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], Some(old())));
    scene.broken.insert("a-1".into());
    scene.send(Event::Start);
    scene.settle();
    scene.failed("a-1");
    assert!(matches!(scene.rollout.phase, Phase::Restoring(Cause::Failed { .. })));
    scene.settle();
    assert!(scene.everything_is(&old()));
}

#[test]
fn an_old_version_that_does_not_come_back_is_given_up_and_heals_later() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], Some(old())));
    scene.broken.insert("a-1".into());
    scene.send(Event::Start);
    scene.settle();
    scene.failed("a-1");
    scene.wait(30_000);
    assert!(scene.rollout.is_over());
    assert_eq!(scene.routes(), "a-2=500000 a-3=500000");
    scene.healthy("a-1");
    assert_eq!(scene.routes(), "a-1=333334 a-2=333333 a-3=333333");
}

#[test]
fn nothing_to_do_ends_at_once() {
    for kind in [Kind::Deploy, Kind::Canary, Kind::Release] {
        let mut scene = Scene::new(kind, nodes(&[("a", 3)], Some(new())));
        scene.send(Event::Start);
        assert_eq!(scene.rollout.phase, Phase::Over(Outcome::NothingToDo));
        assert_eq!(scene.milestones(), [Milestone::NothingToDo]);
        assert_eq!(scene.effects.contains(&Effect::MarkVerified), kind == Kind::Canary);
    }
}

#[test]
fn an_aborted_deployment_goes_back() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], Some(old())));
    scene.broken.insert("a-2".into());
    scene.send(Event::Start);
    scene.settle();
    scene.send(Event::Abort { by: "ada".into(), reason: "wrong branch".into() });
    scene.settle();
    assert!(scene.everything_is(&old()));
    let reason = "aborted by ada: wrong branch".to_owned();
    assert_eq!(scene.milestones(), [Milestone::Failed { reason }]);
}

#[test]
fn a_node_that_is_down_is_replaced_before_one_that_serves() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 3)], Some(old())));
    scene.lost("a-3");
    scene.send(Event::Start);
    assert_eq!(scene.routes(), "a-1=500000 a-2=500000 a-3=drain");
    assert!(matches!(scene.rollout.slots[2].traffic, Traffic::Draining(_)));
}
