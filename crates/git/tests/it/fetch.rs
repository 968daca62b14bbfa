//! Clones and fetches by the real client over HTTP.

use std::path::Path;

use tokio::io::AsyncReadExt;

use crate::{
    fixture::{World, command},
    http::{Rules, serve},
};

async fn run(world: &World, arguments: &[&str]) {
    let mut command = command(world.folder.path(), arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn head(folder: &Path) -> String {
    String::from_utf8(crate::fixture::client(folder, ["rev-parse", "HEAD"]).stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn clones_in_every_protocol_version_and_shape() {
    let world = World::new().await;
    world.publish("main", "a.txt", "a\n");
    let id = world.publish("main", "b/c.txt", "c\n");
    let (url, _) = serve(world.repository.clone(), Rules::default()).await;
    let shapes: [&[&str]; 4] = [&[], &["--depth=1"], &["--filter=blob:none"], &["--single-branch"]];
    for (number, (version, shape)) in ["0", "1", "2"].iter().flat_map(|v| shapes.map(|shape| (v, shape))).enumerate() {
        let (version, to) = (format!("protocol.version={version}"), format!("clone{number}"));
        let mut arguments = vec!["-c", version.as_str(), "clone", "--quiet"];
        arguments.extend(shape);
        arguments.extend([url.as_str(), to.as_str()]);
        run(&world, &arguments).await;
        let clone = world.folder.path().join(&to);
        assert_eq!(head(&clone), id.0, "{version} {shape:?}");
        assert_eq!(std::fs::read(clone.join("b/c.txt")).unwrap(), b"c\n");
    }
}

#[tokio::test]
async fn an_empty_repository_can_be_cloned() {
    let world = World::new().await;
    let (url, _) = serve(world.repository.clone(), Rules::default()).await;
    run(&world, &["clone", "--quiet", &url, "empty"]).await;
    assert!(world.folder.path().join("empty/.git").is_dir());
}

#[tokio::test]
async fn merge_request_refs_can_be_fetched_and_private_ones_are_hidden() {
    let world = World::new().await;
    let id = world.publish("main", "a.txt", "a\n");
    for name in ["refs/merge-requests/1/head", "refs/private/1"] {
        world.repository.update_ref(name, &id, serin_git::Expected::Absent).await.unwrap();
    }
    let (url, _) = serve(world.repository.clone(), Rules::default()).await;
    run(&world, &["clone", "--quiet", &url, "clone"]).await;
    let mut command = command(&world.folder.path().join("clone"), ["ls-remote", "origin"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.contains("refs/merge-requests/1/head") && !listed.contains("refs/private"), "{listed}");
}

#[tokio::test]
async fn garbage_in_a_fetch_request_ends_the_answer() {
    let world = World::new().await;
    world.publish("main", "a.txt", "a\n");
    for request in [&b"GET / HTTP/1.1"[..], b"0011command=lslsls0000", b"", b"ffff"] {
        let mut answer = Vec::new();
        let mut response = world.repository.upload_pack(Some("version=2"), request).unwrap();
        response.read_to_end(&mut answer).await.unwrap();
        assert!(answer.len() < 1_000);
    }
}
