//! Whole stories, one test each, by kind.

mod canary;
mod consent;
mod deploy;
mod faults;
mod hosts;
mod release;
