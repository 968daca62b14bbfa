//! Names from outside: none reaches a shell, an option or another file.

use serin_git::{Expected, Merge};
use serin_model::CommitId;

use crate::fixture::World;

const NAMES: [&str; 14] = [
    "--upload-pack=touch x",
    "--output=x",
    "-x",
    "$(touch x)",
    "`touch x`",
    "a; touch x",
    "a\nb",
    "a\0b",
    "\"'",
    "../../x",
    "@{-1}",
    ":/x",
    "HEAD^{/x}",
    "main..other",
];

fn folder(world: &World) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.extend(std::fs::read_dir(world.repository.path()).unwrap().map(|entry| entry.unwrap().path()));
    found.sort();
    found
}

#[tokio::test]
async fn hostile_revisions_and_names_do_nothing() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    let before = folder(&world);
    let long = "x".repeat(65_536);
    for name in NAMES.into_iter().chain([long.as_str()]) {
        assert_eq!(world.repository.resolve(name).await.unwrap(), None, "{name:?}");
        let read = world.repository.read_file(&id, name, 100).await;
        assert!(!matches!(read, Ok(Some(_))), "{name:?}");
        let bad = CommitId::from(name);
        assert!(world.repository.commit(&bad).await.is_err());
        assert!(world.repository.diff(&bad, &id, serin_git::DiffLimits::default()).await.is_err());
        assert!(world.repository.merge(&id, &bad).await.is_err());
        assert!(world.repository.log(Some(&bad), &id, 1).await.is_err());
        assert!(world.repository.update_ref("refs/heads/x", &bad, Expected::Any).await.is_err());
        assert!(world.repository.update_ref(name, &id, Expected::Any).await.is_err());
    }
    assert_eq!(folder(&world), before);
    assert_eq!(world.repository.refs().await.unwrap().len(), 1);
    assert_eq!(world.repository.read_file(&id, "a.txt", 100).await.unwrap().unwrap(), b"a\n");
}

#[tokio::test]
async fn hostile_file_names_are_plain_data() {
    let world = World::new().await;
    let names = ["--output=x", "$(touch x)", "a\nb", "\"'", ":(top)a", "*", "a\tb", "x-gdeadbeef", "日本"];
    for name in names {
        world.write(name, name);
    }
    let base = world.publish("main", "a", "a");
    for name in names {
        let read = world.repository.read_file(&base, name, 100).await.unwrap();
        assert_eq!(read.as_deref(), Some(name.as_bytes()), "{name:?}");
        world.write(name, "changed");
    }
    let head = world.publish("topic", "a", "a");
    let changed = world.repository.changed_files(&base, &head).await.unwrap();
    assert!(names.iter().all(|name| changed.iter().any(|path| path == name)), "{changed:?}");
    let listed = world.repository.list_files(&head, 100).await.unwrap();
    assert!(names.iter().all(|name| listed.iter().any(|entry| entry.path == *name)));
    assert!(matches!(world.repository.merge(&base, &head).await.unwrap(), Merge::Clean { .. }));
}

#[tokio::test]
async fn a_branch_name_of_legal_oddities_works() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    for branch in ["$(touch,x)", "a'b\"c", "`x`", "a;b", "a|b&c", "日本", "feature/--x".trim_end_matches("--x")] {
        let name = format!("refs/heads/{}", branch.trim_end_matches('/'));
        assert!(world.repository.update_ref(&name, &id, Expected::Absent).await.is_ok(), "{name}");
        assert_eq!(world.repository.resolve(&name).await.unwrap(), Some(id.clone()), "{name}");
    }
}

#[tokio::test]
async fn no_hook_runs() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    let hooks = world.repository.path().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("reference-transaction");
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.repository.update_ref("refs/heads/x", &id, Expected::Absent).await.unwrap();
    assert_eq!(world.repository.resolve("x").await.unwrap(), Some(id));
}
