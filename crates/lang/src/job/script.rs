//! What a runner needs: scripts, images, artifacts, caches.

use serin_model::plan::{Artifacts, ArtifactsWhen, Cache, Image, Script};

use super::steps;
use crate::compile::variables;
use crate::duration;
use crate::pattern;
use crate::syntax::{Map, Node, Value};

/// The script of a job.
pub(super) fn parse(map: &Map) -> Script {
    let get = |key: &str| map.get(key).filter(|node| !node.is_null());
    let texts = |key: &str| get(key).map(Node::flat_texts).unwrap_or_default();
    let mut script = Script {
        before_script: texts("before_script"),
        script: get("run").map_or_else(|| texts("script"), steps::lines),
        after_script: texts("after_script"),
        image: get("image").map(image),
        services: get("services").and_then(Node::as_list).unwrap_or_default().iter().map(image).collect(),
        artifacts: get("artifacts").map(artifacts),
        caches: get("cache").map(caches).unwrap_or_default(),
        pre_get_sources_script: get("hooks")
            .and_then(|hooks| hooks.get("pre_get_sources_script"))
            .map(Node::flat_texts)
            .unwrap_or_default(),
        coverage: get("coverage")
            .and_then(Node::as_text)
            .and_then(pattern::slashed)
            .map(|(body, flags)| with_flags(body, flags)),
    };
    if let Some(pages) = get("pages").filter(|node| node.as_bool() != Some(false)) {
        publish(pages, get("publish"), &mut script);
    }
    script
}

fn with_flags(body: &str, flags: &str) -> String {
    if flags.is_empty() { body.to_owned() } else { format!("(?{flags}){body}") }
}

/// `pages` keeps the folder that it publishes.
fn publish(pages: &Node, publish: Option<&Node>, script: &mut Script) {
    let folder = pages.get("publish").or(publish).and_then(Node::as_text).unwrap_or("public").to_owned();
    let artifacts = script.artifacts.get_or_insert_default();
    if !artifacts.paths.contains(&folder) {
        artifacts.paths.push(folder);
    }
}

fn image(node: &Node) -> Image {
    if let Some(name) = node.as_text() {
        return Image { name: name.to_owned(), ..Image::default() };
    }
    let text = |key: &str| node.get(key).and_then(Node::scalar_text);
    let docker = |key: &str| node.get("docker").and_then(|docker| docker.get(key)).and_then(Node::scalar_text);
    let alias = text("alias").unwrap_or_default();
    Image {
        name: text("name").unwrap_or_default(),
        entrypoint: node.get("entrypoint").map(Node::flat_texts),
        command: node.get("command").map(Node::flat_texts),
        aliases: alias.split([',', ' ']).filter(|alias| !alias.is_empty()).map(str::to_owned).collect(),
        variables: variables(node.get("variables"), false),
        pull_policy: node.get("pull_policy").map(Node::flat_texts).unwrap_or_default(),
        platform: docker("platform"),
        user: docker("user"),
    }
}

fn moment(node: Option<&Node>) -> ArtifactsWhen {
    match node.and_then(Node::as_text) {
        Some("on_failure") => ArtifactsWhen::OnFailure,
        Some("always") => ArtifactsWhen::Always,
        _ => ArtifactsWhen::OnSuccess,
    }
}

fn artifacts(node: &Node) -> Artifacts {
    let texts = |key: &str| node.get(key).map(Node::flat_texts).unwrap_or_default();
    let text = |key: &str| node.get(key).and_then(Node::scalar_text);
    let reports = node.get("reports").and_then(Node::as_map).into_iter().flat_map(Map::iter);
    Artifacts {
        name: text("name"),
        paths: texts("paths"),
        exclude: texts("exclude"),
        untracked: node.get("untracked").and_then(Node::as_bool).unwrap_or(false),
        when: moment(node.get("when")),
        expire_in_ms: text("expire_in").and_then(|text| expiry(&text)),
        reports: reports
            .filter(|entry| !entry.value.is_null())
            .map(|entry| (entry.key.to_string(), report(&entry.value)))
            .collect(),
        expose_as: text("expose_as"),
        access: text("access").or_else(|| {
            node.get("public").and_then(Node::as_bool).map(|public| if public { "all" } else { "developer" }.to_owned())
        }),
    }
}

fn report(node: &Node) -> Vec<String> {
    match node.get("path") {
        Some(path) => path.flat_texts(),
        None => node.flat_texts(),
    }
}

/// Milliseconds, `i64::MAX` for `never`.
fn expiry(text: &str) -> Option<i64> {
    if text.trim() == "never" { Some(i64::MAX) } else { duration::parse_ms(text) }
}

fn caches(node: &Node) -> Vec<Cache> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(caches).collect(),
        Value::Map(_) => vec![cache(node)],
        _ => Vec::new(),
    }
}

fn cache(node: &Node) -> Cache {
    let texts = |key: &str| node.get(key).map(Node::flat_texts).unwrap_or_default();
    let key = node.get("key");
    let files = key.and_then(|key| key.get("files").or_else(|| key.get("files_commits")));
    Cache {
        key: key
            .and_then(Node::scalar_text)
            .or_else(|| key.and_then(|key| key.get("prefix")).and_then(Node::scalar_text)),
        key_files: files.map(Node::flat_texts).unwrap_or_default(),
        key_files_commits: key.is_some_and(|key| key.get("files_commits").is_some()),
        paths: texts("paths"),
        untracked: node.get("untracked").and_then(Node::as_bool).unwrap_or(false),
        policy: node.get("policy").and_then(Node::scalar_text),
        when: moment(node.get("when")),
        fallback_keys: texts("fallback_keys"),
        unprotect: node.get("unprotect").and_then(Node::as_bool).unwrap_or(false),
    }
}
