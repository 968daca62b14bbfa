//! A workspace that serves one job after the other, each of which finds it as if it were new.
//!
//! Before a job the whole tree is compared with what it was when it was made: inode, mode, size and both times of every
//! file, and the same of every folder, whose times tell of names that came or went. What differs is made anew. A job
//! begins only after the file system's clock has moved on, so that a change of the very same moment cannot hide.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, fstatat};
use serde::{Deserialize, Serialize};

use crate::snapshot::{Entry, Kind, Snapshot};
use crate::workspace::Workspace;

/// Time between two looks at the file system's clock.
const TICK: Duration = Duration::from_millis(1);
/// Looks at the clock; a file system whose clock stands still is not waited for.
const TICKS_MAX: usize = 2_500;

/// A workspace made of a snapshot, again and again.
#[derive(Debug)]
pub struct Slot {
    snapshot: Arc<Snapshot>,
    builds_dir: PathBuf,
    /// What each entry of the snapshot looked like when it was made here; `None`: it has to be made.
    seen: Mutex<Vec<Option<Seen>>>,
}

/// What each entry looked like here, and in the snapshot.
type Record = Vec<(PathBuf, (Seen, Seen))>;

/// What tells whether something was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    place: (u64, u64),
    mode: u32,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Seen {
    fn from(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            mode: metadata.mode(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Slot {
    /// A workspace below `builds_dir`, which nobody else uses: as [`Slot::keep`] left it, where the snapshot was made in the
    /// same folder as then; without that record it is filled before its first job.
    #[must_use]
    pub fn reopen(snapshot: Arc<Snapshot>, builds_dir: PathBuf, record: &Path) -> Self {
        let known: Record =
            std::fs::read(record).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let known: HashMap<&Path, &(Seen, Seen)> = known.iter().map(|(path, seen)| (path.as_path(), seen)).collect();
        let mut looker = Looker::new(snapshot.folder(), snapshot.entries());
        let seen = snapshot.entries().iter().enumerate().map(|(index, entry)| {
            let (here, there) = known.get(entry.path.as_path())?;
            (looker.look(index) == Some(*there)).then_some(*here)
        });
        let seen = Mutex::new(seen.collect());
        Self { snapshot, builds_dir, seen }
    }

    /// Leaves the workspace as the snapshot is, nothing beside it, and writes down what tells a later run that it still is.
    /// Returns the bytes of its files.
    ///
    /// # Errors
    /// Where the folder cannot be cleared or the record not be written.
    pub fn keep(&self, record: &Path) -> io::Result<u64> {
        let project = Workspace::below(&self.builds_dir).project;
        for entry in std::fs::read_dir(&self.builds_dir)? {
            let path = entry?.path();
            if path != project {
                remove(&path)?;
            }
        }
        self.restore(&project)?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looker = Looker::new(self.snapshot.folder(), self.snapshot.entries());
        let entries = self.snapshot.entries().iter().zip(seen.iter()).enumerate();
        let known: Record = entries
            .filter_map(|(index, (entry, here))| Some((entry.path.clone(), ((*here)?, looker.look(index)?))))
            .collect();
        std::fs::write(record, serde_json::to_vec(&known)?)?;
        Ok(known.iter().map(|(_, (here, _))| here.size).sum())
    }

    /// Where its jobs' folders are; [`crate::JobRequest::builds_dir`] for each of them.
    #[must_use]
    pub fn builds_dir(&self) -> &Path {
        &self.builds_dir
    }

    /// Makes the project folder what the snapshot is.
    pub(crate) fn restore(&self, project: &Path) -> io::Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut restoring = Restoring { project, snapshot: &self.snapshot, seen: &mut seen, latest: None };
        restoring.tree()?;
        match restoring.latest {
            Some(latest) => wait_until_after(latest, &self.builds_dir.join("clock")),
            None => Ok(()),
        }
    }

    /// Files that are in the project folder and not in the snapshot, relative to it.
    pub(crate) fn new_files(&self, project: &Path) -> io::Result<Vec<PathBuf>> {
        let known: HashSet<&Path> = self.snapshot.entries().iter().map(|entry| entry.path.as_path()).collect();
        let mut found = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(project.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if path == Path::new(".git") {
                    continue;
                }
                match entry.file_type()?.is_dir() {
                    true => open.push(path),
                    false if !known.contains(path.as_path()) => found.push(path),
                    false => {}
                }
            }
        }
        Ok(found)
    }
}

impl From<&FileStat> for Seen {
    fn from(stat: &FileStat) -> Self {
        Self {
            place: (stat.st_dev, stat.st_ino),
            mode: stat.st_mode,
            size: stat.st_size.cast_unsigned(),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// Looks at the entries of a snapshot one after the other, in a copy of it; those of one folder share its descriptor,
/// which saves a walk along the path.
struct Looker<'a> {
    project: &'a Path,
    entries: &'a [Entry],
    folder: Option<(usize, Option<OwnedFd>)>,
}

impl<'a> Looker<'a> {
    fn new(project: &'a Path, entries: &'a [Entry]) -> Self {
        Self { project, entries, folder: None }
    }

    fn look(&mut self, index: usize) -> Option<Seen> {
        let entry = &self.entries[index];
        if index == 0 {
            return self.project.symlink_metadata().ok().map(|metadata| Seen::from(&metadata));
        }
        if self.folder.as_ref().is_none_or(|(known, _)| *known != entry.folder) {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let path = self.project.join(&self.entries[entry.folder].path);
            self.folder = Some((entry.folder, nix::fcntl::open(&path, flags, Mode::empty()).ok()));
        }
        let (_, folder) = self.folder.as_ref()?;
        let stat = fstatat(folder.as_ref()?, entry.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        Some(Seen::from(&stat))
    }
}

struct Restoring<'a> {
    project: &'a Path,
    snapshot: &'a Snapshot,
    seen: &'a mut Vec<Option<Seen>>,
    /// The latest time of a change that this made.
    latest: Option<(i64, i64)>,
}

impl Restoring<'_> {
    fn tree(&mut self) -> io::Result<()> {
        let mut touched = Vec::new();
        let mut looker = Looker::new(self.project, self.snapshot.entries());
        for (index, entry) in self.snapshot.entries().iter().enumerate() {
            let now = looker.look(index);
            if now.is_some() && now == self.seen[index] {
                continue;
            }
            let path = self.project.join(&entry.path);
            match entry.kind {
                Kind::Folder { mode } => {
                    self.folder((&path, mode), now)?;
                    touched.push((index, path));
                }
                _ => self.file(index, entry, &path)?,
            }
        }
        if touched.is_empty() {
            return Ok(());
        }
        let children = children(self.snapshot.entries());
        for (index, path) in &touched {
            let known = children.get(&self.snapshot.entries()[*index].path);
            remove_strangers(path, known)?;
        }
        for (index, path) in touched {
            self.note(index, &path)?;
        }
        Ok(())
    }

    fn folder(&self, (path, mode): (&Path, u32), now: Option<Seen>) -> io::Result<()> {
        let is_folder = now.is_some_and(|now| now.mode & 0o170_000 == 0o040_000);
        if !is_folder {
            remove(path)?;
            std::fs::create_dir_all(path)?;
        }
        if now.is_none_or(|now| now.mode & 0o7777 != mode) {
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        take_back(path)
    }

    fn file(&mut self, index: usize, entry: &Entry, path: &Path) -> io::Result<()> {
        remove(path)?;
        match &entry.kind {
            Kind::Link { target } => std::os::unix::fs::symlink(target, path)?,
            Kind::File | Kind::Folder { .. } => copy(&self.snapshot.folder().join(&entry.path), path)?,
        }
        self.note(index, path)
    }

    fn note(&mut self, index: usize, path: &Path) -> io::Result<()> {
        let seen = Seen::from(&path.symlink_metadata()?);
        self.latest = self.latest.max(Some(seen.changed));
        self.seen[index] = Some(seen);
        Ok(())
    }
}

/// Takes back a folder that a job in a container gave to its own user; only root's runner can, and only there it happens.
fn take_back(folder: &Path) -> io::Result<()> {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if user.is_root() && folder.symlink_metadata()?.uid() != user.as_raw() {
        std::os::unix::fs::lchown(folder, Some(user.as_raw()), Some(group.as_raw()))?;
    }
    Ok(())
}

/// The names in each folder.
fn children(entries: &[Entry]) -> HashMap<PathBuf, HashSet<OsString>> {
    let mut children: HashMap<PathBuf, HashSet<OsString>> = HashMap::new();
    for entry in entries {
        if let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.file_name()) {
            children.entry(parent.to_owned()).or_default().insert(name.to_owned());
        }
    }
    children
}

fn remove_strangers(folder: &Path, known: Option<&HashSet<OsString>>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !known.is_some_and(|known| known.contains(&entry.file_name())) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes whatever is there, without following links.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => serin_objects::tree::remove(path).map_err(io::Error::other),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Copies a file with its mode and its time of change, on file systems that can without copying its bytes.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::copy(from, to)?;
    let modified = from.symlink_metadata()?.modified()?;
    match File::options().write(true).open(to).or_else(|_| File::open(to)) {
        Ok(file) => file.set_times(FileTimes::new().set_modified(modified)),
        // Readable by nobody, and not ours to make so.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until a change that is made now is told apart from one of that time.
fn wait_until_after(latest: (i64, i64), probe: &Path) -> io::Result<()> {
    for _ in 0..TICKS_MAX {
        remove(probe)?;
        let made = File::create_new(probe)?.metadata()?;
        if (made.ctime(), made.ctime_nsec()) > latest {
            break;
        }
        std::thread::sleep(TICK);
    }
    remove(probe)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    type Damage<'a> = Box<dyn Fn() + 'a>;

    struct Bench {
        folder: tempfile::TempDir,
        slot: Slot,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let source = folder.path().join("tree");
            fs::create_dir_all(source.join("deep/er")).unwrap();
            for (name, text) in [("a", "one"), ("deep/b", "two"), ("deep/er/c", "three")] {
                fs::write(source.join(name), text).unwrap();
            }
            symlink("a", source.join("link")).unwrap();
            let snapshot = Arc::new(Snapshot::of_folder(source).unwrap());
            let slot = Slot::reopen(snapshot, folder.path().join("slot"), &folder.path().join("record"));
            fs::create_dir_all(folder.path().join("slot/project")).unwrap();
            Self { folder, slot }
        }

        fn project(&self) -> PathBuf {
            self.folder.path().join("slot/project")
        }

        fn restored(&self) {
            self.slot.restore(&self.project()).unwrap();
            assert_eq!(listing(&self.project()), listing(&self.folder.path().join("tree")));
        }
    }

    fn listing(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let metadata = path.symlink_metadata().unwrap();
            let what = if metadata.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                "folder".to_owned()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                format!("{:?} {}", metadata.modified().unwrap(), fs::read_to_string(&path).unwrap())
            };
            let name = path.strip_prefix(root).unwrap().display();
            // The top's own mode is that of the workspace.
            let mode = if path == root { 0 } else { metadata.mode() };
            found.push(format!("{name} {mode:o} {what}"));
        }
        found.sort();
        found
    }

    #[test]
    fn every_job_finds_the_tree_as_it_was() {
        let bench = Bench::new();
        bench.restored();
        let project = bench.project();
        // Each at once after the last, with sizes that stay, as a change of the same moment.
        let damages: Vec<(&str, Damage<'_>)> = vec![
            ("content", Box::new(|| fs::write(project.join("a"), "eno").unwrap())),
            ("new file", Box::new(|| fs::write(project.join("deep/new"), "x").unwrap())),
            ("new folder", Box::new(|| fs::create_dir_all(project.join("deep/x/y")).unwrap())),
            ("gone", Box::new(|| fs::remove_file(project.join("deep/er/c")).unwrap())),
            ("gone folder", Box::new(|| fs::remove_dir_all(project.join("deep")).unwrap())),
            ("mode", Box::new(|| fs::set_permissions(project.join("a"), Permissions::from_mode(0o777)).unwrap())),
            (
                "folder's mode",
                Box::new(|| fs::set_permissions(project.join("deep"), Permissions::from_mode(0o500)).unwrap()),
            ),
            (
                "link",
                Box::new(|| {
                    fs::remove_file(project.join("link")).unwrap();
                    symlink("/etc", project.join("link")).unwrap();
                }),
            ),
            (
                "folder becomes link",
                Box::new(|| {
                    fs::rename(project.join("deep"), bench.folder.path().join("moved")).unwrap();
                    symlink(bench.folder.path().join("moved"), project.join("deep")).unwrap();
                }),
            ),
            (
                "file becomes folder",
                Box::new(|| {
                    fs::remove_file(project.join("a")).unwrap();
                    fs::create_dir_all(project.join("a/b")).unwrap();
                }),
            ),
            (
                "hard link",
                Box::new(|| {
                    let aside = bench.folder.path().join("aside");
                    fs::hard_link(project.join("a"), &aside).unwrap();
                    fs::write(aside, "eno").unwrap();
                }),
            ),
            ("everything", Box::new(|| fs::remove_dir_all(&project).unwrap())),
        ];
        for (name, damage) in &damages {
            damage();
            assert_ne!(listing_or_none(&project), Some(listing(&bench.folder.path().join("tree"))), "{name}");
            bench.restored();
        }
        assert!(bench.folder.path().join("moved/b").is_file(), "what a link leads to is left alone");
    }

    fn listing_or_none(root: &Path) -> Option<Vec<String>> {
        root.is_dir().then(|| listing(root))
    }

    #[test]
    fn a_later_run_uses_what_is_still_whole() {
        let bench = Bench::new();
        bench.restored();
        let (project, tree, record) =
            (bench.project(), bench.folder.path().join("tree"), bench.folder.path().join("record"));
        let number = |name: &str| project.join(name).symlink_metadata().unwrap().ino();
        fs::write(project.join("left over"), "x").unwrap();
        fs::create_dir_all(bench.folder.path().join("slot/project.tmp")).unwrap();
        assert!(bench.slot.keep(&record).unwrap() > 0);
        assert!(!project.join("left over").exists() && !bench.folder.path().join("slot/project.tmp").exists());
        let before = ["a", "deep/b", "deep/er/c"].map(number);
        // One changes in the snapshot, one is new there, one in the workspace, each with what it had for size and time.
        let modified = tree.join("a").metadata().unwrap().modified().unwrap();
        fs::remove_file(tree.join("a")).unwrap();
        fs::write(tree.join("a"), "eno").unwrap();
        File::options().write(true).open(tree.join("a")).unwrap().set_modified(modified).unwrap();
        fs::write(tree.join("deep/new"), "new").unwrap();
        let modified = project.join("deep/b").metadata().unwrap().modified().unwrap();
        fs::write(project.join("deep/b"), "owt").unwrap();
        File::options().write(true).open(project.join("deep/b")).unwrap().set_modified(modified).unwrap();
        let snapshot = Arc::new(Snapshot::of_folder(tree.clone()).unwrap());
        let slot = Slot::reopen(snapshot, bench.folder.path().join("slot"), &record);
        slot.restore(&project).unwrap();
        assert_eq!(listing(&project), listing(&tree));
        let after = ["a", "deep/b", "deep/er/c"].map(number);
        assert_eq!(after[2], before[2], "what is whole is used again");
        slot.keep(&record).unwrap();
        fs::remove_file(tree.join("deep/new")).unwrap();
        let snapshot = Arc::new(Snapshot::of_folder(tree.clone()).unwrap());
        Slot::reopen(snapshot, bench.folder.path().join("slot"), &record).restore(&project).unwrap();
        assert_eq!(listing(&project), listing(&tree), "what is gone from the snapshot goes");
    }

    #[test]
    fn what_is_whole_is_not_touched() {
        let bench = Bench::new();
        bench.restored();
        let before = bench.project().join("a").symlink_metadata().unwrap().ino();
        bench.restored();
        assert_eq!(bench.project().join("a").symlink_metadata().unwrap().ino(), before);
        fs::write(bench.project().join("made"), "").unwrap();
        assert_eq!(bench.slot.new_files(&bench.project()).unwrap(), [PathBuf::from("made")]);
    }
}
