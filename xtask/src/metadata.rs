//! The workspace's packages and the dependencies between them, out of `cargo metadata`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A package of the workspace.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Its name in Cargo.toml.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What it depends on, dev-dependencies excepted.
    pub dependencies: Vec<Dependency>,
    /// What its `default` feature turns on, as written.
    pub default_features: Vec<String>,
}

/// A normal or build dependency.
#[derive(Clone, Debug, Default)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// Whether only a feature turns it on.
    pub is_optional: bool,
    /// The features asked for.
    pub features: Vec<String>,
}

/// Reads the packages of the workspace at `root`.
pub fn read(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("start `cargo metadata`")?;
    ensure!(output.status.success(), "`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    parse(&output.stdout)
}

fn parse(json: &[u8]) -> Result<Vec<Package>> {
    let value: Value = serde_json::from_slice(json).context("read the output of `cargo metadata`")?;
    let packages = value["packages"].as_array().context("`cargo metadata` names no packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let manifest = Path::new(value["manifest_path"].as_str().context("a package without a manifest")?);
    Ok(Package {
        name: text(&value["name"]),
        folder: manifest.parent().unwrap_or(manifest).to_path_buf(),
        dependencies: list(&value["dependencies"])
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| Dependency {
                name: text(&dependency["name"]),
                is_optional: dependency["optional"].as_bool().unwrap_or(false),
                features: list(&dependency["features"]).map(text).collect(),
            })
            .collect(),
        default_features: list(&value["features"]["default"]).map(text).collect(),
    })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_dependencies_are_left_out() {
        let json =
            br#"{"packages":[{"name":"serin-x","manifest_path":"/w/crates/x/Cargo.toml","features":{"default":["y"]},
            "dependencies":[{"name":"a","kind":null,"optional":true,"features":["f"]},{"name":"b","kind":"dev"},
            {"name":"c","kind":"build"}]}]}"#;
        let packages = parse(json).unwrap();
        let names: Vec<_> = packages[0].dependencies.iter().map(|d| (d.name.as_str(), d.is_optional)).collect();
        assert_eq!(names, [("a", true), ("c", false)]);
        assert_eq!(packages[0].folder, Path::new("/w/crates/x"));
        assert_eq!(packages[0].default_features, ["y"]);
    }

    #[test]
    fn something_else_is_an_error() {
        assert!(parse(b"{}").is_err());
        assert!(parse(b"nothing").is_err());
    }
}
