//! A component's version: commit, tag, branch, `~latest`, or the beginning of a version.

use anyhow::{Context as _, Result};

use crate::worktree::git::Git;

/// The version that was found, and its commit.
pub fn resolve(git: &Git, version: &str) -> Result<(String, String)> {
    let found = if version == "~latest" || is_partial(version) {
        let tags = git.text(["tag", "--list"])?;
        let newest = newest(tags.lines(), version);
        newest.with_context(|| format!("no release matches `{version}`"))?.to_owned()
    } else {
        version.to_owned()
    };
    let commit = git.commit(&found).with_context(|| format!("there is no `{found}`"))?;
    Ok((found, commit))
}

fn is_partial(version: &str) -> bool {
    let parts: Vec<&str> = version.split('.').collect();
    parts.len() < 3 && parts.iter().all(|part| part.parse::<u64>().is_ok())
}

/// The highest release among tags that begins with a partial version.
fn newest<'t>(tags: impl Iterator<Item = &'t str>, version: &str) -> Option<&'t str> {
    let wanted: Vec<u64> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    let release = |tag: &str| -> Option<Vec<u64>> {
        let parts: Vec<u64> =
            tag.strip_prefix('v').unwrap_or(tag).split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        (parts.len() == 3 && parts.starts_with(&wanted)).then_some(parts)
    };
    tags.filter_map(|tag| Some((release(tag)?, tag))).max().map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_release() {
        let tags = ["1.0.0", "1.2.10", "1.2.9", "2.0.0-rc1", "x", "v1.3.0"];
        for (version, expected) in
            [("~latest", Some("v1.3.0")), ("1", Some("v1.3.0")), ("1.2", Some("1.2.10")), ("2", None)]
        {
            assert_eq!(newest(tags.into_iter(), version), expected, "{version}");
        }
    }
}
