//! Journeys of people through the pages, in a real browser against a real server.

mod delivery;
mod first_steps;
mod logs;
mod merge_requests;

use anyhow::Result;
use serde_json::json;
use serin_browser::{Browser, Server, WorkTree};

/// A server, and a browser in which the administrator is logged in.
async fn logged_in() -> Result<(Server, Browser)> {
    let server = Server::start().await?;
    let browser = Browser::start().await?;
    browser.open(&server.login).await?;
    browser.find("form[action='/logout']").await?;
    Ok((server, browser))
}

/// A project with a work tree.
async fn project(server: &Server, path: &str) -> Result<WorkTree> {
    server.post("/projects", json!({ "path": path, "default_branch": "main" })).await?;
    WorkTree::new(server, path).await
}
