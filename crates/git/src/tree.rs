//! Trees and the files in them, walked without handing a user's path to `git`.

use serin_model::CommitId;

use crate::{
    error::{Error, Result},
    name::{checked_id, components, is_id},
    object::{Kind, Object},
    repository::Repository,
};

/// The largest tree object read, in bytes: a folder of about half a million entries.
const TREE_BYTES_MAX: u64 = 16 << 20;

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link; its content is its target.
    Symlink,
    /// A commit of another repository.
    Submodule,
    /// A folder.
    Folder,
}

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path from the root; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The id of its content.
    pub id: String,
}

/// An entry with the exact bytes of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) id: String,
}

impl From<RawEntry> for TreeEntry {
    fn from(entry: RawEntry) -> Self {
        Self { path: String::from_utf8_lossy(&entry.path).into_owned(), kind: entry.kind, id: entry.id }
    }
}

impl EntryKind {
    fn from_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o040_000 => Some(Self::Folder),
            0o100_000 if mode & 0o100 != 0 => Some(Self::Executable),
            0o100_000 => Some(Self::File),
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }
}

impl Repository {
    /// Reads a file; `None` where the path is not there or is no regular file.
    ///
    /// # Errors
    /// The id or path is malformed, the commit is not in the repository, the file is over `bytes_max`, or `git` failed.
    pub async fn read_file(&self, commit: &CommitId, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let mut folder = self.root(commit).await?;
        let parts = components(path)?;
        for (at, part) in parts.iter().enumerate() {
            let Some(entry) = entries(&folder)?.into_iter().find(|entry| entry.path == *part) else { return Ok(None) };
            match (at + 1 == parts.len(), entry.kind) {
                (false, EntryKind::Folder) => folder = self.object(&entry.id, TREE_BYTES_MAX).await?,
                (true, EntryKind::File | EntryKind::Executable) => {
                    return self.object(&entry.id, bytes_max).await.map(|blob| Some(blob.bytes));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The entries of one folder, in Git's order; the root for an empty path, `None` where no folder is there. Paths are
    /// from the root.
    ///
    /// # Errors
    /// The id or path is malformed, the commit is not in the repository, or `git` failed.
    pub async fn list_folder(&self, commit: &CommitId, path: &str) -> Result<Option<Vec<TreeEntry>>> {
        let mut folder = self.root(commit).await?;
        let parts = if path.is_empty() { Vec::new() } else { components(path)? };
        for part in parts {
            let entry = entries(&folder)?.into_iter().find(|entry| entry.path == part);
            let Some(entry) = entry.filter(|entry| entry.kind == EntryKind::Folder) else { return Ok(None) };
            folder = self.object(&entry.id, TREE_BYTES_MAX).await?;
        }
        let from_root = |entry: RawEntry| {
            let mut entry = TreeEntry::from(entry);
            if !path.is_empty() {
                entry.path = format!("{path}/{}", entry.path);
            }
            entry
        };
        Ok(Some(entries(&folder)?.into_iter().map(from_root).collect()))
    }

    /// Every file, link and submodule of the commit's tree, folders left out, in path order.
    ///
    /// # Errors
    /// The id is malformed or not in the repository, there are more than `max` entries, or `git` failed.
    pub async fn list_files(&self, commit: &CommitId, max: usize) -> Result<Vec<TreeEntry>> {
        Ok(self.raw_files(commit, max).await?.into_iter().map(TreeEntry::from).collect())
    }

    pub(crate) async fn raw_files(&self, commit: &CommitId, max: usize) -> Result<Vec<RawEntry>> {
        let id = checked_id(commit.as_str())?;
        let output = self.call("ls-tree").args(["-r", "-z", "--full-tree", id]).output().await?;
        let mut files = Vec::new();
        for record in output.split(|&b| b == 0).filter(|record| !record.is_empty()) {
            if files.len() == max {
                return Err(Error::TooLarge { what: "the tree".to_owned(), max: max as u64, unit: "files" });
            }
            files.push(parse_record(record).ok_or_else(|| Error::answer("ls-tree", record))?);
        }
        Ok(files)
    }

    async fn root(&self, commit: &CommitId) -> Result<Object> {
        let id = checked_id(commit.as_str())?;
        let tree = self.pool().contents(&format!("{id}^{{tree}}"), TREE_BYTES_MAX).await?;
        let missing = || Error::Missing { what: "commit", id: id.to_owned() };
        tree.filter(|object| object.kind == Kind::Tree).ok_or_else(missing)
    }

    async fn object(&self, id: &str, bytes_max: u64) -> Result<Object> {
        let found = self.pool().contents(id, bytes_max).await?;
        found.ok_or_else(|| Error::Missing { what: "object", id: id.to_owned() })
    }
}

/// Reads one record of `ls-tree -z`: mode, kind, id, tab, path.
fn parse_record(record: &[u8]) -> Option<RawEntry> {
    let tab = record.iter().position(|&b| b == b'\t')?;
    let mut words = std::str::from_utf8(&record[..tab]).ok()?.split(' ');
    let kind = EntryKind::from_mode(u32::from_str_radix(words.next()?, 8).ok()?)?;
    let id = words.nth(1).filter(|id| is_id(id))?.to_owned();
    Some(RawEntry { path: record[tab + 1..].to_vec(), kind, id })
}

/// Reads a tree object: per entry its mode, a space, its name, a NUL and 20 bytes of id.
fn entries(tree: &Object) -> Result<Vec<RawEntry>> {
    let mut entries = Vec::new();
    let mut rest = tree.bytes.as_slice();
    while !rest.is_empty() {
        let (entry, tail) = entry(rest).ok_or_else(|| Error::answer("cat-file", b"a malformed tree"))?;
        entries.push(entry);
        rest = tail;
    }
    Ok(entries)
}

fn entry(bytes: &[u8]) -> Option<(RawEntry, &[u8])> {
    const ID_BYTES: usize = 20;
    let end = bytes.iter().position(|&b| b == 0)?;
    let (head, tail) = (&bytes[..end], bytes.get(end + 1..end + 1 + ID_BYTES)?);
    let space = head.iter().position(|&b| b == b' ')?;
    let mode = std::str::from_utf8(&head[..space]).ok()?;
    let kind = EntryKind::from_mode(u32::from_str_radix(mode, 8).ok()?)?;
    let id = tail.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((RawEntry { path: head[space + 1..].to_vec(), kind, id }, &bytes[end + 1 + ID_BYTES..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_tree_object() {
        let mut bytes = b"100755 run\0".to_vec();
        bytes.extend([0xab; 20]);
        bytes.extend(b"40000 src\0");
        bytes.extend([0x01; 20]);
        let tree = Object { id: String::new(), kind: Kind::Tree, size: 0, bytes: bytes.clone() };
        let found = entries(&tree).unwrap();
        assert_eq!(found[0], RawEntry { path: b"run".to_vec(), kind: EntryKind::Executable, id: "ab".repeat(20) });
        assert_eq!(found[1].kind, EntryKind::Folder);
        let cut = Object { bytes: bytes[..bytes.len() - 1].to_vec(), ..tree };
        assert!(entries(&cut).is_err());
    }
}
