//! The readers on what real tools write, on hostile reports and on large ones; the comparison on random edits.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "these tests start real tools")]
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod dialects;
mod edits;
mod formats;
mod hostile;
mod installed;
mod large;
mod tools;
