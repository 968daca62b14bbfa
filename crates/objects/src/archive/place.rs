//! Writing below a folder without ever passing a symbolic link, by folder descriptors.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::to_path;
use crate::error::{At, Error};

/// A folder that everything is written below.
pub(super) struct Root {
    folder: OwnedFd,
}

impl Root {
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).at("make folder", root)?;
        Ok(Self { folder: File::open(root).at("open", root)?.into() })
    }

    /// Makes a folder and those above it.
    pub(super) fn folder(&self, segments: &[&[u8]]) -> Result<OwnedFd, Error> {
        let mut folder = self.folder.try_clone().at("open", &to_path(segments))?;
        for (index, segment) in segments.iter().enumerate() {
            let name = OsStr::from_bytes(segment);
            let path = || to_path(&segments[..=index]);
            match mkdirat(&folder, name, Mode::from_bits_truncate(0o777)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error).at("make folder", &path()),
            }
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            folder = openat(&folder, name, flags, Mode::empty()).map_err(|error| match error {
                Errno::ENOTDIR | Errno::ELOOP => {
                    let entry = path().to_string_lossy().into_owned();
                    Error::Refused { entry, reason: "something that is no folder stands where its folder must be" }
                }
                error => Error::Io { attempt: "open folder", path: path(), source: error.into() },
            })?;
        }
        Ok(folder)
    }

    /// Makes a new file in place of what stands there.
    pub(super) fn file(&self, segments: &[&[u8]], mode: u32) -> Result<File, Error> {
        let (folder, name) = self.vacate(segments)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&folder, name, flags, Mode::from_bits_truncate(mode)).at("write", &to_path(segments))?;
        Ok(file.into())
    }

    /// Makes a symbolic link in place of what stands there.
    pub(super) fn link(&self, segments: &[&[u8]], target: &Path) -> Result<(), Error> {
        let (folder, name) = self.vacate(segments)?;
        symlinkat(target, &folder, name).at("make link", &to_path(segments))
    }

    /// The folder of a path, in which nothing has its name any more.
    fn vacate<'a>(&self, segments: &[&'a [u8]]) -> Result<(OwnedFd, &'a OsStr), Error> {
        let Some((name, above)) = segments.split_last() else {
            return Err(Error::Refused { entry: ".".to_owned(), reason: "it has no name" });
        };
        let folder = self.folder(above)?;
        let name = OsStr::from_bytes(name);
        match unlinkat(folder.as_fd(), name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok((folder, name)),
            Err(Errno::EISDIR | Errno::EPERM) => {
                let entry = to_path(segments).to_string_lossy().into_owned();
                Err(Error::Refused { entry, reason: "a folder stands where it must be" })
            }
            Err(error) => Err(error).at("replace", &to_path(segments)),
        }
    }
}
