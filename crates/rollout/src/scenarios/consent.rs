use crate::scene::{Scene, new, nodes, old};
use crate::slot::tests::settings;
use crate::{Action, Entry, Event, Freeze, Kind, Phase, Refusal, Settings, Terms};
use serin_model::Timestamp;
use serin_model::service::Order;

fn release(order: Order, approvals: u32) -> Scene {
    let terms = Terms {
        approvals,
        authors: vec!["dana".into()],
        approvers: ["dana", "ada", "bea", "cleo"].map(String::from).to_vec(),
        freeze: Vec::new(),
    };
    let settings = Settings { order, terms, ..settings() };
    Scene::with(Kind::Release, nodes(&[("a", 1), ("b", 1)], Some(old())), settings)
}

fn approve(by: &str) -> Event {
    Event::Approve { by: by.into(), digest: new() }
}

fn click(pool: &str) -> Event {
    Event::ReleasePool { pool: pool.into(), by: "ada".into() }
}

fn freeze(until_ms: i64) -> Event {
    let until = Timestamp(until_ms);
    Event::Freeze(Some(Freeze { window: "Fri 16:00 – Mon 09:00 UTC".into(), until, ends: "Monday".into() }))
}

fn is_rolling(scene: &Scene) -> bool {
    matches!(scene.rollout.phase, Phase::Rolling { .. })
}

#[test]
fn no_pool_begins_before_enough_people_agree() {
    let mut scene = release(Order::Manual, 2);
    scene.send(Event::Start);
    let refusal = scene.try_send(click("a")).unwrap_err();
    assert_eq!(refusal, Refusal::NotApproved { given: 0, needed: 2 });
    assert_eq!(scene.rollout.actions()[..2], [Action::Approve, Action::Override]);
    scene.send(approve("ada"));
    scene.send(approve("ada"));
    assert_eq!(scene.rollout.approvals_missing(), 1, "one person counts once");
    let refusal = scene.try_send(click("a")).unwrap_err();
    assert!(refusal.to_string().contains("1 of 2 approvals"), "{refusal}");
    scene.send(approve("bea"));
    assert_eq!(scene.rollout.actions()[0], Action::ReleasePool("a".into()));
    scene.send(approve("cleo"));
    assert_eq!(scene.rollout.approvals.len(), 2, "more than enough is not kept");
    scene.send(click("a"));
    assert!(is_rolling(&scene));
}

#[test]
fn who_wrote_it_or_is_no_approver_does_not_count() {
    let mut scene = release(Order::Manual, 1);
    scene.send(Event::Start);
    assert_eq!(scene.try_send(approve("dana")), Err(Refusal::OwnChange { by: "dana".into() }));
    let refusal = scene.try_send(approve("eve")).unwrap_err();
    assert_eq!(refusal.to_string(), "`eve` is no approver; these are: dana, ada, bea, cleo");
    let older = Event::Approve { by: "ada".into(), digest: old() };
    assert!(matches!(scene.try_send(older), Err(Refusal::NotThisVersion { .. })));
    assert_eq!(scene.rollout.approvals_missing(), 1);
}

#[test]
fn an_automatic_release_goes_on_when_people_and_calendar_let_it() {
    let mut scene = release(Order::Automatic, 1);
    let until = scene.now.plus_ms(60_000);
    scene.send(freeze(until.0));
    scene.send(Event::Start);
    assert_eq!(scene.rollout.phase, Phase::AwaitingPool { pool: "a".into() });
    assert!(scene.rollout.waits_for_person());
    scene.send(approve("ada"));
    assert!(!is_rolling(&scene), "frozen");
    assert!(!scene.rollout.waits_for_person());
    assert_eq!(scene.rollout.next_wake(), Some(until));
    scene.now = until;
    scene.send(Event::Freeze(None));
    assert!(is_rolling(&scene));
    // Frozen again: what has begun is finished, and the next pool waits.
    scene.send(freeze(until.0 + 900_000));
    scene.settle();
    scene.wait(1_000);
    scene.verdict(crate::Verdict::Pass);
    assert_eq!(scene.rollout.phase, Phase::AwaitingPool { pool: "b".into() });
    scene.send(Event::RollBack { by: "ada".into() });
    scene.settle();
    assert!(scene.everything_is(&old()), "back is always possible");
}

#[test]
fn a_pause_holds_what_the_calendar_lets_go() {
    let mut scene = release(Order::Automatic, 0);
    scene.send(freeze(scene.now.0 + 60_000));
    scene.send(Event::Start);
    scene.send(Event::Pause { by: "ada".into() });
    scene.send(Event::Freeze(None));
    assert!(!is_rolling(&scene));
    scene.send(Event::Resume { by: "ada".into() });
    assert!(is_rolling(&scene));
}

#[test]
fn an_override_names_a_person_and_a_reason() {
    let mut scene = release(Order::Manual, 2);
    scene.send(freeze(scene.now.0 + 60_000));
    scene.send(Event::Start);
    scene.send(Event::Override { by: "ada".into(), reason: "customers cannot pay".into() });
    scene.send(Event::Override { by: "bea".into(), reason: "me too".into() });
    let kept = scene.rollout.overridden.clone().unwrap();
    assert_eq!((kept.by.as_str(), kept.reason.as_str()), ("ada", "customers cannot pay"));
    let said = |entry: &&(Timestamp, Entry)| entry.1.to_string() == "terms overridden by ada: customers cannot pay";
    assert_eq!(scene.rollout.history.iter().filter(said).count(), 1);
    scene.send(click("a"));
    assert!(is_rolling(&scene));
}

#[test]
fn deploys_and_canaries_have_no_terms() {
    let mut scene = Scene::six(Kind::Deploy);
    scene.send(freeze(scene.now.0 + 60_000));
    scene.send(Event::Start);
    assert!(is_rolling(&scene));
    assert!(matches!(scene.try_send(approve("ada")), Err(Refusal::NotNow { .. })));
    let word = Event::Override { by: "ada".into(), reason: "why not".into() };
    assert!(matches!(scene.try_send(word), Err(Refusal::NotNow { .. })));
}
