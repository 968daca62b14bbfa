//! Packing what patterns select below a folder.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use zip::write::{ExtendedFileOptions, FileOptions};
use zip::{CompressionMethod, ZipWriter};

use super::{Limits, PATH_BYTES_MAX, link_stays_below, safe_segments};
use crate::error::{At, Error};
use crate::glob::Pattern;

/// Levels of folders that are looked into.
const DEPTH_MAX: usize = 256;
/// Deflate's level: artifacts are mostly written once and read once.
const LEVEL: i64 = 1;
/// Info-ZIP's extended timestamp: flags, then seconds since the epoch.
const TIMESTAMP_FIELD: u16 = 0x5455;

/// What of a folder is packed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Patterns; a folder's stands for all below it.
    pub paths: Vec<Pattern>,
    /// Further files, relative to the folder, such as those that Git does not track.
    pub files: Vec<PathBuf>,
    /// Patterns of what is left out.
    pub exclude: Vec<Pattern>,
}

/// What was packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Files, folders and links.
    pub entries: usize,
    /// Bytes of all files, before packing.
    pub bytes: u64,
    /// For each pattern of [`Selection::paths`], how many entries it selects.
    pub matches: Vec<usize>,
    /// What is left out because it is a link that leads out of the folder, no file, or has a name that is no UTF-8.
    pub left_out: Vec<String>,
}

/// Packs the selection below `root` into a new file `archive`; `.git` at its top is never packed.
pub fn pack(root: &Path, selection: &Selection, archive: &Path, limits: Limits) -> Result<Packed, Error> {
    let mut walk = Walk { root, selection, limits, found: BTreeSet::new() };
    let matches = selection.paths.iter().map(|pattern| walk.pattern(pattern)).collect::<Result<_, _>>()?;
    walk.files()?;
    let found = walk.found;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(archive).at("make", archive)?;
    let zip = ZipWriter::new(BufWriter::with_capacity(1 << 16, file));
    let mut packer = Packer { zip, root, limits, packed: Packed { matches, ..Packed::default() } };
    for path in &found {
        packer.entry(path)?;
    }
    let mut file = packer.zip.finish().map_err(|error| super::bad(archive, &error))?;
    file.flush().at("write", archive)?;
    Ok(packer.packed)
}

struct Walk<'a> {
    root: &'a Path,
    selection: &'a Selection,
    limits: Limits,
    /// Relative to the root.
    found: BTreeSet<OsString>,
}

impl Walk<'_> {
    /// Takes what a pattern selects, and says how many entries that is.
    fn pattern(&mut self, pattern: &Pattern) -> Result<usize, Error> {
        let mut count = 0;
        for prefix in pattern.literal_prefixes() {
            if self.is_reachable(prefix) {
                count += self.visit(&prefix.join(&b'/'), pattern, prefix.len())?;
            }
        }
        Ok(count)
    }

    fn files(&mut self) -> Result<(), Error> {
        let selection = self.selection;
        for file in &selection.files {
            let name = file.as_os_str().as_bytes();
            let segments = safe_segments(name)?;
            if self.is_reachable(&segments) && !self.is_excluded(name) {
                self.take(&segments.join(&b'/'))?;
            }
        }
        Ok(())
    }

    /// Whether every folder above the path is a folder, not a link.
    fn is_reachable<S: AsRef<[u8]>>(&self, segments: &[S]) -> bool {
        if segments.first().is_some_and(|first| first.as_ref() == b".git") {
            return false;
        }
        let mut path = self.root.to_owned();
        segments.iter().take(segments.len().saturating_sub(1)).all(|segment| {
            path.push(OsStr::from_bytes(segment.as_ref()));
            path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
        })
    }

    fn visit(&mut self, path: &[u8], pattern: &Pattern, depth: usize) -> Result<usize, Error> {
        let full = self.root.join(OsStr::from_bytes(path));
        let Ok(metadata) = full.symlink_metadata() else { return Ok(0) };
        let mut count = 0;
        if !path.is_empty() && pattern.selects(path) && !self.is_excluded(path) {
            self.take(path)?;
            count += 1;
        }
        if !metadata.is_dir() || depth >= DEPTH_MAX {
            return Ok(count);
        }
        // A folder that the job made unreadable is as good as empty.
        let Ok(entries) = std::fs::read_dir(&full) else { return Ok(count) };
        for entry in entries {
            let name = entry.at("read folder", &full)?.file_name();
            if path.is_empty() && name == ".git" {
                continue;
            }
            let mut below = path.to_vec();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend(name.as_bytes());
            count += self.visit(&below, pattern, depth + 1)?;
        }
        Ok(count)
    }

    fn is_excluded(&self, path: &[u8]) -> bool {
        self.selection.exclude.iter().any(|pattern| pattern.matches(path))
    }

    fn take(&mut self, path: &[u8]) -> Result<(), Error> {
        self.found.insert(OsString::from_vec(path.to_vec()));
        if self.found.len() > self.limits.entries_max {
            return Err(Error::TooLarge { unit: "entries for the archive", max: self.limits.entries_max as u64 });
        }
        Ok(())
    }
}

struct Packer<'a, W: Write + Seek> {
    zip: ZipWriter<W>,
    root: &'a Path,
    limits: Limits,
    packed: Packed,
}

impl<W: Write + Seek> Packer<'_, W> {
    fn entry(&mut self, relative: &OsString) -> Result<(), Error> {
        let full = self.root.join(relative);
        let Ok(metadata) = full.symlink_metadata() else { return Ok(()) };
        let Some(name) = relative.to_str().filter(|name| name.len() <= PATH_BYTES_MAX) else {
            self.leave_out(relative);
            return Ok(());
        };
        let kind = metadata.file_type();
        if kind.is_symlink() {
            return self.link(relative, name, &full);
        }
        if kind.is_dir() {
            let options = options(&metadata)?.compression_method(CompressionMethod::Stored);
            self.zip.add_directory(name, options).map_err(io::Error::from).at("pack", &full)?;
        } else if kind.is_file() {
            self.file(name, &full)?;
        } else {
            self.leave_out(relative);
            return Ok(());
        }
        self.packed.entries += 1;
        Ok(())
    }

    fn link(&mut self, relative: &OsString, name: &str, full: &Path) -> Result<(), Error> {
        let target = std::fs::read_link(full).at("read link", full)?;
        let depth = name.split('/').count() - 1;
        match target.to_str() {
            Some(text) if link_stays_below(depth, &target) => {
                let options = FileOptions::<ExtendedFileOptions>::default();
                self.zip.add_symlink(name, text, options).map_err(io::Error::from).at("pack", full)?;
                self.packed.entries += 1;
            }
            _ => self.leave_out(relative),
        }
        Ok(())
    }

    fn file(&mut self, name: &str, full: &Path) -> Result<(), Error> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = File::options().read(true).custom_flags(flags).open(full).at("open", full)?;
        let metadata = file.metadata().at("look at", full)?;
        let large = metadata.len() >= u64::from(u32::MAX);
        let options = options(&metadata)?.large_file(large);
        self.zip.start_file(name, options).map_err(io::Error::from).at("pack", full)?;
        let room = self.limits.bytes_max - self.packed.bytes;
        let copied = io::copy(&mut file.take(room.saturating_add(1)), &mut self.zip).at("pack", full)?;
        if copied > room {
            return Err(Error::TooLarge { unit: "bytes for the archive", max: self.limits.bytes_max });
        }
        self.packed.bytes += copied;
        Ok(())
    }

    fn leave_out(&mut self, relative: &OsString) {
        self.packed.left_out.push(relative.to_string_lossy().into_owned());
    }
}

fn options(metadata: &Metadata) -> Result<FileOptions<'static, ExtendedFileOptions>, Error> {
    let mut options = FileOptions::<ExtendedFileOptions>::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .unix_permissions(metadata.mode() & 0o777);
    if let Ok(seconds) = u32::try_from(metadata.mtime()) {
        let mut field = vec![1];
        field.extend(seconds.to_le_bytes());
        options
            .add_extra_data(TIMESTAMP_FIELD, field, false)
            .map_err(io::Error::from)
            .at("pack", Path::new("modification time"))?;
    }
    Ok(options)
}
