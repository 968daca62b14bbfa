//! Children: none outlives the future that waits on it, and reads are quick.

use std::time::{Duration, Instant};

use serin_git::{DiffLimits, Expected, NewCommit, ReceivePolicy, Service, read_push};
use tokio::io::{AsyncReadExt, duplex};

use crate::fixture::{World, signature};

/// The ids of processes whose command line names the folder.
fn processes(folder: &std::path::Path) -> Vec<String> {
    let needle = folder.to_str().unwrap().to_owned();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let named = all.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&needle)
    });
    named.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

async fn gone(folder: &std::path::Path) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !processes(folder).is_empty() {
        assert!(Instant::now() < limit, "{:?}", processes(folder));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_dropped_fetch_ends_its_process() {
    let world = World::new().await;
    world.publish("main", "a.txt", "a\n");
    let (request, _held_open) = duplex(64);
    let response = world.repository.upload_pack(None, request).unwrap();
    assert_eq!(processes(world.repository.path()).len(), 1);
    drop(response);
    gone(world.repository.path()).await;
}

#[tokio::test]
async fn a_dropped_push_ends_its_process() {
    let world = World::new().await;
    let line = format!("{} {} refs/heads/x\0 report-status", "0".repeat(40), "1".repeat(40));
    let body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    let push = read_push(&mut body.as_slice()).await.unwrap();
    let (rest, _held_open) = duplex(64);
    let policy = ReceivePolicy::default();
    let receiving = world.repository.receive(&push, rest, &policy);
    tokio::time::timeout(Duration::from_millis(200), receiving).await.unwrap_err();
    gone(world.repository.path()).await;
    assert_eq!(world.repository.remove_leftovers(Duration::ZERO).await.unwrap(), 0, "git cleaned up after itself");
}

#[tokio::test]
async fn a_reader_that_died_is_replaced() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    assert!(world.repository.commit(&id).await.is_ok());
    let readers = processes(world.repository.path());
    assert_eq!(readers.len(), 1);
    let killed = std::process::Command::new("kill").args(["-KILL", &readers[0]]).status().unwrap();
    assert!(killed.success());
    for _ in 0..3 {
        assert_eq!(world.repository.read_file(&id, "a.txt", 10).await.unwrap().unwrap(), b"a\n");
    }
}

#[tokio::test]
async fn a_dropped_repository_ends_its_readers() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    world.repository.commit(&id).await.unwrap();
    let path = world.repository.path().to_owned();
    assert_eq!(processes(&path).len(), 1);
    let World { repository, folder: _folder, .. } = world;
    drop(repository);
    gone(&path).await;
}

/// The median of some repetitions, in microseconds, printed for whoever runs with `--nocapture`.
macro_rules! median {
    ($name:literal, $call:expr) => {{
        let mut times = Vec::new();
        for _ in 0..31 {
            let start = Instant::now();
            $call.await.unwrap();
            times.push(start.elapsed().as_micros());
        }
        times.sort_unstable();
        println!("{:<14} median {:>6} µs, highest {:>6} µs", $name, times[15], times[30]);
        times[15]
    }};
}

#[tokio::test]
async fn reads_on_the_way_from_push_to_job_are_quick() {
    let world = World::new().await;
    for number in 0..200 {
        world.write(&format!("src/{}/{number}.rs", number % 10), format!("fn f{number}() {{}}\n"));
    }
    let base = world.publish("main", ".gitlab-ci.yml", "job: { script: [true] }\n");
    let head = world.publish("topic", "src/1/1.rs", "fn changed() {}\n");
    let repository = &world.repository;
    let commit = repository.commit(&head).await.unwrap();
    let new = NewCommit {
        tree: commit.tree,
        parents: vec![base.clone(), head.clone()],
        message: "merge".into(),
        author: signature("A"),
        committer: signature("A"),
    };
    let limits = DiffLimits::default();
    let read = median!("read_file", repository.read_file(&head, ".gitlab-ci.yml", 1 << 20));
    let resolve = median!("resolve", repository.resolve("topic"));
    median!("commit", repository.commit(&head));
    let refs = median!("refs", repository.refs());
    median!("advertise", repository.advertise(Service::ReceivePack, None));
    median!("list_files", repository.list_files(&head, 10_000));
    median!("merge_base", repository.merge_base(&base, &head));
    median!("log", repository.log(Some(&base), &head, 100));
    median!("changed_files", repository.changed_files(&base, &head));
    median!("diff", repository.diff(&base, &head, limits));
    median!("merge", repository.merge(&base, &head));
    median!("commit_tree", repository.commit_tree(&new));
    median!("update_ref", repository.update_ref("refs/heads/x", &head, Expected::Any));
    let numbers = 0..1_000;
    let updates: Vec<serin_git::RefUpdate> = numbers
        .map(|number| serin_git::RefUpdate {
            name: format!("refs/heads/many/{number}"),
            new: Some(head.clone()),
            expected: Expected::Any,
        })
        .collect();
    repository.update_refs(&updates).await.unwrap();
    median!("refs (1,000)", repository.refs());
    let mut response = repository.upload_pack(None, &b"0000"[..]).unwrap();
    response.read_to_end(&mut Vec::new()).await.unwrap();
    // Ten times what an idle machine takes, since others may be at work.
    assert!(read < 20_000 && resolve < 20_000 && refs < 100_000);
}
