//! An engine that loses the reader of a log: the stream stays open and silent.

use crate::containers::{World, container, docker};
use crate::world::{is_healthy, key, poll, wait};
use serin_model::service::LogFormat;
use serin_platform::{Engine, Host, NodeSpec, Platform, Policy};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

/// Stands before the engine, and keeps silent to the readers of logs that are to hear nothing.
struct Relay {
    path: PathBuf,
    readers: Arc<Readers>,
}

#[derive(Default)]
struct Readers {
    begun: AtomicUsize,
    /// So many of them, the first ones, hear nothing any more.
    deaf: AtomicUsize,
}

impl Relay {
    fn start(dir: &Path) -> Self {
        let path = dir.join("relay.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let readers = Arc::<Readers>::default();
        let shared = Arc::clone(&readers);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let readers = Arc::clone(&shared);
                tokio::spawn(async move {
                    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
                    let engine = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
                    let engine = UnixStream::connect(engine).await.unwrap();
                    let ((from_client, to_client), (from_engine, to_engine)) =
                        (client.into_split(), engine.into_split());
                    let number = Arc::new(AtomicUsize::new(usize::MAX));
                    tokio::select! {
                        () = ask(from_client, to_engine, (&readers, &number)) => {}
                        () = answer(from_engine, to_client, (&readers, &number)) => {}
                    }
                });
            }
        });
        Self { path, readers }
    }

    /// Whoever reads a log now hears nothing any more.
    fn deafen(&self) {
        self.readers.deaf.store(self.readers.begun.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

type Shared<'a> = (&'a Readers, &'a AtomicUsize);

async fn ask(mut client: OwnedReadHalf, mut engine: OwnedWriteHalf, (readers, number): Shared<'_>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        if String::from_utf8_lossy(&buffer[..length]).contains("/logs?follow=true") {
            number.store(readers.begun.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        }
        if engine.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn answer(mut engine: OwnedReadHalf, mut client: OwnedWriteHalf, (readers, number): Shared<'_>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = engine.read(&mut buffer).await {
        let is_deaf = number.load(Ordering::SeqCst) < readers.deaf.load(Ordering::SeqCst);
        if !is_deaf && client.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn what_a_lost_reader_was_not_told_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path());
    let url = format!("unix://{}", relay.path.display());
    let host = Host { name: "deaf".to_owned(), url, tls: None, address: None, ssh_config: None };
    let world = World::on(Engine::open(&host).await.unwrap(), Policy::default()).await;
    let platform = world.platform();
    let step = |name: &str| format!("until busybox test -e /{name}; do busybox sleep 0.1; done");
    // More than the engine keeps.
    let flood = format!("busybox yes 'INFO {}' | busybox head -c 20971520", "x".repeat(1000));
    let line = format!(
        "busybox httpd -p $PORT -h /www; echo one; {}; {flood}; echo; echo WARN done; {}; \
         for number in 1 2 3; do echo ERROR $number; echo INFO $number >&2; done; exec busybox sleep 600",
        step("flood"),
        step("quiet")
    );
    platform.apply(&NodeSpec { logs: LogFormat::Text, ..container(&line, 1) }).await.unwrap();
    wait(platform, "a-1", is_healthy).await;
    poll(platform, "a-1", |seen| seen.usage.log_lines == 1).await;
    let id = world.container();

    relay.deafen();
    docker(&["exec", &id, "busybox", "touch", "/flood"]);
    let flooded = poll(platform, "a-1", |seen| seen.usage.log_warn > 0).await.usage;
    assert_eq!((flooded.log_warn, flooded.log_error), (1, 0));
    assert!(flooded.log_lines > 1_000 && flooded.log_lines < 21_000, "{flooded:?}");

    relay.deafen();
    docker(&["exec", &id, "busybox", "touch", "/quiet"]);
    let quiet = poll(platform, "a-1", |seen| seen.usage.log_lines >= flooded.log_lines + 6).await.usage;
    assert_eq!((quiet.log_lines, quiet.log_warn, quiet.log_error), (flooded.log_lines + 6, 1, 3));
    assert_eq!(platform.logs(&key("a-1"), 6).await.unwrap().len(), 6);
    world.end().await;
}
