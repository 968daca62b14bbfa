use crate::scene::{Scene, new, nodes, old};
use crate::{Action, Cause, Effect, Event, Kind, Milestone, Outcome, Phase, Refusal, Settings, Verdict};
use serin_model::{Digest, NodeName};

#[test]
fn two_nodes_are_taken_out_tested_stepped_and_held() {
    let mut scene = Scene::six(Kind::Canary);
    scene.send(Event::Start);
    assert_eq!(scene.routes(), "a-1=drain a-2=250000 a-3=250000 b-1=drain b-2=250000 b-3=250000");
    scene.settle();
    assert_eq!(scene.rollout.phase, Phase::Verifying);
    assert_eq!(scene.routes(), "a-2=250000 a-3=250000 b-2=250000 b-3=250000");
    let canary: Vec<NodeName> = vec!["a-1".into(), "b-1".into()];
    assert_eq!(scene.milestones(), [Milestone::Detached { nodes: canary.clone() }]);

    scene.send(Event::CanaryRequested);
    assert_eq!(scene.routes(), "a-1=5000 a-2=247500 a-3=247500 b-1=5000 b-2=247500 b-3=247500");
    let watch = scene.rollout.desired_watch().unwrap();
    assert_eq!((watch.canary.clone(), watch.horizon_ms), (canary, 180_000));
    assert_eq!(watch.baseline, ["a-2", "a-3", "b-2", "b-3"].map(NodeName::from));

    scene.wait(59_999);
    assert_eq!(scene.rollout.share_ppm(), 10_000);
    scene.wait(1);
    assert_eq!(scene.rollout.share_ppm(), 200_000);
    scene.wait(120_000);
    scene.verdict(Verdict::Pass);
    assert_eq!(scene.rollout.phase, Phase::Held);
    assert_eq!(scene.rollout.share_ppm(), 200_000, "the last approved share stays");
    assert!(scene.effects.contains(&Effect::MarkVerified));
    assert_eq!(scene.milestones().last(), Some(&Milestone::CanaryPassed));
    assert!(scene.rollout.may_be_superseded() && !scene.rollout.is_over());
    assert_eq!(scene.rollout.actions(), [Action::RollBack]);
}

#[test]
fn a_failing_verdict_takes_the_traffic_off_in_the_same_step() {
    for steps_done in 0..2 {
        let mut scene = Scene::six(Kind::Canary).canary_steps();
        scene.wait(60_000 * steps_done);
        let effects = scene.verdict(Verdict::Fail);
        assert_eq!(scene.routes(), "a-1=drain a-2=250000 a-3=250000 b-1=drain b-2=250000 b-3=250000");
        assert_eq!(scene.rollout.share_ppm(), 0);
        assert!(effects.contains(&Effect::JudgeStop { watch: 1 }));
        assert!(effects.contains(&Effect::MarkFailed { reason: "failed: errors doubled".into() }));
        scene.settle();
        assert!(scene.everything_is(&old()));
        let reason = "failed: errors doubled".to_owned();
        assert_eq!(scene.milestones().last(), Some(&Milestone::Failed { reason }));
    }
}

#[test]
fn a_pass_shortens_each_step_to_one_tick() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    scene.verdict(Verdict::Pass);
    assert_eq!(scene.rollout.share_ppm(), 10_000, "less than a tick has passed");
    assert_eq!(scene.rollout.next_wake(), Some(scene.now.plus_ms(1_000)));
    scene.wait(1_000);
    assert_eq!(scene.rollout.share_ppm(), 200_000);
    scene.wait(999);
    assert!(matches!(scene.rollout.phase, Phase::Stepping { step: 1, .. }));
    scene.wait(1);
    assert_eq!(scene.rollout.phase, Phase::Held);
}

#[test]
fn without_a_verdict_a_person_decides() {
    for verdict in [None, Some(Verdict::Continue), Some(Verdict::Inconclusive)] {
        let mut scene = Scene::six(Kind::Canary).canary_steps();
        scene.wait(60_000);
        verdict.map(|verdict| scene.verdict(verdict));
        scene.wait(120_000);
        let waited = verdict != Some(Verdict::Inconclusive);
        assert_eq!(scene.rollout.phase == Phase::Deciding, !waited, "{verdict:?}: the last word may still come in");
        scene.wait(2_000);
        assert_eq!(scene.rollout.phase, Phase::Deciding);
        assert!(scene.rollout.waits_for_person() && scene.can(&Action::Accept { watch: 1 }));
        scene.send(Event::Resume { by: "ada".into() });
        scene.send(Event::Accept { watch: 0, by: "ada".into() });
        assert_eq!(scene.rollout.phase, Phase::Deciding, "only a click on this comparison accepts it");
        scene.send(Event::Accept { watch: 1, by: "ada".into() });
        assert_eq!(scene.rollout.phase, Phase::Held);
        assert_eq!(scene.milestones().last(), Some(&Milestone::CanaryPassed));
    }
}

#[test]
fn an_undecided_canary_still_fails_on_a_late_word() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    scene.wait(60_000);
    scene.wait(122_000);
    assert_eq!(scene.rollout.phase, Phase::Deciding);
    scene.verdict(Verdict::Fail);
    assert!(matches!(scene.rollout.phase, Phase::Restoring(Cause::Failed { .. })));
}

#[test]
fn a_canary_node_that_goes_fails_the_canary() {
    let goes: [fn(&mut Scene); 2] = [|scene| scene.lost("b-1"), |scene| scene.failed("b-1")];
    for go in goes {
        let mut scene = Scene::six(Kind::Canary).canary_steps();
        go(&mut scene);
        assert!(matches!(scene.rollout.phase, Phase::Restoring(Cause::Failed { .. })));
        scene.settle();
        assert!(scene.everything_is(&old()));
    }
    let mut scene = Scene::six(Kind::Canary);
    scene.send(Event::Start);
    scene.settle();
    scene.lost("a-1");
    assert!(matches!(scene.rollout.phase, Phase::Restoring(_)), "also while it is tested");
}

#[test]
fn a_baseline_node_that_goes_is_routed_around() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    scene.lost("a-2");
    assert_eq!(scene.routes(), "a-1=5000 a-2=0 a-3=330000 b-1=5000 b-2=330000 b-3=330000");
    assert!(matches!(scene.rollout.phase, Phase::Stepping { .. }));
    for node in ["a-3", "b-2", "b-3"] {
        scene.lost(node);
    }
    let routes = "a-1=5000 a-2=247500 a-3=247500 b-1=5000 b-2=247500 b-3=247500";
    assert_eq!(scene.routes(), routes, "with no baseline left, the canary gets no more than its share");
    scene.healthy("b-3");
    assert_eq!(scene.routes(), "a-1=5000 a-2=0 a-3=0 b-1=5000 b-2=0 b-3=990000");
}

#[test]
fn failed_tests_and_people_bring_the_nodes_back() {
    let by = || "ada".to_owned();
    let events = [
        Event::VerificationFailed { reason: "2 of 9".into() },
        Event::Abort { by: by(), reason: String::new() },
        Event::RollBack { by: by() },
    ];
    for event in events {
        for settled in [false, true] {
            let mut scene = Scene::six(Kind::Canary);
            scene.send(Event::Start);
            if settled {
                scene.settle();
            }
            let effects = scene.send(event.clone());
            let marked = effects.iter().any(|effect| matches!(effect, Effect::MarkFailed { .. }));
            assert_eq!(marked, matches!(event, Event::VerificationFailed { .. }));
            scene.settle();
            assert!(scene.everything_is(&old()) && scene.rollout.is_over(), "{event:?}");
            let milestones = scene.milestones();
            assert!(matches!(milestones.last(), Some(Milestone::Failed { .. })));
        }
    }
}

#[test]
fn a_held_canary_can_be_rolled_back() {
    let mut scene = Scene::six(Kind::Canary).canary_held();
    scene.send(Event::RollBack { by: "ada".into() });
    scene.settle();
    assert!(scene.everything_is(&old()));
    let cause = Cause::RolledBack { by: "ada".into() };
    assert_eq!(scene.rollout.phase, Phase::Over(Outcome::Stopped(cause.clone())));
    assert!(scene.effects.contains(&Effect::MarkFailed { reason: cause.to_string() }));
}

#[test]
fn a_pause_stops_the_clock_and_not_the_judge() {
    let mut scene = Scene::six(Kind::Canary).canary_steps();
    scene.wait(50_000);
    scene.send(Event::Pause { by: "ada".into() });
    assert_eq!(scene.rollout.next_wake(), None);
    scene.wait(600_000);
    assert_eq!(scene.rollout.share_ppm(), 10_000);
    scene.send(Event::Resume { by: "ada".into() });
    scene.wait(9_999);
    assert_eq!(scene.rollout.share_ppm(), 10_000);
    scene.wait(1);
    assert_eq!(scene.rollout.share_ppm(), 200_000);
    scene.send(Event::Pause { by: "ada".into() });
    scene.verdict(Verdict::Fail);
    assert_eq!(scene.rollout.share_ppm(), 0);
}

#[test]
fn the_canary_job_may_start_before_the_nodes_are_ready() {
    let mut scene = Scene::six(Kind::Canary);
    scene.send(Event::Start);
    scene.send(Event::CanaryRequested);
    assert_eq!(scene.rollout.phase, Phase::Detaching);
    scene.settle();
    assert!(matches!(scene.rollout.phase, Phase::Stepping { step: 0, .. }));
}

#[test]
fn a_canary_is_refused_where_too_few_would_serve() {
    let refusal = |pools: &[(&str, usize)], running, min_serving, lost: &[&str]| {
        let settings = Settings { min_serving, ..crate::slot::tests::settings() };
        let mut scene = Scene::with(Kind::Canary, nodes(pools, running), settings);
        lost.iter().for_each(|node| scene.lost(node));
        let before = scene.rollout.clone();
        let refusal = scene.try_send(Event::Start).err();
        assert!(refusal.is_none() || scene.rollout == before, "a refusal changes nothing");
        refusal
    };
    let too_few = |left, minimum| Some(Refusal::TooFewServing { wanted: 2, left, minimum });
    assert_eq!(refusal(&[("a", 3)], Some(old()), None, &[]), None);
    assert_eq!(refusal(&[("a", 2)], Some(old()), None, &[]), too_few(0, 1));
    assert_eq!(refusal(&[("a", 6)], Some(old()), Some(5), &[]), too_few(4, 5));
    assert_eq!(refusal(&[("a", 6)], Some(old()), Some(4), &["a-6"]), too_few(3, 4));
    let unhealthy = Some(Refusal::TooFewHealthy { wanted: 2, healthy: 1 });
    assert_eq!(refusal(&[("a", 2)], Some(old()), None, &["a-1"]), unhealthy);
    assert_eq!(refusal(&[("a", 3)], None, None, &[]), Some(Refusal::NothingServing));
}

#[test]
fn the_next_canary_takes_the_same_nodes() {
    let mut scene = Scene::six(Kind::Canary).canary_held().follow(Kind::Canary, Digest::from("sha256:newer"));
    scene.send(Event::Start);
    assert_eq!(scene.routes(), "a-1=drain a-2=250000 a-3=250000 b-1=drain b-2=250000 b-3=250000");
    scene.settle();
    assert_eq!(scene.versions(), "a-1:newer a-2:old a-3:old b-1:newer b-2:old b-3:old");
    scene.send(Event::VerificationFailed { reason: "no".into() });
    scene.settle();
    assert!(scene.everything_is(&old()), "back to what production stands on, not to the last canary");
}

#[test]
fn a_smaller_canary_gives_the_spare_node_back() {
    let mut scene = Scene::six(Kind::Canary).canary_held().follow(Kind::Canary, Digest::from("sha256:newer"));
    scene.rollout.settings.canary_nodes = 1;
    scene.send(Event::Start);
    scene.settle();
    assert_eq!(scene.versions(), "a-1:newer a-2:old a-3:old b-1:old b-2:old b-3:old");
    assert_eq!(scene.routes(), "a-2=200000 a-3=200000 b-1=200000 b-2=200000 b-3=200000");
}

#[test]
fn lost_nodes_are_not_chosen() {
    let mut scene = Scene::six(Kind::Canary);
    scene.lost("a-1");
    scene.send(Event::Start);
    scene.settle();
    assert_eq!(scene.rollout.canary_nodes(), ["a-2", "b-1"].map(NodeName::from));
    assert!(!scene.everything_is(&new()));
}
