//! Whole stories, one test each, by kind.

mod canary;
mod deploy;
mod faults;
mod release;
