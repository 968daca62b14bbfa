use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serin_objects::Error;
use serin_objects::archive::{self, EntryKind, Limits, Selection};
use serin_objects::glob::Pattern;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// An archive as an attacker makes it: names as they are, contents, Unix modes.
fn hostile(path: &Path, entries: &[(&str, &str, u32)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, content, mode) in entries {
        if mode & 0o170_000 == 0o120_000 {
            zip.add_symlink(*name, *content, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap();
}

struct Folders {
    _keep: tempfile::TempDir,
    root: PathBuf,
    target: PathBuf,
    archive: PathBuf,
}

fn folders() -> Folders {
    let keep = tempfile::tempdir().unwrap();
    let [root, target] = ["root", "target"].map(|name| keep.path().join(name));
    fs::create_dir(&root).unwrap();
    let archive = keep.path().join("a.zip");
    Folders { _keep: keep, root, target, archive }
}

#[test]
fn what_is_packed_comes_out_the_same() {
    let Folders { root, target, archive, .. } = &folders();
    let odd = "odd \n'\"$(x)\t*ä";
    write(root, "out/a.txt", "a");
    write(root, &format!("out/deep/er/{odd}"), "odd");
    write(root, "out/skip.log", "no");
    write(root, ".git/config", "no");
    write(root, "other", "no");
    write(root, "new", "new");
    fs::create_dir(root.join("out/empty")).unwrap();
    fs::set_permissions(root.join("out/a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("deep/er", root.join("out/link")).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(root.join("out/a.txt")).unwrap().set_modified(then).unwrap();
    let selection = Selection {
        paths: patterns(&["out/", "missing/*", ".git"]),
        files: vec!["new".into(), ".git/config".into()],
        exclude: patterns(&["**/*.log"]),
    };
    let packed = archive::pack(root, &selection, archive, Limits::default()).unwrap();
    assert_eq!((packed.matches, packed.left_out), (vec![7, 0, 0], vec![]));
    let unpacked = archive::unpack(archive, target, Limits::default()).unwrap();
    assert_eq!((unpacked.entries, packed.entries), (8, 8));
    assert_eq!(fs::read_to_string(target.join("out/deep/er").join(odd)).unwrap(), "odd");
    assert_eq!(fs::read_link(target.join("out/link")).unwrap(), Path::new("deep/er"));
    assert_eq!(fs::read_to_string(target.join("new")).unwrap(), "new");
    let metadata = target.join("out/a.txt").metadata().unwrap();
    assert_eq!((metadata.permissions().mode() & 0o100, metadata.modified().unwrap()), (0o100, then));
    assert!(target.join("out/empty").is_dir());
    for absent in ["out/skip.log", ".git", "other"] {
        assert!(!target.join(absent).exists(), "{absent}");
    }
    let listed = archive::list(archive, Limits::default()).unwrap();
    let link = listed.iter().find(|entry| entry.path == "out/link").unwrap();
    assert_eq!((listed.len(), link.kind), (8, EntryKind::Link));
    assert_eq!(archive::read_file(archive, "new", 3).unwrap(), b"new");
    assert!(matches!(archive::read_file(archive, "new", 2), Err(Error::TooLarge { .. })));
    assert!(matches!(archive::read_file(archive, "nix", 2), Err(Error::NotFound { .. })));
}

#[test]
fn packing_does_not_follow_links_out_of_the_tree() {
    let Folders { root, archive, .. } = &folders();
    write(root.parent().unwrap(), "secret/key", "secret");
    symlink("../secret", root.join("out")).unwrap();
    symlink("/etc/passwd", root.join("passwd")).unwrap();
    symlink("other", root.join("fine")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff")), "x").unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let selection =
        Selection { paths: patterns(&["out/key", "out/**", "**"]), files: vec!["out/key".into()], exclude: Vec::new() };
    let mut packed = archive::pack(root, &selection, archive, Limits::default()).unwrap();
    packed.left_out.sort();
    assert_eq!(packed.entries, 1);
    assert_eq!(packed.left_out, ["not-utf8-\u{fffd}", "out", "passwd", "pipe"]);
    assert_eq!(packed.matches[0], 0);
    let outside = Selection { files: vec!["../secret/key".into()], ..Selection::default() };
    let second = root.parent().unwrap().join("b.zip");
    assert!(matches!(archive::pack(root, &outside, &second, Limits::default()), Err(Error::Refused { .. })));
}

#[test]
fn hostile_names_and_kinds_are_refused() {
    let long = "x/".repeat(3_000);
    for (name, mode) in [
        ("../escape", 0o644),
        ("a/../../escape", 0o644),
        ("/tmp/serin-escape", 0o644),
        (long.as_str(), 0o644),
        ("", 0o644),
    ] {
        let Folders { target, archive, .. } = &folders();
        hostile(archive, &[("fine", "x", 0o644), (name, "x", mode)]);
        let result = archive::unpack(archive, target, Limits::default());
        assert!(matches!(result, Err(Error::Refused { .. })), "{name}: {result:?}");
        assert!(!target.parent().unwrap().join("escape").exists());
    }
}

#[test]
fn devices_and_pipes_are_refused() {
    for kind in [0o020_000_u32, 0o060_000, 0o010_000, 0o140_000] {
        let Folders { target, archive, .. } = &folders();
        hostile(archive, &[("node", "x", 0o644)]);
        let mut bytes = fs::read(archive).unwrap();
        // The upper half of "external file attributes" is the Unix mode (APPNOTE.TXT 4.3.12).
        let header = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[header + 40..header + 42].copy_from_slice(&u16::try_from(kind | 0o644).unwrap().to_le_bytes());
        fs::write(archive, bytes).unwrap();
        let result = archive::unpack(archive, target, Limits::default());
        assert!(matches!(result, Err(Error::Refused { .. })), "{kind:o}: {result:?}");
        assert!(!target.join("node").exists());
    }
}

#[test]
fn nothing_is_written_through_links() {
    let Folders { root, target, archive, .. } = &folders();
    write(root, "victim", "untouched");
    fs::create_dir(target).unwrap();
    symlink(root, target.join("there")).unwrap();
    symlink(root.join("victim"), target.join("file")).unwrap();
    hostile(archive, &[("there/victim", "changed", 0o644)]);
    assert!(matches!(archive::unpack(archive, target, Limits::default()), Err(Error::Refused { .. })));
    // A link where a file is wanted is replaced, not written through.
    hostile(archive, &[("file", "changed", 0o644)]);
    archive::unpack(archive, target, Limits::default()).unwrap();
    assert_eq!(fs::read_to_string(root.join("victim")).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "changed");
    // The archive's own link, then a file through it.
    let up = root.to_str().unwrap();
    hostile(archive, &[("own", up, 0o120_777), ("own/victim", "changed", 0o644)]);
    let own = archive::unpack(archive, target, Limits::default());
    assert_eq!(fs::read_to_string(root.join("victim")).unwrap(), "untouched", "{own:?}");
    assert!(!target.join("own").is_symlink());
}

#[test]
fn links_that_lead_out_are_left_out() {
    let Folders { target, archive, .. } = &folders();
    let entries = [
        ("abs", "/etc", 0o120_777),
        ("up", "..", 0o120_777),
        ("a/fine", "../b", 0o120_777),
        ("trick", "a/../../x", 0o120_777),
        ("b/c", "x", 0o644),
    ];
    hostile(archive, &entries);
    let unpacked = archive::unpack(archive, target, Limits::default()).unwrap();
    assert_eq!(unpacked.left_out, ["abs", "up", "trick"]);
    assert_eq!(unpacked.entries, 2);
    assert_eq!(fs::read_link(target.join("a/fine")).unwrap(), Path::new("../b"));
    assert!(!target.join("abs").is_symlink() && !target.join("up").is_symlink() && !target.join("trick").is_symlink());
}

#[test]
fn sizes_are_bounded() {
    let Folders { root, target, archive, .. } = &folders();
    let zeros = "\0".repeat(1 << 20);
    hostile(archive, &[("a", &zeros, 0o644), ("b", &zeros, 0o644)]);
    assert!(archive.metadata().unwrap().len() < 10_000);
    let limits = Limits { bytes_max: (1 << 20) + 5, entries_max: 10 };
    assert!(matches!(archive::unpack(archive, target, limits), Err(Error::TooLarge { .. })));
    let limits = Limits { bytes_max: 10 << 20, entries_max: 1 };
    assert!(matches!(archive::unpack(archive, target, limits), Err(Error::TooLarge { .. })));
    write(root, "a", "12345");
    write(root, "b", "12345");
    let all = Selection { paths: patterns(&["*"]), ..Selection::default() };
    for limits in [Limits { bytes_max: 9, entries_max: 10 }, Limits { bytes_max: 90, entries_max: 1 }] {
        let packed = root.parent().unwrap().join(format!("{}.zip", limits.bytes_max));
        assert!(matches!(archive::pack(root, &all, &packed, limits), Err(Error::TooLarge { .. })));
    }
    fs::write(archive, "no zip").unwrap();
    assert!(matches!(archive::unpack(archive, target, limits), Err(Error::BadArchive { .. })));
}
