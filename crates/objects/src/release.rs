//! Releases: trees that are addressed by their content and never change.
//!
//! The digest is the SHA-256 of a listing, one record for each entry, folder by folder in the byte order of names:
//! kind (`d` folder, `f` file, `x` executable file, `l` link), a blank, the content's SHA-256 (`-` for a folder, that of
//! the target for a link), a blank, the path, a zero byte. Times and owners do not count.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use serin_model::Digest;

use crate::archive::{Limits, link_stays_below};
use crate::digest::{Sha256, sha256_hex};
use crate::error::{At, Error};
use crate::{blocking, tree};

/// Levels of folders in a release.
const DEPTH_MAX: usize = 128;
const COPY_BYTES: usize = 64 << 10;

/// The releases of all projects.
#[derive(Clone, Debug)]
pub struct Releases {
    folder: Arc<PathBuf>,
    staged: Arc<AtomicU64>,
}

impl Releases {
    /// Opens the releases below `folder` and removes what a crash left half stored.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let staging = folder.join("staging");
        tree::remove(&staging)?;
        for folder in [&staging, &folder.join("sha256")] {
            std::fs::create_dir_all(folder).at("make folder", folder)?;
        }
        Ok(Self { folder: Arc::new(folder), staged: Arc::default() })
    }

    /// Copies the tree below `folder` into the store, without a `.git` at its top, and returns its address. The same tree
    /// has the same address and is stored once. Links that lead out of the tree, and what is no file, are errors.
    pub async fn release_store(&self, folder: impl Into<PathBuf>) -> Result<Digest, Error> {
        let tree_folder = folder.into();
        let staged = self.folder.join("staging").join(self.staged.fetch_add(1, Ordering::Relaxed).to_string());
        let folder = Arc::clone(&self.folder);
        blocking(move || {
            let result = store(&tree_folder, &staged, &folder);
            if result.is_err() {
                // The first error is the one to tell; the next start removes what stays.
                let _ = tree::remove(&staged);
            }
            result
        })
        .await
    }

    /// Where a release is, if it is stored: a tree that nobody may write to.
    #[must_use]
    pub fn release_path(&self, digest: &Digest) -> Option<PathBuf> {
        let hex = digest.as_str().strip_prefix("sha256:")?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        Some(self.folder.join("sha256").join(hex)).filter(|path| is_hex && path.is_dir())
    }

    /// Removes a release that nothing runs any more; one that does not exist is fine.
    pub async fn release_delete(&self, digest: &Digest) -> Result<(), Error> {
        let Some(path) = self.release_path(digest) else { return Ok(()) };
        let staged = self.folder.join("staging").join(self.staged.fetch_add(1, Ordering::Relaxed).to_string());
        blocking(move || {
            set_mode(&path, 0o755)?;
            std::fs::rename(&path, &staged).at("remove", &path)?;
            tree::remove(&staged)
        })
        .await
    }
}

fn store(from: &Path, staged: &Path, folder: &Path) -> Result<Digest, Error> {
    let mut copy = Copy { listing: Sha256::default(), entries: 0, bytes: 0, limits: Limits::default() };
    std::fs::create_dir(staged).at("make folder", staged)?;
    copy.folder(from, staged, &mut Vec::new())?;
    let hex = copy.listing.finish_hex();
    let target = folder.join("sha256").join(&hex);
    match std::fs::rename(staged, &target) {
        Ok(()) => set_mode(&target, 0o555)?,
        Err(_) if target.is_dir() => tree::remove(staged)?,
        Err(error) => return Err(error).at("store", &target),
    }
    Ok(Digest(format!("sha256:{hex}")))
}

struct Copy {
    listing: Sha256,
    entries: usize,
    bytes: u64,
    limits: Limits,
}

impl Copy {
    /// Copies what is in a folder, in the order of names; `path` are the names above, below the top.
    fn folder(&mut self, from: &Path, to: &Path, path: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        if path.len() >= DEPTH_MAX {
            return Err(Error::TooLarge { unit: "levels of folders", max: DEPTH_MAX as u64 });
        }
        let mut names = std::fs::read_dir(from)
            .and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
            })
            .at("read folder", from)?;
        names.retain(|name| !(path.is_empty() && name == ".git"));
        names.sort_unstable();
        for name in names {
            path.push(name.as_bytes().to_vec());
            self.entry(&from.join(&name), &to.join(&name), path)?;
            path.pop();
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, to: &Path, path: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(Error::TooLarge { unit: "entries of the release", max: self.limits.entries_max as u64 });
        }
        let kind = from.symlink_metadata().at("look at", from)?.file_type();
        if kind.is_symlink() {
            let target = std::fs::read_link(from).at("read link", from)?;
            if !link_stays_below(path.len() - 1, &target) {
                return Err(refused(path, "it is a link that leads out of the tree"));
            }
            std::os::unix::fs::symlink(&target, to).at("make link", to)?;
            self.record(b'l', &sha256_hex(target.as_os_str().as_bytes()), path);
        } else if kind.is_dir() {
            self.record(b'd', "-", path);
            std::fs::create_dir(to).at("make folder", to)?;
            self.folder(from, to, path)?;
            set_mode(to, 0o555)?;
        } else if kind.is_file() {
            let (executable, hex) = self.file(from, to)?;
            self.record(if executable { b'x' } else { b'f' }, &hex, path);
        } else {
            return Err(refused(path, "it is no file, folder or link"));
        }
        Ok(())
    }

    /// Copies a file; what is hashed is what was written.
    fn file(&mut self, from: &Path, to: &Path) -> Result<(bool, String), Error> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let mut source = File::options().read(true).custom_flags(flags).open(from).at("open", from)?;
        let executable = source.metadata().at("look at", from)?.permissions().mode() & 0o111 != 0;
        let mode = if executable { 0o555 } else { 0o444 };
        let mut target = OpenOptions::new().write(true).create_new(true).mode(mode).open(to).at("make", to)?;
        let mut content = Sha256::default();
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let length = source.read(&mut buffer).at("read", from)?;
            if length == 0 {
                break;
            }
            self.bytes += length as u64;
            if self.bytes > self.limits.bytes_max {
                return Err(Error::TooLarge { unit: "bytes of the release", max: self.limits.bytes_max });
            }
            content.update(&buffer[..length]);
            target.write_all(&buffer[..length]).at("write", to)?;
        }
        Ok((executable, content.finish_hex()))
    }

    fn record(&mut self, kind: u8, content: &str, path: &[Vec<u8>]) {
        self.listing.update(&[kind, b' ']);
        self.listing.update(content.as_bytes());
        self.listing.update(b" ");
        self.listing.update(&path.join(&b'/'));
        self.listing.update(b"\0");
    }
}

fn refused(path: &[Vec<u8>], reason: &'static str) -> Error {
    Error::Refused { entry: String::from_utf8_lossy(&path.join(&b'/')).into_owned(), reason }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).at("set mode of", path)
}
