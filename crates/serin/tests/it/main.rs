//! The `serin` program as people call it, on folders of their own.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod corpus;
mod project;
mod run;
