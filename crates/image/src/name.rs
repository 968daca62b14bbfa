//! Names of images and services, as repositories write them.

/// Bytes of an image's name.
const NAME_BYTES_MAX: usize = 1_024;
/// Bytes of one label of a host name.
const ALIAS_BYTES_MAX: usize = 63;

/// A well-formed reference to an image (distribution's reference grammar: `[host[:port]/]path[:tag][@digest]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// Host and path.
    pub repository: String,
    /// Tag or digest; `latest` where none is written.
    pub version: String,
    /// The whole, as the engine looks it up.
    pub whole: String,
}

impl ImageName {
    /// Reads a reference.
    ///
    /// # Errors
    /// Where it is none; the message says what would be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.chars().take(100).collect();
            format!("`{shown}` is no image name: write `name:tag`, `host/path/name:tag` or `name@sha256:…`")
        };
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(wrong());
        }
        if text.strip_prefix("sha256:").is_some_and(is_digest) {
            return Ok(Self { repository: text.into(), version: String::new(), whole: text.into() });
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => {
                digest.strip_prefix("sha256:").filter(|hex| is_digest(hex)).ok_or_else(wrong)?;
                (named, Some(digest))
            }
            None => (text, None),
        };
        let (repository, tag) = match named.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (named, None),
        };
        if !is_repository(repository) || !tag.is_none_or(is_tag) {
            return Err(wrong());
        }
        let version = digest.or(tag).unwrap_or("latest").to_owned();
        let separator = if digest.is_some() { '@' } else { ':' };
        Ok(Self { whole: format!("{repository}{separator}{version}"), repository: repository.into(), version })
    }

    /// Its registry's host and the path there; images without a host are Docker's own registry's.
    #[must_use]
    pub fn place(&self) -> (String, String) {
        match self.repository.split_once('/') {
            Some((host, path)) if is_host_written(host) => match host.to_ascii_lowercase().as_str() {
                "index.docker.io" => ("docker.io".to_owned(), path.to_owned()),
                host => (host.to_owned(), path.to_owned()),
            },
            Some(_) => ("docker.io".to_owned(), self.repository.clone()),
            None => ("docker.io".to_owned(), format!("library/{}", self.repository)),
        }
    }

    /// Whether the registry is on this machine, where nobody can listen.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        let (host, _) = self.place();
        let name = host.split(':').next().unwrap_or_default();
        name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether it names an image by its content on this machine, which nobody can pull.
    #[must_use]
    pub fn is_id(&self) -> bool {
        self.version.is_empty()
    }

    /// The host names that a service of this image has (GitLab, "Accessing the services").
    #[must_use]
    pub fn aliases(&self) -> Vec<String> {
        let name = self.repository.split(':').next().unwrap_or_default();
        let mut aliases = vec![name.replace('/', "__"), name.replace('/', "-")];
        aliases.dedup();
        aliases.retain(|alias| is_alias(alias));
        aliases
    }
}

fn is_digest(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_tag(tag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(plain) && !tag.starts_with(['.', '-'])
}

fn is_repository(text: &str) -> bool {
    let mut segments: Vec<&str> = text.split('/').collect();
    if segments.len() > 1 && is_host_written(segments[0]) && !is_host(segments.remove(0)) {
        return false;
    }
    segments.into_iter().all(is_segment)
}

/// Whether a name's first segment is meant as a host.
fn is_host_written(segment: &str) -> bool {
    segment.contains(['.', ':']) || segment == "localhost"
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let edges = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !name.ends_with(['-', '.']);
    plain && edges && !name.contains("..") && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.bytes().all(plain) && text.starts_with(edge) && text.ends_with(edge) && !text.contains("..")
}

/// Whether a container may have that host name.
#[must_use]
pub fn is_alias(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty()
        && text.bytes().all(plain)
        && text.split('.').all(|label| (1..=ALIAS_BYTES_MAX).contains(&label.len()) && !label.starts_with('-'))
}

/// Refuses a user that is none.
///
/// # Errors
/// Where it is none; the message says what would be one.
pub fn check_user(text: &str) -> Result<(), String> {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'$');
        (1..=64).contains(&part.len()) && part.bytes().all(plain) && !part.starts_with('-')
    };
    let (user, group) = text.split_once(':').unwrap_or((text, "0"));
    if part(user) && part(group) {
        return Ok(());
    }
    Err(format!("`{}` is no user: write a name or number, or `user:group`", text.chars().take(100).collect::<String>()))
}

/// Refuses a platform that is none.
///
/// # Errors
/// Where it is none; the message says what would be one.
pub fn check_platform(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if (2..=3).contains(&parts.len()) && parts.iter().all(plain) && text.len() <= 64 {
        return Ok(());
    }
    let shown: String = text.chars().take(100).collect();
    Err(format!("`{shown}` is no platform: write `linux/amd64` or `linux/arm64`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let digest = "a".repeat(64);
        for (text, repository, version) in [
            ("rust", "rust", "latest"),
            ("rust:1.80-slim", "rust", "1.80-slim"),
            ("localhost:5000/a/b", "localhost:5000/a/b", "latest"),
            ("registry.example.org/a/b:v1", "registry.example.org/a/b", "v1"),
            ("127.0.0.1:5000/x_y/z--w:T", "127.0.0.1:5000/x_y/z--w", "T"),
        ] {
            let name = ImageName::parse(text).unwrap();
            assert_eq!((name.repository.as_str(), name.version.as_str()), (repository, version), "{text}");
        }
        let name = ImageName::parse(&format!("a/b:tag@sha256:{digest}")).unwrap();
        assert_eq!(name.whole, format!("a/b@sha256:{digest}"));
        assert!(ImageName::parse(&format!("sha256:{digest}")).unwrap().is_id());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(2_000);
        for text in [
            "",
            "--privileged",
            "-v/:/host busybox",
            "busybox --privileged",
            "busybox\n--privileged",
            "../../containers/json",
            "a/../b",
            "a//b",
            "/a",
            "a/",
            "A",
            "a:",
            "a:b:c",
            "a:-x",
            "a@sha256:12",
            "host:0/a",
            "-h.example/a",
            "$IMAGE",
            "a?x=1",
            "a#b",
            "a%2f",
            long.as_str(),
        ] {
            assert!(ImageName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn services_have_the_host_names_of_their_images() {
        let aliases = |text| ImageName::parse(text).unwrap().aliases();
        assert_eq!(aliases("postgres:15"), ["postgres"]);
        assert_eq!(aliases("tutum/wordpress:latest"), ["tutum__wordpress", "tutum-wordpress"]);
        assert_eq!(aliases("registry.example.org/a/b:v1"), ["registry.example.org__a__b", "registry.example.org-a-b"]);
        assert!(is_alias("db") && is_alias("a.b") && !is_alias("-a") && !is_alias("a b") && !is_alias("a..b"));
    }

    #[test]
    fn places() {
        let place = |text| ImageName::parse(text).unwrap().place();
        let pair = |host: &str, path: &str| (host.to_owned(), path.to_owned());
        assert_eq!(place("rust:1"), pair("docker.io", "library/rust"));
        assert_eq!(place("a/b"), pair("docker.io", "a/b"));
        assert_eq!(place("localhost/b"), pair("localhost", "b"));
        assert_eq!(place("127.0.0.1:5000/a/b:1"), pair("127.0.0.1:5000", "a/b"));
        let loopback = |text| ImageName::parse(text).unwrap().is_on_loopback();
        assert!(
            loopback("127.0.0.1:5000/a") && loopback("localhost:1/a") && !loopback("10.0.0.1:5000/a") && !loopback("a")
        );
    }

    #[test]
    fn users_and_platforms() {
        assert!(check_user("postgres").is_ok() && check_user("1000:1000").is_ok());
        for text in ["", ":", "a:", "--privileged", "a b", "a:b:c", "a\n"] {
            assert!(check_user(text).is_err(), "{text:?}");
        }
        assert!(check_platform("linux/amd64").is_ok() && check_platform("linux/arm/v7").is_ok());
        assert!(check_platform("linux").is_err() && check_platform("--x/y").is_err());
    }
}
