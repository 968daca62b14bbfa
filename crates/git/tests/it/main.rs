//! Real repositories, the real `git` client, and this crate between them.

#![allow(clippy::unwrap_used)]

mod export;
mod fetch;
mod fixture;
mod history;
mod hostile;
mod http;
mod merge;
mod process;
mod push;
mod read;
