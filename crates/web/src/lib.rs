//! The pages: server-rendered HTML, kept up to date by server-sent events, with small scripts that only improve them.
//!
//! Invariants: everything that is not a constant is escaped; a page holds no inline script or style and is served under
//! a policy that forbids both; whatever changes something is a form sent from this very site; without scripts every page
//! can be read and every action taken. Decides nothing: it shows what the server knows and passes on what people want.

mod address;
mod asset;
mod chart;
mod diff;
mod frame;
mod icon;
mod live;
mod log;
mod mark;
mod page;
mod reply;
mod show;
mod text;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use serin_server::App;

pub use page::page;

/// The routes of the pages, to be merged with those of API and Git.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", any(page))
        .route("/assets/{version}/{name}", get(asset::serve))
        .route("/events", get(live::events))
        .route("/{*rest}", any(page))
}
