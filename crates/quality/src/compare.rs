//! A change against what it is merged into.

mod findings;
mod tests;

pub use findings::{FindingChange, Renames, findings, findings_without_base};
pub use tests::{TestChange, tests};
