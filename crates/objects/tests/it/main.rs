//! The store on a real folder.

mod archives;
mod artifacts;
mod releases;
mod traces;
