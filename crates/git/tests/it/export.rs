//! Trees as plain files.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use serin_git::ErrorKind;

use crate::fixture::World;

fn empty(world: &World) -> PathBuf {
    let folder = world.folder.path().join("out");
    std::fs::create_dir(&folder).unwrap();
    folder
}

#[tokio::test]
async fn a_tree_becomes_the_committed_bytes() {
    let world = World::new().await;
    world.write(".gitattributes", "*.txt eol=crlf export-subst\nskip export-ignore\n*.x filter=evil\n");
    world.write("deep/er/a.txt", "$Format:%H$\n");
    world.write("skip", "kept\n");
    world.write("b.x", "raw\n");
    world.write("empty", "");
    world.write("large.bin", vec![7; 300_000]);
    world.write("run", "#!\n");
    world.git(["-c", "core.autocrlf=false", "add", "--all"]);
    world.git(["update-index", "--chmod=+x", "run"]);
    world.git(["commit", "--quiet", "-m", "files"]);
    world.send("main");
    let id = world.repository.resolve("main").await.unwrap().unwrap();
    let out = empty(&world);
    let export = world.repository.export(&id, &out).await.unwrap();
    assert_eq!((export.files, export.left_out.len()), (7, 0));
    let read = |path: &str| std::fs::read(out.join(path)).unwrap();
    assert_eq!(read("deep/er/a.txt"), b"$Format:%H$\n");
    assert_eq!((read("skip"), read("b.x"), read("empty")), (b"kept\n".to_vec(), b"raw\n".to_vec(), Vec::new()));
    assert_eq!(read("large.bin"), vec![7; 300_000]);
    let mode = |path: &str| out.join(path).metadata().unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("run") != 0, mode("skip")), (true, 0));
    assert!(!out.join(".git").exists());
    assert!(world.repository.export(&id, &out).await.is_err(), "the folder is not empty any more");
}

#[tokio::test]
async fn links_out_of_the_folder_are_left_out() {
    let world = World::new().await;
    for (name, target) in [("in", "dir/file"), ("etc", "/etc"), ("up", "../up"), ("dir/back", "../in")] {
        world.write("dir/file", "x");
        std::os::unix::fs::symlink(target, world.work.join(name)).unwrap();
    }
    let id = world.publish("main", "a", "a");
    let out = empty(&world);
    let export = world.repository.export(&id, &out).await.unwrap();
    assert_eq!(export.left_out, ["etc", "up"]);
    assert_eq!(std::fs::read(out.join("dir/back")).unwrap(), b"x");
    assert!(out.join("etc").symlink_metadata().is_err());
}

#[tokio::test]
async fn nothing_is_written_through_or_beside_the_folder() {
    let world = World::new().await;
    let blob = world.object("blob", b"evil");
    let target = world.object("blob", world.folder.path().as_os_str().as_encoded_bytes());
    let inner = world.commit_of_tree(&[("100644", b"pwned", &blob)]);
    let inner = world.repository.commit(&inner).await.unwrap().tree;
    let outside = world.folder.path().join("pwned");
    let trees: [&[(&str, &[u8], &str)]; 6] = [
        &[("120000", b"x", &target), ("40000", b"x", inner.as_str())],
        &[("40000", b"..", inner.as_str())],
        &[("100644", b"../pwned", &blob)],
        &[("100644", b".git", &blob)],
        &[("40000", b".GIT", inner.as_str())],
        &[("100644", b"a", &blob), ("100644", b"a", &blob)],
    ];
    for (number, tree) in trees.iter().enumerate() {
        let id = world.commit_of_tree(tree);
        let out = world.folder.path().join(format!("out{number}"));
        std::fs::create_dir(&out).unwrap();
        let result = world.repository.export(&id, &out).await;
        assert!(!outside.exists(), "{number}");
        assert!(number == 0 || result.is_err(), "{number}: {result:?}");
    }
}

#[tokio::test]
async fn a_name_too_long_for_the_disk_is_an_error() {
    let world = World::new().await;
    let blob = world.object("blob", b"x");
    let id = world.commit_of_tree(&[("100644", &[b'n'; 65_536], &blob)]);
    let error = world.repository.export(&id, &empty(&world)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().len() < 500, "{}", error.to_string().len());
}
