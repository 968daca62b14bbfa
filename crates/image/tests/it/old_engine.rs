//! An engine without BuildKit, as far as a build talks to one.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serin_image::{Builder, ImageBuild, Secret};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// What it was asked: addresses, and the bytes that came along.
type Asked = Arc<Mutex<Vec<(String, usize)>>>;

const BUILT: &str = "{\"stream\":\"Step 1/1 : FROM scratch\\n\"}\n{\"aux\":{\"ID\":\"sha256:00\"}}\n";

async fn answer(request: Request<Incoming>, asked: Asked) -> Result<Response<Full<Bytes>>, Infallible> {
    let address = request.uri().to_string();
    let body = request.into_body().collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
    let text = if address.contains("/version") {
        r#"{"ApiVersion": "1.38", "Os": "linux", "Version": "18.06", "MinAPIVersion": "1.12"}"#
    } else {
        BUILT
    };
    asked.lock().unwrap().push((address, body));
    Ok(Response::new(Full::from(text)))
}

fn play(socket: &Path) -> Asked {
    let asked = Asked::default();
    let (listener, noted) = (UnixListener::bind(socket).unwrap(), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&noted);
            let service = service_fn(move |request| answer(request, Arc::clone(&asked)));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    asked
}

#[tokio::test]
async fn it_builds_with_its_own_builder_and_gets_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let asked = play(&socket);
    let builder = Builder::at(&format!("unix://{}", socket.display())).await.unwrap();
    assert!(!builder.has_buildkit());
    let context = folder.path().join("context.tar");
    std::fs::write(&context, [0; 1024]).unwrap();
    let (sender, mut lines) = mpsc::channel(16);
    let build = ImageBuild { dockerfile: "Dockerfile".into(), tag: "a:1".into(), ..ImageBuild::default() };
    assert_eq!(builder.build(&build, &context, &sender).await.unwrap(), "sha256:00");
    assert_eq!(lines.recv().await.unwrap(), "Step 1/1 : FROM scratch");
    let (address, bytes) = asked.lock().unwrap().last().cloned().unwrap();
    assert!(address.starts_with("/build?") && !address.contains("version=2"), "{address}");
    assert_eq!(bytes, 1024);

    let before = asked.lock().unwrap().len();
    let secret = ImageBuild { secrets: vec![("a".into(), Secret::new("geheim"))], ..build };
    let refused = builder.build(&secret, &context, &sender).await.unwrap_err().to_string();
    assert!(refused.contains("BuildKit"), "{refused}");
    assert_eq!(asked.lock().unwrap().len(), before, "it was asked all the same");
}
