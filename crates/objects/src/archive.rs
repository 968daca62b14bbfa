//! Zip archives: packed from patterns below a folder, unpacked below a folder, listed, read.
//!
//! Symbolic links are never followed, neither while packing nor while unpacking; those that lead out of the folder are
//! left out and said so. Modification times are kept to the second, so that build tools do not mistake old for new.

mod pack;
mod place;
mod unpack;

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::error::{At, Error};
pub use pack::{Packed, Selection, pack};
pub use unpack::{Unpacked, unpack};

/// Bytes of one path inside an archive.
pub const PATH_BYTES_MAX: usize = 4_096;

/// Bounds of one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files, unpacked.
    pub bytes_max: u64,
    /// Files, folders and links.
    pub entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        use serin_model::limit::{ARTIFACT_BYTES_MAX, ARTIFACT_ENTRIES_MAX};
        Self { bytes_max: ARTIFACT_BYTES_MAX, entries_max: ARTIFACT_ENTRIES_MAX }
    }
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path; what is no UTF-8 is replaced.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes, unpacked.
    pub size: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// Lists the entries of an archive, in its order.
pub fn list(archive: &Path, limits: Limits) -> Result<Vec<Entry>, Error> {
    let mut zip = open(archive, limits)?;
    (0..zip.len())
        .map(|index| {
            let entry = zip.by_index_raw(index).map_err(|error| bad(archive, &error))?;
            let kind = match () {
                () if entry.is_symlink() => EntryKind::Link,
                () if entry.is_dir() => EntryKind::Folder,
                () => EntryKind::File,
            };
            Ok(Entry { path: text_of(entry.name_raw()), kind, size: entry.size() })
        })
        .collect()
}

/// Reads one file of an archive, of at most `bytes_max` bytes.
pub fn read_file(archive: &Path, path: &str, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let mut zip = open(archive, Limits::default())?;
    let entry = zip.by_name(path).map_err(|error| match error {
        zip::result::ZipError::FileNotFound => Error::NotFound { what: "file in the archive", name: path.to_owned() },
        error => bad(archive, &error),
    })?;
    let mut bytes = Vec::new();
    entry.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).at("read", archive)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::TooLarge { unit: "bytes in the file", max: bytes_max });
    }
    Ok(bytes)
}

/// Hands the bytes of one file of an archive to `take`, without holding them in memory.
pub fn stream_file<T>(archive: &Path, path: &str, take: impl FnOnce(&mut dyn Read) -> T) -> Result<T, Error> {
    let mut zip = open(archive, Limits::default())?;
    let mut entry = zip.by_name(path).map_err(|error| bad(archive, &error))?;
    Ok(take(&mut entry))
}

fn open(archive: &Path, limits: Limits) -> Result<ZipArchive<BufReader<File>>, Error> {
    let file = File::open(archive).at("open", archive)?;
    let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| bad(archive, &error))?;
    if zip.len() > limits.entries_max {
        return Err(Error::TooLarge { unit: "entries in the archive", max: limits.entries_max as u64 });
    }
    Ok(zip)
}

fn bad(archive: &Path, error: &zip::result::ZipError) -> Error {
    Error::BadArchive { path: archive.to_owned(), detail: error.to_string() }
}

fn text_of(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Whether a symbolic link in the folder `link_folder` (segments below the root) stays below the root.
///
/// `..` may stand at the beginning alone: behind a name that is itself a link, it would lead somewhere else than it says.
pub(crate) fn link_stays_below(link_folder_depth: usize, target: &Path) -> bool {
    let bytes = target.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.starts_with(b"/") || bytes.contains(&0) || bytes.len() > PATH_BYTES_MAX {
        return false;
    }
    let mut segments = bytes.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty() && *segment != b".");
    let ups = segments.by_ref().take_while(|segment| *segment == b"..").count();
    ups <= link_folder_depth && segments.all(|segment| segment != b"..")
}

/// The segments of an entry's name, if it stays below the folder.
pub(crate) fn safe_segments(name: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let refuse = |reason| Err(Error::Refused { entry: text_of(&name[..name.len().min(200)]), reason });
    if name.len() > PATH_BYTES_MAX {
        return refuse("its path is too long");
    }
    if name.starts_with(b"/") {
        return refuse("its path is absolute");
    }
    if name.contains(&0) {
        return refuse("its path holds a zero byte");
    }
    let segments: Vec<&[u8]> =
        name.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty() && *segment != b".").collect();
    if segments.contains(&b"..".as_slice()) {
        return refuse("its path leads out of the folder");
    }
    Ok(segments)
}

pub(crate) fn to_path(segments: &[&[u8]]) -> PathBuf {
    segments.iter().map(|segment| Path::new(std::ffi::OsStr::from_bytes(segment))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_stay_and_that_leave() {
        let stays = |depth, target: &str| link_stays_below(depth, Path::new(target));
        assert!(stays(0, "a/b") && stays(2, "../../a") && stays(1, ".././a") && stays(1, ".."));
        for (depth, target) in [(0, "/etc"), (0, ".."), (1, "../../a"), (2, "a/../../../b"), (3, "a/.."), (0, "")] {
            assert!(!stays(depth, target), "{target} at depth {depth}");
        }
    }
}
