use crate::scene::{Scene, new, nodes, old};
use crate::slot::tests::settings;
use crate::{Effect, Entry, Event, Kind, Known, Phase, Settings, Tone, Verdict};
use serin_model::{NodeName, Timestamp};

#[test]
fn a_node_is_replaced_only_after_the_gateway_has_let_it_go() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 2)], Some(old())));
    scene.send(Event::Start);
    scene.wait(3_600_000);
    assert_eq!(scene.versions(), "a-1:old a-2:old", "the drain time-out does not count while the gateway is deaf");
    scene.send(Event::RoutesApplied { revision: scene.rollout.revision });
    assert_eq!(scene.rollout.next_wake(), Some(scene.now.plus_ms(10_000)));
    scene.wait(9_999);
    assert_eq!(scene.versions(), "a-1:old a-2:old");
    scene.wait(1);
    assert_eq!(scene.versions(), "a-1:new a-2:old");
}

#[test]
fn late_and_foreign_events_change_nothing() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    let (node, at) = (NodeName::from("a-1"), scene.now);
    let reason = String::from("old news");
    let earlier = Timestamp(at.0 - 1);
    let revision = scene.rollout.revision;
    let verdict = |watch, tick| Event::Verdict { watch, tick, verdict: Verdict::Fail, sentence: "old".into() };
    let events = [
        Event::Start,
        Event::Wake,
        Event::CanaryRequested,
        Event::NodeFailed { node: node.clone(), generation: 1, at, reason: reason.clone() },
        Event::NodeLost { node: node.clone(), generation: 2, at: earlier },
        Event::NodeLost { node: node.clone(), generation: 3, at },
        Event::NodeHealthy { node: node.clone(), generation: 2, at },
        Event::NodeLost { node: "z-1".into(), generation: 1, at },
        Event::Drained { node: node.clone(), revision },
        Event::Drained { node: "a-2".into(), revision: 1 },
        Event::RoutesApplied { revision: revision + 1 },
        verdict(0, 9),
        verdict(2, 9),
        Event::Resume { by: "ada".into() },
        Event::Accept { watch: 1, by: "ada".into() },
    ];
    for event in events {
        let before = scene.rollout.clone();
        scene.send(event.clone());
        assert_eq!(scene.rollout.phase, before.phase, "{event:?}");
        assert_eq!(scene.rollout.desired_routes(), before.desired_routes(), "{event:?}");
        assert_eq!(scene.rollout.desired_nodes(), before.desired_nodes(), "{event:?}");
    }
    scene.send(Event::NodeLost { node, generation: 2, at });
    assert!(matches!(scene.rollout.phase, Phase::Restoring(_)));
}

#[test]
fn a_drain_of_long_ago_does_not_end_the_present_one() {
    let mut scene = Scene::new(Kind::Deploy, nodes(&[("a", 2)], Some(old())));
    scene.send(Event::Start);
    let first = scene.rollout.revision;
    scene.send(Event::Abort { by: "ada".into(), reason: String::new() });
    assert!(scene.rollout.is_over(), "nothing was replaced yet");
    let mut scene = scene.follow(Kind::Deploy, new());
    scene.send(Event::Start);
    scene.send(Event::Drained { node: "a-1".into(), revision: first });
    assert_eq!(scene.versions(), "a-1:old a-2:old");
    scene.settle();
    assert!(scene.everything_is(&new()));
}

#[test]
fn an_older_word_of_the_judge_does_not_replace_a_newer_one() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    let word = |tick, verdict| Event::Verdict { watch: 1, tick, verdict, sentence: String::new() };
    scene.send(word(5, Verdict::Pass));
    scene.send(word(4, Verdict::Continue));
    scene.wait(1_000);
    assert_eq!(scene.rollout.share_ppm(), 200_000);
    scene.send(word(3, Verdict::Fail));
    assert!(matches!(scene.rollout.phase, Phase::Restoring(_)), "a fail counts whenever it comes");
}

#[test]
fn people_are_told_once_where_it_cannot_go_on() {
    let settings = Settings { min_serving: Some(2), ..settings() };
    let mut scene = Scene::with(Kind::Deploy, nodes(&[("a", 3)], Some(old())), settings);
    scene.lost("a-1");
    scene.broken.insert("a-1".into());
    scene.send(Event::Start);
    scene.settle();
    scene.healthy("a-1");
    scene.lost("a-2");
    scene.settle();
    assert!(!scene.rollout.waits_for_person());
    scene.healthy("a-2");
    scene.lost("a-3");
    scene.settle();
    scene.broken.insert("a-3".into());
    scene.rollout.slots[2].health = Known::Healthy;
    let mut stuck = Scene::with(Kind::Deploy, nodes(&[("a", 2)], Some(old())), scene.rollout.settings.clone());
    stuck.send(Event::Start);
    stuck.wait(29_999);
    assert!(!stuck.rollout.waits_for_person());
    let asked =
        |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Notify { tone: Tone::Asks, .. }));
    assert!(asked(&stuck.wait(1)));
    assert!(stuck.rollout.waits_for_person());
    assert!(!asked(&stuck.wait(60_000)), "once");
    assert!(stuck.rollout.history.iter().any(|(_, entry)| matches!(entry, Entry::Stuck(_))));
    stuck.settle();
    assert!(stuck.everything_is(&new()), "it goes on by itself when the world does");
}

#[test]
fn a_clock_that_was_set_back_does_not_deafen() {
    let mut scene = Scene::six(Kind::Deploy);
    scene.healthy("a-2");
    let at = Timestamp(scene.now.0 - 3_600_000);
    scene.send(Event::NodeLost { node: "a-2".into(), generation: 1, at });
    assert_eq!(scene.rollout.slots[1].health, Known::Lost);
}

#[test]
fn the_timeline_keeps_its_beginning_and_its_end() {
    let mut scene = Scene::six(Kind::Deploy);
    for _ in 0..crate::HISTORY_ENTRIES_MAX {
        scene.now = scene.now.plus_ms(10);
        scene.lost("a-1");
        scene.now = scene.now.plus_ms(10);
        scene.healthy("a-1");
    }
    assert_eq!(scene.rollout.history.len(), crate::HISTORY_ENTRIES_MAX);
    assert_eq!(scene.rollout.history[0].0, Timestamp(1_000_010));
    assert_eq!(scene.rollout.history.last().map(|(at, _)| *at), Some(scene.now));
}
