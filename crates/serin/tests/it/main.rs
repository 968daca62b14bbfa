//! The `serin` program as people call it, on folders of their own.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod corpus;
mod folder;
mod includes;
#[path = "../../../quality/tests/it/installed.rs"]
mod installed;
mod pipeline_commands;
mod project;
mod run;
