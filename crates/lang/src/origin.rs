//! Where files come from, and thus where the paths in them lead.

use crate::request::Request;

/// Where a file came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The pipeline's own commit.
    Own,
    /// Another project at a ref.
    Project {
        /// Its path.
        project: String,
        /// The ref; `None`: the head of its default branch.
        reference: Option<String>,
    },
    /// A public address.
    Remote,
    /// A template.
    Template,
}

impl Origin {
    /// The request for a file beside the one from here; `None`: there is nothing beside it.
    pub fn local(&self, path: &str) -> Option<Request> {
        let path = path.trim_start_matches('/').to_owned();
        match self {
            Self::Own => Some(Request::ProjectFile { path }),
            Self::Project { project, reference } => {
                Some(Request::OtherProject { project: project.clone(), reference: reference.clone(), file: path })
            }
            Self::Remote | Self::Template => None,
        }
    }

    /// The request for the files of the tree.
    pub fn listing(&self) -> Option<Request> {
        match self {
            // A template has no tree: it asks about the project that uses it.
            Self::Own | Self::Template => Some(Request::TreeListing { project: None, reference: None }),
            Self::Project { project, reference } => {
                Some(Request::TreeListing { project: Some(project.clone()), reference: reference.clone() })
            }
            Self::Remote => None,
        }
    }
}
