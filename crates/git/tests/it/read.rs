//! Refs, commits, files, differences.

use serin_git::{DiffLimits, EntryKind, ErrorKind, Expected, FileStatus, LineKind, Repository, Update};
use serin_model::CommitId;

use crate::fixture::World;

fn absent() -> CommitId {
    CommitId("1".repeat(40))
}

#[tokio::test]
async fn a_repository_is_created_once_and_opened_again() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    let again = Repository::create(world.repository.path(), "main").await.unwrap();
    assert_eq!(again.resolve("main").await.unwrap(), Some(id));
    assert_eq!(again.default_branch().await.unwrap(), "main");
    again.set_default_branch("develop").await.unwrap();
    assert_eq!(again.default_branch().await.unwrap(), "develop");
    again.collect_garbage().await.unwrap();
    assert!(Repository::open(world.folder.path()).is_err());
    assert!(Repository::create(world.folder.path().join("x"), "--x").await.is_err());
}

#[tokio::test]
async fn refs_are_listed_and_resolved() {
    let world = World::new().await;
    let one = world.publish("main", "a.txt", "a\n");
    world.git(["tag", "-a", "-m", "tag", "v1"]);
    let two = world.publish("both", "a.txt", "b\n");
    world.git(["tag", "both", "v1^{commit}"]);
    world.git(["push", "--quiet", "origin", "refs/tags/v1", "refs/tags/both"]);
    world.repository.update_ref("refs/merge-requests/1/head", &two, Expected::Absent).await.unwrap();
    let named = |name: &str, id: &CommitId| (name.to_owned(), id.clone());
    let expected = [
        named("refs/heads/both", &two),
        named("refs/heads/main", &one),
        named("refs/merge-requests/1/head", &two),
        named("refs/tags/both", &one),
        named("refs/tags/v1", &one),
    ];
    assert_eq!(world.repository.refs().await.unwrap(), expected);
    let short = &two.0[..10];
    let cases = [
        ("main", Some(&one)),
        ("refs/heads/main", Some(&one)),
        ("refs/merge-requests/1/head", Some(&two)),
        ("v1", Some(&one)),
        ("both", Some(&two)),
        ("both~1", Some(&one)),
        ("HEAD", Some(&one)),
        (short, Some(&two)),
        (&two.0, Some(&two)),
        ("nothing", None),
        ("refs/heads/nothing", None),
        (&"1".repeat(40), None),
    ];
    for (revision, id) in cases {
        assert_eq!(world.repository.resolve(revision).await.unwrap().as_ref(), id, "{revision}");
    }
}

#[tokio::test]
async fn refs_move_only_from_where_they_are_expected() {
    let world = World::new().await;
    let one = world.publish("main", "a.txt", "a\n");
    let two = world.publish("other", "a.txt", "b\n");
    let repository = &world.repository;
    let name = "refs/merge-requests/1/merge";
    assert_eq!(repository.update_ref(name, &one, Expected::At(two.clone())).await.unwrap(), Update::Raced);
    assert_eq!(repository.update_ref(name, &one, Expected::Absent).await.unwrap(), Update::Updated);
    assert_eq!(repository.update_ref(name, &two, Expected::Absent).await.unwrap(), Update::Raced);
    assert_eq!(repository.update_ref(name, &two, Expected::At(two.clone())).await.unwrap(), Update::Raced);
    assert_eq!(repository.resolve(name).await.unwrap(), Some(one.clone()));
    assert_eq!(repository.update_ref(name, &two, Expected::At(one.clone())).await.unwrap(), Update::Updated);
    assert_eq!(repository.delete_ref(name, Expected::At(one)).await.unwrap(), Update::Raced);
    assert_eq!(repository.delete_ref(name, Expected::At(two.clone())).await.unwrap(), Update::Updated);
    assert_eq!(repository.resolve(name).await.unwrap(), None);
    assert_eq!(repository.delete_ref(name, Expected::Any).await.unwrap(), Update::Updated);
    assert_eq!(repository.delete_ref(name, Expected::Absent).await.unwrap(), Update::Updated);
    assert_eq!(repository.delete_ref("refs/heads/main", Expected::Absent).await.unwrap(), Update::Raced);
    assert!(repository.update_ref(name, &absent(), Expected::Any).await.is_err());
    let one_minute = std::time::Duration::from_secs(60);
    let lock = repository.path().join("refs/heads/other.lock");
    std::fs::write(&lock, "").unwrap();
    assert_eq!(repository.update_ref("refs/heads/other", &two, Expected::Any).await.unwrap(), Update::Raced);
    assert_eq!(repository.remove_leftovers(one_minute).await.unwrap(), 0);
    assert_eq!(repository.remove_leftovers(std::time::Duration::ZERO).await.unwrap(), 1);
    assert_eq!(repository.update_ref("refs/heads/other", &two, Expected::Any).await.unwrap(), Update::Updated);
}

#[tokio::test]
async fn commits_are_read() {
    let world = World::new().await;
    let one = world.publish("main", "a.txt", "a\n");
    world.write("b.txt", "b\n");
    let two = world.commit("Fix \"quotes\" & $(touch x)\nsecond line\n\nBody\nwith `ticks`\n");
    world.send("main");
    let commit = world.repository.commit(&two).await.unwrap();
    assert_eq!(commit.parents, vec![one]);
    assert_eq!((commit.author.name.as_str(), commit.author.time_ms), ("Ada", 1_700_000_000_000));
    assert_eq!((commit.committer.email.as_str(), commit.committer.time_ms), ("ben@example.org", 1_700_000_001_000));
    assert_eq!(commit.title, "Fix \"quotes\" & $(touch x) second line");
    assert!(commit.message.ends_with("Body\nwith `ticks`\n"));
    assert_eq!(commit.tree.as_str(), world.git(["rev-parse", "HEAD^{tree}"]));
    assert_eq!(world.repository.commit(&absent()).await.unwrap_err().kind(), ErrorKind::Missing);
    let tree = CommitId(commit.tree.0);
    assert_eq!(world.repository.commit(&tree).await.unwrap_err().kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn files_are_read_and_listed() {
    let world = World::new().await;
    world.write("src/deep/x.rs", "x");
    world.write("run", "#!");
    world.git(["add", "run"]);
    world.git(["update-index", "--chmod=+x", "run"]);
    std::os::unix::fs::symlink("/etc/passwd", world.work.join("link")).unwrap();
    world.git(["add", "--all"]);
    world.git(["update-index", "--chmod=+x", "run"]);
    world.git(["commit", "--quiet", "-m", "files"]);
    world.send("main");
    let id = world.repository.resolve("main").await.unwrap().unwrap();
    let read = async |path: &str| world.repository.read_file(&id, path, 100).await.unwrap();
    assert_eq!(read("src/deep/x.rs").await.as_deref(), Some(&b"x"[..]));
    for path in ["nothing", "src", "src/deep", "src/deep/x.rs/y", "link", "src/nothing/x"] {
        assert_eq!(read(path).await, None, "{path}");
    }
    let over = world.repository.read_file(&id, "run", 1).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Limit);
    let files = world.repository.list_files(&id, 3).await.unwrap();
    let kinds: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.kind)).collect();
    let expected = [("link", EntryKind::Symlink), ("run", EntryKind::Executable), ("src/deep/x.rs", EntryKind::File)];
    assert_eq!(kinds, expected);
    assert_eq!(world.repository.list_files(&id, 2).await.unwrap_err().kind(), ErrorKind::Limit);
    let folder = world.repository.list_folder(&id, "src").await.unwrap().unwrap();
    assert_eq!((folder[0].path.as_str(), folder[0].kind), ("src/deep", EntryKind::Folder));
    assert_eq!(world.repository.list_folder(&id, "").await.unwrap().unwrap().len(), 3);
    assert_eq!(world.repository.list_folder(&id, "run").await.unwrap(), None);
}

#[tokio::test]
async fn a_difference_is_read_line_by_line() {
    let world = World::new().await;
    world.write("moved.txt", "1\n2\n3\n4\n5\n6\n7\n8\n");
    world.write("gone.txt", "gone\n");
    world.write("kind", "plain\n");
    world.write("mode.sh", "#!\n");
    world.write("image.bin", b"\0\x01");
    let base = world.publish("main", "text.txt", "a\nb\nc");
    world.git(["mv", "moved.txt", "sub moved.txt"]);
    world.git(["rm", "--quiet", "gone.txt", "kind"]);
    std::os::unix::fs::symlink("text.txt", world.work.join("kind")).unwrap();
    world.write("image.bin", b"\0\x02");
    world.write("text.txt", "a\nB\nc\n--- x\n+++ y\ndiff --git a/x b/x\n");
    world.write("new\n\"name\"", "diff --git a/q b/q\n@@ -1 +1 @@\n");
    world.git(["add", "--all"]);
    world.git(["update-index", "--chmod=+x", "mode.sh"]);
    world.git(["commit", "--quiet", "-m", "changes"]);
    world.send("topic");
    let head = world.repository.resolve("topic").await.unwrap().unwrap();
    let diff = world.repository.diff(&base, &head, DiffLimits::default()).await.unwrap();
    let seen: Vec<_> = diff.files.iter().map(|file| (file.new_path.as_str(), file.status, file.hunks.len())).collect();
    let expected = [
        ("gone.txt", FileStatus::Deleted, 1),
        ("image.bin", FileStatus::Modified, 0),
        ("kind", FileStatus::TypeChanged, 2),
        ("mode.sh", FileStatus::Modified, 0),
        ("new\n\"name\"", FileStatus::Added, 1),
        ("sub moved.txt", FileStatus::Renamed, 0),
        ("text.txt", FileStatus::Modified, 1),
    ];
    assert_eq!(seen, expected);
    assert!(diff.files[1].binary && !diff.more_files);
    let list = world.repository.diff_list(&base, &head, 3).await.unwrap();
    assert!(list.more_files && list.files.len() == 3 && list.files.iter().all(|file| file.hunks.is_empty()));
    let some = ["new\n\"name\"", "text.txt", diff.files[5].old_path.as_str(), "sub moved.txt", "*.bin"];
    let part = world.repository.diff_of(&base, &head, &some, DiffLimits::default()).await.unwrap();
    assert_eq!(part.files, diff.files[4..], "named paths alone, and none of them a pattern");
    assert_eq!((diff.files[3].old_mode.as_str(), diff.files[3].new_mode.as_str()), ("100644", "100755"));
    assert_eq!(diff.files[5].old_path, "moved.txt");
    assert_eq!((diff.files[4].added, diff.files[4].removed), (2, 0));
    let lines: Vec<_> = diff.files[6].hunks[0]
        .lines
        .iter()
        .map(|line| (line.kind, line.old, line.new, line.text.as_str(), line.no_newline))
        .collect();
    let expected = [
        (LineKind::Context, Some(1), Some(1), "a", false),
        (LineKind::Removed, Some(2), None, "b", false),
        (LineKind::Removed, Some(3), None, "c", true),
        (LineKind::Added, None, Some(2), "B", false),
        (LineKind::Added, None, Some(3), "c", false),
        (LineKind::Added, None, Some(4), "--- x", false),
        (LineKind::Added, None, Some(5), "+++ y", false),
        (LineKind::Added, None, Some(6), "diff --git a/x b/x", false),
    ];
    assert_eq!(lines, expected);
    let mut changed = world.repository.changed_files(&base, &head).await.unwrap();
    changed.retain(|path| path.contains("moved"));
    assert_eq!(changed, ["moved.txt", "sub moved.txt"]);
}

#[tokio::test]
async fn a_huge_difference_is_bounded() {
    let world = World::new().await;
    let base = world.publish("main", "a.txt", "a\n");
    world.write("lines.txt", "line\n".repeat(2_000_000));
    world.write("one-line.txt", "x".repeat(9 << 20));
    for number in 0..50 {
        world.write(&format!("n/{number:02}.txt"), "text\n");
    }
    let head = world.publish("topic", "a.txt", "b\n");
    let limits = DiffLimits { files_max: 20, file_lines_max: 100, line_bytes_max: 64, patch_bytes_max: 1 << 20 };
    let diff = world.repository.diff(&base, &head, limits).await.unwrap();
    assert!(diff.more_files);
    assert_eq!(diff.files.len(), 20);
    assert!(!diff.files[0].too_large, "a.txt was read whole");
    let long = &diff.files[1];
    assert!(long.too_large && long.hunks[0].lines.len() == 100);
    assert!(diff.files[2..].iter().all(|file| file.too_large && file.hunks.is_empty()));
    let few = world.repository.diff(&base, &head, DiffLimits { files_max: 1, ..limits }).await.unwrap();
    assert!(few.more_files && !few.files[0].too_large && few.files[0].added == 1);
    let wide = DiffLimits { patch_bytes_max: 64 << 20, files_max: 100, ..limits };
    let diff = world.repository.diff(&base, &head, wide).await.unwrap();
    let line = diff.files.iter().find(|file| file.new_path == "one-line.txt").unwrap();
    assert!(line.too_large && line.hunks[0].lines[0].text.len() == 64);
    assert!(!line.misses_lines && diff.files.iter().any(|file| file.misses_lines));
    assert!(!diff.files.iter().any(|file| file.new_path.starts_with("n/") && file.too_large));
}
