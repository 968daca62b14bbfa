//! The gateway's process: folder, lock, runtime, signals.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::gateway::Gateway;
use crate::{Error, control, socket};

/// Set by the starter of a detached gateway: it takes a session of its own.
pub(crate) const DETACH_VARIABLE: &str = "SERIN_GATEWAY_DETACH";
/// The lock file's name.
const LOCK: &str = "lock";
/// How long the lock is tried for: another process may hold it for a moment, to look or while it ends.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two tries of the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Threads that serve.
const THREADS: usize = 2;
/// How long requests in flight have to finish when the gateway ends.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two tries to open listeners that failed.
const LISTENER_RETRY: Duration = Duration::from_secs(1);

/// Runs the gateway of a folder until SIGTERM, SIGINT or a shutdown command.
///
/// # Errors
/// [`Error::AlreadyRunning`], or the folder, its files or the control socket cannot be used.
pub fn run(dir: &Path) -> Result<(), Error> {
    if std::env::var_os(DETACH_VARIABLE).is_some() {
        // Fails only for a leader of a process group, which no starter reaches either.
        let _ = nix::unistd::setsid();
    }
    prepare_dir(dir)?;
    let dir = dir.canonicalize().map_err(Error::io("resolve", dir))?;
    let _lock = lock_patiently(&dir)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("gateway")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(serve(dir))
}

async fn serve(dir: PathBuf) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let gateway = Gateway::load(dir.clone()).await?;
    let listener = socket::listen(&dir).map_err(Error::io("listen in", &dir))?;
    let (end, mut ended) = mpsc::channel(1);
    let controlling = tokio::spawn(control::serve(listener, gateway.clone(), end));
    let info = gateway.info();
    tracing::info!(dir = %dir.display(), revision = info.revision, pid = info.pid, "gateway serves");
    let mut retry = interval(LISTENER_RETRY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = ended.recv() => break,
            _ = retry.tick() => gateway.retry_listeners().await,
        }
    }
    let complete = gateway.end(END_TIMEOUT).await;
    controlling.abort();
    tracing::info!(complete, "gateway ends");
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

fn lock_patiently(dir: &Path) -> Result<File, Error> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match lock(dir) {
            Err(Error::AlreadyRunning { .. }) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
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

/// Each connection takes a descriptor or two; what the system allows is asked for.
fn raise_descriptor_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
