//! Integration tests of `serin-lang`: the reference corpus, traps, messages.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read their data from disk and measure time"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a broken test should stop, and the walk prints what it found"
)]

mod corpus;
mod explain;
mod language;
mod properties;
mod shapes;
mod traps;
