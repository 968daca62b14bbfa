//! What a killed `git` leaves behind: lock files that would block a ref for ever, and half-received packs.

use std::{
    fs::{DirEntry, remove_dir_all, remove_file},
    io,
    path::Path,
    time::Duration,
};

/// How deep refs are nested at most: a name of 255 bytes has no more components.
const DEPTH_MAX: usize = 128;

pub(super) fn remove(repository: &Path, age: Duration) -> io::Result<usize> {
    let mut removed = 0;
    for entry in repository.read_dir()?.flatten() {
        removed += remove_lock(&entry, age)?;
    }
    removed += remove_locks(&repository.join("refs"), age, DEPTH_MAX)?;
    for entry in repository.join("objects").read_dir()?.flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"tmp_objdir-") && is_older(&entry, age) {
            remove_dir_all(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_locks(folder: &Path, age: Duration, depth: usize) -> io::Result<usize> {
    let mut removed = 0;
    for entry in folder.read_dir()?.flatten() {
        if entry.file_type()?.is_dir() && depth > 0 {
            removed += remove_locks(&entry.path(), age, depth - 1)?;
        } else {
            removed += remove_lock(&entry, age)?;
        }
    }
    Ok(removed)
}

fn remove_lock(entry: &DirEntry, age: Duration) -> io::Result<usize> {
    let is_lock = entry.file_name().as_encoded_bytes().ends_with(b".lock") && entry.file_type()?.is_file();
    if !is_lock || !is_older(entry, age) {
        return Ok(0);
    }
    match remove_file(entry.path()) {
        Ok(()) => Ok(1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn is_older(entry: &DirEntry, age: Duration) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed >= age))
}
