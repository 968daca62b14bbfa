//! The smart protocol between `git` clients and a repository, for a caller that owns HTTP.

mod packet;
mod push;
mod receive;
mod report;
mod serve;
mod spool;

pub use push::{Push, RefCommand, read_push};
pub use receive::{ReceivePolicy, Received, RefOutcome};
pub use report::{Refusal, rejection};
pub use serve::{Response, Service};
pub use spool::{Pack, drain};
