//! Writes a commit's tree as plain files.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt, symlink},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use serin_model::CommitId;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::mpsc,
};

use crate::{
    command::Call,
    error::{Error, Result, printable},
    name::is_component,
    repository::Repository,
    tree::{EntryKind, RawEntry},
};

/// The most files an export writes.
const FILES_MAX: usize = 500_000;
/// The most bytes an export writes.
const BYTES_MAX: u64 = 8 << 30;
/// The longest target of a symbolic link, in bytes.
const TARGET_BYTES_MAX: usize = 4096;
const TIME_MAX: Duration = Duration::from_secs(10 * 60);
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_IN_FLIGHT: usize = 16;
const NAME: &str = "cat-file";

/// What an export wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// Files written, links included.
    pub files: usize,
    /// Bytes written.
    pub bytes: u64,
    /// The paths of symbolic links left out, since they point out of the folder.
    pub left_out: Vec<String>,
}

/// What the reading half tells the writing half.
enum Step {
    Open(RawEntry),
    Bytes(Vec<u8>),
}

impl Repository {
    /// Writes the commit's tree into `folder`, which must be there and be empty: the very bytes that were committed, no
    /// filter, attribute or hook applied; a submodule is an empty folder. A symbolic link that points out of the folder
    /// is left out and named.
    ///
    /// # Errors
    /// The id is malformed or not in the repository, the folder is not empty or cannot be written, a path in the tree
    /// is not plain, a limit (500,000 files, 8 GiB, 10 minutes) is passed, or `git` failed. Files may remain then.
    pub async fn export(&self, commit: &CommitId, folder: &Path) -> Result<Export> {
        let mut entries = self.raw_files(commit, FILES_MAX).await?;
        // Links last, so that no file is ever written through one.
        entries.sort_by_key(|entry| entry.kind == EntryKind::Symlink);
        let writer = Writer::new(folder)?;
        let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let writing = tokio::task::spawn_blocking(move || writer.run(receiver));
        let reading = self.read_all(entries, sender);
        let late = |_| Error::TimedOut { command: NAME, limit: TIME_MAX };
        let read = tokio::time::timeout(TIME_MAX, reading).await.map_err(late)?;
        let written = writing.await.map_err(|error| Error::io("write files")(std::io::Error::other(error)))?;
        // A failed writer closes the channel, which the reader sees as an early end: the writer's reason goes first.
        let export = written?;
        read.map(|()| export)
    }

    async fn read_all(&self, entries: Vec<RawEntry>, sender: mpsc::Sender<Step>) -> Result<()> {
        let mut process = Call::new(self.path(), NAME).args(["--batch", "--buffer"]).start()?;
        let (stdin, stdout, stderr) = process.pipes()?;
        let ids: String = contents(&entries).map(|entry| format!("{}\n", entry.id)).collect();
        let feeding = tokio::spawn(feed(stdin, ids));
        let read = read_entries(BufReader::with_capacity(CHUNK_BYTES, stdout), entries, &sender).await;
        feeding.abort();
        drop(stderr);
        read
    }
}

fn contents(entries: &[RawEntry]) -> impl Iterator<Item = &RawEntry> {
    entries.iter().filter(|entry| entry.kind != EntryKind::Submodule)
}

async fn feed(mut stdin: ChildStdin, ids: String) {
    if let Err(error) = stdin.write_all(ids.as_bytes()).await {
        tracing::debug!(%error, "export ended early");
    }
}

async fn read_entries(
    mut stdout: BufReader<ChildStdout>,
    entries: Vec<RawEntry>,
    sender: &mpsc::Sender<Step>,
) -> Result<()> {
    let closed = |_| Error::io("write files")(ErrorKind::BrokenPipe.into());
    let mut left = BYTES_MAX;
    for entry in entries {
        let submodule = entry.kind == EntryKind::Submodule;
        let id = entry.id.clone();
        sender.send(Step::Open(entry)).await.map_err(closed)?;
        if submodule {
            continue;
        }
        let size = blob_size(&mut stdout, &id).await?;
        left = left.checked_sub(size).ok_or_else(|| too_large("the tree", BYTES_MAX))?;
        let mut rest = (&mut stdout).take(size);
        while rest.limit() > 0 {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let read = (&mut rest).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await;
            if read.map_err(Error::io("read from `git cat-file`"))? == 0 {
                return Err(Error::answer(NAME, b"an object cut short"));
            }
            sender.send(Step::Bytes(chunk)).await.map_err(closed)?;
        }
        stdout.read_u8().await.map_err(Error::io("read from `git cat-file`"))?;
    }
    Ok(())
}

async fn blob_size(stdout: &mut BufReader<ChildStdout>, id: &str) -> Result<u64> {
    let mut line = String::new();
    stdout.read_line(&mut line).await.map_err(Error::io("read from `git cat-file`"))?;
    let size = line.strip_prefix(id).and_then(|rest| rest.strip_prefix(" blob ")?.trim_end().parse().ok());
    size.ok_or_else(|| Error::answer(NAME, line.as_bytes()))
}

fn too_large(what: impl Into<String>, max: u64) -> Error {
    Error::TooLarge { what: what.into(), max, unit: "bytes" }
}

struct Writer {
    root: PathBuf,
    export: Export,
    last_folder: PathBuf,
    file: Option<File>,
    link: Option<(PathBuf, Vec<u8>)>,
}

impl Writer {
    fn new(folder: &Path) -> Result<Self> {
        let reading = || format!("read the folder `{}`", folder.display());
        if std::fs::read_dir(folder).map_err(Error::io(reading()))?.next().is_some() {
            return Err(Error::io(reading())(ErrorKind::DirectoryNotEmpty.into()));
        }
        let root = folder.to_owned();
        Ok(Self { last_folder: root.clone(), root, export: Export::default(), file: None, link: None })
    }

    fn run(mut self, mut steps: mpsc::Receiver<Step>) -> Result<Export> {
        while let Some(step) = steps.blocking_recv() {
            match step {
                Step::Open(entry) => self.open(&entry)?,
                Step::Bytes(bytes) => self.write(&bytes)?,
            }
        }
        self.close()?;
        Ok(self.export)
    }

    fn open(&mut self, entry: &RawEntry) -> Result<()> {
        self.close()?;
        let parts: Vec<&[u8]> = entry.path.split(|&b| b == b'/').collect();
        let Some((name, folders)) = parts.split_last().filter(|_| parts.iter().all(|part| is_component(part))) else {
            return Err(Error::Path(printable(&entry.path)));
        };
        self.folder(folders)?;
        let path = self.last_folder.join(OsStr::from_bytes(name));
        match entry.kind {
            EntryKind::Submodule | EntryKind::Folder => make_folder(&path)?,
            EntryKind::Symlink => self.link = Some((path, Vec::new())),
            EntryKind::File => self.file = Some(create(&path, 0o666)?),
            EntryKind::Executable => self.file = Some(create(&path, 0o777)?),
        }
        self.export.files += 1;
        Ok(())
    }

    /// Makes the folders of a file; consecutive files mostly share theirs.
    fn folder(&mut self, parts: &[&[u8]]) -> Result<()> {
        let wanted: PathBuf = parts.iter().fold(self.root.clone(), |path, part| path.join(OsStr::from_bytes(part)));
        if wanted == self.last_folder {
            return Ok(());
        }
        let mut path = self.root.clone();
        for part in parts {
            path.push(OsStr::from_bytes(part));
            make_folder(&path)?;
        }
        self.last_folder = wanted;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.export.bytes += bytes.len() as u64;
        if let Some((path, target)) = &mut self.link {
            target.extend_from_slice(bytes);
            if target.len() > TARGET_BYTES_MAX {
                return Err(too_large(format!("the target of `{}`", shown(path)), TARGET_BYTES_MAX as u64));
            }
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(Error::io("write a file")),
            None => Ok(()),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.file = None;
        let Some((path, target)) = self.link.take() else { return Ok(()) };
        let inside = path.strip_prefix(&self.root).unwrap_or(&path);
        if stays_inside(inside, &target) {
            let failed = Error::io(format!("link `{}`", shown(&path)));
            return symlink(OsStr::from_bytes(&target), &path).map_err(failed);
        }
        self.export.files -= 1;
        self.export.left_out.push(inside.to_string_lossy().into_owned());
        Ok(())
    }
}

/// Whether a link at `path` with this target stays in the root, whatever other links are there: it may climb only at its
/// beginning, through the plain folders it lies in.
fn stays_inside(path: &Path, target: &[u8]) -> bool {
    let mut climbs_left = path.components().count().saturating_sub(1);
    let mut descended = false;
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if descended || climbs_left == 0 => return false,
            b".." => climbs_left -= 1,
            _ => descended = true,
        }
    }
    true
}

fn shown(path: &Path) -> String {
    printable(path.file_name().unwrap_or(path.as_os_str()).as_bytes())
}

fn create(path: &Path, mode: u32) -> Result<File> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    opened.map_err(Error::io(format!("create `{}`", shown(path))))
}

fn make_folder(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o777).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_folder(path) => Ok(()),
        made => made.map_err(Error::io(format!("create the folder `{}`", shown(path)))),
    }
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let inside = [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d/e"), ("a", "./b//c"), ("a", "b/")];
        for (path, target) in inside {
            assert!(stays_inside(Path::new(path), target.as_bytes()), "{path} -> {target}");
        }
        let outside =
            [("a", "/etc/passwd"), ("a", ".."), ("a/b", "../.."), ("a/b", "c/../../x"), ("a", ""), ("a", "x/..")];
        for (path, target) in outside {
            assert!(!stays_inside(Path::new(path), target.as_bytes()), "{path} -> {target}");
        }
    }
}
