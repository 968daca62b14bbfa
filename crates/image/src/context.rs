//! The context of a build: the part of a tree that is sent to the engine.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

use crate::Error;
use crate::ignore::Ignore;

/// Bytes of a Dockerfile or `.dockerignore`.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Levels of folders.
const DEPTH_MAX: usize = 128;

/// A folder of a tree, and the Dockerfile in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    root: PathBuf,
    dockerfile: String,
    text: Vec<u8>,
}

impl Context {
    /// Finds the context `folder` and the Dockerfile, both paths in `tree`. The Dockerfile must lie in the context.
    ///
    /// # Errors
    /// Where one is no path in the tree, leads over a link, or is not there.
    pub fn find(tree: &Path, folder: &str, dockerfile: &str) -> Result<Self, Error> {
        let folder = parts("context", folder)?;
        let file = parts("dockerfile", dockerfile)?;
        let Some(inner) = file.strip_prefix(folder.as_slice()).filter(|inner| !inner.is_empty()) else {
            return Err(Error::refused(format!(
                "`service.image.dockerfile` is `{dockerfile}`, which does not lie in the context `{}`",
                folder.join("/")
            )));
        };
        let root = plain_folder(tree, &folder)?;
        let above = plain_folder(&root, &inner[..inner.len() - 1])?;
        let path = above.join(&inner[inner.len() - 1]);
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(Error::refused(format!(
                "there is no file `{dockerfile}`, which `service.image.dockerfile` names"
            )));
        }
        let text = text(&path)?;
        Ok(Self { root, dockerfile: inner.join("/"), text })
    }

    /// The Dockerfile's path in the context.
    #[must_use]
    pub fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// What the Dockerfile says.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The patterns of the Dockerfile's own ignore file, else of the context's.
    fn ignore(&self) -> Result<Ignore, Error> {
        for name in [format!("{}.dockerignore", self.dockerfile), ".dockerignore".to_owned()] {
            let path = self.root.join(&name);
            if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                return Ignore::parse(&String::from_utf8_lossy(&text(&path)?));
            }
        }
        Ok(Ignore::default())
    }
}

/// Writes the context as a tar archive, without what `.dockerignore` names; links stay links, times and owners do not
/// count.
///
/// # Errors
/// Where a file cannot be read or the archive not be written.
pub fn pack(context: &Context, target: &Path) -> Result<(), Error> {
    let ignore = context.ignore()?;
    let file = File::create(target).map_err(Error::io("make", target))?;
    let mut archive = tar::Builder::new(BufWriter::new(file));
    archive.follow_symlinks(false);
    archive.mode(tar::HeaderMode::Deterministic);
    let mut packer = Packer { archive, context, ignore };
    packer.folder(&context.root, "", 0)?;
    let finish = || packer.archive.into_inner()?.flush();
    finish().map_err(Error::io("write", target))
}

struct Packer<'a> {
    archive: tar::Builder<BufWriter<File>>,
    context: &'a Context,
    ignore: Ignore,
}

impl Packer<'_> {
    /// Adds what is in a folder, in the order of names; `path` is the folder's in the context.
    fn folder(&mut self, folder: &Path, path: &str, depth: usize) -> Result<(), Error> {
        if depth >= DEPTH_MAX {
            return Err(Error::refused(format!("`{path}` lies more than {DEPTH_MAX} folders deep")));
        }
        let names = std::fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = names.map_err(Error::io("read folder", folder))?;
        names.retain(|name| !(path.is_empty() && name == ".git"));
        names.sort_unstable();
        for name in names {
            // A name that is no text matches no pattern but those for any name.
            let shown = String::from_utf8_lossy(name.as_bytes());
            let below = if path.is_empty() { shown.into_owned() } else { format!("{path}/{shown}") };
            self.entry(&folder.join(&name), &below, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, path: &str, depth: usize) -> Result<(), Error> {
        let kind = from.symlink_metadata().map_err(Error::io("look at", from))?.file_type();
        let is_left_out = self.ignore.leaves_out(path) && path != self.context.dockerfile;
        let name = from.strip_prefix(&self.context.root).unwrap_or(from);
        if kind.is_dir() {
            if !is_left_out {
                self.archive.append_dir(name, from).map_err(Error::io("pack", from))?;
            }
            let is_needed = self.ignore.has_exceptions()
                || self.context.dockerfile.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            return if is_left_out && !is_needed { Ok(()) } else { self.folder(from, path, depth + 1) };
        }
        if is_left_out || !(kind.is_file() || kind.is_symlink()) {
            return Ok(());
        }
        if kind.is_symlink() {
            return self.archive.append_path_with_name(from, name).map_err(Error::io("pack", from));
        }
        let mut file = open(from)?;
        self.archive.append_file(name, &mut file).map_err(Error::io("pack", from))
    }
}

/// The parts of a path in the tree; `.` alone is the tree itself.
fn parts(key: &str, path: &str) -> Result<Vec<String>, Error> {
    let wrong = || Error::refused(format!("`service.image.{key}` is `{path}`, no path in the repository"));
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => parts.push(name.to_str().ok_or_else(wrong)?.to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return Err(wrong()),
        }
    }
    let is_odd = parts.iter().any(|part| part.starts_with('-') || part.contains(char::is_control));
    if is_odd || path.is_empty() { Err(wrong()) } else { Ok(parts) }
}

/// A folder below another one, reached over folders alone.
fn plain_folder(above: &Path, parts: &[String]) -> Result<PathBuf, Error> {
    let mut path = above.to_owned();
    for part in parts {
        path.push(part);
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            let shown = parts.join("/");
            return Err(Error::refused(format!("there is no folder `{shown}`, which `service.image` names")));
        }
    }
    Ok(path)
}

fn open(path: &Path) -> Result<File, Error> {
    File::options()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(Error::io("open", path))
}

fn text(path: &Path) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    open(path)?.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(Error::refused(format!("`{}` has more than {TEXT_BYTES_MAX} bytes", name_of(path))));
    }
    Ok(text)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Dockerfile", "FROM scratch\n");
        write("app/Dockerfile", "FROM scratch\nCOPY . /\n");
        write("app/main", "main");
        write("app/secret.key", "key");
        write("app/target/big", "big");
        write("app/target/keep", "keep");
        write("app/.dockerignore", "*.key\ntarget\n!target/keep\nDockerfile\n");
        symlink("/etc/passwd", folder.path().join("app/link")).unwrap();
        symlink("/etc", folder.path().join("etc")).unwrap();
        symlink("Dockerfile", folder.path().join("Linked")).unwrap();
        folder
    }

    fn entries(archive: &Path) -> BTreeMap<String, (tar::EntryType, String)> {
        let mut archive = tar::Archive::new(File::open(archive).unwrap());
        let read = |entry: io::Result<tar::Entry<'_, File>>| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, (entry.header().entry_type(), link.unwrap_or(text)))
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn a_part_of_the_tree_is_packed_without_what_is_ignored() {
        let folder = tree();
        let context = Context::find(folder.path(), "app", "app/Dockerfile").unwrap();
        assert_eq!(context.dockerfile(), "Dockerfile");
        let (one, two) = (folder.path().join("one.tar"), folder.path().join("two.tar"));
        pack(&context, &one).unwrap();
        let found = entries(&one);
        let names: Vec<&str> = found.keys().map(|name| name.trim_end_matches('/')).collect();
        assert_eq!(names, [".dockerignore", "Dockerfile", "link", "main", "target/keep"]);
        assert_eq!(found["link"], (tar::EntryType::Symlink, "/etc/passwd".to_owned()), "a link stays one");
        std::fs::write(folder.path().join("app/main"), "main").unwrap();
        pack(&context, &two).unwrap();
        assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap(), "times do not count");
    }

    #[test]
    fn the_dockerfile_may_have_an_ignore_file_of_its_own() {
        let folder = tree();
        std::fs::write(folder.path().join("app/Dockerfile.dockerignore"), "main\n").unwrap();
        let context = Context::find(folder.path(), "./app", "app/Dockerfile").unwrap();
        pack(&context, &folder.path().join("a.tar")).unwrap();
        let found = entries(&folder.path().join("a.tar"));
        assert!(found.contains_key("secret.key") && !found.contains_key("main"));
    }

    #[test]
    fn nothing_outside_of_the_tree_is_a_context() {
        let folder = tree();
        let find = |context: &str, dockerfile: &str| Context::find(folder.path(), context, dockerfile);
        assert!(find(".", "Dockerfile").is_ok());
        for (context, dockerfile, words) in [
            ("..", "../Dockerfile", "no path in the repository"),
            ("/etc", "/etc/passwd", "no path in the repository"),
            (".", "app/../../x", "no path in the repository"),
            (".", "", "no path in the repository"),
            (".", "--file", "no path in the repository"),
            (".", "a\nb", "no path in the repository"),
            (".", "etc/passwd", "no folder `etc`"),
            ("etc", "etc/passwd", "no folder `etc`"),
            (".", "Linked", "no file `Linked`"),
            (".", "missing", "no file `missing`"),
            (".", "app", "no file `app`"),
            ("app", "Dockerfile", "does not lie in the context"),
            ("app", "app", "does not lie in the context"),
        ] {
            let said = find(context, dockerfile).unwrap_err().to_string();
            assert!(said.contains(words), "{context} {dockerfile}: {said}");
        }
    }

    #[test]
    fn modes_of_programs_are_kept() {
        let folder = tree();
        let main = folder.path().join("app/main");
        std::fs::set_permissions(&main, PermissionsExt::from_mode(0o755)).unwrap();
        let context = Context::find(folder.path(), "app", "app/Dockerfile").unwrap();
        let target = folder.path().join("a.tar");
        pack(&context, &target).unwrap();
        let mut archive = tar::Archive::new(File::open(target).unwrap());
        let mut entries = archive.entries().unwrap().flatten();
        let main = entries.find(|entry| entry.path().unwrap() == Path::new("main")).unwrap();
        assert_eq!(main.header().mode().unwrap() & 0o111, 0o111);
    }
}
