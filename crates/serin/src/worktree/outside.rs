//! Files from elsewhere: other projects, addresses, templates, components.

mod clone;
mod fetch;
mod version;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use serin_lang::{Answer, Request};
use serin_model::limit::CONFIG_BYTES_MAX;

use super::facts::Remote;
use super::git::Git;

/// Where GitLab's collection of templates is published.
const TEMPLATES: &str = "https://gitlab.com/gitlab-org/gitlab/-/raw/HEAD/lib/gitlab/ci/templates/";

/// How far a look-up may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What is on this machine.
    Kept,
    /// The network too.
    Everywhere,
}

/// Looks up what does not belong to the project itself.
#[derive(Debug)]
pub struct Outside {
    root: PathBuf,
    remote: Option<Remote>,
    reach: Reach,
    cache: OnceLock<Option<PathBuf>>,
}

impl Outside {
    /// Looks around a project that was cloned from there.
    pub fn new(root: &Path, remote: Option<Remote>, reach: Reach) -> Self {
        Self { root: root.to_owned(), remote, reach, cache: OnceLock::new() }
    }

    /// The answer to a question; an error says why there is none.
    pub fn answer(&self, request: &Request) -> Result<Answer> {
        match request {
            Request::OtherProject { project, reference, file } => {
                let (git, commit) = self.project(project, reference.as_deref())?;
                bounded(git.file(&commit, file).with_context(|| format!("`{project}` has no file `{file}`"))?)
            }
            Request::TreeListing { project: Some(project), reference } => {
                let (git, commit) = self.project(project, reference.as_deref())?;
                Ok(Answer::Files(git.files(&commit)?))
            }
            Request::Component { address, version } => self.component(address, version),
            Request::Remote { url } => self.fetch(url),
            Request::Template { name } => self.template(name),
            _ => bail!("it cannot be looked up here"),
        }
    }

    /// A checkout or clone of another project, and the commit that a ref of it stands for.
    fn project(&self, path: &str, reference: Option<&str>) -> Result<(Git, String)> {
        let git = self.repository(self.remote.as_ref().map_or("", |remote| &remote.host), path)?;
        let commit = match reference {
            Some(reference) => git.commit(reference),
            None => git.commit("HEAD"),
        };
        let commit = commit.with_context(|| format!("project `{path}` has no `{}`", reference.unwrap_or("HEAD")))?;
        Ok((git, commit))
    }

    fn component(&self, address: &str, version: &str) -> Result<Answer> {
        let parts = address.split_once('/').and_then(|(host, path)| Some((host, path.rsplit_once('/')?)));
        let (host, (project, name)) = parts.context("it is no component's address")?;
        let git = self.repository(host, project)?;
        let (found, commit) = version::resolve(&git, version)?;
        let paths = [format!("templates/{name}.yml"), format!("templates/{name}/template.yml")];
        let bytes = paths.iter().find_map(|path| git.file(&commit, path).ok());
        let bytes = bytes.with_context(|| format!("project `{project}` has no `{}` at `{found}`", paths[0]))?;
        if bytes.len() > CONFIG_BYTES_MAX {
            bail!("it has more than {CONFIG_BYTES_MAX} bytes");
        }
        Ok(Answer::Component { bytes, project: project.to_owned(), sha: commit, version: found })
    }

    fn template(&self, name: &str) -> Result<Answer> {
        let plain = name.split('/').all(is_segment);
        if !plain {
            bail!("`{name}` is no template's name");
        }
        let help = "GitLab's templates are not built in: copy it into the repository and include it as `local`";
        self.fetch(&format!("{TEMPLATES}{name}")).context(help)
    }

    fn fetch(&self, url: &str) -> Result<Answer> {
        if self.reach == Reach::Kept {
            bail!("`--offline` fetches nothing");
        }
        fetch::get(url).map(Answer::File)
    }
}

fn bounded(bytes: Vec<u8>) -> Result<Answer> {
    // One that is too large is told so by the compiler, which needs to see only that it is.
    Ok(Answer::File(bytes.into_iter().take(CONFIG_BYTES_MAX + 1).collect()))
}

/// Whether a text can be one part of a project's or template's path.
fn is_segment(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(plain)
}
