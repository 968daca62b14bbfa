//! Advertising refs and serving fetches.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    process::{ChildStdin, ChildStdout},
    task::JoinHandle,
    time::{Sleep, sleep},
};

use super::packet::{self, FLUSH};
use crate::{
    command::{Call, Process, read_head},
    error::Result,
    name::protocol,
    repository::Repository,
};

/// How long one fetch or clone may take.
const FETCH_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// What a client wants of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// To fetch or clone.
    UploadPack,
    /// To push.
    ReceivePack,
}

impl Service {
    /// The service that a request names, such as `git-upload-pack`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "git-upload-pack" => Some(Self::UploadPack),
            "git-receive-pack" => Some(Self::ReceivePack),
            _ => None,
        }
    }

    /// The name as requests and content types spell it: `git-upload-pack` or `git-receive-pack`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }

    fn settings(self) -> Vec<String> {
        let (section, shown): (&str, &[&str]) = match self {
            Self::UploadPack => ("uploadpack", &["refs/heads/", "refs/tags/", "refs/merge-requests/"]),
            Self::ReceivePack => ("receive", &["refs/heads/", "refs/tags/"]),
        };
        let mut settings = vec![format!("{section}.hideRefs=refs/")];
        settings.extend(shown.iter().map(|prefix| format!("{section}.hideRefs=!{prefix}")));
        let more: &[&str] = match self {
            Self::UploadPack => &["uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true"],
            Self::ReceivePack => &["receive.advertisePushOptions=true", "receive.advertiseAtomic=true"],
        };
        settings.extend(more.iter().map(|&setting| setting.to_owned()));
        settings
    }

    /// A call of the service on a repository, with more configuration.
    pub(super) fn call(self, protocol_header: Option<&str>, more: &[String]) -> Call {
        let mut settings = self.settings();
        settings.extend_from_slice(more);
        let call = Call::without_repository(self.command(), &settings).arg("--stateless-rpc");
        match protocol(protocol_header) {
            Some(version) => call.env("GIT_PROTOCOL", version),
            None => call,
        }
    }
}

impl Repository {
    /// The whole body of `GET …/info/refs?service=…`; `protocol_header` is the request's `Git-Protocol`, dropped where it
    /// is malformed.
    ///
    /// # Errors
    /// `git` failed, or the refs take more than 64 MiB.
    pub async fn advertise(&self, service: Service, protocol_header: Option<&str>) -> Result<Vec<u8>> {
        let call = service.call(protocol_header, &[]).arg("--advertise-refs").arg(self.path());
        let advertised = call.output().await?;
        // Version 2 answers a fetch with capabilities alone, without the announcement (gitprotocol-http, gitprotocol-v2).
        if advertised.starts_with(b"000eversion 2\n") {
            return Ok(advertised);
        }
        let mut body = Vec::with_capacity(advertised.len() + 64);
        packet::write(&mut body, format!("# service={}\n", service.name()).as_bytes());
        body.extend_from_slice(FLUSH);
        body.extend(advertised);
        Ok(body)
    }

    /// Serves `POST …/git-upload-pack`: feeds the request's body (already decoded where it came compressed) to `git` and
    /// hands back the answer's body to be streamed. Dropping the answer ends `git`.
    ///
    /// # Errors
    /// `git` did not start.
    pub fn upload_pack<R>(&self, protocol_header: Option<&str>, request: R) -> Result<Response>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let mut process = Service::UploadPack.call(protocol_header, &[]).arg(self.path()).start()?;
        let (stdin, stdout, stderr) = process.pipes()?;
        let complaint = tokio::spawn(async move {
            let text = read_head(stderr).await;
            if !text.is_empty() {
                tracing::debug!(message = text.trim(), "upload-pack complained");
            }
        });
        let feeding = tokio::spawn(feed(request, stdin));
        let deadline = Box::pin(sleep(FETCH_TIME_MAX));
        Ok(Response { stdout, deadline, tasks: [feeding, complaint], _process: process })
    }
}

/// A client that stops reading ends `git`, which ends this; what it sent by then does not matter.
async fn feed(mut request: impl AsyncRead + Unpin, mut stdin: ChildStdin) {
    let fed = tokio::io::copy(&mut request, &mut stdin).await;
    if let Err(error) = fed {
        tracing::debug!(%error, "fetch request ended early");
    }
    let _ = stdin.shutdown().await;
}

/// The body of an answer, read from a running `git`, which is ended where this is dropped early.
#[derive(Debug)]
pub struct Response {
    stdout: ChildStdout,
    deadline: Pin<Box<Sleep>>,
    tasks: [JoinHandle<()>; 2],
    _process: Process,
}

impl AsyncRead for Response {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
