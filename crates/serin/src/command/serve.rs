//! `serin serve`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serin_platform::{Host, Policy, Tls};
use serin_runner::Missing;
use serin_server::{App, DockerSettings, FirstStart, Settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::{Format, LogFormat, Serve};
use crate::executor::ExecutorFlags;
use crate::terminal::{self, BOLD, CYAN, styled};

/// Where HTTP is served where nothing else is said.
const LISTEN: &str = "127.0.0.1:8080";

/// `serin.toml` in the data folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<std::net::SocketAddr>,
    url: Option<String>,
    jobs: Option<usize>,
    log_format: Option<LogFormat>,
    #[serde(default)]
    runner: ExecutorFlags,
    #[serde(default)]
    docker: Docker,
}

/// The table `[docker]`: which hosts there are, and what nodes in containers may be given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    #[serde(default)]
    hosts: BTreeMap<String, DockerHost>,
    #[serde(default)]
    binds: BTreeSet<String>,
    #[serde(default)]
    networks: BTreeSet<String>,
}

/// One of `[docker.hosts]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DockerHost {
    url: String,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    address: Option<String>,
    ssh_config: Option<PathBuf>,
}

impl Docker {
    fn settings(self) -> Result<DockerSettings> {
        let host = |(name, host): (String, DockerHost)| {
            let tls = match (host.ca, host.cert, host.key) {
                (Some(ca), Some(cert), Some(key)) => Some(Tls { ca, cert, key }),
                (None, None, None) => None,
                _ => {
                    bail!("`docker.hosts.{name}` in `serin.toml` needs all of `ca`, `cert` and `key`, or none of them")
                }
            };
            Ok(Host { name, url: host.url, tls, address: host.address, ssh_config: host.ssh_config })
        };
        let hosts = self.hosts.into_iter().map(host).collect::<Result<_>>()?;
        Ok(DockerSettings { hosts, policy: Policy { binds: self.binds, networks: self.networks } })
    }
}

/// Serves until SIGTERM or Ctrl-C; nodes and gateway go on after that.
pub async fn run(flags: Serve) -> Result<ExitCode> {
    let file = read_file(&flags.data)?;
    log(flags.log_format.or(file.log_format).unwrap_or_default());
    let listen = match flags.listen.or(file.listen) {
        Some(listen) => listen,
        None => LISTEN.parse()?,
    };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let settings = Settings {
        data: std::path::absolute(&flags.data)?,
        listen,
        url: flags.url.or(file.url),
        concurrent_jobs: flags.jobs.or(file.jobs).unwrap_or(cores),
        containers: flags.executor.or(file.runner).settings(Missing::Fail),
        docker: file.docker.settings()?,
        program: std::env::current_exe()?,
    };
    let (app, first) = App::start(settings).await?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    app.run(format!("http://{address}")).await?;
    tell(&app, first.as_ref(), flags.format)?;
    let router = serin_server::api::router().merge(serin_web::router()).with_state(Arc::clone(&app));
    axum::serve(listener, router).with_graceful_shutdown(stop_asked()?).await?;
    tracing::info!("stopping; nodes and gateway go on");
    app.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn read_file(data: &Path) -> Result<File> {
    let path = data.join("serin.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("`{}` is not understood", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Sets the log up, to standard error; `SERIN_LOG` chooses what is logged.
pub fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SERIN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Set twice only in tests, where the first one stays.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn tell(app: &App, first: Option<&FirstStart>, format: Format) -> Result<()> {
    let url = app.url();
    if format == Format::Json {
        let line = serde_json::json!({
            "url": url,
            "username": first.map(|first| &first.username),
            "token": first.map(|first| &first.token),
            "login": first.map(|first| format!("{url}{}", first.login_path)),
        });
        terminal::line(&serde_json::to_string(&line)?);
        return Ok(());
    }
    terminal::line(&format!("Serin serves on {}", styled(CYAN, url)));
    if let Some(first) = first {
        terminal::line(&format!(
            "\nThis is the first start. The account {} was made:\n  log in once   {}\n  token         {}\n\n\
             Both are shown this once.",
            styled(BOLD, &first.username),
            styled(CYAN, &format!("{url}{}", first.login_path)),
            first.token
        ));
    }
    Ok(())
}

fn stop_asked() -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
