//! An engine behind `ssh`: each connection is `docker system dial-stdio` on the host, as Docker's own client does it.
//!
//! `ssh` is started without a shell, asks nobody anything, and knows hosts and keys by the user's configuration.

use bollard::errors::Error as DockerError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Seconds that a connection may take.
const CONNECT_TIMEOUT: &str = "ConnectTimeout=5";
/// Ends a connection whose host is gone: after two questions without an answer, 2 seconds apart.
const ALIVE: [&str; 2] = ["ServerAliveInterval=2", "ServerAliveCountMax=2"];

/// Where `ssh` goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    destination: String,
    port: Option<u16>,
    config: Option<PathBuf>,
}

impl Target {
    /// Reads `[USER@]HOST[:PORT]`.
    pub(super) fn parse(text: &str, config: Option<PathBuf>) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let (destination, port) = match text.rsplit_once(':') {
            Some((destination, port)) => (destination, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '@' | '.' | '-' | '_');
        let is_good = !destination.is_empty() && !destination.starts_with('-') && destination.chars().all(letters);
        is_good.then(|| Self { destination: destination.to_owned(), port, config })
    }

    /// A client of the engine there.
    pub(super) fn client(self, timeout_s: u64) -> Result<Docker, DockerError> {
        let dialer = tower::service_fn(move |_: Uri| Box::pin(dial(self.command())));
        let client = Arc::new(Client::builder(TokioExecutor::new()).build(dialer));
        let transport = move |request: BollardRequest| {
            let client = Arc::clone(&client);
            async move { client.request(request).await.map_err(DockerError::from) }
        };
        Docker::connect_with_custom_transport(transport, Some("http://engine"), timeout_s, API_DEFAULT_VERSION)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", CONNECT_TIMEOUT]);
        for option in ALIVE {
            command.args(["-o", option]);
        }
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.destination, "docker", "system", "dial-stdio"]);
        command
    }
}

async fn dial(mut command: Command) -> io::Result<TokioIo<Dialed>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let both = child.stdout.take().zip(child.stdin.take());
    let (output, input) = both.ok_or_else(|| io::Error::other("`ssh` has no pipes"))?;
    Ok(TokioIo::new(Dialed { output, input, _child: child }))
}

/// One connection; `ssh` ends with it.
struct Dialed {
    output: ChildStdout,
    input: ChildStdin,
    _child: Child,
}

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let read = Target::parse(text, None);
        let read = read.as_ref().map(|target| (target.destination.as_str(), target.port));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn destinations() {
        check("blue", Some(("blue", None)));
        check("deploy@blue.example.org:2222/", Some(("deploy@blue.example.org", Some(2222))));
        for wrong in ["", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a:b", ":22"] {
            check(wrong, None);
        }
    }

    #[test]
    fn nothing_is_read_as_a_flag() {
        let target = Target::parse("blue", None).unwrap();
        let command = target.command();
        let words: Vec<_> = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words[words.len() - 5..], ["--", "blue", "docker", "system", "dial-stdio"]);
    }
}
