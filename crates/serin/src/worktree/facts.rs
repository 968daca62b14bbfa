//! What the local repository says about itself.

use std::path::Path;

use super::git::Git;

/// A commit that does not exist.
pub const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// A repository as far as pipelines ask about it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The commit that is checked out.
    pub head: Option<Head>,
    /// The branch that is checked out.
    pub branch: Option<String>,
    /// The project's default branch.
    pub default_branch: String,
    /// Where it was cloned from.
    pub remote: Option<Remote>,
    /// `user.name`.
    pub user_name: String,
    /// `user.email`.
    pub user_email: String,
}

/// The commit that is checked out.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// 40 hexadecimal digits.
    pub sha: String,
    /// `Name <address>`.
    pub author: String,
    /// Time of the author, ISO 8601.
    pub timestamp: String,
    /// The message.
    pub message: String,
}

/// Where a repository was cloned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// What stands before the project's path.
    pub base: String,
    /// The host; empty where it is a folder.
    pub host: String,
    /// The project's path, without `.git`.
    pub path: String,
}

impl Facts {
    /// Asks `git` about a folder; outside of a repository little is known.
    #[must_use]
    pub fn of(git: &Git) -> Self {
        let (head, config, refs) = std::thread::scope(|scope| {
            let head = scope.spawn(|| git.text(["log", "-1", "--format=%H%x00%an <%ae>%x00%aI%x00%B", "HEAD"]));
            let config =
                scope.spawn(|| git.text(["config", "--null", "--get-regexp", r"^(user|remote\.origin|init)\."]));
            let format = "--format=%(HEAD)%00%(refname)%00%(symref)";
            let refs = git.text(["for-each-ref", format, "refs/heads", "refs/remotes/origin/HEAD"]);
            let text = |answer: std::thread::Result<anyhow::Result<String>>| answer.ok().and_then(Result::ok);
            (text(head.join()), text(config.join()).unwrap_or_default(), refs.unwrap_or_default())
        });
        let setting = |key: &str| {
            let entries = config.split('\0').filter_map(|entry| entry.split_once('\n'));
            entries.filter(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.to_owned()).next_back()
        };
        let known = Refs::read(&refs);
        let unborn = || unborn(git.folder());
        let branch = known.current.clone().or_else(unborn);
        let default_branch = known.default_branch(setting("init.defaultBranch").as_deref(), branch.as_deref());
        Self {
            head: head.as_deref().and_then(Head::read),
            branch,
            default_branch,
            remote: setting("remote.origin.url").as_deref().and_then(Remote::parse),
            user_name: setting("user.name").unwrap_or_default(),
            user_email: setting("user.email").unwrap_or_default(),
        }
    }

    /// The project's full path, and the address of its server.
    #[must_use]
    pub fn project(&self, root: &Path) -> (String, String) {
        match &self.remote {
            Some(remote) if !remote.host.is_empty() && remote.path.contains('/') => {
                (remote.path.clone(), format!("https://{}", remote.host))
            }
            _ => {
                let name = root.file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy());
                (format!("local/{name}"), "http://localhost".to_owned())
            }
        }
    }
}

/// The branch of a repository without a commit.
fn unborn(folder: &Path) -> Option<String> {
    let head = std::fs::read_to_string(folder.join(".git/HEAD")).ok()?;
    Some(head.trim().strip_prefix("ref: refs/heads/")?.to_owned())
}

#[derive(Default)]
struct Refs {
    branches: Vec<String>,
    current: Option<String>,
    of_remote: Option<String>,
}

impl Refs {
    fn read(text: &str) -> Self {
        let mut refs = Self::default();
        for line in text.lines() {
            let mut parts = line.split('\0');
            let (mark, name, target) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                if mark == Some("*") {
                    refs.current = Some(branch.to_owned());
                }
                refs.branches.push(branch.to_owned());
            } else if let Some(branch) = target.and_then(|target| target.strip_prefix("refs/remotes/origin/")) {
                refs.of_remote = Some(branch.to_owned());
            }
        }
        refs
    }

    fn default_branch(&self, configured: Option<&str>, current: Option<&str>) -> String {
        let known = |name: &&str| self.branches.iter().any(|branch| branch == name);
        let usual = || ["main", "master", "develop"].into_iter().find(known);
        let found = self.of_remote.as_deref().or_else(|| configured.filter(known)).or_else(usual);
        found.or(current).unwrap_or("main").to_owned()
    }
}

impl Head {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '\0').map(str::to_owned);
        Some(Self {
            sha: parts.next().filter(|sha| sha.len() >= 40)?,
            author: parts.next()?,
            timestamp: parts.next()?,
            message: parts.next()?,
        })
    }

    /// The first line of the message.
    #[must_use]
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

impl Remote {
    /// Reads `https://host/path.git`, `ssh://git@host/path`, `git@host:path`, or a folder.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let trimmed = url.trim_end_matches('/');
        let plain = trimmed.strip_suffix(".git").unwrap_or(trimmed);
        let folder = plain.strip_prefix("file://").unwrap_or(plain);
        if folder.starts_with('/') {
            return Self::folder(plain, folder);
        }
        if let Some((scheme, rest)) = plain.split_once("://") {
            let (authority, path) = rest.split_once('/')?;
            // What stands before `@` may be a password; it stays in `base`, which is never shown.
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let base = format!("{scheme}://{authority}/");
            return Some(Self { base, host: host.to_owned(), path: path.to_owned() });
        }
        if let Some((authority, path)) = plain.split_once(':')
            && !authority.contains('/')
        {
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let path = path.trim_start_matches('/').to_owned();
            return Some(Self { base: format!("{authority}:"), host: host.to_owned(), path });
        }
        None
    }

    /// A folder does not tell where a project's path begins; the last two parts are taken for it.
    fn folder(url: &str, folder: &str) -> Option<Self> {
        let (above, _) = folder.rsplit_once('/')?;
        let at = above.rsplit_once('/').map_or(0, |(above, _)| above.len() + 1);
        let base = &url[..url.len() - (folder.len() - at)];
        Some(Self { base: base.to_owned(), host: String::new(), path: folder[at..].to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::Remote;

    #[test]
    fn remotes() {
        for (url, base, host, path) in [
            ("https://gitlab.com/a/b/c.git", "https://gitlab.com/", "gitlab.com", "a/b/c"),
            ("https://me:secret@host:8443/a/b", "https://me:secret@host:8443/", "host:8443", "a/b"),
            ("git@gitlab.com:a/b.git", "git@gitlab.com:", "gitlab.com", "a/b"),
            ("ssh://git@host/a/b.git/", "ssh://git@host/", "host", "a/b"),
            ("/srv/git/a.git", "/srv/", "", "git/a"),
            ("file:///srv/x/git/a", "file:///srv/x/", "", "git/a"),
            ("/a", "", "", "/a"),
        ] {
            let expected = Remote { base: base.to_owned(), host: host.to_owned(), path: path.to_owned() };
            assert_eq!(Remote::parse(url), Some(expected), "{url}");
        }
    }
}
