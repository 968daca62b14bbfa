//! Merges without a work tree.

use serin_git::{Expected, Merge, NewCommit, Update};

use crate::fixture::{World, signature};

#[tokio::test]
async fn a_clean_merge_becomes_a_commit() {
    let world = World::new().await;
    let base = world.publish("main", "a.txt", "a\n");
    let ours = world.publish("main", "b.txt", "b\n");
    world.git(["checkout", "--quiet", "-b", "topic", base.as_str()]);
    let theirs = world.publish("topic", "c.txt", "c\n");
    let Merge::Clean { tree } = world.repository.merge(&ours, &theirs).await.unwrap() else { panic!("conflicts") };
    let message = "Merge branch 'x\"; touch /tmp/x'\n\n--author=evil\n# not a comment\n".to_owned();
    let new = NewCommit {
        tree: tree.clone(),
        parents: vec![ours.clone(), theirs.clone()],
        message: message.clone(),
        author: signature("Zoë <b>\n"),
        committer: signature("--help"),
    };
    let id = world.repository.commit_tree(&new).await.unwrap();
    let commit = world.repository.commit(&id).await.unwrap();
    assert_eq!((commit.tree, commit.parents), (tree, vec![ours.clone(), theirs]));
    assert_eq!((commit.message, commit.author.name.as_str()), (message, "Zoë b"));
    assert_eq!(commit.author.time_ms, 1_700_000_000_000);
    assert_eq!(commit.committer.name, "--help");
    let moved = world.repository.update_ref("refs/heads/main", &id, Expected::At(ours)).await.unwrap();
    assert_eq!(moved, Update::Updated);
    for path in ["a.txt", "b.txt", "c.txt"] {
        assert!(world.repository.read_file(&id, path, 10).await.unwrap().is_some(), "{path}");
    }
}

#[tokio::test]
async fn conflicts_name_their_paths() {
    let world = World::new().await;
    world.write("dir/x\ny.txt", "1\n");
    world.write("gone.txt", "1\n");
    let base = world.publish("main", "a.txt", "a\n");
    world.write("dir/x\ny.txt", "2\n");
    world.git(["rm", "--quiet", "gone.txt"]);
    let ours = world.publish("main", "a.txt", "b\n");
    world.git(["checkout", "--quiet", "-b", "topic", base.as_str()]);
    world.write("dir/x\ny.txt", "3\n");
    world.write("gone.txt", "2\n");
    let theirs = world.publish("topic", "fine.txt", "c\n");
    let Merge::Conflicts { paths, messages } = world.repository.merge(&ours, &theirs).await.unwrap() else {
        panic!("clean")
    };
    assert_eq!(paths, ["dir/x\ny.txt", "gone.txt"]);
    assert_eq!(messages.len(), 2);
    assert!(messages[0].starts_with("CONFLICT (content)") && messages[1].starts_with("CONFLICT (modify/delete)"));
}

#[tokio::test]
async fn strangers_do_not_merge() {
    let world = World::new().await;
    let ours = world.publish("main", "a.txt", "a\n");
    world.git(["checkout", "--quiet", "--orphan", "alone"]);
    let theirs = world.publish("alone", "b.txt", "b\n");
    let Merge::Conflicts { paths, messages } = world.repository.merge(&ours, &theirs).await.unwrap() else {
        panic!("clean")
    };
    assert!(paths.is_empty() && messages == ["the two sides share no history"]);
}
