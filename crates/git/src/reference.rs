//! Refs: listing them, resolving names, moving them atomically.

use serin_model::CommitId;

use crate::{
    command::Answer,
    error::{Error, Result},
    name::{checked_id, checked_ref, is_id, is_revision},
    object::Kind,
    repository::Repository,
};

const ABSENT: &str = "0000000000000000000000000000000000000000";

/// What a ref must be for an update to take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything, or nothing.
    Any,
    /// The ref does not exist.
    Absent,
    /// The ref stands at this commit.
    At(CommitId),
}

/// One ref's move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name, `refs/…`.
    pub name: String,
    /// Where the ref goes; `None` deletes it.
    pub new: Option<CommitId>,
    /// What the ref must be before.
    pub expected: Expected,
}

/// How an update of refs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Every ref moved.
    Updated,
    /// Some ref was not as expected, or another writer held it: none moved.
    Raced,
}

impl Repository {
    /// Every branch, tag and `refs/merge-requests/…` with the commit it stands for, in name order; an annotated tag stands
    /// for the commit behind it.
    ///
    /// # Errors
    /// `git` failed.
    pub async fn refs(&self) -> Result<Vec<(String, CommitId)>> {
        const FORMAT: &str = "--format=%(objectname) %(refname)";
        const PEELED: &str = "--format=%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(refname)";
        let plain = self.call("for-each-ref").args([FORMAT, "refs/heads", "refs/merge-requests"]);
        let tags = self.call("for-each-ref").args([PEELED, "refs/tags"]);
        let (plain, tags) = if self.has_tags() {
            tokio::try_join!(plain.output(), tags.output())?
        } else {
            (plain.output().await?, Vec::new())
        };
        let mut refs = parse_refs(&plain)?;
        refs.extend(parse_refs(&tags)?);
        Ok(refs)
    }

    /// Spares a process where no tag can be: neither loose nor packed.
    fn has_tags(&self) -> bool {
        let loose = std::fs::read_dir(self.path().join("refs/tags")).is_ok_and(|mut dir| dir.next().is_some());
        loose || self.path().join("packed-refs").exists()
    }

    /// The commit that `revision` stands for: a full id, a full ref name, a branch, a tag, a shortened id, or one of
    /// these with `~n` or `^n`; a branch goes before a tag of the same name. `None` where there is none.
    ///
    /// # Errors
    /// `git` failed; a malformed revision is `None`, not an error.
    pub async fn resolve(&self, revision: &str) -> Result<Option<CommitId>> {
        if !is_revision(revision) {
            return Ok(None);
        }
        if is_id(revision) || revision.starts_with("refs/") {
            return self.peeled(revision).await;
        }
        for prefix in ["refs/heads/", "refs/tags/"] {
            if let Some(commit) = self.peeled(&format!("{prefix}{revision}")).await? {
                return Ok(Some(commit));
            }
        }
        self.shortened(revision).await
    }

    async fn peeled(&self, name: &str) -> Result<Option<CommitId>> {
        let found = self.pool().info(&format!("{name}^{{commit}}")).await?;
        Ok(found.filter(|object| object.kind == Kind::Commit).map(|object| CommitId(object.id)))
    }

    /// By a process of its own, since a running reader may not see new objects under shortened ids.
    async fn shortened(&self, revision: &str) -> Result<Option<CommitId>> {
        let call = self.call("rev-parse").args(["--verify", "--quiet", "--end-of-options"]);
        let answer = call.arg(format!("{revision}^{{commit}}")).answer().await?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let id = text.trim_end();
        Ok((answer.status.success() && is_id(id)).then(|| CommitId(id.to_owned())))
    }

    /// Moves `name` to `new`.
    ///
    /// # Errors
    /// The name or an id is malformed, `new` is not in the repository, or `git` failed.
    pub async fn update_ref(&self, name: &str, new: &CommitId, expected: Expected) -> Result<Update> {
        self.update_refs(&[RefUpdate { name: name.to_owned(), new: Some(new.clone()), expected }]).await
    }

    /// Deletes `name`; one that is not there is no error where anything is expected.
    ///
    /// # Errors
    /// The name or an id is malformed, or `git` failed.
    pub async fn delete_ref(&self, name: &str, expected: Expected) -> Result<Update> {
        self.update_refs(&[RefUpdate { name: name.to_owned(), new: None, expected }]).await
    }

    /// Moves several refs, all or none.
    ///
    /// # Errors
    /// A name or an id is malformed, a commit is not in the repository, or `git` failed.
    pub async fn update_refs(&self, updates: &[RefUpdate]) -> Result<Update> {
        let mut input = Vec::new();
        for update in updates {
            instruction(update, &mut input)?;
        }
        let call = self.call("update-ref").args(["--no-deref", "--stdin", "-z"]).input(input);
        let answer = call.answer().await?;
        if answer.status.success() { Ok(Update::Updated) } else { raced(answer) }
    }
}

fn instruction(update: &RefUpdate, input: &mut Vec<u8>) -> Result<()> {
    let name = checked_ref(&update.name)?;
    let old = match &update.expected {
        Expected::Any => "",
        Expected::Absent => ABSENT,
        Expected::At(id) => checked_id(id.as_str())?,
    };
    match &update.new {
        Some(new) => {
            let new = checked_id(new.as_str())?;
            input.extend_from_slice(format!("update {name}\0{new}\0{old}\0").as_bytes());
        }
        // `delete` takes no zero id; `verify` of absence says the same.
        None if old == ABSENT => input.extend_from_slice(format!("verify {name}\0{old}\0").as_bytes()),
        None => input.extend_from_slice(format!("delete {name}\0{old}\0").as_bytes()),
    }
    Ok(())
}

fn raced(answer: Answer) -> Result<Update> {
    const SIGNS: [&str; 5] = [
        "but expected",
        "reference already exists",
        "unable to resolve reference",
        "reference is missing",
        ".lock': File exists",
    ];
    if SIGNS.iter().any(|sign| answer.stderr.contains(sign)) { Ok(Update::Raced) } else { Err(answer.failure()) }
}

fn parse_refs(output: &[u8]) -> Result<Vec<(String, CommitId)>> {
    let text = String::from_utf8_lossy(output);
    let pairs = text.lines().map(|line| match line.split_once(' ') {
        Some((id, name)) if is_id(id) => Ok((name.to_owned(), CommitId(id.to_owned()))),
        _ => Err(Error::answer("for-each-ref", line.as_bytes())),
    });
    pairs.collect()
}
