//! Commits: reading them, writing them without a work tree.

use serin_model::{CommitId, TreeId};

use crate::{
    error::{Error, Result},
    name::checked_id,
    object::Kind,
    repository::Repository,
};

/// The largest commit object read, in bytes.
const COMMIT_BYTES_MAX: u64 = 1 << 20;

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name.
    pub name: String,
    /// The e-mail address, without angle brackets.
    pub email: String,
    /// The time, in milliseconds since the Unix epoch; Git keeps whole seconds.
    pub time_ms: i64,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// Its parents, in order.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Signature,
    /// Who made the commit.
    pub committer: Signature,
    /// The message's first paragraph on one line.
    pub title: String,
    /// The whole message.
    pub message: String,
}

/// A commit to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    /// The tree.
    pub tree: TreeId,
    /// The parents, in order.
    pub parents: Vec<CommitId>,
    /// The whole message.
    pub message: String,
    /// Who wrote the change.
    pub author: Signature,
    /// Who makes the commit.
    pub committer: Signature,
}

impl Repository {
    /// Reads a commit.
    ///
    /// # Errors
    /// The id is malformed, no commit in the repository has it, or `git` failed.
    pub async fn commit(&self, id: &CommitId) -> Result<Commit> {
        let object = self.pool().contents(checked_id(id.as_str())?, COMMIT_BYTES_MAX).await?;
        let missing = || Error::Missing { what: "commit", id: id.0.clone() };
        let object = object.filter(|object| object.kind == Kind::Commit).ok_or_else(missing)?;
        parse(id, &object.bytes).ok_or_else(|| Error::answer("cat-file", &object.bytes))
    }

    /// Writes a commit and hands back its id; no ref moves.
    ///
    /// # Errors
    /// An id is malformed or not in the repository, the message holds a NUL, or `git` failed.
    pub async fn commit_tree(&self, commit: &NewCommit) -> Result<CommitId> {
        let mut call = self.call("commit-tree").arg(checked_id(commit.tree.as_str())?);
        for parent in &commit.parents {
            call = call.args(["-p", checked_id(parent.as_str())?]);
        }
        for (role, signature) in [("AUTHOR", &commit.author), ("COMMITTER", &commit.committer)] {
            call = call
                .env(&format!("GIT_{role}_NAME"), plain(&signature.name))
                .env(&format!("GIT_{role}_EMAIL"), plain(&signature.email))
                .env(&format!("GIT_{role}_DATE"), format!("@{} +0000", signature.time_ms.max(0) / 1000));
        }
        let output = call.args(["-F", "-"]).input(commit.message.as_bytes()).output().await?;
        let text = String::from_utf8_lossy(&output);
        checked_id(text.trim_end()).map(CommitId::from)
    }
}

/// A name that `git` accepts: without its delimiters, never empty.
fn plain(name: &str) -> String {
    let kept: String = name.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect();
    let trimmed = kept.trim_matches(|c: char| c.is_whitespace() || ".,:;\"\\'".contains(c));
    if trimmed.is_empty() { "unknown".to_owned() } else { trimmed.to_owned() }
}

fn parse(id: &CommitId, bytes: &[u8]) -> Option<Commit> {
    let text = String::from_utf8_lossy(bytes);
    let (head, message) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let (mut tree, mut parents, mut author, mut committer) = (None, Vec::new(), None, None);
    for line in head.lines() {
        match line.split_once(' ') {
            Some(("tree", id)) => tree = Some(TreeId::from(id)),
            Some(("parent", id)) => parents.push(CommitId::from(id)),
            Some(("author", text)) => author = Some(signature(text)),
            Some(("committer", text)) => committer = Some(signature(text)),
            _ => {}
        }
    }
    Some(Commit {
        id: id.clone(),
        tree: tree?,
        parents,
        author: author?,
        committer: committer?,
        title: title(message),
        message: message.to_owned(),
    })
}

/// Reads `name <email> seconds zone`; what is missing or absurd stays empty or 0.
fn signature(text: &str) -> Signature {
    let (name, rest) = text.split_once('<').unwrap_or((text, ""));
    let (email, time) = rest.rsplit_once('>').unwrap_or((rest, ""));
    let seconds: i64 = time.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Signature { name: name.trim().to_owned(), email: email.trim().to_owned(), time_ms: seconds.saturating_mul(1000) }
}

fn title(message: &str) -> String {
    let lines = message.lines().map(str::trim).skip_while(|line| line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_commit_object() {
        let id = CommitId::from("a".repeat(40));
        let bytes = b"tree 1\nparent 2\nparent 3\nauthor A <a@x> 12 +0100\ncommitter B C <b@x> 13 -0100\n\
            gpgsig -----BEGIN\n author X <x> 1 +0000\n\none\ntwo\n\nbody\n";
        let commit = parse(&id, bytes).unwrap();
        assert_eq!(commit.parents, [CommitId::from("2"), CommitId::from("3")]);
        assert_eq!(commit.author, Signature { name: "A".into(), email: "a@x".into(), time_ms: 12_000 });
        assert_eq!(commit.committer.name, "B C");
        assert_eq!(commit.title, "one two");
        assert_eq!(commit.message, "one\ntwo\n\nbody\n");
        assert_eq!(parse(&id, b"tree 1\n\nx"), None);
    }

    #[test]
    fn odd_signatures_are_read_without_failing() {
        assert_eq!(signature("x").name, "x");
        assert_eq!(signature("x <a> 99999999999999999999 +0000").time_ms, 0);
        assert_eq!(signature("x <a>b> 1 +0000").email, "a>b");
        assert_eq!(plain("<\n>"), "unknown");
        assert_eq!(plain(" A <B>\n"), "A B");
    }
}
