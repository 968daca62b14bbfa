//! Docker Engine by its own client: images made of what is on this machine, and nothing left over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs `docker` and returns what it said.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().context("start `docker`")?;
    ensure!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Puts a program and its libraries into the folder `root` of a build's context; the Dockerfile's first lines, which
/// make it `/program`.
pub fn image_of(program: &Path, context: &Path) -> Result<String> {
    let root = context.join("root");
    fs::create_dir_all(&root)?;
    fs::copy(program, root.join("program"))?;
    for library in libraries(program)? {
        let target = root.join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(target.parent().unwrap_or(&root))?;
        fs::copy(&library, target).with_context(|| format!("copy `{}`", library.display()))?;
    }
    Ok("FROM scratch\nCOPY root /\n".to_owned())
}

/// The libraries that a program loads, by `ldd`; none where it is static.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("start `ldd`")?;
    let text = String::from_utf8(output.stdout)?;
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// Removes on drop what the server of a data folder left: its containers, its gateway, and the images of every service
/// whose name begins with `bench-`.
pub struct Leftovers(PathBuf);

impl Leftovers {
    /// Of the server that uses that folder.
    pub fn of(data: &Path) -> Self {
        Self(data.to_owned())
    }

    fn clear(&self) -> Result<()> {
        let record = fs::read_to_string(self.0.join("nodes/docker/docker.json"))?;
        let record: serde_json::Value = serde_json::from_str(&record)?;
        let instance = record["id"].as_str().context("no id")?;
        let label = format!("label=serin.instance={instance}");
        let left = docker(&["ps", "-aq", "--filter", &label])?;
        let ids: Vec<&str> = left.split_whitespace().collect();
        if !ids.is_empty() {
            docker(&[&["rm", "-f", "-v"], ids.as_slice()].concat())?;
        }
        let images = docker(&["images", "-q", "--filter", "reference=serin/bench-*"])?;
        let mut images: Vec<&str> = images.split_whitespace().collect();
        images.sort_unstable();
        images.dedup();
        if !images.is_empty() {
            docker(&[&["rmi", "-f"], images.as_slice()].concat())?;
        }
        Ok(())
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("warning: something may be left over: {error:#}");
        }
        end_programs(&self.0);
    }
}

/// Ends what runs with that folder among its arguments: the gateway outlives its server.
fn end_programs(data: &Path) {
    let folder = data.as_os_str().as_encoded_bytes();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.windows(folder.len()).any(|part| part == folder) {
            // It may have ended by itself.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
