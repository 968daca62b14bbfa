//! The gateway's process: folder, lock, runtime, signals.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::Error;

/// Set by the starter of a detached gateway: it takes a session of its own.
pub(crate) const DETACH_VARIABLE: &str = "SERIN_GATEWAY_DETACH";
/// The lock file's name.
const LOCK: &str = "lock";

/// Runs the gateway of a folder until SIGTERM, SIGINT or a shutdown command.
///
/// # Errors
/// [`Error::AlreadyRunning`], or the folder, its files or the control socket cannot be used.
pub fn run(dir: &Path) -> Result<(), Error> {
    prepare_dir(dir)?;
    let _lock = lock(dir)?;
    Ok(())
}

/// Makes the folder, open to its owner only.
pub(crate) fn prepare_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::io("create", dir))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(Error::io("set permissions of", dir))
}

/// Says whether a gateway holds the folder.
pub(crate) fn is_locked(dir: &Path) -> bool {
    matches!(lock(dir), Err(Error::AlreadyRunning { .. }))
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}
