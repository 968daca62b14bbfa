//! What the compiler needs from outside: it asks, the caller answers and compiles again.

use std::collections::BTreeMap;

/// Something that only the caller can look up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// A file of the pipeline's own commit; answered by [`Answer::File`] or [`Answer::Missing`].
    ProjectFile {
        /// Path from the root, without a leading slash.
        path: String,
    },
    /// A file of another project; answered by [`Answer::File`] or [`Answer::Missing`].
    OtherProject {
        /// Full path of the project.
        project: String,
        /// Branch, tag or commit; `None`: the head of its default branch.
        reference: Option<String>,
        /// Path from the root, without a leading slash.
        file: String,
    },
    /// The body of a public address; answered by [`Answer::File`] or [`Answer::Missing`].
    Remote {
        /// The address.
        url: String,
    },
    /// A template of GitLab's collection; Serin's own are built in. Answered by [`Answer::File`] or [`Answer::Missing`].
    Template {
        /// Its name, such as `Jobs/Build.gitlab-ci.yml`.
        name: String,
    },
    /// A component; answered by [`Answer::Component`] or [`Answer::Missing`].
    Component {
        /// `host/group/project/name`.
        address: String,
        /// Commit, tag, branch, `~latest`, or a partial version such as `1.2`.
        version: String,
    },
    /// Paths of all files (no folders) of a tree; answered by [`Answer::Files`] or [`Answer::Missing`].
    TreeListing {
        /// Full path of another project; `None`: the pipeline's own commit.
        project: Option<String>,
        /// Branch, tag or commit of that project.
        reference: Option<String>,
    },
    /// Files that differ from a ref; answered by [`Answer::Changes`] or [`Answer::Missing`].
    ChangedFilesAgainst {
        /// The branch, tag or commit of `rules:changes:compare_to`.
        reference: String,
    },
}

/// The answer to one [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Bytes of a file.
    File(Vec<u8>),
    /// A component's file and where it was found.
    Component {
        /// Bytes of the file.
        bytes: Vec<u8>,
        /// Full path of its project.
        project: String,
        /// The commit that the version stands for.
        sha: String,
        /// The version that was found.
        version: String,
    },
    /// Paths of files, from the root, without leading slashes.
    Files(Vec<String>),
    /// Files that differ; `None`: they could not be told.
    Changes(Option<Vec<String>>),
    /// It is not there, or may not be read; the text says why.
    Missing(String),
}

/// All answers so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    known: BTreeMap<Request, Answer>,
}

impl Answers {
    /// Keeps an answer; a later one for the same request takes its place.
    pub fn give(&mut self, request: Request, answer: Answer) {
        self.known.insert(request, answer);
    }

    /// The answer to a request, if it was given.
    #[must_use]
    pub fn get(&self, request: &Request) -> Option<&Answer> {
        self.known.get(request)
    }
}
