//! Pushes by the real client over HTTP.

use std::process::Output;

use serin_git::{ReceivePolicy, Refusal};

use crate::{
    fixture::{World, command},
    http::{Rules, serve},
};

/// Pushes without blocking the runtime that serves it, and hands back the client's words.
async fn push(world: &World, arguments: &[&str]) -> (bool, String) {
    let mut command = command(&world.work, ["push"].iter().chain(arguments));
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn refusal(name: &str, reason: &str) -> Refusal {
    Refusal { name: name.to_owned(), reason: reason.to_owned() }
}

#[tokio::test]
async fn a_push_arrives_with_options_and_messages() {
    let world = World::new().await;
    world.write("a.txt", "a\n");
    let id = world.commit("one");
    let messages = vec!["To see the merge request:\n  http://x/1".to_owned()];
    let (url, rules) = serve(world.repository.clone(), Rules { messages, ..Rules::default() }).await;
    let options = ["-o", "merge_request.create", "-o", "merge_request.title=Tidy \"it\"", &url, "main", "main:topic"];
    let (pushed, words) = push(&world, &options).await;
    assert!(pushed, "{words}");
    assert!(words.contains("remote: To see the merge request:") && words.contains("remote:   http://x/1"), "{words}");
    assert_eq!(rules.pushes.lock().unwrap()[0].options, ["merge_request.create", "merge_request.title=Tidy \"it\""]);
    assert!(rules.outcomes.lock().unwrap().iter().all(|outcome| outcome.refused.is_none()));
    assert_eq!(rules.outcomes.lock().unwrap().len(), 2);
    let refs = world.repository.refs().await.unwrap();
    assert_eq!(refs, [("refs/heads/main".to_owned(), id.clone()), ("refs/heads/topic".to_owned(), id)]);
}

#[tokio::test]
async fn a_refused_push_says_why_and_moves_nothing() {
    let world = World::new().await;
    world.publish("master", "a.txt", "a\n");
    let refusals = vec![refusal("refs/heads/master", "protected branch")];
    let (url, _) = serve(world.repository.clone(), Rules { refusals, ..Rules::default() }).await;
    world.write("a.txt", "b\n");
    world.commit("two");
    let before = world.repository.refs().await.unwrap();
    let (pushed, words) = push(&world, &[&url, "HEAD:refs/heads/master", "HEAD:refs/heads/topic"]).await;
    assert!(!pushed);
    assert!(words.contains("! [remote rejected] HEAD -> master (protected branch)"), "{words}");
    assert!(words.contains("HEAD -> topic (held back, since another ref was refused)"), "{words}");
    assert_eq!(world.repository.refs().await.unwrap(), before);
}

#[tokio::test]
async fn a_large_push_arrives_in_chunks() {
    let world = World::new().await;
    let noise: Vec<u8> = (0u64..600_000).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    for name in 0..8 {
        world.write(&format!("{name}.bin"), noise.iter().map(|b| b.wrapping_mul(name + 3)).collect::<Vec<u8>>());
    }
    let id = world.commit("noise");
    let (url, _) = serve(world.repository.clone(), Rules::default()).await;
    let (pushed, words) = push(&world, &[&url, "main"]).await;
    assert!(pushed, "{words}");
    assert_eq!(world.repository.resolve("main").await.unwrap(), Some(id));
}

#[tokio::test]
async fn a_pack_over_the_limit_is_refused() {
    let world = World::new().await;
    world.write("a.bin", (0u32..20_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<u8>>());
    world.commit("large");
    let policy = ReceivePolicy { pack_bytes_max: 10_000, ..ReceivePolicy::default() };
    let (url, _) = serve(world.repository.clone(), Rules { policy, ..Rules::default() }).await;
    let (pushed, words) = push(&world, &[&url, "main"]).await;
    assert!(!pushed && words.contains("remote rejected"), "{words}");
    assert_eq!(world.repository.refs().await.unwrap(), []);
}

#[tokio::test]
async fn a_guarded_branch_moves_forward_only() {
    let world = World::new().await;
    world.publish("main", "a.txt", "a\n");
    let first = world.publish("main", "a.txt", "b\n");
    let policy = ReceivePolicy { fast_forward_only: vec!["refs/heads/main".into()], ..ReceivePolicy::default() };
    let (url, rules) = serve(world.repository.clone(), Rules { policy, ..Rules::default() }).await;
    world.git(["reset", "--quiet", "--hard", "HEAD~1"]);
    world.write("a.txt", "c\n");
    let other = world.commit("other");
    let (pushed, words) = push(&world, &["--force", &url, "main"]).await;
    assert!(!pushed && words.contains("(non-fast-forward)"), "{words}");
    assert_eq!(rules.outcomes.lock().unwrap()[0].refused.as_deref(), Some("non-fast-forward"));
    assert_eq!(world.repository.resolve("main").await.unwrap(), Some(first));
    world.git(["push", "--quiet", "origin", "HEAD~1:refs/heads/topic"]);
    let (pushed, words) = push(&world, &["--force", &url, "main:topic"]).await;
    assert!(pushed, "{words}");
    assert_eq!(world.repository.resolve("topic").await.unwrap(), Some(other));
}

#[tokio::test]
async fn an_atomic_push_is_all_or_nothing() {
    let world = World::new().await;
    let first = world.publish("main", "a.txt", "a\n");
    let policy = ReceivePolicy { fast_forward_only: vec!["refs/heads/main".into()], ..ReceivePolicy::default() };
    let (url, rules) = serve(world.repository.clone(), Rules { policy, ..Rules::default() }).await;
    world.git(["checkout", "--quiet", "--orphan", "other"]);
    world.commit("unrelated");
    let (pushed, words) = push(&world, &["--atomic", "--force", &url, "HEAD:main", "HEAD:topic"]).await;
    assert!(!pushed, "{words}");
    assert!(rules.pushes.lock().unwrap()[0].is_atomic());
    let refs = world.repository.refs().await.unwrap();
    assert_eq!(refs, [("refs/heads/main".to_owned(), first)]);
}

#[tokio::test]
async fn branches_are_deleted_but_not_the_default_one() {
    let world = World::new().await;
    world.publish("main", "a.txt", "a\n");
    world.send("topic");
    let (url, rules) = serve(world.repository.clone(), Rules::default()).await;
    let (pushed, words) = push(&world, &[&url, ":topic"]).await;
    assert!(pushed, "{words}");
    assert_eq!(rules.pushes.lock().unwrap()[0].commands[0].new, None);
    let (pushed, words) = push(&world, &[&url, ":main"]).await;
    assert!(!pushed, "{words}");
    assert_eq!(world.repository.refs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn refs_outside_branches_and_tags_are_refused() {
    let world = World::new().await;
    world.publish("main", "a.txt", "a\n");
    let (url, rules) = serve(world.repository.clone(), Rules::default()).await;
    for name in ["refs/merge-requests/1/head", "refs/replace/0123456789012345678901234567890123456789", "refs/x/y"] {
        let (pushed, words) = push(&world, &[&url, &format!("HEAD:{name}")]).await;
        assert!(!pushed && words.contains("remote rejected"), "{words}");
    }
    assert_eq!(rules.pushes.lock().unwrap().len(), 3);
    assert_eq!(world.repository.refs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dot_git_path_is_refused_by_the_check() {
    for (mode, name) in [("100644", ".git"), ("100644", ".GIT"), ("100644", "..")] {
        let world = World::new().await;
        let sender = World::new().await;
        let blob = sender.object("blob", b"[core]\n");
        let id = sender.commit_of_tree(&[(mode, name.as_bytes(), &blob)]);
        let (url, rules) = serve(world.repository.clone(), Rules::default()).await;
        let from = format!("--git-dir={}", sender.repository.path().display());
        let mut command = command(&world.work, [&from, "push", &url, &format!("{id}:refs/heads/x")]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.contains("remote: "), "{name}: {words}");
        assert!(rules.outcomes.lock().unwrap()[0].refused.is_some());
        assert_eq!(world.repository.refs().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_submodule_trick_is_refused_by_the_check() {
    let world = World::new().await;
    world.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch /tmp/x\n");
    world.commit("trick");
    let (url, _) = serve(world.repository.clone(), Rules::default()).await;
    let (pushed, words) = push(&world, &[&url, "main"]).await;
    assert!(!pushed && words.contains("gitmodulesUrl"), "{words}");
    assert_eq!(world.repository.refs().await.unwrap(), []);
}

#[tokio::test]
async fn a_pack_cut_short_leaves_nothing() {
    let world = World::new().await;
    let mut body = Vec::new();
    let line = format!("{} {} refs/heads/x\0 report-status side-band-64k", "0".repeat(40), "1".repeat(40));
    body.extend(format!("{:04x}{line}0000PACK\0\0\0\x02\0\0\0\x09abc", line.len() + 4).into_bytes());
    let mut rest = body.as_slice();
    let push = serin_git::read_push(&mut rest).await.unwrap();
    let received = world.repository.receive(&push, rest, &ReceivePolicy::default()).await.unwrap();
    assert!(received.outcomes[0].refused.is_some());
    assert_eq!(world.repository.refs().await.unwrap(), []);
}

#[tokio::test]
async fn a_pack_is_set_aside_whole_or_refused() {
    let world = World::new().await;
    for length in [0, 1, 1 << 20, (1 << 20) + 1, 5 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut pack = world.repository.spool(bytes.as_slice(), 5 << 20).await.unwrap();
        let mut read = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut pack, &mut read).await.unwrap();
        assert!(read == bytes, "{length}");
        let over = world.repository.spool(bytes.as_slice(), (length as u64).saturating_sub(1)).await;
        assert_eq!(over.is_err(), length > 0, "{length}");
    }
    let left = std::fs::read_dir(world.repository.path()).unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("incoming")));
}
