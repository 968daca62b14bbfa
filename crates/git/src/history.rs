//! Questions about history: ancestors, ranges, counts.

use serin_model::CommitId;

use crate::{
    commit::Commit,
    error::{Error, Result},
    name::{checked_id, is_id},
    repository::Repository,
};

impl Repository {
    /// The best common ancestor of two commits; `None` where they share none.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn merge_base(&self, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>> {
        let (one, other) = (checked_id(one.as_str())?, checked_id(other.as_str())?);
        let answer = self.call("merge-base").args([one, other]).answer().await?;
        match answer.code() {
            Some(0) => parse_ids("merge-base", &answer.stdout).map(|ids| ids.into_iter().next()),
            Some(1) => Ok(None),
            _ => Err(answer.failure()),
        }
    }

    /// Whether `ancestor` is `descendant` or in its history.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn is_ancestor(&self, ancestor: &CommitId, descendant: &CommitId) -> Result<bool> {
        let (ancestor, descendant) = (checked_id(ancestor.as_str())?, checked_id(descendant.as_str())?);
        let answer = self.call("merge-base").args(["--is-ancestor", ancestor, descendant]).answer().await?;
        match answer.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(answer.failure()),
        }
    }

    /// The commits reachable from `to` and not from `from`, newest first, at most `max`.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn log(&self, from: Option<&CommitId>, to: &CommitId, max: u32) -> Result<Vec<Commit>> {
        let call = self.call("rev-list").arg(format!("--max-count={max}"));
        let output = call.args(range(from, to)?).output().await?;
        let mut commits = Vec::new();
        for id in parse_ids("rev-list", &output)? {
            commits.push(self.commit(&id).await?);
        }
        Ok(commits)
    }

    /// How many commits are reachable from `to` and not from `from`.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn commit_count(&self, from: Option<&CommitId>, to: &CommitId) -> Result<u64> {
        let output = self.call("rev-list").arg("--count").args(range(from, to)?).output().await?;
        let count = std::str::from_utf8(&output).ok().and_then(|text| text.trim_end().parse().ok());
        count.ok_or_else(|| Error::answer("rev-list", &output))
    }
}

fn range(from: Option<&CommitId>, to: &CommitId) -> Result<Vec<String>> {
    let mut arguments = vec![checked_id(to.as_str())?.to_owned()];
    if let Some(from) = from {
        arguments.push(format!("^{}", checked_id(from.as_str())?));
    }
    arguments.push("--".to_owned());
    Ok(arguments)
}

fn parse_ids(command: &'static str, output: &[u8]) -> Result<Vec<CommitId>> {
    let text = String::from_utf8_lossy(output);
    let ids = text
        .lines()
        .map(|line| if is_id(line) { Ok(CommitId::from(line)) } else { Err(Error::answer(command, line.as_bytes())) });
    ids.collect()
}
