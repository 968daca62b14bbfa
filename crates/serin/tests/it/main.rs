//! The `serin` program as people call it, on folders of their own.

mod corpus;
mod project;
