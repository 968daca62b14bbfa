use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serin_model::Digest;
use serin_objects::{Error, Releases};

fn tree(root: &Path) {
    fs::create_dir_all(root.join("bin/empty")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(root.join(".git/HEAD"), root.to_str().unwrap()).unwrap();
    fs::write(root.join("bin/shop"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("bin/shop"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(root.join("data"), "data").unwrap();
    symlink("bin/shop", root.join("shop")).unwrap();
}

#[tokio::test]
async fn the_same_tree_is_stored_once_and_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let releases = Releases::open(folder.path()).unwrap();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(one.path());
    tree(two.path());
    let digest = releases.release_store(one.path()).await.unwrap();
    let (second, third) = tokio::join!(releases.release_store(two.path()), releases.release_store(two.path()));
    assert_eq!((second.unwrap(), third.unwrap()), (digest.clone(), digest.clone()));
    assert_eq!(fs::read_dir(folder.path().join("sha256")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
    let path = releases.release_path(&digest).unwrap();
    let mode = |name: &str| path.join(name).symlink_metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("bin"), mode("bin/shop"), mode("data")), (0o555, 0o555, 0o555, 0o444));
    assert_eq!(fs::read_link(path.join("shop")).unwrap(), Path::new("bin/shop"));
    assert!(!path.join(".git").exists());
    releases.release_delete(&digest).await.unwrap();
    assert_eq!(releases.release_path(&digest), None);
    assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
}

#[tokio::test]
async fn whatever_differs_makes_another_digest() {
    let folder = tempfile::tempdir().unwrap();
    let releases = Releases::open(folder.path()).unwrap();
    let changes: [fn(&Path); 6] = [
        |_| {},
        |root| fs::write(root.join("data"), "datb").unwrap(),
        |root| fs::rename(root.join("data"), root.join("date")).unwrap(),
        |root| fs::set_permissions(root.join("data"), fs::Permissions::from_mode(0o700)).unwrap(),
        |root| fs::remove_dir(root.join("bin/empty")).unwrap(),
        |root| {
            fs::remove_file(root.join("shop")).unwrap();
            fs::write(root.join("shop"), "bin/shop").unwrap();
        },
    ];
    let mut digests = Vec::new();
    for change in changes {
        let root = tempfile::tempdir().unwrap();
        tree(root.path());
        change(root.path());
        digests.push(releases.release_store(root.path()).await.unwrap().0);
    }
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
}

#[tokio::test]
async fn links_out_of_the_tree_and_pipes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let releases = Releases::open(folder.path()).unwrap();
    let makes: [fn(&Path); 3] = [
        |root| symlink("/etc", root.join("link")).unwrap(),
        |root| symlink("../x", root.join("link")).unwrap(),
        |root| nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
    ];
    for make in makes {
        let root = tempfile::tempdir().unwrap();
        tree(root.path());
        make(root.path());
        let result = releases.release_store(root.path()).await;
        assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
    }
    assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_digest_that_is_none_has_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let releases = Releases::open(folder.path()).unwrap();
    for text in ["sha256:..", "sha256:", "../x", &format!("sha256:{}", "A".repeat(64))] {
        assert_eq!(releases.release_path(&Digest::from(text)), None, "{text}");
    }
}
