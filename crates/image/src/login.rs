//! Logins at registries, in the form of Docker's `config.json` and of `DOCKER_AUTH_CONFIG`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::name::ImageName;

/// Bytes of a configuration.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Where images are from whose name tells no host.
const HUB: &str = "docker.io";
/// What else the hub is called.
const HUB_NAMES: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// A text that nobody shall read by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[MASKED]")
    }
}

/// Who somebody is at a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password, or a token that stands in its place.
    pub password: Secret,
}

/// Logins by registry, or by a path in it; the first that was added counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logins(BTreeMap<String, Login>);

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Login {
    /// Tells logins apart without telling them.
    #[must_use]
    pub fn mark(&self) -> String {
        let text = format!("{}\0{}", self.user, self.password.reveal());
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Logins {
    /// Reads a configuration such as `{"auths": {"registry.example": {"auth": "…"}}}`; helper programs that it names are
    /// not run.
    ///
    /// # Errors
    /// Where it is none; the message repeats nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > CONFIG_BYTES_MAX {
            return Err(format!("it has more than {CONFIG_BYTES_MAX} bytes"));
        }
        // Said without the parser's words, which may repeat what it read.
        let config: Config = serde_json::from_str(text).map_err(|error| {
            format!("it is no JSON with `auths` (line {}, column {})", error.line(), error.column())
        })?;
        let mut logins = Self::default();
        for (registry, entry) in config.auths {
            let login = entry.login().map_err(|reason| format!("entry `{}` {reason}", key(&registry)))?;
            if let Some(login) = login {
                logins.add(&registry, login);
            }
        }
        Ok(logins)
    }

    /// Reads `DOCKER_AUTH_CONFIG` of this process's environment; nothing where it is not set.
    ///
    /// # Errors
    /// Where it is no configuration.
    pub fn of_environment() -> Result<Self, String> {
        match std::env::var("DOCKER_AUTH_CONFIG") {
            Ok(text) if !text.trim().is_empty() => {
                Self::parse(&text).map_err(|reason| format!("`DOCKER_AUTH_CONFIG` is not understood: {reason}"))
            }
            Ok(_) | Err(_) => Ok(Self::default()),
        }
    }

    /// Reads Docker's own file below a home folder; nothing where there is none or it cannot be read.
    #[must_use]
    pub fn of_home(home: &Path) -> Self {
        let text = std::fs::read_to_string(home.join(".docker/config.json")).unwrap_or_default();
        Self::parse(&text).unwrap_or_default()
    }

    /// Adds a login, where there is none for that registry yet.
    pub fn add(&mut self, registry: &str, login: Login) {
        self.0.entry(key(registry)).or_insert(login);
    }

    /// Adds those of another, where this one has none.
    pub fn or(mut self, other: &Self) -> Self {
        for (registry, login) in &other.0 {
            self.0.entry(registry.clone()).or_insert_with(|| login.clone());
        }
        self
    }

    /// The login for an image: that of the longest path that it is below.
    #[must_use]
    pub fn of(&self, image: &ImageName) -> Option<&Login> {
        let (host, path) = image.place();
        self.find(&format!("{host}/{path}"))
    }

    /// The login for a registry's host.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Option<&Login> {
        self.find(&key(host))
    }

    fn find(&self, whole: &str) -> Option<&Login> {
        let mut path = whole;
        loop {
            if let Some(login) = self.0.get(path) {
                return Some(login);
            }
            path = path.rsplit_once('/')?.0;
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Login)> {
        self.0.iter().map(|(registry, login)| (registry.as_str(), login))
    }

    /// Every password, for masking.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|login| login.password.reveal())
    }
}

impl Entry {
    fn login(self) -> Result<Option<Login>, &'static str> {
        if let Some(auth) = self.auth.filter(|auth| !auth.is_empty()) {
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| "has an `auth` that is no base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "has an `auth` that is no text")?;
            let (user, password) = text.split_once(':').ok_or("has an `auth` without a colon")?;
            let password = password.trim_end_matches('\0');
            return Ok(Some(Login { user: user.to_owned(), password: Secret::new(password) }));
        }
        let both = self.username.zip(self.password);
        Ok(both.map(|(user, password)| Login { user, password: Secret::new(password) }))
    }
}

/// A registry as it is looked up: without scheme, version and slash at its end.
fn key(registry: &str) -> String {
    let plain = registry.split_once("://").map_or(registry, |(_, rest)| rest).trim_end_matches('/');
    let plain = plain.strip_suffix("/v1").or_else(|| plain.strip_suffix("/v2")).unwrap_or(plain);
    let (host, path) = plain.split_once('/').map_or((plain, ""), |(host, path)| (host, path));
    let host = host.to_ascii_lowercase();
    let host = if HUB_NAMES.contains(&host.as_str()) { HUB.to_owned() } else { host };
    if path.is_empty() { host } else { format!("{host}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> ImageName {
        ImageName::parse(text).unwrap()
    }

    #[test]
    fn logins_are_found_by_host_and_path() {
        let auth = STANDARD.encode("dana:pass:word");
        let text = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}}, "Registry.example:5000": {{"auth": "{auth}"}},
                "registry.example/team": {{"username": "team", "password": "t"}}, "empty.example": {{}}}},
                "credsStore": "desktop"}}"#
        );
        let logins = Logins::parse(&text).unwrap();
        let user = |name: &str| logins.of(&image(name)).map(|login| login.user.clone());
        assert_eq!(user("busybox").as_deref(), Some("dana"));
        assert_eq!(user("docker.io/library/busybox:1").as_deref(), Some("dana"));
        assert_eq!(user("registry.example:5000/a/b").as_deref(), Some("dana"));
        assert_eq!(user("registry.example/team/shop").as_deref(), Some("team"));
        assert_eq!(user("registry.example/teams/shop"), None);
        assert_eq!(user("registry.example/shop"), None);
        assert_eq!(user("empty.example/a"), None);
        assert_eq!(logins.of(&image("busybox")).unwrap().password.reveal(), "pass:word");
        assert_eq!(logins.of_host("registry-1.docker.io").unwrap().user, "dana");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for text in ["", "7", r#"{"auths": {"a": {"auth": "!geheim"}}}"#, r#"{"auths": {"a": {"auth": "Z2VoZWlt"}}}"#] {
            let said = Logins::parse(text).unwrap_err();
            assert!(!said.contains("geheim") && !said.contains("Z2Vo"), "{said}");
        }
        let mut logins = Logins::default();
        logins.add("a", Login { user: "u".into(), password: Secret::new("geheim") });
        assert!(!format!("{logins:?}").contains("geheim"));
    }

    #[test]
    fn the_first_login_counts() {
        let login = |user: &str| Login { user: user.to_owned(), password: Secret::new("p") };
        let (mut first, mut second) = (Logins::default(), Logins::default());
        first.add("a", login("first"));
        second.add("https://a/v2/", login("second"));
        second.add("b", login("second"));
        let both = first.or(&second);
        assert_eq!(both.of_host("a").unwrap().user, "first");
        assert_eq!(both.of_host("b").unwrap().user, "second");
    }
}
