//! Other projects: a checkout beside this one, or a clone that is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Outside, Reach, is_segment};
use crate::worktree::facts::Remote;
use crate::worktree::git::Git;

/// How long a kept clone counts as fresh.
const FRESH: Duration = Duration::from_secs(10 * 60);

impl Outside {
    /// A repository of a project on a host; the host is empty where it is not known.
    pub(super) fn repository(&self, host: &str, path: &str) -> Result<Git> {
        if !path.split('/').all(is_segment) {
            bail!("`{path}` is no project's path");
        }
        if let Some(git) = self.beside(path) {
            return Ok(git);
        }
        let base = self.base(host)?;
        let kept = self.kept(host, path)?;
        let git = Git::new(&kept);
        let there = kept.join("HEAD").is_file();
        if self.reach == Reach::Kept {
            return if there {
                Ok(git)
            } else {
                bail!("`--offline` clones nothing, and no clone of `{path}` was kept")
            };
        }
        if !there {
            clone(&format!("{base}{path}"), &kept).with_context(|| format!("project `{path}` cannot be cloned"))?;
        } else if !is_fresh(&kept) {
            let refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
            git.bytes(["fetch", "--quiet", "--prune", "origin"].into_iter().chain(refs))
                .with_context(|| format!("project `{path}` cannot be fetched; `--offline` uses what was kept"))?;
        }
        Ok(git)
    }

    /// A checkout in a folder beside the project's, by the path that it was cloned from.
    fn beside(&self, path: &str) -> Option<Git> {
        let name = path.rsplit('/').next()?;
        let folder = self.root.parent()?.join(name);
        if !folder.join(".git").exists() {
            return None;
        }
        let git = Git::new(folder);
        let url = git.text(["config", "--get", "remote.origin.url"]).ok();
        let same = match url.as_deref().and_then(Remote::parse) {
            Some(remote) => remote.path == path,
            None => path == format!("local/{name}"),
        };
        same.then_some(git)
    }

    /// What stands before a project's path in its address: as this project's, or HTTPS.
    fn base(&self, host: &str) -> Result<String> {
        match &self.remote {
            Some(remote) if remote.host == host => Ok(remote.base.clone()),
            _ if host.is_empty() => bail!(
                "this repository has no remote `origin` that tells where it would be; clone it into the folder beside"
            ),
            _ => Ok(format!("https://{host}/")),
        }
    }

    fn kept(&self, host: &str, path: &str) -> Result<PathBuf> {
        let host = if host.is_empty() { "folder" } else { host };
        if !host.split(':').all(is_segment) {
            bail!("`{host}` is no host");
        }
        let cache = self.cache.get_or_init(cache).as_deref();
        let cache = cache.context("neither `XDG_CACHE_HOME` nor `HOME` says where clones are kept")?;
        Ok(cache.join("projects").join(host.replace(':', "_")).join(format!("{path}.git")))
    }
}

fn cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(cache.join("serin"))
}

/// Clones into a folder beside the place first, so that two at once do not meet.
fn clone(url: &str, to: &Path) -> Result<()> {
    let parent = to.parent().context("there is no place for it")?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    let made = tempfile::tempdir_in(parent)?;
    let git = Git::new(made.path());
    git.bytes(["clone", "--quiet", "--bare", "--filter=blob:none", "--", url, "clone.git"])?;
    match std::fs::rename(made.path().join("clone.git"), to) {
        Err(_) if to.join("HEAD").is_file() => Ok(()),
        moved => moved.with_context(|| format!("cannot keep `{}`", to.display())),
    }
}

fn is_fresh(clone: &Path) -> bool {
    let changed = |name: &str| clone.join(name).metadata().and_then(|data| data.modified()).ok();
    let at = changed("FETCH_HEAD").or_else(|| changed("HEAD"));
    at.and_then(|at| at.elapsed().ok()).is_some_and(|age| age < FRESH)
}
