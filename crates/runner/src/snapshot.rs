//! The files of a work tree at one moment, from which workspaces are made.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::environment::HostEnvironment;
use crate::workspace::{self, Workspace};

/// Entries of a work tree.
const ENTRIES_MAX: usize = 1_000_000;

/// A copy of a work tree: tracked files and new ones as they are, without ignored ones.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    entries: Vec<Entry>,
}

/// A file, a link or a folder of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, relative to the top; empty for the top itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The number of the folder that it is in; the top is in itself.
    pub(crate) folder: usize,
    /// Its name there.
    pub(crate) name: CString,
}

/// What an entry of a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder {
        /// Its permissions.
        mode: u32,
    },
    /// A plain file.
    File,
    /// A symbolic link.
    Link {
        /// What it leads to.
        target: PathBuf,
    },
}

impl Snapshot {
    /// Copies the work tree at `from` into `into`, a folder of the caller that is absent or holds an earlier snapshot,
    /// whose files are used again where they are still the same. Where `from` is the top of a repository
    /// with a commit, the copy has a `.git` of its own that borrows the repository's objects.
    ///
    /// # Errors
    /// Says what could not be read or written.
    pub async fn take(from: &Path, into: &Path, host: &HostEnvironment) -> Result<Self, String> {
        let workspace = Workspace { project: into.join("tree"), beside: into.join("beside") };
        std::fs::create_dir_all(&workspace.project)
            .and_then(|()| crate::slot::remove(&workspace.beside))
            .and_then(|()| std::fs::create_dir_all(&workspace.beside))
            .map_err(|error| format!("cannot make `{}`: {error}", into.display()))?;
        workspace::copy_folder(&workspace, from, host).await?;
        let folder = workspace.project;
        tokio::task::spawn_blocking(move || Self::of_folder(folder))
            .await
            .map_err(|_| "the program is ending".to_owned())?
            .map_err(|error| format!("cannot read the copy of the work tree: {error}"))
    }

    /// A folder as it is; nobody changes it any more.
    pub(crate) fn of_folder(folder: PathBuf) -> io::Result<Self> {
        let top = Kind::Folder { mode: 0o700 };
        let mut entries = vec![Entry { path: PathBuf::new(), kind: top, folder: 0, name: CString::default() }];
        let mut next = 0;
        while let Some(entry) = entries.get(next) {
            let number = next;
            next += 1;
            if !matches!(entry.kind, Kind::Folder { .. }) {
                continue;
            }
            let above = entry.path.clone();
            for found in std::fs::read_dir(folder.join(&above))? {
                let found = found?;
                if let Some(kind) = kind(&found)? {
                    let name = CString::new(found.file_name().as_bytes())?;
                    entries.push(Entry { path: above.join(found.file_name()), kind, folder: number, name });
                }
            }
            if entries.len() > ENTRIES_MAX {
                return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} files and folders")));
            }
        }
        Ok(Self { folder, entries })
    }

    /// Where the copy is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that it holds; a folder comes before what is in it, and that stands together.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// What an entry of a folder is; `None`: a socket or the like, which nobody copies.
fn kind(entry: &std::fs::DirEntry) -> io::Result<Option<Kind>> {
    let kind = entry.file_type()?;
    Ok(if kind.is_dir() {
        Some(Kind::Folder { mode: entry.metadata()?.permissions().mode() & 0o7777 })
    } else if kind.is_symlink() {
        Some(Kind::Link { target: std::fs::read_link(entry.path())? })
    } else {
        kind.is_file().then_some(Kind::File)
    })
}
