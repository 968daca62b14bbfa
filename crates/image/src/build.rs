//! Builds: a Dockerfile and its context to an image, by BuildKit where the engine has it.

mod progress;
mod proto;
mod session;

use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use crate::address::Body;
use crate::{Builder, Error, Logins, Secret, name};
use progress::Progress;
use session::Session;

const ATTEMPT: &str = "build the image";
/// Bytes of one message of a build.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a build's output that are told.
const OUTPUT_BYTES_MAX: usize = 32 << 20;
/// Bytes of an answer that is no build.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What an image is built of, beside its context.
#[derive(Clone, Debug, Default)]
pub struct ImageBuild {
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// The stage to build; the last one where none is named.
    pub target: Option<String>,
    /// Such as `linux/amd64`; the engine's own where none is named.
    pub platform: Option<String>,
    /// Build arguments; they stand in the image's history.
    pub args: Vec<(String, String)>,
    /// What `RUN --mount=type=secret,id=…` sees, by id; in no layer and no history.
    pub secrets: Vec<(String, Secret)>,
    /// Labels, such as `org.opencontainers.image.revision`.
    pub labels: Vec<(String, String)>,
    /// A name for people, such as `serin/shop:1a2b3c4d`.
    pub tag: String,
    /// Logins for base images.
    pub logins: Logins,
}

/// One message of a build (Docker Engine API, `ImageBuild`; BuildKit's are in `aux`).
#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    stream: Option<String>,
    status: Option<String>,
    #[serde(rename = "errorDetail")]
    error: Option<Detail>,
    aux: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
}

impl Builder {
    /// Builds an image out of the tar archive `context`; sends each line of progress, and gives the image's id, `sha256:…`.
    /// A build whose future is dropped ends.
    ///
    /// # Errors
    /// Where the build fails: what failed and what it said.
    pub async fn build(
        &self,
        build: &ImageBuild,
        context: &Path,
        lines: &mpsc::Sender<String>,
    ) -> Result<String, Error> {
        check(build)?;
        if !self.has_buildkit() && !build.secrets.is_empty() {
            return Err(Error::refused(
                "secrets need an engine with BuildKit, and this one has none: its builder would keep them in the image",
            ));
        }
        let session = match self.has_buildkit() {
            true => Some(Session::open(self.address(), build).await?),
            false => None,
        };
        let query = query(build, session.as_ref())?;
        let file = tokio::fs::File::open(context).await.map_err(Error::io("open", context))?;
        let body = StreamBody::new(ReaderStream::new(file).map_ok(Frame::data));
        let mut request = Request::post(format!("/build?{query}"))
            .header(hyper::header::HOST, "docker")
            .header(hyper::header::CONTENT_TYPE, "application/x-tar");
        if session.is_none() {
            request = request.header("X-Registry-Config", registry_config(&build.logins));
        }
        let request = request.body(Body::new(body)).map_err(|error| Error::said(ATTEMPT, &error.to_string()))?;
        let mut connection = self.address().open().await?;
        let answer = connection.send_request(request).await.map_err(|error| Error::said(ATTEMPT, &chain(&error)))?;
        follow(answer, lines).await
    }
}

/// Refuses what is no name, so that nothing is taken for something else.
fn check(build: &ImageBuild) -> Result<(), Error> {
    build.platform.as_deref().map_or(Ok(()), name::check_platform).map_err(Error::refused)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_word = |text: &str| (1..=200).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-');
    if let Some(target) = build.target.as_ref().filter(|target| !is_word(target)) {
        return Err(Error::refused(format!("`{}` is no name of a stage", shown(target))));
    }
    if let Some((id, _)) = build.secrets.iter().find(|(id, _)| !is_word(id)) {
        return Err(Error::refused(format!("`{}` is no id of a secret", shown(id))));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_variable = |text: &str| !text.is_empty() && text.bytes().all(letter);
    if let Some((key, _)) = build.args.iter().find(|(key, _)| !is_variable(key)) {
        return Err(Error::refused(format!("`{}` is no name of a build argument", shown(key))));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The parameters of the request; values are data, whatever is in them.
fn query(build: &ImageBuild, session: Option<&Session>) -> Result<String, Error> {
    let object = |pairs: &[(String, String)]| {
        let map: serde_json::Map<_, _> =
            pairs.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        serde_json::Value::from(map).to_string()
    };
    let mut parameters = vec![
        ("dockerfile", build.dockerfile.clone()),
        ("t", build.tag.clone()),
        ("labels", object(&build.labels)),
        ("buildargs", object(&build.args)),
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
    ];
    parameters.extend(build.target.clone().map(|target| ("target", target)));
    parameters.extend(build.platform.clone().map(|platform| ("platform", platform)));
    if let Some(session) = session {
        parameters.extend([("version", "2".to_owned()), ("session", session.id().to_owned())]);
        parameters.push(("buildid", session::random_id()?));
    }
    let encoded: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
    Ok(encoded.join("&"))
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Logins as the classic builder takes them (Docker Engine API, `X-Registry-Config`).
fn registry_config(logins: &Logins) -> String {
    use base64::Engine as _;
    let entries = logins.entries().map(|(registry, login)| {
        let login = serde_json::json!({ "username": login.user, "password": login.password.reveal() });
        let registry = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
        (registry.to_owned(), login)
    });
    let config = serde_json::Value::from(entries.collect::<serde_json::Map<_, _>>());
    base64::engine::general_purpose::URL_SAFE.encode(config.to_string())
}

/// Reads the messages of a build to its end.
async fn follow(answer: Response<Incoming>, lines: &mpsc::Sender<String>) -> Result<String, Error> {
    if !answer.status().is_success() {
        return Err(refusal(answer).await);
    }
    let mut body = answer.into_body();
    let (mut held, mut told) = (Vec::new(), Told { progress: Progress::default(), id: None, bytes: 0, lines });
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::said(ATTEMPT, &chain(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        held.extend_from_slice(&data);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let message: Vec<u8> = held.drain(..=end).collect();
            told.take(&message).await?;
        }
        if held.len() > MESSAGE_BYTES_MAX {
            return Err(Error::said(ATTEMPT, "one of its messages is too long"));
        }
    }
    told.take(&held).await?;
    told.id.ok_or_else(|| Error::said(ATTEMPT, "it named no image at the end"))
}

/// What a build told so far.
struct Told<'a> {
    progress: Progress,
    id: Option<String>,
    bytes: usize,
    lines: &'a mpsc::Sender<String>,
}

impl Told<'_> {
    async fn take(&mut self, message: &[u8]) -> Result<(), Error> {
        if message.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let message: Message = serde_json::from_slice(message)
            .map_err(|error| Error::said(ATTEMPT, &format!("it sent what is no message: {error}")))?;
        let mut said = Vec::new();
        for text in message.stream.iter().chain(&message.status) {
            said.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        }
        match (message.id.as_deref(), message.aux) {
            (Some("moby.buildkit.trace"), Some(serde_json::Value::String(trace))) => {
                self.progress.take(&trace, &mut said);
            }
            (_, Some(aux)) => self.id = aux["ID"].as_str().map(str::to_owned).or(self.id.take()),
            (_, None) => {}
        }
        for line in said {
            self.pass_on(line).await;
        }
        match message.error {
            Some(detail) => Err(Error::said(ATTEMPT, &detail.message)),
            None => Ok(()),
        }
    }

    async fn pass_on(&mut self, line: String) {
        if self.bytes > OUTPUT_BYTES_MAX {
            return;
        }
        self.bytes += line.len() + 1;
        let cut = (self.bytes > OUTPUT_BYTES_MAX).then(|| "The rest of the build's output is not kept".to_owned());
        // Nobody listens any more: the build still counts.
        let _ = self.lines.send(cut.unwrap_or(line)).await;
    }
}

/// What the engine says where it builds nothing.
async fn refusal(answer: Response<Incoming>) -> Error {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = serde_json::from_slice::<Refusal>(&bytes).map_or_else(|_| status.to_string(), |said| said.message);
    Error::said(ATTEMPT, &message)
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A body with nothing in it.
fn nothing() -> Body {
    Body::new(http_body_util::Empty::<Bytes>::new().map_err(|never| -> io::Error { match never {} }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_data() {
        let value = "a=b&target=x\n\"--privileged\" #'";
        let build = ImageBuild { args: vec![("A".into(), value.into())], ..ImageBuild::default() };
        let query = query(&build, None).unwrap();
        assert!(!query.contains(['\n', '"', ' ', '#']) && query.matches("target").count() == 1, "{query}");
        let sent = query.split('&').find_map(|pair| pair.strip_prefix("buildargs=")).unwrap();
        assert_eq!(sent, encode(&serde_json::json!({ "A": value }).to_string()));
    }

    #[test]
    fn names_are_checked() {
        let refused = |build: ImageBuild| check(&build).unwrap_err().to_string();
        let arg = |key: &str| ImageBuild { args: vec![(key.into(), String::new())], ..ImageBuild::default() };
        assert!(refused(arg("A=B")).contains("`A=B` is no name"));
        assert!(refused(arg("")).contains("is no name"));
        let target = ImageBuild { target: Some("--x".into()), ..ImageBuild::default() };
        assert!(refused(target).contains("no name of a stage"));
        let secret = ImageBuild { secrets: vec![("../x".into(), Secret::new("s"))], ..ImageBuild::default() };
        assert!(refused(secret).contains("no id of a secret"));
        let platform = ImageBuild { platform: Some("x".into()), ..ImageBuild::default() };
        assert!(refused(platform).contains("no platform"));
    }
}
