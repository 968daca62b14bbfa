//! What jobs leave behind: archives by attempt and name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::{self, Entry, Limits};
use crate::error::{At, Error};
use crate::trace::attempt_path;
use crate::{AttemptKey, blocking};

/// Bytes of one file that is read out of an archive into memory.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Which archive of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactName {
    /// That of `artifacts:paths`.
    Archive,
    /// That of one kind of `artifacts:reports`, such as `junit`.
    Report(String),
}

impl ArtifactName {
    /// The file's name; an unknown kind of report is hostile, so only plain words pass.
    fn file_name(&self) -> Result<String, Error> {
        match self {
            Self::Archive => Ok("artifacts.zip".to_owned()),
            Self::Report(kind) => {
                let plain = |byte: u8| byte == b'_' || byte == b'-' || byte.is_ascii_alphanumeric();
                if kind.is_empty() || kind.len() > 64 || !kind.bytes().all(plain) {
                    return Err(Error::NotFound { what: "kind of report", name: kind.chars().take(64).collect() });
                }
                Ok(format!("report-{kind}.zip"))
            }
        }
    }
}

/// The artifacts of all jobs.
#[derive(Clone, Debug)]
pub struct Artifacts {
    folder: Arc<PathBuf>,
    staged: Arc<AtomicU64>,
}

impl Artifacts {
    /// Opens the artifacts below `folder` and removes what was staged and never stored.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let staging = folder.join("staging");
        match std::fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("empty", &staging),
            _ => std::fs::create_dir_all(&staging).at("make folder", &staging)?,
        }
        Ok(Self { folder: Arc::new(folder), staged: Arc::default() })
    }

    /// A path that nobody uses, on the same disk: what is written there is stored by a rename.
    #[must_use]
    pub fn stage(&self) -> PathBuf {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.folder.join("staging").join(number.to_string())
    }

    /// Moves the archive `source` into the store, in place of an older one, after a look at its entries. Returns its size.
    pub async fn store(&self, key: AttemptKey, name: ArtifactName, source: PathBuf) -> Result<u64, Error> {
        let target = self.path(key, &name)?;
        let staged = self.stage();
        blocking(move || {
            archive::list(&source, Limits::default())?;
            if let Some(folder) = target.parent() {
                std::fs::create_dir_all(folder).at("make folder", folder)?;
            }
            move_file(&source, &staged, &target)?;
            Ok(target.metadata().at("look at", &target)?.len())
        })
        .await
    }

    /// Where an archive is, if it is there.
    pub fn find(&self, key: AttemptKey, name: &ArtifactName) -> Result<Option<PathBuf>, Error> {
        Ok(Some(self.path(key, name)?).filter(|path| path.is_file()))
    }

    /// Lists an archive.
    pub async fn list(&self, key: AttemptKey, name: ArtifactName) -> Result<Vec<Entry>, Error> {
        let path = self.existing(key, &name)?;
        blocking(move || archive::list(&path, Limits::default())).await
    }

    /// Reads one file of an archive.
    pub async fn read_file(&self, key: AttemptKey, name: ArtifactName, file: String) -> Result<Vec<u8>, Error> {
        let path = self.existing(key, &name)?;
        blocking(move || archive::read_file(&path, &file, FILE_BYTES_MAX)).await
    }

    /// Unpacks an archive below `root`.
    pub async fn unpack(&self, key: AttemptKey, name: ArtifactName, root: PathBuf) -> Result<archive::Unpacked, Error> {
        let path = self.existing(key, &name)?;
        blocking(move || archive::unpack(&path, &root, Limits::default())).await
    }

    /// Removes everything of an attempt; what does not exist is fine.
    pub async fn delete(&self, key: AttemptKey) -> Result<(), Error> {
        let folder = attempt_path(&self.folder, key);
        blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", &folder),
            _ => Ok(()),
        })
        .await
    }

    fn path(&self, key: AttemptKey, name: &ArtifactName) -> Result<PathBuf, Error> {
        Ok(attempt_path(&self.folder, key).join(name.file_name()?))
    }

    fn existing(&self, key: AttemptKey, name: &ArtifactName) -> Result<PathBuf, Error> {
        self.find(key, name)?.ok_or_else(|| Error::NotFound {
            what: "artifact",
            name: format!("{name:?} of job {} attempt {}", key.job_id, key.attempt),
        })
    }
}

/// Renames, or copies to `staged` first where the source is on another disk.
fn move_file(source: &Path, staged: &Path, target: &Path) -> Result<(), Error> {
    match std::fs::rename(source, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            std::fs::copy(source, staged).at("copy", source)?;
            std::fs::rename(staged, target).at("store", target)?;
            std::fs::remove_file(source).at("remove", source)
        }
        result => result.at("store", target),
    }
}
