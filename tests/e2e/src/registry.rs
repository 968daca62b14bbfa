//! A real registry of images on loopback, which asks who one is (Debian: `docker-registry`).

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::PATIENCE;

/// Who may push and pull, and the password; then both as `htpasswd(1)` writes them, with bcrypt.
pub const USER: &str = "dana";
/// The password.
pub const PASSWORD: &str = "pass:word";
const HTPASSWD: &str = "dana:$2y$05$7XMt9.ClsJatXFGORca42uROiAGu.deuQtGDFlIsPBUbng9qqqsZ2\n";

/// A registry; it ends with this value.
pub struct Registry {
    /// `host:port`.
    pub address: String,
    folder: tempfile::TempDir,
    child: Child,
}

impl Registry {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD)?;
        let (child, address) = launch(folder.path(), "127.0.0.1:0").await?;
        Ok(Self { address, folder, child })
    }

    /// Ends it; what was pushed stays.
    ///
    /// # Errors
    /// Where it cannot be ended.
    pub async fn stop(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        (self.child, _) = launch(self.folder.path(), &self.address).await?;
        Ok(())
    }

    /// Docker's configuration with the login.
    #[must_use]
    pub fn config(&self) -> String {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
        serde_json::json!({ "auths": { &self.address: { "auth": auth } } }).to_string()
    }

    /// The digest of what a tag names; `None` where there is no such tag.
    ///
    /// # Errors
    /// Where the registry gives no answer.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let request = reqwest::Client::new().head(url).basic_auth(USER, Some(PASSWORD));
        let answer = request.header("accept", "application/vnd.docker.distribution.manifest.v2+json").send().await?;
        let digest = answer.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
        Ok(digest.map(str::to_owned))
    }
}

async fn launch(folder: &Path, address: &str) -> Result<(Child, String)> {
    let place = folder.display();
    let config = format!(
        "version: 0.1\nlog: {{ accesslog: {{ disabled: true }} }}\n\
         storage: {{ filesystem: {{ rootdirectory: {place}/data }}, delete: {{ enabled: true }} }}\n\
         http: {{ addr: '{address}' }}\nauth: {{ htpasswd: {{ realm: test, path: {place}/htpasswd }} }}\n"
    );
    let file = folder.join("config.yml");
    std::fs::write(&file, config)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().context("`apt-get install docker-registry`")?;
    let mut lines = BufReader::new(child.stderr.take().context("no output")?).lines();
    let listens = async {
        let mut said = Vec::new();
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("listening on ") {
                let address: String =
                    rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
                return Ok(address);
            }
            said.push(line);
        }
        bail!("the registry ended at once:\n{}", said.join("\n"))
    };
    let address = tokio::time::timeout(PATIENCE, listens).await??;
    // It must not wait for a reader of what it logs.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, address))
}
