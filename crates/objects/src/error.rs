//! What can go wrong with stored objects.

use std::io;
use std::path::{Path, PathBuf};

/// Why an object could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("cannot {attempt} `{}`: {source}", path.display())]
    Io {
        /// What was attempted, a verb.
        attempt: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A part of a trace was sent that does not join what is there.
    #[error("the trace ends at byte {size}, and bytes from {offset} on were sent: send again from {size} on")]
    Gap {
        /// Where it ends.
        size: u64,
        /// What was sent.
        offset: u64,
    },
    /// There is no such object.
    #[error("no such {what}: `{name}`")]
    NotFound {
        /// Its kind.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An entry of an archive or a tree would leave the folder, or is no file, folder or symbolic link.
    #[error("entry `{entry}` refused: {reason}")]
    Refused {
        /// Its name as far as it is text.
        entry: String,
        /// Why.
        reason: &'static str,
    },
    /// A bound is exceeded.
    #[error("too many {unit}: more than {max}")]
    TooLarge {
        /// Of what.
        unit: &'static str,
        /// The bound.
        max: u64,
    },
    /// A file is no archive.
    #[error("`{}` is no readable zip archive: {detail}", path.display())]
    BadArchive {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        detail: String,
    },
    /// A pattern of paths cannot be understood.
    #[error("pattern `{pattern}`: {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// Why.
        reason: &'static str,
    },
    /// The work was given up while the program ends.
    #[error("the program is ending")]
    Interrupted,
}

/// Names attempt and path of a failed file operation.
pub(crate) trait At<T> {
    fn at(self, attempt: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, attempt: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { attempt, path: path.to_owned(), source })
    }
}

impl<T> At<T> for nix::Result<T> {
    fn at(self, attempt: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(io::Error::from).at(attempt, path)
    }
}
