//! Ancestors, ranges and counts.

use serin_model::CommitId;

use crate::fixture::World;

#[tokio::test]
async fn history_is_walked() {
    let world = World::new().await;
    let base = world.publish("main", "a.txt", "a\n");
    let ours = world.publish("main", "a.txt", "b\n");
    world.git(["checkout", "--quiet", "-b", "topic", base.as_str()]);
    world.publish("topic", "b.txt", "1\n");
    let theirs = world.publish("topic", "b.txt", "2\n");
    world.git(["checkout", "--quiet", "--orphan", "alone"]);
    let alone = world.publish("alone", "c.txt", "1\n");
    let repository = &world.repository;
    assert_eq!(repository.merge_base(&ours, &theirs).await.unwrap(), Some(base.clone()));
    assert_eq!(repository.merge_base(&ours, &alone).await.unwrap(), None);
    assert!(repository.is_ancestor(&base, &theirs).await.unwrap());
    assert!(repository.is_ancestor(&base, &base).await.unwrap());
    assert!(!repository.is_ancestor(&ours, &theirs).await.unwrap());
    let missing = CommitId("1".repeat(40));
    assert!(repository.is_ancestor(&missing, &theirs).await.is_err());
    let log = repository.log(Some(&ours), &theirs, 10).await.unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!((&log[0].id, log[0].title.as_str()), (&theirs, "change b.txt"));
    assert_eq!(repository.log(None, &theirs, 2).await.unwrap().len(), 2);
    assert_eq!(repository.commit_count(Some(&ours), &theirs).await.unwrap(), 2);
    assert_eq!(repository.commit_count(None, &theirs).await.unwrap(), 3);
}
