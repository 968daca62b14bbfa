//! A headless Chromium with a fresh profile, driven over WebDriver.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use thirtyfour::common::command::ExtensionCommand;
use thirtyfour::{By, Capabilities, WebDriver, WebElement};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{LOOK_EVERY, PATIENCE};

/// Widths at which every page is looked at, in pixels.
pub const WIDTHS: [u32; 2] = [1280, 360];
/// Height of the window, in pixels.
const HEIGHT: u32 = 900;

/// Starts of the driver.
const STARTS_MAX: usize = 4;

/// A browser; it ends with this value.
pub struct Browser {
    /// The session.
    pub driver: WebDriver,
    _chromedriver: Child,
    _profile: tempfile::TempDir,
}

/// A command that WebDriver does not name: Chromium's log and its developer tools.
#[derive(Debug)]
struct Post {
    endpoint: &'static str,
    body: Value,
}

impl ExtensionCommand for Post {
    fn parameters_json(&self) -> Option<Value> {
        Some(self.body.clone())
    }

    fn method(&self) -> reqwest::Method {
        reqwest::Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        self.endpoint.into()
    }
}

impl Browser {
    /// Starts driver and browser.
    ///
    /// # Errors
    /// Where one of them does not start.
    pub async fn start() -> Result<Self> {
        let (chromedriver, port) = started().await?;
        let profile = tempfile::tempdir()?;
        let folder = profile.path().display();
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--lang=en-US".to_owned(),
            format!("--user-data-dir={folder}"),
        ];
        let mut capabilities = Capabilities::new();
        capabilities.set("browserName", json!("chrome"))?;
        capabilities.set("goog:chromeOptions", json!({ "args": arguments }))?;
        capabilities.set("goog:loggingPrefs", json!({ "browser": "ALL" }))?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await?;
        let browser = Self { driver, _chromedriver: chromedriver, _profile: profile };
        browser.width(WIDTHS[0]).await?;
        Ok(browser)
    }

    /// Ends the session in good order.
    ///
    /// # Errors
    /// Where the browser is gone.
    pub async fn quit(self) -> Result<()> {
        Ok(self.driver.quit().await?)
    }

    async fn send(&self, endpoint: &'static str, body: Value) -> Result<Value> {
        let command = thirtyfour::common::command::Command::ExtensionCommand(Box::new(Post { endpoint, body }));
        Ok(self.driver.handle().cmd(command).await?.value_json()?)
    }

    async fn tools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.send("/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Makes the window that wide.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub async fn width(&self, width: u32) -> Result<()> {
        let size = json!({ "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.tools("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Opens an address.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub async fn open(&self, address: &str) -> Result<()> {
        Ok(self.driver.goto(address).await?)
    }

    /// Runs a script's function body; its result.
    ///
    /// # Errors
    /// Where it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.driver.execute(script, Vec::new()).await?.json().clone())
    }

    /// The element of a selector, waited for.
    ///
    /// # Errors
    /// Where it does not appear in time.
    pub async fn find(&self, selector: &str) -> Result<WebElement> {
        self.until(&format!("return document.querySelector({}) !== null", json!(selector))).await?;
        Ok(self.driver.find(By::Css(selector)).await?)
    }

    /// Clicks what a selector finds.
    ///
    /// # Errors
    /// Where it does not appear, or cannot be clicked.
    pub async fn click(&self, selector: &str) -> Result<()> {
        Ok(self.find(selector).await?.click().await?)
    }

    /// Types into the field that a selector finds.
    ///
    /// # Errors
    /// Where it does not appear.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let field = self.find(selector).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Waits until the page's main part holds a text.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn sees(&self, text: &str) -> Result<()> {
        self.until(&format!("return document.body.innerText.includes({})", json!(text))).await
    }

    /// Waits until a script's function body gives true.
    ///
    /// # Errors
    /// Where that does not happen in time.
    pub async fn until(&self, script: &str) -> Result<()> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if self.run(script).await.unwrap_or_default() == json!(true) {
                return Ok(());
            }
            if tokio::time::Instant::now() > end {
                let page = self.run("return location.href + '\\n' + document.body.innerText").await?;
                bail!("`{script}` did not become true on {}", page.as_str().unwrap_or_default());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes a picture of the page at every width; fails where the page is wider than its window.
    ///
    /// # Errors
    /// Where the page scrolls sideways, or the picture cannot be kept.
    pub async fn shoot(&self, name: &str) -> Result<()> {
        for width in WIDTHS {
            self.width(width).await?;
            let wide =
                self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
            let picture = json!({ "format": "png", "captureBeyondViewport": true });
            let answer = self.tools("Page.captureScreenshot", picture).await?;
            let data = answer["data"].as_str().context("no picture")?;
            let folder = screenshots()?;
            std::fs::write(folder.join(format!("{name}-{width}.png")), STANDARD.decode(data)?)?;
            if wide.as_i64().unwrap_or(0) > 0 {
                bail!("page {name} is {wide} px wider than {width}");
            }
        }
        self.width(WIDTHS[0]).await
    }

    /// Fails where the browser's console says anything but what `expected` allows.
    ///
    /// # Errors
    /// Where it does.
    pub async fn console_is_clean(&self, expected: &[&str]) -> Result<()> {
        let said = self.send("/se/log", json!({ "type": "browser" })).await?;
        let lines = said.as_array().cloned().unwrap_or_default();
        let message = |line: &Value| line["message"].as_str().unwrap_or_default().to_owned();
        let odd: Vec<String> =
            lines.iter().map(message).filter(|line| !expected.iter().any(|known| line.contains(known))).collect();
        if odd.is_empty() { Ok(()) } else { bail!("the console says:\n{}", odd.join("\n")) }
    }
}

/// Starts the driver; the port that it finds free may be taken before it listens, and it ends then.
async fn started() -> Result<(Child, u16)> {
    for _ in 1..STARTS_MAX {
        if let Ok(started) = chromedriver().await {
            return Ok(started);
        }
    }
    chromedriver().await
}

async fn chromedriver() -> Result<(Child, u16)> {
    let mut child = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start `chromedriver`; install it with Chromium")?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let port = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await? {
            let port = line.rsplit_once("on port ").and_then(|(_, rest)| rest.trim_end_matches('.').parse().ok());
            if let Some(port) = port.filter(|port| *port != 0) {
                return Ok(port);
            }
        }
        bail!("`chromedriver` ended at once")
    });
    let port = port.await??;
    // Its pipe is emptied for as long as it runs.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, port))
}

/// Where the pictures are kept: `target/screenshots`.
fn screenshots() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).context("the test program has no folder")?;
    let folder = target.join("screenshots");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
