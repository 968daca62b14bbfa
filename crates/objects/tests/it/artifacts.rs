use std::fs;

use serin_model::JobId;
use serin_objects::archive::{self, Limits, Selection};
use serin_objects::glob::Pattern;
use serin_objects::{ArtifactName, AttemptKey, Error, Objects};

const KEY: AttemptKey = AttemptKey { job_id: JobId(7), attempt: 1 };

#[tokio::test]
async fn an_archive_is_stored_read_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("report.xml"), "<x/>").unwrap();
    let source = tree.path().join("a.zip");
    let selection = Selection { paths: vec![Pattern::parse("*.xml").unwrap()], ..Selection::default() };
    archive::pack(tree.path(), &selection, &source, Limits::default()).unwrap();
    let artifacts = Objects::open(folder.path()).unwrap().artifacts;
    let size = artifacts.store(KEY, ArtifactName::Archive, source.clone()).await.unwrap();
    assert!(size > 0 && !source.exists());
    assert_eq!(artifacts.list(KEY, ArtifactName::Archive).await.unwrap()[0].path, "report.xml");
    let read = artifacts.read_file(KEY, ArtifactName::Archive, "report.xml".into()).await.unwrap();
    assert_eq!(read, b"<x/>");
    let target = tree.path().join("target");
    artifacts.unpack(KEY, ArtifactName::Archive, target.clone()).await.unwrap();
    assert!(target.join("report.xml").is_file());
    assert_eq!(artifacts.find(KEY, &ArtifactName::Report("junit".into())).unwrap(), None);
    artifacts.delete(KEY).await.unwrap();
    artifacts.delete(KEY).await.unwrap();
    assert!(matches!(artifacts.list(KEY, ArtifactName::Archive).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn what_is_no_archive_or_no_report_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Objects::open(folder.path()).unwrap().artifacts;
    let staged = artifacts.stage();
    fs::write(&staged, "no zip").unwrap();
    let stored = artifacts.store(KEY, ArtifactName::Archive, staged).await;
    assert!(matches!(stored, Err(Error::BadArchive { .. })));
    assert_eq!(artifacts.find(KEY, &ArtifactName::Archive).unwrap(), None);
    assert!(artifacts.find(KEY, &ArtifactName::Report("../../x".into())).is_err());
}

#[tokio::test]
async fn what_was_staged_is_gone_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let staged = Objects::open(folder.path()).unwrap().artifacts.stage();
    fs::write(&staged, "half").unwrap();
    Objects::open(folder.path()).unwrap();
    assert!(!staged.exists());
}
