//! Documents: both READMEs say the same commands, links lead somewhere, every page is reachable, the changelog is open.

use super::{Checkout, Finding};

const README: &str = "README.md";
const README_CHINESE: &str = "README.zh-CN.md";
const CHANGELOG: &str = "CHANGELOG.md";
const CI: &str = ".ci/run";
const INDEX: &str = "docs/index.md";
const TEST_COMMAND: &str = "cargo xtask test";
const DEMO_COMMAND_END: &str = "-- demo";

/// Checks every document.
pub fn check(checkout: &Checkout) -> Vec<Finding> {
    let mut findings = changelog(checkout);
    findings.extend(commands(checkout));
    for (path, text) in checkout.with_extension("md") {
        findings.extend(links(checkout, path, text));
    }
    findings.extend(unreachable(checkout));
    findings
}

fn changelog(checkout: &Checkout) -> Vec<Finding> {
    let is_open =
        checkout.text(CHANGELOG).is_some_and(|text| text.lines().any(|line| line.trim() == "## [Unreleased]"));
    if is_open { Vec::new() } else { vec![Finding::new(CHANGELOG, 0, "no section `## [Unreleased]`")] }
}

fn commands(checkout: &Checkout) -> Vec<Finding> {
    let mut findings = Vec::new();
    let english = checkout.text(README).map(shell_lines).unwrap_or_default();
    let chinese = checkout.text(README_CHINESE).map(shell_lines).unwrap_or_default();
    if !english.iter().any(|line| line.starts_with("cargo run ") && line.ends_with(DEMO_COMMAND_END)) {
        findings.push(Finding::new(README, 0, format!("no command `cargo run … {DEMO_COMMAND_END}`")));
    }
    if !english.contains(&TEST_COMMAND) {
        findings.push(Finding::new(README, 0, format!("no command `{TEST_COMMAND}`")));
    }
    for line in english.iter().filter(|line| !chinese.contains(line)) {
        findings.push(Finding::new(README_CHINESE, 0, format!("lacks {README}'s command `{line}`")));
    }
    for line in chinese.iter().filter(|line| !english.contains(line)) {
        findings.push(Finding::new(README, 0, format!("lacks {README_CHINESE}'s command `{line}`")));
    }
    if !checkout.text(CI).is_some_and(|text| text.lines().any(|line| line.trim() == TEST_COMMAND)) {
        findings.push(Finding::new(CI, 0, format!("does not run `{TEST_COMMAND}`")));
    }
    findings
}

/// Returns the commands in fenced blocks marked `sh`, without comments.
fn shell_lines(text: &str) -> Vec<&str> {
    let mut is_shell = false;
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            is_shell = !is_shell && language == "sh";
        } else if is_shell {
            let command = line.split_once(" #").map_or(line, |(command, _)| command).trim();
            if !command.is_empty() && !command.starts_with('#') {
                lines.push(command);
            }
        }
    }
    lines
}

fn links(checkout: &Checkout, path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, target) in targets(text) {
        let Some(place) = resolve(path, target) else {
            findings.push(Finding::new(path, number, format!("link `{target}` leads out of the checkout")));
            continue;
        };
        if !checkout.has(&place) {
            findings.push(Finding::new(path, number, format!("link `{target}` leads nowhere")));
        }
    }
    findings
}

/// Returns the relative link targets outside fenced blocks, without their fragments.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        }
        if is_fenced {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((index + 1, target));
            }
        }
    }
    found
}

/// Returns a link's target from the root; nothing where it leads out.
fn resolve(document: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// Finds pages of `docs/` that its index does not lead to; decisions may be reached by their own index.
fn unreachable(checkout: &Checkout) -> Vec<Finding> {
    let mut reached = vec![INDEX.to_owned()];
    let mut next = 0;
    while let Some(page) = reached.get(next).cloned() {
        next += 1;
        let text = checkout.text(&page).unwrap_or_default();
        for place in targets(text).into_iter().filter_map(|(_, target)| resolve(&page, target)) {
            if place.ends_with(".md") && checkout.has(&place) && !reached.contains(&place) {
                reached.push(place);
            }
        }
    }
    checkout
        .with_extension("md")
        .filter(|(path, _)| path.starts_with("docs/") && !reached.iter().any(|page| page == path))
        .map(|(path, _)| Finding::new(path, 0, format!("no way leads here from {INDEX}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        (README, "```sh\ncargo run -p serin -- demo   # one\ncargo xtask test\n```\n[docs](docs/index.md#top)\n"),
        (README_CHINESE, "```sh\ncargo run -p serin -- demo\ncargo xtask test   # 二\n```\n"),
        (CHANGELOG, "# Changelog\n\n## [Unreleased]\n"),
        (CI, "#!/usr/bin/env bash\ncargo xtask test\n"),
        (INDEX, "[a](a.md) [web](https://example.org/x.md) [up](../README.md)\n```\n[no](no.md)\n```\n"),
        ("docs/a.md", "[b](decisions/)\n[b](./decisions/b.md)\n"),
        ("docs/decisions/b.md", ""),
    ];

    fn told(replaced: &[(&str, &str)]) -> Vec<String> {
        let mut files: Vec<_> = GOOD.iter().filter(|(p, _)| !replaced.iter().any(|(r, _)| r == p)).copied().collect();
        files.extend(replaced);
        check(&Checkout::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_documents_hold() {
        assert_eq!(told(&[]), [""; 0]);
    }

    #[test]
    fn links_are_followed() {
        assert_eq!(
            told(&[("docs/decisions/b.md", "\n[x](c.md)\n")]),
            ["docs/decisions/b.md:2: link `c.md` leads nowhere"]
        );
        assert!(told(&[("docs/decisions/b.md", "[x](../../../c.md)")])[0].contains("leads out of the checkout"));
    }

    #[test]
    fn unreachable_pages_are_found() {
        assert_eq!(told(&[("docs/lost.md", "")]), ["docs/lost.md: no way leads here from docs/index.md"]);
    }

    #[test]
    fn both_readmes_say_the_same_commands() {
        let fewer = told(&[(README_CHINESE, "```sh\ncargo run -p serin -- demo\n```\n")]);
        assert_eq!(fewer, ["README.zh-CN.md: lacks README.md's command `cargo xtask test`"]);
        let other = told(&[(README, "```sh\ncargo build\n```\n"), (README_CHINESE, "```sh\ncargo build\n```\n")]);
        assert_eq!(other.len(), 2, "{other:?}");
    }

    #[test]
    fn ci_runs_the_readme_s_command() {
        assert_eq!(told(&[(CI, "cargo test\n")]), [".ci/run: does not run `cargo xtask test`"]);
    }

    #[test]
    fn the_changelog_is_open() {
        assert_eq!(told(&[(CHANGELOG, "## [1.0.0]\n")]).len(), 1);
    }
}
