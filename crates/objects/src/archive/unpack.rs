//! Unpacking hostile archives.

use std::fs::FileTimes;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use zip::ExtraField;
use zip::read::ZipFile;

use super::place::Root;
use super::{Limits, PATH_BYTES_MAX, bad, link_stays_below, open, safe_segments, text_of};
use crate::error::{At, Error};

/// What was unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, folders and links.
    pub entries: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Symbolic links that lead out of the folder and were left out.
    pub left_out: Vec<String>,
}

/// Unpacks `archive` below `root`, replacing files; an entry that would be written elsewhere is an error.
///
/// Links are made last: nothing of the archive can be written through one of its own links, and what stands in `root`
/// already is not passed through either.
pub fn unpack(archive: &Path, root: &Path, limits: Limits) -> Result<Unpacked, Error> {
    let mut zip = open(archive, limits)?;
    let root = Root::open(root)?;
    let mut unpacked = Unpacked { entries: zip.len(), ..Unpacked::default() };
    let mut links = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| bad(archive, &error))?;
        let name = entry.name_raw().to_vec();
        let segments = safe_segments(&name)?;
        match kind_of(&entry)? {
            Kind::Folder => drop(root.folder(&segments)?),
            Kind::File => {
                let room = limits.bytes_max - unpacked.bytes;
                unpacked.bytes += unpack_file(&mut entry, &root, &segments, (room, limits.bytes_max))?;
            }
            Kind::Link => {
                let mut target = Vec::new();
                entry.take(PATH_BYTES_MAX as u64 + 1).read_to_end(&mut target).at("read", archive)?;
                links.push((name, target));
            }
        }
    }
    for (name, target) in links {
        let segments = safe_segments(&name)?;
        let target = Path::new(std::ffi::OsStr::from_bytes(&target));
        if link_stays_below(segments.len().saturating_sub(1), target) {
            root.link(&segments, target)?;
        } else {
            unpacked.left_out.push(text_of(&name));
            unpacked.entries -= 1;
        }
    }
    Ok(unpacked)
}

enum Kind {
    File,
    Folder,
    Link,
}

/// What an entry is, by the type bits of its Unix mode (APPNOTE.TXT 4.4.15; `S_IFMT`).
fn kind_of<R: Read>(entry: &ZipFile<'_, R>) -> Result<Kind, Error> {
    let by_name = || if entry.name_raw().ends_with(b"/") { Kind::Folder } else { Kind::File };
    match entry.unix_mode().unwrap_or_default() & 0o170_000 {
        0 => Ok(by_name()),
        0o100_000 => Ok(Kind::File),
        0o040_000 => Ok(Kind::Folder),
        0o120_000 => Ok(Kind::Link),
        _ => Err(Error::Refused { entry: text_of(entry.name_raw()), reason: "it is no file, folder or link" }),
    }
}

/// Writes one file and says its length; `room` is left of the bound that follows it.
fn unpack_file<R: Read>(
    entry: &mut ZipFile<'_, R>,
    root: &Root,
    segments: &[&[u8]],
    (room, bytes_max): (u64, u64),
) -> Result<u64, Error> {
    let path = super::to_path(segments);
    let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
    let mut file = root.file(segments, if executable { 0o777 } else { 0o666 })?;
    let modified = modified(entry);
    let written = io::copy(&mut entry.take(room.saturating_add(1)), &mut file).at("unpack", &path)?;
    if written > room {
        return Err(Error::TooLarge { unit: "bytes in the archive", max: bytes_max });
    }
    if let Some(time) = modified {
        file.set_times(FileTimes::new().set_modified(time)).at("set time of", &path)?;
    }
    Ok(written)
}

fn modified<R: Read>(entry: &ZipFile<'_, R>) -> Option<SystemTime> {
    entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(time) => {
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(time.mod_time()?)))
        }
        _ => None,
    })
}
