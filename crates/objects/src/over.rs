//! Files that are written over instead of removed and made anew.
//!
//! Where many files were removed a moment ago, as a build does, ext4 makes a new one slowly: it looks at every inode freed in
//! the last minutes (`recently_deleted` in `fs/ext4/ialloc.c`).

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Opens `path` to be written over from its start on, where a plain file of our own and of no other name stands there. What
/// it holds is still in it: the caller cuts it to its new length.
#[must_use]
pub fn open(path: &Path) -> Option<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::options().write(true).custom_flags(flags.bits()).open(path).ok()?;
    let own = |found: Metadata| {
        let is_ours = found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o600 == 0o600;
        found.is_file() && found.nlink() == 1 && is_ours
    };
    file.metadata().is_ok_and(own).then_some(file)
}
