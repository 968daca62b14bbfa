//! Trees of files as jobs leave them.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{At, Error};

/// Removes a tree whose folders may be read-only, without following links; one that does not exist is fine.
pub fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("remove", path),
        _ => return Ok(()),
    }
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        if !folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).at("set mode of", &folder)?;
        for entry in std::fs::read_dir(&folder).at("read folder", &folder)? {
            open.push(entry.at("read folder", &folder)?.path());
        }
    }
    std::fs::remove_dir_all(path).at("remove", path)
}
