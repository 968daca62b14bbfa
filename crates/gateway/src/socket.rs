//! The control socket in the gateway's folder, also where the folder's path is longer than a socket address may be.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The socket's name.
const NAME: &str = "control.sock";
/// Longest path that a socket address holds, in bytes, its closing zero not counted.
const PATH_BYTES_MAX: usize = 107;

/// Connects to the gateway of a folder.
pub(crate) async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let address = Address::new(dir)?;
    UnixStream::connect(&address.path).await
}

/// Listens in a folder, in place of a socket that an earlier gateway left.
pub(crate) fn listen(dir: &Path) -> io::Result<UnixListener> {
    let path = dir.join(NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&Address::new(dir)?.path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// A path short enough; it holds the folder open while it leads through the folder's descriptor.
struct Address {
    path: PathBuf,
    _dir: Option<File>,
}

impl Address {
    fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path, _dir: None });
        }
        let open = File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()));
        Ok(Self { path, _dir: Some(open) })
    }
}
