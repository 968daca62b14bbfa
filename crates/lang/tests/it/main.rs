//! Integration tests of `serin-lang`: the reference corpus, traps, messages.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read their data from disk and measure time"
)]

mod corpus;
