//! `cache:` archives by key in a folder of this machine. A cache never fails a job.

use std::path::{Path, PathBuf};

use serin_model::plan::{ArtifactsWhen, Cache};
use serin_objects::archive::{self, Limits, Selection};
use serin_objects::digest::{Sha256, sha256_hex};

/// The key where none is given.
const KEY_DEFAULT: &str = "default";
/// Bytes of one of the files that make a key.
const KEY_FILE_BYTES_MAX: u64 = 64 << 20;

/// One cache of a job, with everything expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedCache {
    pub(crate) key: String,
    pub(crate) fallback_keys: Vec<String>,
    pub(crate) policy: Policy,
    pub(crate) when: ArtifactsWhen,
    pub(crate) paths: Vec<String>,
    pub(crate) untracked: bool,
}

/// `cache:policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    PullPush,
    Pull,
    Push,
}

impl Policy {
    pub(crate) fn pulls(self) -> bool {
        self != Self::Push
    }

    pub(crate) fn pushes(self) -> bool {
        self != Self::Pull
    }
}

/// Expands a cache's words by `expand`; files that make the key are read below `project`.
pub(crate) fn resolve(cache: &Cache, project: &Path, expand: impl Fn(&str) -> String) -> Result<ResolvedCache, String> {
    let policy = match cache.policy.as_deref().map(&expand).as_deref() {
        None | Some("" | "pull-push") => Policy::PullPush,
        Some("pull") => Policy::Pull,
        Some("push") => Policy::Push,
        Some(other) => return Err(format!("unknown cache policy `{other}`: write `pull-push`, `pull` or `push`")),
    };
    let written = cache.key.as_deref().map(&expand).filter(|key| !key.is_empty());
    let key = match (written, cache.key_files.is_empty()) {
        (Some(key), true) => key,
        (None, true) => KEY_DEFAULT.to_owned(),
        (prefix, false) => {
            let files: Vec<String> = cache.key_files.iter().map(|file| expand(file)).collect();
            let key = key_of_files(project, &files).unwrap_or_else(|| KEY_DEFAULT.to_owned());
            prefix.map_or(key.clone(), |prefix| format!("{prefix}-{key}"))
        }
    };
    let mut fallback_keys: Vec<String> = cache.fallback_keys.iter().map(|key| expand(key)).collect();
    fallback_keys.push(expand("$CACHE_FALLBACK_KEY"));
    fallback_keys.retain(|fallback| !fallback.is_empty() && *fallback != key);
    let paths = cache.paths.iter().map(|path| expand(path)).collect();
    Ok(ResolvedCache { key, fallback_keys, policy, when: cache.when, paths, untracked: cache.untracked })
}

/// The SHA-256 over names and contents of those of the files that are there.
fn key_of_files(project: &Path, files: &[String]) -> Option<String> {
    let mut state = Sha256::default();
    let mut found = false;
    for file in files {
        let path = project.join(file);
        let plain = Path::new(file).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let small = path.symlink_metadata().is_ok_and(|data| data.is_file() && data.len() <= KEY_FILE_BYTES_MAX);
        if let (true, Ok(content)) = (plain && small, std::fs::read(&path)) {
            state.update(file.as_bytes());
            state.update(b"\0");
            state.update(sha256_hex(&content).as_bytes());
            found = true;
        }
    }
    found.then(|| state.finish_hex())
}

/// Unpacks the first of the cache's keys that is there, and says which.
pub(crate) fn restore(caches_dir: &Path, cache: &ResolvedCache, project: &Path) -> Result<Option<String>, String> {
    for key in std::iter::once(&cache.key).chain(&cache.fallback_keys) {
        let archive = path_of(caches_dir, key);
        if archive.is_file() {
            archive::unpack(&archive, project, Limits::default()).map_err(|error| error.to_string())?;
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

/// Packs the selection and puts it in place of the key's older archive; says how many entries it has.
pub(crate) fn save(caches_dir: &Path, key: &str, project: &Path, selection: &Selection) -> Result<usize, String> {
    let text = |error: std::io::Error| format!("cannot store the cache: {error}");
    std::fs::create_dir_all(caches_dir).map_err(text)?;
    let target = path_of(caches_dir, key);
    let mut fresh = target.clone().into_os_string();
    fresh.push(format!(".{}-{:?}", std::process::id(), std::thread::current().id()));
    let fresh = PathBuf::from(fresh);
    let packed = archive::pack(project, selection, &fresh, Limits::default()).map_err(|error| error.to_string());
    let stored = packed.and_then(|packed| std::fs::rename(&fresh, &target).map(|()| packed.entries).map_err(text));
    if stored.is_err() {
        // The error above is the one to tell.
        let _ = std::fs::remove_file(&fresh);
    }
    stored
}

/// A key may hold anything, so its hash is the file's name.
fn path_of(caches_dir: &Path, key: &str) -> PathBuf {
    caches_dir.join(format!("{}.zip", sha256_hex(key.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(cache: &Cache, project: &Path) -> ResolvedCache {
        resolve(cache, project, |text| text.replace("$REF", "main").replace("$CACHE_FALLBACK_KEY", "last")).unwrap()
    }

    #[test]
    fn keys() {
        let project = tempfile::tempdir().unwrap();
        let none = resolved(&Cache::default(), project.path());
        assert_eq!((none.key.as_str(), none.fallback_keys), ("default", vec!["last".to_owned()]));
        let plain = Cache { key: Some("k-$REF".into()), fallback_keys: vec!["$REF".into()], ..Cache::default() };
        let plain = resolved(&plain, project.path());
        assert_eq!((plain.key.as_str(), plain.fallback_keys.len()), ("k-main", 2));
        let files = Cache { key: Some("p".into()), key_files: vec!["lock".into(), "../x".into()], ..Cache::default() };
        assert_eq!(resolved(&files, project.path()).key, "p-default");
        std::fs::write(project.path().join("lock"), "1").unwrap();
        let one = resolved(&files, project.path()).key;
        std::fs::write(project.path().join("lock"), "2").unwrap();
        assert_ne!(resolved(&files, project.path()).key, one);
        assert!(one.starts_with("p-") && one.len() == 66);
    }

    #[test]
    fn hostile_keys_stay_in_the_folder() {
        let folder = Path::new("/caches");
        assert_eq!(path_of(folder, "../../etc/passwd").parent(), Some(folder));
    }
}
