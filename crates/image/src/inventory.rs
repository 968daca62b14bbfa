//! What is in an image and in the tree that it was built of: the packages that their own lists tell.
//!
//! Everything read here is hostile: it is read once, in bounded memory, and nothing is written. What is too much is left
//! out, and the inventory says that it is not complete.

mod layers;
mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bollard::errors::Error as DockerError;
use futures_util::TryStreamExt;
use nix::fcntl::OFlag;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::{Builder, Error};
use lists::Kind;

/// Bytes of one list.
const LIST_BYTES_MAX: u64 = 32 << 20;
/// Bytes of all lists together.
const LISTS_BYTES_MAX: u64 = 256 << 20;
/// Lists.
const LISTS_MAX: usize = 20_000;
/// Components of an inventory.
const COMPONENTS_MAX: usize = 100_000;
/// Places that are kept of one component.
const PLACES_MAX: usize = 10;
/// Bytes of a name, version or licence.
const WORD_BYTES_MAX: usize = 500;
/// Levels of folders of a tree.
const DEPTH_MAX: usize = 64;
/// Entries of a tree.
const ENTRIES_MAX: usize = 1_000_000;

/// Whose packages those are (the types of "Package URL").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Debian's and Ubuntu's.
    Deb,
    /// Alpine's.
    Apk,
    /// Rust's.
    Cargo,
    /// JavaScript's.
    Npm,
    /// Python's.
    Pypi,
    /// Go's.
    Golang,
}

impl Ecosystem {
    /// The type in a package URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Golang => "golang",
        }
    }
}

/// A package that is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// Whose.
    pub ecosystem: Ecosystem,
    /// Its name there.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The processor that it is built for, where its list tells.
    pub architecture: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The packages, each with its licence as its list tells it, and with the lists that it stands in.
    pub components: BTreeMap<Component, Details>,
    /// The distribution (`ID` of os-release) and its version.
    pub distribution: Option<(String, String)>,
    /// Why it is not complete; empty where nothing was left out.
    pub missing: BTreeSet<String>,
}

/// What is known of a component besides its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Its licence, as it tells it.
    pub licence: Option<String>,
    /// The lists that name it, such as `image:/var/lib/dpkg/status`.
    pub places: BTreeSet<String>,
}

/// The lists of an image or tree, by path without a slash at its beginning.
#[derive(Debug, Default)]
struct Lists {
    files: BTreeMap<String, (Kind, Vec<u8>)>,
    bytes: u64,
    missing: BTreeSet<String>,
}

impl Builder {
    /// Reads what is in an image, layer by layer, as the engine gives it out.
    ///
    /// # Errors
    /// Where the engine does not give it out, or not as an image.
    pub async fn inventory(&self, image: &str) -> Result<Inventory, Error> {
        let attempt = "give the image out";
        let stream =
            Box::pin(self.api().export_image(image).map_err(|error: DockerError| std::io::Error::other(error)));
        let reader = SyncIoBridge::new(StreamReader::new(stream));
        let read = tokio::task::spawn_blocking(move || layers::read(reader)).await;
        let lists = read.map_err(|error| Error::said(attempt, &error.to_string()))?;
        let lists = lists.map_err(|error| Error::said(attempt, &error.to_string()))?;
        let mut inventory = Inventory::default();
        inventory.take(lists, "image:/");
        Ok(inventory)
    }
}

impl Inventory {
    /// Reads what a tree's lists say.
    ///
    /// # Errors
    /// Where a folder cannot be read.
    pub fn of_tree(tree: &Path) -> Result<Self, Error> {
        let mut lists = Lists::default();
        let mut walk = Walk { lists: &mut lists, entries: 0 };
        walk.folder(tree, "", 0)?;
        let mut inventory = Self::default();
        inventory.take(lists, "source:");
        inventory.distribution = None;
        Ok(inventory)
    }

    /// Adds another one's.
    pub fn add(&mut self, other: Self) {
        for (component, details) in other.components {
            self.insert(component, details);
        }
        self.distribution = self.distribution.take().or(other.distribution);
        self.missing.extend(other.missing);
    }

    fn take(&mut self, lists: Lists, prefix: &str) {
        self.missing.extend(lists.missing.into_iter().map(|what| format!("{prefix}{what}")));
        for (path, (kind, text)) in lists.files {
            let place = format!("{prefix}{path}");
            if kind == Kind::OsRelease {
                self.distribution = self.distribution.take().or_else(|| lists::distribution(&text));
                continue;
            }
            let Some(found) = lists::read(kind, &text) else {
                self.missing.insert(format!("{place} cannot be read"));
                continue;
            };
            for (component, licence) in found {
                self.insert(component, Details { licence, places: BTreeSet::from([place.clone()]) });
            }
        }
    }

    fn insert(&mut self, component: Component, details: Details) {
        let words = [&component.name, &component.version];
        if words.iter().any(|word| word.is_empty() || word.len() > WORD_BYTES_MAX) {
            return;
        }
        if self.components.len() >= COMPONENTS_MAX && !self.components.contains_key(&component) {
            self.missing.insert(format!("more than {COMPONENTS_MAX} components"));
            return;
        }
        let known = self.components.entry(component).or_default();
        known.licence = known.licence.take().or(details.licence.filter(|licence| licence.len() <= WORD_BYTES_MAX));
        for place in details.places {
            if known.places.len() < PLACES_MAX {
                known.places.insert(place);
            }
        }
    }
}

impl Lists {
    /// Reads a list; one that is too long, or one too many, is missing.
    fn read(&mut self, path: &str, kind: Kind, reader: impl Read) -> std::io::Result<()> {
        if self.files.len() >= LISTS_MAX {
            self.missing.insert(format!("more than {LISTS_MAX} lists of packages"));
            return Ok(());
        }
        let room = LIST_BYTES_MAX.min(LISTS_BYTES_MAX.saturating_sub(self.bytes));
        let mut text = Vec::new();
        reader.take(room + 1).read_to_end(&mut text)?;
        if text.len() as u64 > room {
            self.missing.insert(format!("{path} is too long"));
            return Ok(());
        }
        self.bytes += text.len() as u64;
        self.files.insert(path.to_owned(), (kind, text));
        Ok(())
    }
}

struct Walk<'a> {
    lists: &'a mut Lists,
    entries: usize,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, path: &str, depth: usize) -> Result<(), Error> {
        let entries = std::fs::read_dir(folder).map_err(Error::io("read folder", folder))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("read folder", folder))?;
            self.entries += 1;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.entries > ENTRIES_MAX || depth > DEPTH_MAX {
                self.lists.missing.insert("it is too large to be read whole".to_owned());
                return Ok(());
            }
            let below = if path.is_empty() { name } else { format!("{path}/{name}") };
            let kind = entry.file_type().map_err(Error::io("look at", entry.path()))?;
            if kind.is_dir() {
                self.folder(&entry.path(), &below, depth + 1)?;
            } else if let (true, Some(list)) = (kind.is_file(), Kind::of(&below)) {
                let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
                let file = std::fs::File::options().read(true).custom_flags(flags).open(entry.path());
                let read = file.and_then(|file| self.lists.read(&below, list, file));
                read.map_err(Error::io("read", entry.path()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(ecosystem: Ecosystem, name: &str, version: &str) -> Component {
        Component { ecosystem, name: name.into(), version: version.into(), architecture: None }
    }

    #[test]
    fn a_tree_tells_what_it_is_built_of() {
        let folder = tempfile::tempdir().unwrap();
        let lock = "[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry+x\"\n";
        std::fs::write(folder.path().join("Cargo.lock"), lock).unwrap();
        std::fs::create_dir(folder.path().join("web")).unwrap();
        std::fs::write(folder.path().join("web/requirements.txt"), "Flask==2.0 # x\n").unwrap();
        std::fs::write(folder.path().join("web/poetry.lock"), "no [ toml").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("web/Cargo.lock")).unwrap();
        let inventory = Inventory::of_tree(folder.path()).unwrap();
        let serde = &inventory.components[&component(Ecosystem::Cargo, "serde", "1.0.1")];
        assert_eq!(serde.places, BTreeSet::from(["source:Cargo.lock".to_owned()]));
        assert!(inventory.components.contains_key(&component(Ecosystem::Pypi, "flask", "2.0")));
        assert_eq!(inventory.missing, BTreeSet::from(["source:web/poetry.lock cannot be read".to_owned()]));
    }

    #[test]
    fn too_much_is_left_out_and_said() {
        let mut lists = Lists::default();
        lists.read("Cargo.lock", Kind::Cargo, std::io::repeat(b'a')).unwrap();
        assert!(lists.files.is_empty());
        let mut inventory = Inventory::default();
        inventory.take(lists, "image:/");
        assert_eq!(inventory.missing, BTreeSet::from(["image:/Cargo.lock is too long".to_owned()]));
        let long = component(Ecosystem::Npm, &"n".repeat(WORD_BYTES_MAX + 1), "1");
        inventory.insert(long, Details::default());
        assert!(inventory.components.is_empty());
    }
}
