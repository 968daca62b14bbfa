//! Artifacts that want out of their folder.

use anyhow::{Context, Result};
use serin_e2e::Server;

const PROJECT: &str = "archives";

const PIPELINE: &str = r#"
stages: [make, use]

make:
  stage: make
  script:
    - mkdir -p out/deep
    - echo good > out/good.txt
    - ln -s /etc out/link
    - ln -s /etc/hostname out/name
    - ln -s ../../../../../../.. out/deep/up
    - ln -s good.txt out/near
    - echo back > 'out/..\x'
    - echo back > '..\..\y'
    - mkfifo out/pipe
    - ln -s /etc whole
    - mkdir 'out/...'
    - echo dots > 'out/.../file'
  artifacts:
    paths: [out/, whole/, whole/hostname, "../**/*", "/etc/hostname", '..\..\y']

use:
  stage: use
  script:
    - find . -path ./.git -prune -o -print
    - test "$(cat out/good.txt)" = good
    - test ! -e out/link/passwd && test ! -e out/name && test ! -e whole/passwd
    - test ! -e out/deep/up/etc
    - test ! -p out/pipe
    - test ! -e ../x && test ! -e ../../y
"#;

#[tokio::test]
async fn nothing_outside_the_project_is_packed_or_written() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let commit = tree.push_pipeline(PIPELINE).await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    let make = server.job(PROJECT, &pipeline, "make").await?;
    let using = server.job(PROJECT, &pipeline, "use").await?;
    let said = server.trace(PROJECT, &make).await? + &server.trace(PROJECT, &using).await?;
    assert_eq!((make["status"].as_str(), using["status"].as_str()), (Some("success"), Some("success")), "{said}");
    assert!(said.contains("left out"), "nobody is told what was left out:\n{said}");

    let bytes = server.file(&format!("/projects/{PROJECT}/jobs/{}/artifacts", make["id"])).await?;
    let host = std::fs::read("/etc/hostname").unwrap_or_default();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name().to_owned();
        assert!(!name.split(['/', '\\']).any(|part| part == "..") || name.contains("..\\"), "{name}");
        assert!(!name.starts_with('/') && !name.contains("hostname") && !name.contains("passwd"), "{name}");
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content)?;
        assert!(host.is_empty() || content != host, "{name} holds a file of the machine");
    }
    let kept = server.data().join("builds");
    let left: Vec<_> =
        std::fs::read_dir(&kept).context("no builds")?.flatten().map(|entry| entry.file_name()).collect();
    for name in ["x", "y", "..\\x"] {
        assert!(!left.iter().any(|entry| entry == name), "{left:?}");
    }
    Ok(())
}
