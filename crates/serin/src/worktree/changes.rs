//! The files that a local pipeline's change touches, uncommitted ones with them.

use anyhow::{Context as _, Result};

use super::git::Git;
use super::{Event, EventFlags, Project};

impl Project {
    /// The files that differ from what the event compares with; `None`: it compares with nothing, and `rules:changes`
    /// holds.
    ///
    /// A merge request compares with where it left its target, a branch with where it left the default branch, the
    /// default branch with what was fetched of it, or else with the commit before.
    ///
    /// # Errors
    /// Where `--since` names no commit, or `git` fails.
    pub fn changed_files(&self, flags: &EventFlags) -> Result<Option<Vec<String>>> {
        if let Some(since) = &flags.since {
            let files = against(&self.git, since)?;
            return files.with_context(|| format!("the repository has no commit `{since}`")).map(Some);
        }
        let pushes = flags.event == Event::Push && flags.tag.is_none();
        if !pushes && flags.event != Event::MergeRequest {
            return Ok(None);
        }
        let Some(base) = self.base(flags) else { return Ok(None) };
        differing(&self.git, &base).map(Some)
    }

    fn base(&self, flags: &EventFlags) -> Option<String> {
        let default = &self.facts.default_branch;
        let target = flags.target.as_ref().filter(|_| flags.event == Event::MergeRequest).unwrap_or(default);
        let current = flags.branch.as_ref().or(self.facts.branch.as_ref());
        let itself = current == Some(target);
        let fetched = self.merge_base(&format!("refs/remotes/origin/{target}"));
        if !itself {
            return fetched.or_else(|| self.merge_base(&format!("refs/heads/{target}")));
        }
        let head = self.facts.head.as_ref().map(|head| head.sha.clone());
        let ahead = fetched.filter(|base| Some(base) != head.as_ref());
        ahead.or_else(|| self.git.text(["rev-parse", "--verify", "--quiet", "HEAD^"]).ok())
    }

    fn merge_base(&self, reference: &str) -> Option<String> {
        self.git.text(["merge-base", "--end-of-options", "HEAD", reference]).ok()
    }
}

/// The files that differ from where the folder's commit left a ref; `None`: there is no such ref.
pub fn against(git: &Git, reference: &str) -> Result<Option<Vec<String>>> {
    let known = reference.strip_prefix("refs/heads/").or(reference.strip_prefix("refs/tags/")).unwrap_or(reference);
    let Some(commit) = git.commit(known) else { return Ok(None) };
    let base = git.text(["merge-base", "HEAD", &commit]).unwrap_or(commit);
    differing(git, &base).map(Some)
}

fn differing(git: &Git, base: &str) -> Result<Vec<String>> {
    let mut files =
        git.paths(["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--relative", base, "--"])?;
    files.extend(git.paths(["ls-files", "-z", "--others", "--exclude-standard"])?);
    files.sort_unstable();
    files.dedup();
    Ok(files)
}
