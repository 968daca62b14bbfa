//! Without credentials, nothing is given.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::json;
use serin_e2e::Server;

/// The routes of the API, where the server names them.
const SOURCE: &str = include_str!("../../../../crates/server/src/api.rs");
/// The only ones that are open.
const OPEN: [&str; 2] = ["/healthz", "/metrics"];

/// Each route with its methods.
fn routes() -> Vec<(Method, String)> {
    let text = SOURCE.split_whitespace().collect::<String>();
    let mut routes = Vec::new();
    for piece in text.split(".route(\"").skip(1) {
        let (path, rest) = piece.split_once('"').unwrap_or((piece, ""));
        let handlers = rest.split(".route(").next().unwrap_or(rest);
        let prefix = if matches!(path, "/healthz" | "/metrics") { "" } else { "/api/v4" };
        for (name, method) in
            [("get(", Method::GET), ("post(", Method::POST), ("put(", Method::PUT), ("delete(", Method::DELETE)]
        {
            let calls = handlers.split(name).next().is_some_and(|before| before.len() < handlers.len());
            if calls {
                routes.push((method, format!("{prefix}{path}")));
            }
        }
    }
    routes
}

/// The route with something that exists in place of its parameters.
fn filled(path: &str) -> String {
    let known = [("{project}", "shop"), ("{iid}", "1"), ("{pipeline}", "1"), ("{job}", "1"), ("{commit}", "main")];
    let path = known.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    path.replace("{name}", "production").replace("{node}", "a-1").replace("{digest}", "01234567")
}

#[tokio::test]
async fn every_route_asks_who_calls() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project("shop").await?;
    let commit = tree.push_pipeline("job: { script: echo hello }\n").await?;
    server.finished("shop", &commit).await?;
    let routes = routes();
    assert!(routes.len() > 35, "only {} routes were found in the source", routes.len());
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut open = Vec::new();
    for (method, path) in &routes {
        let address = format!("{}{}", server.url, filled(path));
        for token in [None, Some("serin-0000000000000000000000000000000000000000"), Some("")] {
            let mut request = http.request(method.clone(), &address).json(&json!({}));
            if let Some(token) = token {
                request = request.header("private-token", token);
            }
            let status = request.send().await?.status();
            if status != StatusCode::UNAUTHORIZED {
                open.push(format!("{method} {path}: {status}"));
            }
        }
    }
    open.retain(|route| !OPEN.iter().any(|path| route.contains(&format!(" {path}:"))));
    assert_eq!(open, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn git_and_pages_ask_who_calls() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project("shop").await?;
    tree.write("a", "a")?;
    tree.commit("Begin").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let get = async |path: &str| anyhow::Ok(http.get(format!("{}{path}", server.url)).send().await?);
    assert_eq!(get("/healthz").await?.status(), StatusCode::OK);
    for service in ["git-upload-pack", "git-receive-pack"] {
        let answer = get(&format!("/shop.git/info/refs?service={service}")).await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(answer.headers().contains_key("www-authenticate"), "git would not ask for a password");
        let posted = http.post(format!("{}/shop.git/{service}", server.url)).send().await?;
        assert_eq!(posted.status(), StatusCode::UNAUTHORIZED);
    }
    for path in
        ["/", "/shop", "/shop/-/pipelines", "/shop/-/merge_requests", "/shop/-/jobs/1", "/shop/-/jobs/1/raw", "/events"]
    {
        let answer = get(path).await?;
        let status = answer.status();
        assert!(status.is_redirection() || status == StatusCode::UNAUTHORIZED, "{path}: {status}");
        if status.is_redirection() {
            let to = answer.headers().get("location").context("no location")?.to_str()?;
            assert!(to.starts_with("/login"), "{path} leads to {to}");
        }
    }
    let said = tree
        .try_git(&["ls-remote", &format!("{}/shop.git", server.url.replace("http://", "http://admin:wrong@"))])
        .await?;
    assert!(!said.good, "{}", said.text);
    Ok(())
}
