//! The demo's project: the shop's files, and a work tree that Git pushes from.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::cli::Platform;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../../examples/shop/", $path)))),*]
    };
}

/// The shop's files.
const FILES: &[(&str, &[u8])] = files![
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "rustfmt.toml",
    "serin.yml",
    "src/app.rs",
    "src/bin/shop-check.rs",
    "src/cache.rs",
    "src/cart.rs",
    "src/catalogue.rs",
    "src/client.rs",
    "src/http.rs",
    "src/json.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/main.rs",
    "src/page.rs",
    "src/server.rs",
    "tests/http.rs",
];

/// What is laid over the shop where its nodes are containers.
const DOCKER_FILES: &[(&str, &[u8])] = &[
    (".dockerignore", include_bytes!("../../../../examples/shop-docker/.dockerignore")),
    ("Dockerfile", include_bytes!("../../../../examples/shop-docker/Dockerfile")),
    ("serin.yml", include_bytes!("../../../../examples/shop-docker/serin.yml")),
];

/// A change that passes every test and has a fault that the code check sees.
pub const CARELESS: &str = include_str!("../../../../examples/shop-changes/careless.patch");
/// What mends it; the two together are the good change.
pub const MENDED: &str = include_str!("../../../../examples/shop-changes/mended.patch");
/// A change that passes every test, leaks memory, and logs errors under traffic.
pub const BAD: &str = include_str!("../../../../examples/shop-changes/bad.patch");

/// A person's work tree of the shop.
pub struct WorkTree {
    folder: PathBuf,
}

impl WorkTree {
    /// Writes the shop's files and makes the first commit on `master`, with `develop` beside it.
    pub async fn create(folder: &Path, remote: &str, platform: Platform) -> Result<Self> {
        let tree = Self { folder: folder.join("shop") };
        let over = if platform == Platform::Docker { DOCKER_FILES } else { &[] };
        for (path, content) in FILES.iter().chain(over) {
            let file = tree.folder.join(path);
            std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
            std::fs::write(file, content)?;
        }
        tree.git(&["init", "--quiet", "--initial-branch=master"]).await?;
        tree.git(&["config", "user.name", "Dana Developer"]).await?;
        tree.git(&["config", "user.email", "dana@example.org"]).await?;
        tree.git(&["config", "commit.gpgsign", "false"]).await?;
        tree.git(&["remote", "add", "origin", remote]).await?;
        tree.git(&["add", "--all"]).await?;
        tree.git(&["commit", "--quiet", "--message=Shop 1.0"]).await?;
        tree.git(&["branch", "develop"]).await?;
        Ok(tree)
    }

    /// Makes a branch off the server's `develop`, applies a patch, and commits it.
    pub async fn change(&self, branch: &str, (patch, title): (&str, &str)) -> Result<()> {
        self.git(&["fetch", "--quiet", "origin"]).await?;
        self.git(&["checkout", "--quiet", "-B", branch, "origin/develop"]).await?;
        self.mend(patch, title).await
    }

    /// Applies a patch to the present branch and commits it.
    pub async fn mend(&self, patch: &str, title: &str) -> Result<()> {
        let file = self.folder.with_file_name("change.patch");
        std::fs::write(&file, patch)?;
        self.git(&["apply", "--index", &file.to_string_lossy()]).await?;
        self.git(&["commit", "--quiet", &format!("--message={title}")]).await?;
        Ok(())
    }

    /// Runs Git in the work tree; its output.
    pub async fn git(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .output()
            .await
            .context("cannot start `git`; install it")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("git {} failed:\n{said}", arguments.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &said)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_of_the_shop_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
        let mut found = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true if path.ends_with("target") => {}
                    true => folders.push(path),
                    false => {
                        found.insert(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                    }
                }
            }
        }
        let listed: BTreeSet<String> = super::FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, found);
    }
}
