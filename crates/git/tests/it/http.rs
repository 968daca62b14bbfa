//! Just enough HTTP/1.1 for the `git` client: one request per connection, bodies by length or in chunks.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use serin_git::{Push, ReceivePolicy, RefOutcome, Refusal, Repository, Service, drain, read_push, rejection};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// What the server does with pushes, and what it saw of them.
#[derive(Default)]
pub struct Rules {
    pub policy: ReceivePolicy,
    pub refusals: Vec<Refusal>,
    pub messages: Vec<String>,
    pub pushes: Mutex<Vec<Push>>,
    pub outcomes: Mutex<Vec<RefOutcome>>,
}

/// Serves the repository until the test's runtime ends, and hands back its address.
pub async fn serve(repository: Repository, rules: Rules) -> (String, Arc<Rules>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = format!("http://{}/1.git", listener.local_addr().unwrap());
    let rules = Arc::new(rules);
    let seen = Arc::clone(&rules);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, repository.clone(), Arc::clone(&rules)));
        }
    });
    (address, seen)
}

struct Request {
    target: String,
    protocol: Option<String>,
    length: Option<u64>,
}

async fn answer(stream: TcpStream, repository: Repository, rules: Arc<Rules>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = head(&mut read, &mut write).await;
    let protocol = request.protocol.as_deref();
    if let Some(service) = request.target.strip_prefix("/1.git/info/refs?service=") {
        let service = Service::parse(service).unwrap();
        let body = repository.advertise(service, protocol).await.unwrap();
        start(&mut write, &format!("application/x-{}-advertisement", service.name())).await;
        write.write_all(&body).await.unwrap();
    } else if request.target.ends_with("/git-upload-pack") {
        let mut response = repository.upload_pack(protocol, body(read, request.length)).unwrap();
        start(&mut write, "application/x-git-upload-pack-result").await;
        let _ = tokio::io::copy(&mut response, &mut write).await;
    } else {
        let mut body = body(read, request.length);
        let answer = receive(&repository, &rules, &mut body).await;
        start(&mut write, "application/x-git-receive-pack-result").await;
        write.write_all(&answer).await.unwrap();
    }
    let _ = write.shutdown().await;
}

async fn receive(repository: &Repository, rules: &Rules, body: &mut Pin<Box<dyn AsyncRead + Send>>) -> Vec<u8> {
    let push = read_push(body).await.unwrap();
    if push.commands.is_empty() {
        return Vec::new();
    }
    rules.pushes.lock().unwrap().push(push.clone());
    let mut refusals = push.unacceptable();
    refusals.extend(rules.refusals.clone());
    refusals.retain(|refusal| push.commands.iter().any(|command| command.name == refusal.name));
    if !refusals.is_empty() {
        drain(body).await;
        return rejection(&push, &refusals, &rules.messages);
    }
    let pack = repository.spool(body, u64::MAX).await.unwrap();
    let received = repository.receive(&push, pack, &rules.policy).await.unwrap();
    rules.outcomes.lock().unwrap().extend(received.outcomes.clone());
    received.finish(&rules.messages)
}

async fn start(write: &mut OwnedWriteHalf, kind: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    write.write_all(head.as_bytes()).await.unwrap();
}

async fn head(read: &mut BufReader<OwnedReadHalf>, write: &mut OwnedWriteHalf) -> Request {
    let mut request = Request { target: String::new(), protocol: None, length: Some(0) };
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            return request;
        }
        match line.split_once(": ") {
            None => request.target = line.split(' ').nth(1).unwrap().to_owned(),
            Some((name, value)) => match name.to_ascii_lowercase().as_str() {
                "git-protocol" => request.protocol = Some(value.to_owned()),
                "content-length" => request.length = Some(value.parse().unwrap()),
                "transfer-encoding" => request.length = None,
                "content-encoding" => panic!("a compressed request is beyond this server"),
                "expect" => write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap(),
                _ => {}
            },
        }
    }
}

fn body(read: BufReader<OwnedReadHalf>, length: Option<u64>) -> Pin<Box<dyn AsyncRead + Send>> {
    match length {
        Some(length) => Box::pin(read.take(length)),
        None => {
            let (ours, theirs) = duplex(64 << 10);
            tokio::spawn(unchunk(read, ours));
            Box::pin(theirs)
        }
    }
}

async fn unchunk(mut read: BufReader<OwnedReadHalf>, mut to: DuplexStream) {
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.unwrap();
        let size = u64::from_str_radix(line.trim(), 16).unwrap();
        if size == 0 {
            return;
        }
        tokio::io::copy(&mut (&mut read).take(size), &mut to).await.unwrap();
        read.read_line(&mut line).await.unwrap();
    }
}
