//! The whole program from outside: the real binary, real Git, real HTTP.

mod artifacts;
mod authorization;
mod daemons;
mod hostile;
mod merge_requests;
mod pipelines;
mod traces;
