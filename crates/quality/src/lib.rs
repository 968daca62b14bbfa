//! Reports of code checks, tests and coverage: read, fingerprinted, compared, and held against a gate.
//!
//! Invariants: pure. Knows no file system, network, clock, process or randomness; bytes come in through `std::io::Read`.
//! Every report is hostile: each reader is bounded in bytes, depth, entries and text, no entity and no document type is
//! followed, and what leaves a reader is a path inside the tree and text without control characters. A report that
//! cannot be read whole is an error, never half a result. A missing report is never a pass.

pub mod compare;
pub mod coverage;
pub mod duplicates;
pub mod finding;
pub mod fingerprint;
pub mod flaky;
pub mod gate;
pub mod named;
pub mod note;
pub mod place;
pub mod quarantine;
pub mod read;
pub mod test_case;
pub mod text;

pub use coverage::{ChangedLines, Coverage, Ratio};
pub use finding::{Finding, Location};
pub use fingerprint::{Fingerprint, Traced};
pub use note::Note;
pub use place::{Places, TreePath};
pub use read::{Content, Format, ReadError, Reading, read};
pub use serin_model::quality::{Gate, Severity};
pub use test_case::{Outcome, TestCase};
