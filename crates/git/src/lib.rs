//! Repositories on disk, through the `git` executable.
//!
//! Invariants:
//! - every child process starts with a cleared environment, no configuration from outside the repository, no hooks,
//!   a process group of its own, a time-out, and a cap on what it may answer; it dies with the future that waits on it;
//! - no shell, no work tree, no network: `protocol.allow` is `never`;
//! - ids are checked to be 40 hexadecimal digits and names to be well formed before they reach an argument list;
//! - packs and requests are streamed, never held whole in memory;
//! - knows no HTTP, no user and no permission: the caller decides between [`read_push`] and [`Repository::receive`].

mod batch;
mod command;
mod commit;
mod diff;
mod error;
mod export;
mod history;
mod merge;
mod name;
mod object;
mod reference;
mod repository;
mod transport;
mod tree;

pub use commit::{Commit, NewCommit, Signature};
pub use diff::{Diff, DiffLimits, FileDiff, FileStatus, Hunk, Line, LineKind};
pub use error::{Error, ErrorKind, Result};
pub use export::Export;
pub use merge::Merge;
pub use name::{REF_NAME_BYTES_MAX, valid_ref_name};
pub use reference::{Expected, RefUpdate, Update};
pub use repository::Repository;
pub use transport::{
    Pack, Push, ReceivePolicy, Received, RefCommand, RefOutcome, Refusal, Response, Service, drain, read_push,
    rejection,
};
pub use tree::{EntryKind, TreeEntry};
