//! Pure crates: no dependency that reaches the world, and a `clippy.toml` of their own that forbids the rest.

use std::path::Path;

use super::{Checkout, Finding, layers};
use crate::metadata::Package;

/// Packages that reach the world, wait, serialise, or draw random numbers.
const FORBIDDEN: &[&str] = &[
    "async-trait",
    "axum",
    "chrono",
    "futures",
    "futures-util",
    "getrandom",
    "hyper",
    "jiff",
    "mio",
    "nix",
    "rand",
    "reqwest",
    "serde",
    "serde_json",
    "smol",
    "sqlx",
    "tempfile",
    "time",
    "tokio",
    "tracing",
];

/// Checks every crate of the layer `pure`.
pub fn check(checkout: &Checkout, root: &Path, packages: &[Package]) -> Vec<Finding> {
    let pure = layers::layer(checkout, "pure");
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| pure.contains(layers::short(&package.name))) {
        let folder = package.folder.strip_prefix(root).unwrap_or(&package.folder).to_string_lossy().replace('\\', "/");
        findings.extend(manifest(&format!("{folder}/Cargo.toml"), package));
        findings.extend(lints(checkout, &folder));
    }
    findings
}

fn manifest(path: &str, package: &Package) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        let is_on = !dependency.is_optional || is_default(package, name);
        if is_on && FORBIDDEN.contains(&name) {
            findings.push(Finding::new(path, 0, format!("a pure crate may not depend on `{name}` by default")));
        }
        for feature in dependency.features.iter().filter(|feature| FORBIDDEN.contains(&feature.as_str())) {
            findings.push(Finding::new(
                path,
                0,
                format!("a pure crate may not turn on `{name}`'s feature `{feature}`"),
            ));
        }
    }
    findings
}

fn is_default(package: &Package, dependency: &str) -> bool {
    package.default_features.iter().any(|feature| feature == dependency || *feature == format!("dep:{dependency}"))
}

/// A crate's `clippy.toml` replaces the root's, so it must repeat the root's entries.
fn lints(checkout: &Checkout, folder: &str) -> Vec<Finding> {
    let path = format!("{folder}/clippy.toml");
    let Some(own) = checkout.text(&path) else {
        return vec![Finding::new(
            &path,
            0,
            "missing: a pure crate forbids what reaches the world by its own clippy.toml",
        )];
    };
    let has = |entry: &str| own.lines().any(|line| line.trim_end() == entry);
    let shared = checkout.text("clippy.toml").unwrap_or_default();
    let mut findings: Vec<_> = entries(shared)
        .filter(|entry| !has(entry))
        .map(|entry| Finding::new(&path, 0, format!("the root's entry `{entry}` is not repeated")))
        .collect();
    for list in ["disallowed-types", "disallowed-methods"] {
        if !own.lines().any(|line| line.starts_with(list)) {
            findings.push(Finding::new(&path, 0, format!("no `{list}`")));
        }
    }
    findings
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    const LAYERS: &str = "| layer | crate | . | may use |\n|---|---|---|---|\n| pure | `model` | . | |\n";
    const OWN: &str = "a = 1\ndisallowed-types = []\ndisallowed-methods = []\n";

    fn told(own: &str, dependency: Dependency, default: &[&str]) -> Vec<String> {
        let package = Package {
            name: "serin-model".to_owned(),
            folder: "/w/crates/model".into(),
            dependencies: vec![dependency],
            default_features: default.iter().map(|feature| (*feature).to_owned()).collect(),
        };
        let checkout =
            Checkout::of(&[("ARCHITECTURE.md", LAYERS), ("clippy.toml", "a = 1\n"), ("crates/model/clippy.toml", own)]);
        check(&checkout, Path::new("/w"), &[package]).into_iter().map(|finding| finding.message).collect()
    }

    fn on(name: &str, is_optional: bool, features: &[&str]) -> Dependency {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Dependency { name: name.to_owned(), is_optional, features }
    }

    #[test]
    fn optional_serde_is_fine_until_it_is_a_default() {
        assert_eq!(told(OWN, on("serde", true, &[]), &[]), [""; 0]);
        assert_eq!(told(OWN, on("serde", true, &[]), &["dep:serde"]).len(), 1);
        assert_eq!(told(OWN, on("serde", true, &[]), &["serde"]).len(), 1);
        assert_eq!(told(OWN, on("serde", false, &[]), &[]).len(), 1);
    }

    #[test]
    fn serde_of_another_pure_crate_is_found() {
        assert!(told(OWN, on("serin-lang", false, &["serde"]), &[])[0].contains("`serin-lang`'s feature `serde`"));
    }

    #[test]
    fn the_clippy_toml_repeats_the_root() {
        assert_eq!(told("a = 1\ndisallowed-types = []\n", on("regex", false, &[]), &[]), ["no `disallowed-methods`"]);
        let without = told("disallowed-types = []\ndisallowed-methods = []\n", on("regex", false, &[]), &[]);
        assert_eq!(without, ["the root's entry `a = 1` is not repeated"]);
    }
}
