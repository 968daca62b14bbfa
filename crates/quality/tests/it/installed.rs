//! Tools that no system package brings, installed once into a cache folder outside the checkout, from the registries of
//! their languages. Each install goes into a folder of its own and is moved into place whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    base.join("serin").join("test-tools")
}

/// Runs a command that must be there; how it ends is the caller's matter.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask setup` installs what is missing"))
}

/// Runs a command that must end well.
pub fn must(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder of the cache, filled by `install` where it is not there; several tests may want it at once.
pub fn installed(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let place = cache().join(name);
    if !place.is_dir() {
        fs::create_dir_all(cache()).unwrap();
        let staged = TempDir::new_in(cache()).unwrap();
        install(staged.path());
        // Another test may have been faster: its folder is as good.
        if fs::rename(staged.path(), &place).is_ok() {
            let _ = staged.keep();
        }
    }
    assert!(place.is_dir(), "{}", place.display());
    place
}

/// A folder with ruff, pytest and pytest-cov, for `PYTHONPATH`.
pub fn python() -> PathBuf {
    installed("python-ruff-pytest-coverage-1", |folder| {
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"];
        let packages = ["ruff==0.14.*", "pytest==9.*", "pytest-cov==7.*"];
        must(Command::new("python3").args(install).arg(folder).args(packages));
    })
}

/// A folder whose `node_modules` has eslint and its SARIF formatter.
pub fn eslint() -> PathBuf {
    installed("eslint-9-sarif-3", |folder| {
        fs::write(folder.join("package.json"), "{\"private\":true}\n").unwrap();
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
        let packages = ["eslint@9", "@microsoft/eslint-formatter-sarif@3"];
        must(Command::new("npm").args(install).args(packages).current_dir(folder));
    })
}
