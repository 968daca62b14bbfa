//! A bare repository on disk.

mod leftover;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    batch::Pool,
    command::Call,
    error::{Error, Result},
    name::checked_ref,
};

/// How long collecting garbage may take.
const MAINTENANCE_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// A bare repository, `<root>/<project id>.git`.
///
/// Cheap to clone. Keep one per project while it is in use: it holds up to two `git cat-file` processes, for 30 s after
/// the last read.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
    pool: Arc<Pool>,
}

impl Repository {
    /// Creates a bare repository whose `HEAD` is `default_branch` (a short name); one that is there is left as it is,
    /// so that a creation which was interrupted can be repeated.
    ///
    /// # Errors
    /// The branch name is refused, or the folder cannot be written.
    pub async fn create(path: impl Into<PathBuf>, default_branch: &str) -> Result<Self> {
        checked_ref(&format!("refs/heads/{default_branch}"))?;
        let path = absolute(path.into())?;
        let call = Call::without_repository("init", &[])
            .args(["--bare", "--quiet", "--template=", "--object-format=sha1"])
            .arg(format!("--initial-branch={default_branch}"))
            .arg("--")
            .arg(&path);
        call.output().await?;
        Self::open(path)
    }

    /// Opens a repository that was created before.
    ///
    /// # Errors
    /// There is no bare repository at `path`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = absolute(path.into())?;
        if !path.join("HEAD").is_file() || !path.join("objects").is_dir() {
            return Err(Error::NoRepository(path));
        }
        let pool = Pool::new(&path);
        Ok(Self { path, pool })
    }

    /// The repository's folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The short name of the branch that `HEAD` stands for; it need not exist yet.
    ///
    /// # Errors
    /// `git` failed, or `HEAD` is no branch.
    pub async fn default_branch(&self) -> Result<String> {
        let output = self.call("symbolic-ref").args(["--quiet", "HEAD"]).output().await?;
        let name = String::from_utf8_lossy(&output);
        let branch = name.trim_end().strip_prefix("refs/heads/").map(str::to_owned);
        branch.ok_or_else(|| Error::answer("symbolic-ref", &output))
    }

    /// Points `HEAD` at another branch (a short name), which need not exist yet.
    ///
    /// # Errors
    /// The name is refused, or `git` failed.
    pub async fn set_default_branch(&self, branch: &str) -> Result<()> {
        let name = format!("refs/heads/{branch}");
        checked_ref(&name)?;
        self.call("symbolic-ref").args(["HEAD", &name]).output().await.map(drop)
    }

    /// Packs loose objects and refs and drops what nothing has reached for two weeks; to be called now and then, since
    /// pushes do not.
    ///
    /// # Errors
    /// `git` failed or took longer than 30 minutes.
    pub async fn collect_garbage(&self) -> Result<()> {
        let call = self.call("gc").arg("--quiet");
        call.time_max(MAINTENANCE_TIME_MAX).output().await.map(drop)
    }

    /// Removes lock files and half-received packs that no process has touched for `age`, as a killed `git` or a power cut
    /// leaves them; how many there were. To be called when the server starts, and now and then.
    ///
    /// # Errors
    /// The folder cannot be read or a leftover not be removed.
    pub async fn remove_leftovers(&self, age: Duration) -> Result<usize> {
        let path = self.path.clone();
        let failed = || Error::io(format!("remove leftovers in `{}`", self.path.display()));
        let removing = tokio::task::spawn_blocking(move || leftover::remove(&path, age));
        removing.await.map_err(std::io::Error::other).map_err(failed())?.map_err(failed())
    }

    pub(crate) fn call(&self, name: &'static str) -> Call {
        Call::new(&self.path, name)
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path).map_err(Error::io(format!("resolve the folder `{}`", path.display())))
}
