//! Lists of packages, as package managers keep them and as repositories pin them.

use serde::Deserialize;
use serde_json::Value;

use super::{Component, Ecosystem};

/// Levels of packages within packages (`package-lock.json` of old).
const DEPTH_MAX: usize = 50;

/// Whose list a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is installed on Debian (dpkg(1)).
    Dpkg,
    /// What is installed on Alpine (apk-db-installed).
    Apk,
    /// Which distribution it is (os-release(5)).
    OsRelease,
    Cargo,
    NpmLock,
    /// One installed package of JavaScript.
    NpmPackage,
    /// One installed package of Python (core metadata specification).
    PythonMetadata,
    /// Pinned requirements of Python.
    Requirements,
    /// `poetry.lock`, `uv.lock`.
    PythonLock,
    GoMod,
}

/// A component with the licence that its list tells.
pub(super) type Found = (Component, Option<String>);

impl Kind {
    /// The kind of a file by its path; `None`: no list.
    pub(super) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let in_folder = |suffix: &str| {
            let folder = path.rsplit('/').nth(1).unwrap_or_default();
            folder.len() > suffix.len() && folder.ends_with(suffix)
        };
        match path {
            "var/lib/dpkg/status" => return Some(Self::Dpkg),
            "lib/apk/db/installed" | "usr/lib/apk/db/installed" => return Some(Self::Apk),
            "etc/os-release" | "usr/lib/os-release" => return Some(Self::OsRelease),
            _ if path.starts_with("var/lib/dpkg/status.d/") && !name.ends_with(".md5sums") => return Some(Self::Dpkg),
            _ => {}
        }
        match name {
            "Cargo.lock" => Some(Self::Cargo),
            "package-lock.json" | "npm-shrinkwrap.json" | ".package-lock.json" => Some(Self::NpmLock),
            "package.json" if is_installed(path) => Some(Self::NpmPackage),
            "METADATA" if in_folder(".dist-info") => Some(Self::PythonMetadata),
            "PKG-INFO" if in_folder(".egg-info") => Some(Self::PythonMetadata),
            "requirements.txt" => Some(Self::Requirements),
            "poetry.lock" | "uv.lock" => Some(Self::PythonLock),
            "go.mod" => Some(Self::GoMod),
            _ => None,
        }
    }

    /// What a file lists, where it is a list that cannot be read here.
    pub(super) fn unread(path: &str) -> Option<&'static str> {
        const RPM: [&str; 4] = ["Packages", "Packages.db", "rpmdb.sqlite", "rpmdb.sqlite-wal"];
        let (folder, name) = path.rsplit_once('/')?;
        let is_rpm = matches!(folder, "var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm") && RPM.contains(&name);
        is_rpm.then_some("RPM packages")
    }
}

/// Whether a `package.json` is the one at a package's top, below `node_modules`.
fn is_installed(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [.., "node_modules", scope, _, _] if scope.starts_with('@') => true,
        [.., "node_modules", name, _] => !name.starts_with(['@', '.']),
        _ => false,
    }
}

/// Reads a list; `None` where it is none.
pub(super) fn read(kind: Kind, text: &[u8]) -> Option<Vec<Found>> {
    match kind {
        Kind::Dpkg => Some(dpkg(&String::from_utf8_lossy(text))),
        Kind::Apk => Some(apk(&String::from_utf8_lossy(text))),
        Kind::OsRelease => Some(Vec::new()),
        Kind::Cargo => lock(Ecosystem::Cargo, text),
        Kind::PythonLock => lock(Ecosystem::Pypi, text),
        Kind::NpmLock => npm_lock(&serde_json::from_slice(text).ok()?),
        Kind::NpmPackage => Some(npm_package(&serde_json::from_slice(text).ok()?).into_iter().collect()),
        Kind::PythonMetadata => Some(python_metadata(&String::from_utf8_lossy(text)).into_iter().collect()),
        Kind::Requirements => Some(requirements(&String::from_utf8_lossy(text))),
        Kind::GoMod => Some(go_mod(&String::from_utf8_lossy(text))),
    }
}

fn plain(ecosystem: Ecosystem, name: &str, version: &str) -> Component {
    Component { ecosystem, name: name.to_owned(), version: version.to_owned(), architecture: None }
}

/// Name and version of a distribution.
pub(super) fn distribution(text: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let field = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        let value = value.trim().trim_matches(['"', '\'']);
        let good = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        (good && (1..=100).contains(&value.len())).then(|| value.to_owned())
    };
    Some((field("ID")?, field("VERSION_ID").unwrap_or_default()))
}

/// The value of a field such as `Package: x`, where it stands in a stanza.
fn field<'a>(stanza: &'a str, key: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(key)?.strip_prefix(':').map(str::trim);
    stanza.lines().find_map(value).filter(|value| !value.is_empty())
}

fn dpkg(text: &str) -> Vec<Found> {
    let read = |stanza: &str| {
        // Removed packages stay in the list as long as their settings do.
        if field(stanza, "Status").is_some_and(|status| !status.ends_with(" installed")) {
            return None;
        }
        let mut component = plain(Ecosystem::Deb, field(stanza, "Package")?, field(stanza, "Version")?);
        component.architecture = field(stanza, "Architecture").map(str::to_owned);
        Some((component, None))
    };
    text.replace("\r\n", "\n").split("\n\n").filter_map(read).collect()
}

fn apk(text: &str) -> Vec<Found> {
    let read = |stanza: &str| {
        let mut component = plain(Ecosystem::Apk, field(stanza, "P")?, field(stanza, "V")?);
        component.architecture = field(stanza, "A").map(str::to_owned);
        Some((component, field(stanza, "L").map(str::to_owned)))
    };
    text.split("\n\n").filter_map(read).collect()
}

/// `Cargo.lock`, `poetry.lock`, `uv.lock`: tables `[[package]]`. The repository's own packages have no source at Cargo.
fn lock(ecosystem: Ecosystem, text: &[u8]) -> Option<Vec<Found>> {
    #[derive(Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Option<String>,
        source: Option<toml::Value>,
    }
    let lock: Lock = toml::from_str(std::str::from_utf8(text).ok()?).ok()?;
    let is_foreign = |package: &Package| ecosystem != Ecosystem::Cargo || package.source.is_some();
    let found = lock.package.into_iter().filter(is_foreign).filter_map(|package| {
        let name = if ecosystem == Ecosystem::Pypi { python_name(&package.name) } else { package.name };
        Some((plain(ecosystem, &name, &package.version?), None))
    });
    Some(found.collect())
}

/// `package-lock.json`: `packages` by place since version 2, `dependencies` within each other before.
fn npm_lock(lock: &Value) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    if let Some(packages) = lock.get("packages").and_then(Value::as_object) {
        for (place, package) in packages {
            let Some((_, name)) = place.rsplit_once("node_modules/") else { continue };
            let is_link = package["link"].as_bool().unwrap_or(false);
            if let Some(version) = package["version"].as_str().filter(|_| !is_link) {
                let name = package["name"].as_str().unwrap_or(name);
                found.push((plain(Ecosystem::Npm, name, version), npm_licence(package)));
            }
        }
        return Some(found);
    }
    npm_dependencies(lock, &mut found, 0);
    lock.as_object().map(|_| found)
}

fn npm_dependencies(package: &Value, found: &mut Vec<Found>, depth: usize) {
    let dependencies = package.get("dependencies").and_then(Value::as_object);
    for (name, package) in dependencies.into_iter().flatten().take_while(|_| depth < DEPTH_MAX) {
        if let Some(version) = package["version"].as_str() {
            found.push((plain(Ecosystem::Npm, name, version), None));
        }
        npm_dependencies(package, found, depth + 1);
    }
}

fn npm_package(package: &Value) -> Option<Found> {
    let component = plain(Ecosystem::Npm, package["name"].as_str()?, package["version"].as_str()?);
    Some((component, npm_licence(package)))
}

fn npm_licence(package: &Value) -> Option<String> {
    let licence = &package["license"];
    licence.as_str().or_else(|| licence["type"].as_str()).map(str::to_owned)
}

/// The headers of a package's metadata, which end at an empty line.
fn python_metadata(text: &str) -> Option<Found> {
    let head = text.split("\n\n").next()?;
    let licence = field(head, "License-Expression").or_else(|| field(head, "License"));
    let component = plain(Ecosystem::Pypi, &python_name(field(head, "Name")?), field(head, "Version")?);
    Some((component, licence.map(str::to_owned)))
}

/// Requirements that name exactly one version.
fn requirements(text: &str) -> Vec<Found> {
    let read = |line: &str| {
        let line = line.split(['#', ';']).next()?.split(" --").next()?.trim().trim_end_matches('\\').trim();
        let (name, version) = line.split_once("==")?;
        let name = name.split('[').next()?.trim();
        let version = version.trim_start_matches('=').trim();
        let plain_word = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '!');
            !text.is_empty() && text.chars().all(fits)
        };
        let good = plain_word(name) && plain_word(version);
        good.then(|| (plain(Ecosystem::Pypi, &python_name(name), version), None))
    };
    text.lines().filter_map(read).collect()
}

/// A name of Python's as it is compared (PEP 503).
fn python_name(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// `require x v1` and `require ( … )`.
fn go_mod(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        match (is_inside, words.as_slice()) {
            (false, ["require", "("] | ["require("]) => is_inside = true,
            (true, [")"]) => is_inside = false,
            (false, ["require", module, version]) | (true, [module, version]) => {
                found.push((plain(Ecosystem::Golang, module.trim_matches('"'), version), None));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, expected: &[&str]) {
        let show = |(component, licence): &Found| {
            let architecture = component.architecture.as_deref().map(|a| format!(" {a}")).unwrap_or_default();
            let licence = licence.as_deref().map(|l| format!(" ({l})")).unwrap_or_default();
            format!("{} {}{architecture}{licence}", component.name, component.version)
        };
        let found: Vec<String> = read(kind, text.as_bytes()).unwrap().iter().map(show).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn installed_packages() {
        check(
            Kind::Dpkg,
            "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDescription: x\n Version: 0\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: base-files\nVersion: 12\n",
            &["libc6 2.36-9 amd64", "base-files 12"],
        );
        check(
            Kind::Apk,
            "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nF:lib\n\nP:broken\n",
            &["musl 1.2.5-r0 x86_64 (MIT)"],
        );
        let metadata = "Metadata-Version: 2.1\nName: Foo.Bar_baz\nVersion: 1.0\nLicense: BSD\n\nVersion: 9\n";
        check(Kind::PythonMetadata, metadata, &["foo-bar-baz 1.0 (BSD)"]);
        check(
            Kind::NpmPackage,
            r#"{"name": "@a/b", "version": "1.0.0", "license": {"type": "ISC"}}"#,
            &["@a/b 1.0.0 (ISC)"],
        );
        check(Kind::NpmPackage, r#"{"type": "module"}"#, &[]);
    }

    #[test]
    fn locks() {
        let cargo = "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n\n\
                     [[package]]\nname = \"a\"\nversion = \"1.2.3\"\nsource = \"registry+https://x\"\n";
        check(Kind::Cargo, cargo, &["a 1.2.3"]);
        let uv = "[[package]]\nname = \"Flask\"\nversion = \"3\"\nsource = { registry = \"x\" }\n";
        check(Kind::PythonLock, uv, &["flask 3"]);
        let new = r#"{"packages": {"": {"version": "0"}, "node_modules/a": {"version": "1", "license": "MIT"},
            "node_modules/a/node_modules/@s/b": {"version": "2"}, "node_modules/own": {"link": true, "version": "3"}}}"#;
        check(Kind::NpmLock, new, &["a 1 (MIT)", "@s/b 2"]);
        let old = r#"{"dependencies": {"a": {"version": "1", "dependencies": {"b": {"version": "2"}}}}}"#;
        check(Kind::NpmLock, old, &["a 1", "b 2"]);
        check(
            Kind::Requirements,
            "Flask==2.0 ; python_version > '3'\nx[y]==1.0 --hash=sha256:a\n-r other.txt\nloose>=1\n# z==1\n\
             git+https://e.example/x@y==1\n",
            &["flask 2.0", "x 1.0"],
        );
        check(
            Kind::GoMod,
            "module m\ngo 1.22\nrequire example.org/a v1.0.0\nrequire (\n\texample.org/b v0.1.0 // indirect\n)\nreplace x => y v1\n",
            &["example.org/a v1.0.0", "example.org/b v0.1.0"],
        );
    }

    #[test]
    fn what_is_no_list_is_none() {
        for (kind, text) in [(Kind::Cargo, "[[package"), (Kind::NpmLock, "["), (Kind::PythonLock, "\u{0}")] {
            assert_eq!(read(kind, text.as_bytes()), None);
        }
        assert_eq!(read(Kind::NpmLock, b"[]"), None);
        assert_eq!(read(Kind::Cargo, &[0xff]), None);
        let deep = format!("{}1{}", "{\"dependencies\":{\"a\":".repeat(5_000), "}}".repeat(5_000));
        assert_eq!(read(Kind::NpmLock, deep.as_bytes()), None);
    }

    #[test]
    fn lists_are_told_by_their_paths() {
        for (path, kind) in [
            ("var/lib/dpkg/status", Some(Kind::Dpkg)),
            ("var/lib/dpkg/status.d/libc6", Some(Kind::Dpkg)),
            ("var/lib/dpkg/status.d/libc6.md5sums", None),
            ("backup/var/lib/dpkg/status", None),
            ("app/Cargo.lock", Some(Kind::Cargo)),
            ("usr/lib/python3/dist-packages/x-1.dist-info/METADATA", Some(Kind::PythonMetadata)),
            ("METADATA", None),
            ("app/node_modules/a/package.json", Some(Kind::NpmPackage)),
            ("app/node_modules/@s/a/package.json", Some(Kind::NpmPackage)),
            ("app/node_modules/a/lib/package.json", None),
            ("app/package.json", None),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn distributions() {
        let read = |text: &str| distribution(text.as_bytes());
        let debian = read("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n");
        assert_eq!(debian, Some(("debian".into(), "12".into())));
        assert_eq!(read("ID=\"a b\"\n"), None);
    }
}
