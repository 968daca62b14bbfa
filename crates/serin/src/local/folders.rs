//! Where a project's runs keep what outlives a job: logs, artifacts, caches.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// Runs whose logs and artifacts are kept.
const RUNS_KEPT: usize = 5;
/// Runs of one project at the same time.
const LANES_MAX: u32 = 64;
/// Folder of a run with its jobs' logs.
const LOGS: &str = "logs";
/// Folder of a run with the logs of one that is kept no longer.
const SPARE: &str = "spare";
/// Places that are tried for a run's folder, and the time of making a file that is good enough.
const PLACES_MAX: u32 = 8;
const QUICK: Duration = Duration::from_micros(80);
/// Bytes of a job's name in a file's name.
const NAME_BYTES_MAX: usize = 80;

/// The folders of one run.
#[derive(Debug)]
pub struct Folders {
    /// The project's own, over all runs.
    pub project: PathBuf,
    /// This run's.
    pub run: PathBuf,
    /// Where jobs work: the same paths in each run, as tools keep paths in what they cache.
    pub builds: PathBuf,
    _locks: [File; 2],
}

impl Folders {
    /// Makes the folders of a new run of the project in `top`, and removes those of old ones.
    pub fn make(top: &Path) -> Result<Self> {
        let project = project_folder(top)?;
        let runs = project.join("runs");
        // Logs and handed-on variables are nobody else's.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&runs)
            .with_context(|| format!("cannot make `{}`", runs.display()))?;
        lay_out_apart(&runs);
        let next = numbers(&runs).last().map_or(1, |last| last + 1);
        for number in next.. {
            let run = runs.join(number.to_string());
            match std::fs::create_dir(&run) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                made => made.with_context(|| format!("cannot make `{}`", run.display()))?,
            }
            move_apart(&runs, &run);
            let held = lock(&run.join("lock")).with_context(|| format!("`{}` is in use", run.display()))?;
            sweep(&runs, &run);
            for folder in [LOGS, "artifacts"] {
                std::fs::create_dir(run.join(folder)).with_context(|| format!("cannot make `{}`", run.display()))?;
            }
            let (builds, lane) = lane(&project.join("builds"))?;
            return Ok(Self { project, run, builds, _locks: [held, lane] });
        }
        bail!("`{}` holds too many runs", runs.display())
    }

    /// The number of the run, from 1 on.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.run.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(1)
    }

    /// The caches of all runs.
    #[must_use]
    pub fn caches(&self) -> PathBuf {
        self.project.join("caches")
    }

    /// The log of a job's attempt.
    #[must_use]
    pub fn log(&self, job: &str, attempt: u32) -> PathBuf {
        let number = if attempt > 1 { format!(".{attempt}") } else { String::new() };
        self.run.join(LOGS).join(format!("{}{number}.log", file_name(job)))
    }

    /// Opens the log of a job's attempt, over that of a run that is kept no longer where there is one.
    pub fn open_log(log: &Path) -> std::io::Result<File> {
        let spare = spare_of(log);
        let Some(file) = serin_objects::over::open(&spare) else { return File::create(log) };
        std::fs::rename(&spare, log)?;
        // Not to nothing: ext4 writes a file that was to disk when it is closed.
        file.set_len(1)?;
        Ok(file)
    }

    /// The folder of a job's archives.
    #[must_use]
    pub fn artifacts(&self, job: &str) -> PathBuf {
        self.run.join("artifacts").join(file_name(job))
    }

    /// Where the jobs of a workspace have their folders.
    #[must_use]
    pub fn workspace(&self, number: usize) -> PathBuf {
        self.builds.join(number.to_string())
    }

    /// What tells a later run about a workspace.
    #[must_use]
    pub fn workspace_record(&self, number: usize) -> PathBuf {
        self.builds.join(format!("{number}.json"))
    }

    /// The copy of the work tree from which workspaces are made.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.builds.join("snapshot")
    }

    /// Removes the old run's logs that no job of this one has written over.
    pub fn remove_spare_logs(&self) {
        remove(&self.run.join(SPARE));
    }

    /// Leaves the snapshot and these workspaces for the next run.
    pub fn keep_builds(&self, workspaces: &[usize]) {
        let files = workspaces.iter().flat_map(|number| [self.workspace(*number), self.workspace_record(*number)]);
        let kept: BTreeSet<PathBuf> = files.chain([self.snapshot()]).collect();
        for entry in std::fs::read_dir(&self.builds).into_iter().flatten().flatten() {
            if !kept.contains(&entry.path()) {
                remove(&entry.path());
            }
        }
        if let Err(error) = File::create(kept_mark(&self.builds)) {
            tracing::debug!(%error, "the workspaces are not kept");
        }
    }

    /// Removes what jobs worked in.
    pub fn remove_builds(&self) {
        if let Err(error) = serin_objects::tree::remove(&self.builds) {
            tracing::warn!(%error, "a job's folder stays");
        }
    }
}

/// Where a project's runs are kept: below `SERIN_CACHE`, else the user's cache folder.
pub fn project_folder(top: &Path) -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let Some(root) = set("SERIN_CACHE").or_else(|| caches.map(|caches| caches.join("serin"))) else {
        bail!("there is no folder for caches: set SERIN_CACHE, XDG_CACHE_HOME or HOME");
    };
    let top = top.canonicalize().with_context(|| format!("cannot find `{}`", top.display()))?;
    let name = top.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
    let digest = serin_objects::digest::sha256_hex(top.as_os_str().as_encoded_bytes());
    Ok(root.join("run").join(format!("{}-{}", file_name(&name), &digest[..12])))
}

/// The numbers of the runs there, in order.
pub fn numbers(runs: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Asks the file system to lay each run's folder somewhere else on the disk.
fn lay_out_apart(runs: &Path) {
    let asked = File::open(runs).and_then(|folder| {
        let flags = ioctl_getflags(&folder)?;
        Ok(ioctl_setflags(&folder, flags | IFlags::TOPDIR)?)
    });
    if let Err(error) = asked {
        tracing::debug!(%error, "the file system lays runs out as it likes");
    }
}

/// Moves the new, empty folder of a run to where files are made quickly.
///
/// ext4 makes a file near its folder, and looks at every inode first that was freed there in the last minutes
/// (`recently_deleted` in `fs/ext4/ialloc.c`). After a build, which removes thousands of files, each job's log could take a
/// millisecond. So some places are tried; elsewhere the first is good enough.
fn move_apart(runs: &Path, run: &Path) {
    let tried = |number: u32| run.with_extension(number.to_string());
    let mut best = (time_of_a_file(run), run.to_owned());
    for number in 1..PLACES_MAX {
        let place = tried(number);
        if best.0 <= QUICK || std::fs::create_dir(&place).is_err() {
            break;
        }
        best = best.min((time_of_a_file(&place), place));
    }
    if best.1 != run
        && let Err(error) = std::fs::rename(&best.1, run)
    {
        tracing::debug!(%error, "the run stays where it is");
    }
    // Of this run, and of one that was killed in between.
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let place = entry.path();
        if place.extension().is_some() && place.with_extension("") <= *run {
            let _ = std::fs::remove_dir(&place);
        }
    }
}

/// How long it takes to make a file in an empty folder; the first one makes room in the folder itself.
fn time_of_a_file(folder: &Path) -> Duration {
    let names = ["first", "second"].map(|name| folder.join(name));
    let times = names.each_ref().map(|name| {
        let start = Instant::now();
        File::create(name).map_or(Duration::MAX, |_| start.elapsed())
    });
    names.iter().for_each(|name| drop(std::fs::remove_file(name)));
    times[1]
}

/// Removes old runs; the new one gets the logs of one of them to write over.
fn sweep(runs: &Path, new: &Path) {
    let numbers = numbers(runs);
    let old = numbers.len().saturating_sub(RUNS_KEPT);
    for number in &numbers[..old] {
        let run = runs.join(number.to_string());
        if let Ok(_lock) = lock(&run.join("lock")) {
            // Where there are some already, they stay.
            let _ = std::fs::rename(run.join(LOGS), new.join(SPARE));
            remove(&run);
        }
    }
}

/// Where the log of an old run stands that a new one may be written over.
fn spare_of(log: &Path) -> PathBuf {
    let run = log.parent().and_then(Path::parent).unwrap_or(log);
    run.join(SPARE).join(log.file_name().unwrap_or_default())
}

/// Stands beside workspaces that a run left in order, not killed in between.
fn kept_mark(builds: &Path) -> PathBuf {
    builds.with_extension("kept")
}

/// The first folder for workspaces that no living run has, with what the last run left there on purpose; what killed runs
/// left goes, and so do the others.
fn lane(builds: &Path) -> Result<(PathBuf, File)> {
    std::fs::create_dir_all(builds).with_context(|| format!("cannot make `{}`", builds.display()))?;
    let mut found = None;
    for number in 1..=LANES_MAX {
        let folder = builds.join(number.to_string());
        if found.is_some() && !folder.exists() {
            break;
        }
        let Ok(held) = lock(&builds.join(format!("{number}.lock"))) else { continue };
        let kept = std::fs::remove_file(kept_mark(&folder)).is_ok();
        if !kept || found.is_some() {
            remove(&folder);
        }
        if found.is_none() {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
            found = Some((folder, held));
        }
    }
    found.with_context(|| format!("{LANES_MAX} runs of this project are under way"))
}

fn remove(path: &Path) {
    let removed = match path.is_file() {
        true => std::fs::remove_file(path).map_err(anyhow::Error::from),
        false => serin_objects::tree::remove(path).map_err(anyhow::Error::from),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "what an old run left stays");
    }
}

/// Held by the run's process as long as it lives.
fn lock(path: &Path) -> std::io::Result<File> {
    let file = File::options().create(true).append(true).open(path)?;
    file.try_lock()?;
    Ok(file)
}

/// A job's name as a file's name; a digest keeps apart what would become the same.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = name.chars().map(|c| if plain(c) { c } else { '-' }).take(NAME_BYTES_MAX).collect();
    if text == name && !text.starts_with('.') {
        return text;
    }
    let digest = serin_objects::digest::sha256_hex(name.as_bytes());
    format!("{}-{}", text.trim_matches(['-', '.']), &digest[..6])
}

#[cfg(test)]
mod tests {
    use super::{file_name, lay_out_apart, move_apart};

    #[test]
    fn a_run_is_one_empty_folder_wherever_it_is_laid() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path();
        lay_out_apart(runs);
        for left in ["6.1", "6.2", "7"] {
            std::fs::create_dir(runs.join(left)).unwrap();
        }
        move_apart(runs, &runs.join("7"));
        let names: Vec<_> = std::fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["7"]);
        assert_eq!(std::fs::read_dir(runs.join("7")).unwrap().count(), 0);
    }

    #[test]
    fn names_of_files_stay_in_their_folder_and_apart() {
        assert_eq!(file_name("build"), "build");
        assert!(file_name("test: [a, b]").starts_with("test---a--b-"));
        assert_ne!(file_name("a b"), file_name("a/b"));
        assert!(!file_name("../../x").contains('/') && !file_name("..").contains(".."));
    }
}
