//! A page in real Chromium, driven by chromedriver (W3C WebDriver, and Chrome's own `goog/cdp/execute`): how long its own
//! work takes until it is loaded, and how long the frames are while it is scrolled from its top to its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::Client;

/// Scrolls by part of a window each frame, and tells how long the frames were.
const SCROLL: &str = "
const done = arguments[arguments.length - 1];
const times = [];
let last = performance.now();
const frame = now => {
  times.push(now - last);
  last = now;
  const before = window.scrollY;
  window.scrollBy(0, window.innerHeight / 4);
  if (window.scrollY !== before && times.length < 2000) { requestAnimationFrame(frame); return; }
  done(times.slice(1));
};
requestAnimationFrame(now => { last = now; requestAnimationFrame(frame); });
";
/// How long one answer of the driver may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// What the browser notes of a load, in milliseconds.
const LOADED: &str = "
const entry = performance.getEntriesByType('navigation')[0];
return { response: entry.responseEnd, ready: entry.domContentLoadedEventEnd, loaded: entry.loadEventEnd,
  nodes: document.getElementsByTagName('*').length, height: document.documentElement.scrollHeight };
";

/// A browser with one window.
pub struct Browser {
    driver: Child,
    /// What the driver says; it ends where nobody reads.
    _words: Box<dyn BufRead>,
    port: u16,
    session: String,
}

/// What a visit took, in milliseconds.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Until the last byte, and until everything was loaded.
    pub response: f64,
    pub loaded: f64,
    /// Work of the page's own thread: scripts, layout, style, and all of it.
    pub script: f64,
    pub layout: f64,
    pub style: f64,
    pub task: f64,
    /// Elements.
    pub nodes: u64,
    /// The frames of the scroll, in order of length.
    pub frames: Vec<f64>,
}

impl Browser {
    /// Starts a browser that sends the server's token with every request.
    pub fn start(server: &Client) -> Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start `chromedriver`")?;
        let stdout = driver.stdout.take().context("chromedriver has no output")?;
        let mut words = BufReader::new(stdout);
        let port = (&mut words).lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("started successfully on port ")?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.context("chromedriver tells no port")?;
        let options = json!({ "args": ["--headless=new", "--no-sandbox", "--window-size=1400,900"] });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let answer = exchange(port, "POST /session", &wanted.to_string())?;
        let session = answer["value"]["sessionId"].as_str().context("no session")?.to_owned();
        let browser = Self { driver, _words: Box::new(words), port, session };
        browser.devtools("Network.enable", &json!({}))?;
        browser.devtools("Performance.enable", &json!({}))?;
        browser.devtools("Network.setExtraHTTPHeaders", &json!({ "headers": { "PRIVATE-TOKEN": server.token } }))?;
        Ok(browser)
    }

    /// Visits a page, then scrolls it from its top to its end.
    pub fn visit(&self, address: &str) -> Result<Visit> {
        let before = self.metrics()?;
        self.ask("url", &json!({ "url": address }))?;
        let after = self.metrics()?;
        let loaded = self.ask("execute/sync", &json!({ "script": LOADED, "args": [] }))?;
        let frames = self.ask("execute/async", &json!({ "script": SCROLL, "args": [] }))?;
        let mut frames: Vec<f64> = frames.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        frames.sort_by(f64::total_cmp);
        let number = |key: &str| loaded[key].as_f64().unwrap_or_default();
        // A new document begins to count anew; where it does not, only what was added belongs to it.
        let spent = |key: &str| {
            let (then, now) = (metric(&before, key), metric(&after, key));
            1000.0 * if now >= then { now - then } else { now }
        };
        Ok(Visit {
            response: number("response"),

            loaded: number("loaded"),
            script: spent("ScriptDuration"),
            layout: spent("LayoutDuration"),
            style: spent("RecalcStyleDuration"),
            task: spent("TaskDuration"),
            nodes: loaded["nodes"].as_u64().unwrap_or_default(),
            frames,
        })
    }

    fn metrics(&self) -> Result<Value> {
        self.devtools("Performance.getMetrics", &json!({}))
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.ask("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        let mut answer = exchange(self.port, &format!("POST /session/{}/{path}", self.session), &body.to_string())?;
        Ok(answer["value"].take())
    }
}

/// One request to the driver, which keeps its connections open: the answer's length tells its end.
fn exchange(port: u16, what: &str, body: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(("localhost", port)).context("connect to chromedriver")?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let length = body.len();
    write!(
        stream,
        "{what} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = BufReader::new(stream);
    let (mut line, mut length, mut first) = (String::new(), 0, String::new());
    loop {
        line.clear();
        answer.read_line(&mut line)?;
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if first.is_empty() {
            text.clone_into(&mut first);
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    ensure!(first.contains(" 200"), "{what}: {first}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}

fn metric(metrics: &Value, key: &str) -> f64 {
    let all = metrics["metrics"].as_array();
    let found = all.and_then(|all| all.iter().find(|metric| metric["name"] == key));
    found.and_then(|metric| metric["value"].as_f64()).unwrap_or_default()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its driver, in any case.
        let _ = exchange(self.port, &format!("DELETE /session/{}", self.session), "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
