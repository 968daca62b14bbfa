//! The layers of an image as the engine gives it out (`docker save`, and OCI image layout in later engines).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Cursor, Read};
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::lists::Kind;
use super::{LISTS_BYTES_MAX, Lists};

/// Entries of all layers together.
const ENTRIES_MAX: u64 = 5_000_000;
/// Bytes of the image's own list of layers.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Layers of an image.
const LAYERS_MAX: usize = 500;
/// Bytes by which a layer is told from other files.
const HEAD_BYTES: usize = 512;
/// What marks a removed file, and a folder of which nothing below stays (OCI image specification, "Whiteouts").
const REMOVED: &str = ".wh.";
const EMPTIED: &str = ".wh..wh..opq";

/// What one layer adds and removes.
#[derive(Debug, Default)]
struct Layer {
    lists: Lists,
    removed: BTreeSet<String>,
    emptied: BTreeSet<String>,
    /// Files that are no list, in the place of one.
    replaced: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// Reads the lists that are in an image.
pub(super) fn read(image: impl Read) -> io::Result<Lists> {
    let mut layers: HashMap<String, Layer> = HashMap::new();
    let mut links: HashMap<String, String> = HashMap::new();
    let (mut order, mut entries) = (None, 0);
    let mut archive = tar::Archive::new(image);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(path) = plain(&entry.path()?) else { continue };
        if let Some(target) = entry.link_name()?.filter(|_| entry.header().entry_type().is_symlink()) {
            let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
            links.extend(plain(&folder.join(target)).map(|target| (path, target)));
            continue;
        }
        if path == "manifest.json" {
            let mut text = Vec::new();
            entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut text)?;
            order = Some(text);
        } else if let Some(layer) = open(&mut entry)? {
            if layers.len() >= LAYERS_MAX {
                return Err(io::Error::other(format!("it has more than {LAYERS_MAX} layers")));
            }
            let bytes: u64 = layers.values().map(|layer| layer.lists.bytes).sum();
            layers.insert(path, layer_of(layer, (&mut entries, bytes)));
        }
    }
    let order: Vec<Manifest> = serde_json::from_slice(&order.unwrap_or_default())?;
    let mut whole = Lists::default();
    for name in order.into_iter().next().map(|manifest| manifest.layers).unwrap_or_default() {
        // The same layer twice is given out once, with a link in the place of the other.
        let name = links.get(&name).unwrap_or(&name);
        match layers.get(name) {
            Some(layer) => layer.over(&mut whole),
            None => _ = whole.missing.insert(format!("layer {name} cannot be read")),
        }
    }
    Ok(whole)
}

/// Opens a file of the image, where it is a layer.
fn open<'a>(entry: &'a mut impl Read) -> io::Result<Option<Box<dyn Read + 'a>>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    entry.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let is_gzip = head.starts_with(&[0x1f, 0x8b]);
    // A tar archive's mark; one of zero blocks alone is a layer with nothing in it.
    let is_tar =
        head.get(257..262) == Some(b"ustar") || (head.len() == HEAD_BYTES && head.iter().all(|byte| *byte == 0));
    let whole = Cursor::new(head).chain(entry);
    Ok(match (is_tar, is_gzip) {
        (true, _) => Some(Box::new(whole)),
        (_, true) => Some(Box::new(GzDecoder::new(whole))),
        _ => None,
    })
}

/// Reads a layer as far as it can be read.
fn layer_of(reader: Box<dyn Read + '_>, (entries, bytes): (&mut u64, u64)) -> Layer {
    let mut layer = Layer::default();
    layer.lists.bytes = bytes.min(LISTS_BYTES_MAX);
    if let Err(error) = fill(&mut layer, reader, entries) {
        layer.lists.missing.insert(format!("a layer cannot be read to its end: {error}"));
    }
    layer.lists.bytes -= bytes.min(LISTS_BYTES_MAX);
    layer
}

fn fill(layer: &mut Layer, reader: Box<dyn Read + '_>, entries: &mut u64) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries()? {
        let entry = entry?;
        *entries += 1;
        if *entries > ENTRIES_MAX {
            return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} files")));
        }
        let Some(path) = plain(&entry.path()?) else { continue };
        let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
        if name == EMPTIED {
            layer.emptied.insert(folder.to_owned());
        } else if let Some(removed) = name.strip_prefix(REMOVED) {
            layer.removed.insert(if folder.is_empty() { removed.to_owned() } else { format!("{folder}/{removed}") });
        } else if let Some(kind) = Kind::of(&path) {
            if entry.header().entry_type().is_file() {
                layer.lists.read(&path, kind, entry)?;
            } else {
                layer.replaced.insert(path);
            }
        } else if let Some(what) = Kind::unread(&path) {
            layer.lists.missing.insert(format!("{path} ({what}) is not read"));
        }
    }
    Ok(())
}

impl Layer {
    /// Lays this layer over what is below.
    fn over(&self, whole: &mut Lists) {
        let is_below = |path: &str, folder: &str| {
            folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        whole.files.retain(|path, _| {
            let removed = self.removed.iter().chain(&self.replaced).any(|gone| path == gone || is_below(path, gone));
            !removed && !self.emptied.iter().any(|folder| is_below(path, folder))
        });
        let files: BTreeMap<_, _> = self.lists.files.iter().map(|(path, file)| (path.clone(), file.clone())).collect();
        whole.files.extend(files);
        whole.missing.extend(self.lists.missing.iter().cloned());
    }
}

/// A path without `.` and slashes at its beginning; one that leads above is none.
fn plain(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir | Component::RootDir => {}
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => _ = parts.pop()?,
            Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn packed(layer: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(layer).unwrap();
        gzip.finish().unwrap()
    }

    fn names(image: &[u8]) -> (Vec<String>, Vec<String>) {
        let lists = read(image).unwrap();
        (lists.files.into_keys().collect(), lists.missing.into_iter().collect())
    }

    #[test]
    fn layers_lie_one_above_the_other() {
        let below = archive(&[
            ("var/lib/dpkg/status", b"old"),
            ("app/one/Cargo.lock", b"1"),
            ("app/two/Cargo.lock", b"2"),
            ("gone/deep/Cargo.lock", b"3"),
            ("var/lib/rpm/rpmdb.sqlite", b"x"),
            ("other", b"x"),
        ]);
        let above = archive(&[
            ("./var/lib/dpkg/status", b"new"),
            ("app/one/.wh.Cargo.lock", b""),
            (".wh.gone", b""),
            ("app/two/.wh..wh..opq", b""),
            ("app/two/go.mod", b"module x"),
        ]);
        // The order is the manifest's, not the archive's.
        let manifest = br#"[{"Config": "c.json", "Layers": ["b/layer.tar", "blobs/sha256/a"]}]"#;
        let image = archive(&[
            ("blobs/sha256/a", &packed(&above)),
            ("b/layer.tar", &below),
            ("c.json", b"{}"),
            ("manifest.json", manifest),
        ]);
        let lists = read(image.as_slice()).unwrap();
        assert_eq!(lists.files["var/lib/dpkg/status"].1, b"new");
        let (names, missing) = names(&image);
        assert_eq!(names, ["app/two/go.mod", "var/lib/dpkg/status"]);
        assert_eq!(missing, ["var/lib/rpm/rpmdb.sqlite (RPM packages) is not read"]);
    }

    #[test]
    fn hostile_layers_are_read_as_far_as_they_go() {
        let good = archive(&[("Cargo.lock", b"1")]);
        let mut cut = good[..700].to_vec();
        cut[0] = b'C';
        let manifest = br#"[{"Layers": ["cut", "absent", "good"]}]"#;
        let image = archive(&[("cut", &cut), ("good", &good), ("manifest.json", manifest)]);
        let (names, missing) = names(&image);
        assert_eq!(names, ["Cargo.lock"]);
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(read(archive(&[("manifest.json", b"nonsense")]).as_slice()).is_err());
        assert!(read(&b"nonsense that is no archive at all"[..]).is_err());
    }

    #[test]
    fn paths_are_confined() {
        assert_eq!(plain(Path::new("/etc/./x")).as_deref(), Some("etc/x"));
        assert_eq!(plain(Path::new("../x")), None);
        assert_eq!(plain(Path::new("a/../../x")), None);
    }
}
