//! Where reports say that something is, made into paths inside the tree.

use std::collections::BTreeMap;
use std::fmt;

/// Bytes of a path; a longer one leads nowhere.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Trailing components that an absolute path outside every known root must share with a file of the tree.
const COMPONENTS_SHARED_MIN: usize = 2;

/// A path inside the tree: relative, with `/`, without `.`, `..`, empty parts and control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

impl TreePath {
    /// Checks and normalises a relative path; `None` where it leads out of the tree.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        if raw.len() > PATH_BYTES_MAX || raw.starts_with('/') || raw.chars().any(char::is_control) {
            return None;
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in raw.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                other => parts.push(other),
            }
        }
        (!parts.is_empty()).then(|| Self(parts.join("/")))
    }

    /// Borrows the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of the tree that a report is about.
#[derive(Clone, Debug, Default)]
pub struct Places {
    roots: Vec<String>,
    /// Files of the tree by their last part.
    files: Option<BTreeMap<String, Vec<TreePath>>>,
}

impl Places {
    /// Takes the absolute folders, such as `CI_PROJECT_DIR`, in which the tools saw the tree.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = String>) -> Self {
        let roots = roots.into_iter().map(|root| root.trim_end_matches('/').to_owned());
        Self { roots: roots.filter(|root| root.starts_with('/')).collect(), files: None }
    }

    /// Takes the files of the tree: paths that name only their end (JaCoCo) are completed by them.
    #[must_use]
    pub fn with_files<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut files: BTreeMap<String, Vec<TreePath>> = BTreeMap::new();
        for path in paths.into_iter().filter_map(TreePath::parse) {
            files.entry(path.file_name().to_owned()).or_default().push(path);
        }
        self.files = Some(files);
        self
    }

    /// Finds the path inside the tree that a report means; `None`: it leads out of the tree.
    #[must_use]
    pub fn find(&self, raw: &str) -> Option<TreePath> {
        if raw.len() > 3 * PATH_BYTES_MAX {
            return None;
        }
        let text = decoded(raw.trim())?;
        if !text.starts_with('/') {
            let path = TreePath::parse(&text)?;
            return Some(self.known(&path, 1).unwrap_or(path));
        }
        let below = self.roots.iter().filter_map(|root| text.strip_prefix(root.as_str())?.strip_prefix('/'));
        if let Some(below) = below.min_by_key(|rest| rest.len()) {
            return TreePath::parse(below);
        }
        let absolute = TreePath::parse(text.trim_start_matches('/'))?;
        self.known(&absolute, COMPONENTS_SHARED_MIN)
    }

    /// Finds a path as [`Places::find`] does, but only where the tree is known to hold it.
    #[must_use]
    pub fn find_existing(&self, raw: &str) -> Option<TreePath> {
        self.find(raw).filter(|path| self.has(path))
    }

    /// Finds the first of several paths that the tree holds, or else the first that lies inside it.
    #[must_use]
    pub fn find_first(&self, all: &[String]) -> Option<TreePath> {
        all.iter().find_map(|raw| self.find_existing(raw)).or_else(|| all.iter().find_map(|raw| self.find(raw)))
    }

    /// Finds a source file of the Java world: a report names package and file, and the tree has it below a source folder.
    ///
    /// Of equal ends the one in a folder named like `module` is meant. Kotlin's files may stand without the first parts of
    /// their package.
    #[must_use]
    pub fn find_source(&self, package: &str, name: &str, module: Option<&str>) -> Option<TreePath> {
        let raw = if package.is_empty() { name.to_owned() } else { format!("{package}/{name}") };
        let path = TreePath::parse(&raw)?;
        let Some(same_name) = self.files.as_ref().and_then(|files| files.get(path.file_name())) else {
            return Some(path);
        };
        let shared = |file: &&TreePath| {
            let pairs = file.0.rsplit('/').zip(path.0.rsplit('/'));
            let count = pairs.take_while(|(one, other)| one == other).count();
            let in_module = module.is_some_and(|module| file.0.split('/').any(|part| part == module));
            (count, in_module)
        };
        Some(one_best(same_name.iter(), shared).cloned().unwrap_or(path))
    }

    fn has(&self, path: &TreePath) -> bool {
        let same_name = self.files.as_ref().and_then(|files| files.get(path.file_name()));
        same_name.is_some_and(|files| files.contains(path))
    }

    /// The one file of the tree that shares the longest end with `path`, of at least `shared_min` parts.
    fn known(&self, path: &TreePath, shared_min: usize) -> Option<TreePath> {
        let same_name = self.files.as_ref()?.get(path.file_name())?;
        if let Some(exact) = same_name.iter().find(|file| *file == path) {
            return Some(exact.clone());
        }
        let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('/'));
        let parts = |path: &str| path.split('/').count();
        let shared = |file: &&TreePath| parts(file.as_str()).min(parts(path.as_str()));
        let fits = |file: &&TreePath| ends(&file.0, &path.0) || ends(&path.0, &file.0);
        one_best(same_name.iter().filter(|file| fits(file) && shared(file) >= shared_min), shared).cloned()
    }
}

/// The one that is better than all others; `None` where several are as good.
fn one_best<'f, K: Ord>(
    files: impl Iterator<Item = &'f TreePath>,
    goodness: impl Fn(&&'f TreePath) -> K,
) -> Option<&'f TreePath> {
    let mut found: Vec<(K, &TreePath)> = files.map(|file| (goodness(&file), file)).collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    match found.as_slice() {
        [(_, one)] => Some(one),
        [(best, one), (next, _), ..] if best > next => Some(one),
        _ => None,
    }
}

/// Takes `file:` addresses and Windows' separators to a plain path.
fn decoded(raw: &str) -> Option<String> {
    let plain = match raw.strip_prefix("file:") {
        Some(address) => percent_decoded(address.strip_prefix("//localhost").unwrap_or(address))?,
        None if raw.contains("://") => return None,
        None if raw.contains('%') => percent_decoded(raw).unwrap_or_else(|| raw.to_owned()),
        None => raw.to_owned(),
    };
    let plain = if plain.contains('/') && !has_drive(&plain) { plain } else { plain.replace('\\', "/") };
    if has_drive(&plain) {
        return Some(format!("/{plain}"));
    }
    Some(match plain.strip_prefix("//") {
        Some(rest) => format!("/{}", rest.trim_start_matches('/')),
        None => plain,
    })
}

/// Whether a path begins with a drive, as `C:\` does.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_tree() {
        let places = Places::new(["/builds/group/shop/".to_owned()]);
        for (raw, expected) in [
            ("src/a.rs", Some("src/a.rs")),
            ("./src//a.rs", Some("src/a.rs")),
            ("src/x/../a.rs", Some("src/a.rs")),
            ("src\\a.cs", Some("src/a.cs")),
            ("/builds/group/shop/src/a.rs", Some("src/a.rs")),
            ("file:///builds/group/shop/src/a%20b.rs", Some("src/a b.rs")),
            ("a%2fb.rs", Some("a/b.rs")),
            ("100%.txt", Some("100%.txt")),
            ("../etc/passwd", None),
            ("a/../../etc/passwd", None),
            ("%2e%2e/etc/passwd", None),
            ("/builds/group/shop/../other/a.rs", None),
            ("/builds/group/shopping/a.rs", None),
            ("/etc/passwd", None),
            ("https://example.org/a.rs", None),
            ("C:\\work\\shop\\src\\a.cs", None),
            ("C:\\work\\shop\\src/a.cs", None),
            ("file:///C:/work/shop/src/a.cs", None),
            ("src\\..\\..\\a.cs", None),
            ("a\0b", None),
            ("", None),
            (".", None),
            ("/", None),
        ] {
            assert_eq!(places.find(raw).as_ref().map(TreePath::as_str), expected, "{raw}");
        }
        assert_eq!(places.find(&"a/".repeat(2_000)), None);
    }

    #[test]
    fn ends_are_completed_by_the_tree() {
        let files = ["src/main/java/org/x/A.java", "web/src/a.js", "api/src/a.js", "__init__.py", "b/c/d.py"];
        let places = Places::new([]).with_files(files);
        for (raw, expected) in [
            ("org/x/A.java", Some("src/main/java/org/x/A.java")),
            ("src/a.js", Some("src/a.js")),
            ("web/src/a.js", Some("web/src/a.js")),
            ("/home/me/work/b/c/d.py", Some("b/c/d.py")),
            ("D:\\work\\b\\c\\d.py", Some("b/c/d.py")),
            ("file:///D:/work/b/c/d.py", Some("b/c/d.py")),
            ("/usr/lib/python3/json/__init__.py", None),
            ("new.py", Some("new.py")),
        ] {
            assert_eq!(places.find(raw).as_ref().map(TreePath::as_str), expected, "{raw}");
        }
    }

    #[test]
    fn sources_are_found_by_package_file_and_module() {
        let files = [
            "core/src/main/java/org/x/A.java",
            "web/src/main/java/org/x/A.java",
            "app/src/main/kotlin/pay/Pay.kt",
            "app/src/main/java/Main.java",
            "old/src/B.java",
            "new/src/B.java",
        ];
        let places = Places::new([]).with_files(files);
        for (package, name, module, expected) in [
            ("org/x", "A.java", Some("web"), "web/src/main/java/org/x/A.java"),
            ("org/x", "A.java", Some("core"), "core/src/main/java/org/x/A.java"),
            ("org/x", "A.java", None, "org/x/A.java"),
            ("com/example/pay", "Pay.kt", None, "app/src/main/kotlin/pay/Pay.kt"),
            ("", "Main.java", Some("app"), "app/src/main/java/Main.java"),
            ("org/y", "B.java", Some("other"), "org/y/B.java"),
            ("org/y", "New.java", None, "org/y/New.java"),
        ] {
            let found = places.find_source(package, name, module);
            assert_eq!(found.as_ref().map(TreePath::as_str), Some(expected), "{package} {name} {module:?}");
        }
        assert_eq!(Places::default().find_source("../..", "A.java", None), None);
    }
}
