//! Merges without a work tree.

use serin_model::{CommitId, TreeId};

use crate::{
    command::Answer,
    error::{Error, Result},
    name::{checked_id, is_id},
    repository::Repository,
};

/// How a merge came out; nothing but objects was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Both sides fit together.
    Clean {
        /// The merged tree.
        tree: TreeId,
    },
    /// The sides contradict each other.
    Conflicts {
        /// The paths in conflict, in order; empty where the two sides share no history.
        paths: Vec<String>,
        /// What `git` says about each, one line per message.
        messages: Vec<String>,
    },
}

impl Repository {
    /// Merges `theirs` into `ours` and says how it came out; [`Repository::commit_tree`] makes the commit.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, or `git` failed.
    pub async fn merge(&self, ours: &CommitId, theirs: &CommitId) -> Result<Merge> {
        let (ours, theirs) = (checked_id(ours.as_str())?, checked_id(theirs.as_str())?);
        let call = self.call("merge-tree").args(["--write-tree", "-z", "--name-only", "--messages", ours, theirs]);
        let answer = call.answer().await?;
        match answer.code() {
            Some(0) => clean(&answer),
            Some(1) => Ok(conflicts(&answer.stdout)),
            _ if answer.stderr.contains("unrelated histories") => {
                Ok(Merge::Conflicts { paths: Vec::new(), messages: vec!["the two sides share no history".to_owned()] })
            }
            _ => Err(answer.failure()),
        }
    }
}

fn clean(answer: &Answer) -> Result<Merge> {
    let id = answer.stdout.split(|&b| b == 0).next().and_then(|id| std::str::from_utf8(id).ok());
    match id.filter(|id| is_id(id)) {
        Some(id) => Ok(Merge::Clean { tree: TreeId::from(id) }),
        None => Err(Error::answer("merge-tree", &answer.stdout)),
    }
}

/// Reads `tree NUL (path NUL)* NUL (count NUL (path NUL)^count kind NUL message NUL)*`.
fn conflicts(output: &[u8]) -> Merge {
    let mut fields = output.split(|&b| b == 0).map(|field| String::from_utf8_lossy(field).into_owned()).skip(1);
    let mut paths: Vec<String> = fields.by_ref().take_while(|path| !path.is_empty()).collect();
    paths.dedup();
    let mut messages = Vec::new();
    while let Some(count) = fields.next().and_then(|field| field.parse().ok()) {
        let mut details = fields.by_ref().skip(count);
        let (kind, message) = (details.next(), details.next());
        if let Some(message) = message.filter(|_| kind.is_some_and(|kind| kind != "Auto-merging")) {
            messages.push(message.trim_end().to_owned());
        }
    }
    Merge::Conflicts { paths, messages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_conflicts_with_hostile_paths() {
        let output = b"tree\0a\nb\0c\0\x001\0c\0Auto-merging\0Auto-merging c\n\0\
            1\0c\0CONFLICT (contents)\0CONFLICT (content): Merge conflict in c\n\0";
        let Merge::Conflicts { paths, messages } = conflicts(output) else { panic!("clean") };
        assert_eq!(paths, ["a\nb", "c"]);
        assert_eq!(messages, ["CONFLICT (content): Merge conflict in c"]);
    }
}
