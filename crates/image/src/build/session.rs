//! A session with BuildKit: the engine asks for secrets and logins over it, as it needs them, and keeps none.
//!
//! The connection is turned round (`POST /session`, upgraded to `h2c`): the engine is the gRPC client on it, and this side
//! answers. Three calls exist: a secret by its id, a login by its host, and whether this side is alive.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioExecutor;
use prost::Message;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::task::AbortHandle;

use super::proto::{Credentials, Data, Health, Named};
use super::{ImageBuild, chain, nothing};
use crate::address::Address;
use crate::{Error, Logins, Secret};

const ATTEMPT: &str = "open a session for the build";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const LOGIN: &str = "/moby.filesync.v1.Auth/Credentials";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// Bytes of a question.
const QUESTION_BYTES_MAX: usize = 64 << 10;
/// `SERVING` (grpc.health.v1).
const SERVING: i32 = 1;
/// Status codes of gRPC.
const OK: u8 = 0;
const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;

/// A session that is open as long as this lives.
pub(super) struct Session {
    id: String,
    served: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.served.abort();
    }
}

struct Giver {
    secrets: HashMap<String, Secret>,
    logins: Logins,
}

type Answer = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

impl Session {
    pub(super) async fn open(address: &Address, build: &ImageBuild) -> Result<Self, Error> {
        let failed = |error: &dyn std::error::Error| Error::said(ATTEMPT, &chain(error));
        let id = random_id()?;
        let mut request = Request::post("/session")
            .header(hyper::header::HOST, "docker")
            .header(hyper::header::CONNECTION, "Upgrade")
            .header(hyper::header::UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "serin")
            .header("X-Docker-Expose-Session-Sharedkey", "");
        for method in [SECRET, LOGIN, HEALTH] {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let request = request.body(nothing()).map_err(|error| failed(&error))?;
        let mut connection = address.open().await?;
        let answer = connection.send_request(request).await.map_err(|error| failed(&error))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::said(ATTEMPT, &format!("it answered {}", answer.status())));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| failed(&error))?;
        let secrets = build.secrets.iter().cloned().collect();
        let giver = Arc::new(Giver { secrets, logins: build.logins.clone() });
        let service = hyper::service::service_fn(move |request| answer_to(request, Arc::clone(&giver)));
        let serving =
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(upgraded, service);
        let served = tokio::spawn(async move {
            // The build's own connection tells what went wrong.
            let _ = serving.await;
        });
        Ok(Self { id, served: served.abort_handle() })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// An identifier that nobody guesses.
pub(super) fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::said(ATTEMPT, "there are no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn answer_to(request: Request<Incoming>, giver: Arc<Giver>) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = Limited::new(request.into_body(), QUESTION_BYTES_MAX).collect().await;
    let result = match body.ok().and_then(|body| question(&body.to_bytes())) {
        Some(question) => giver.answer(&path, &question),
        None => Err(INVALID_ARGUMENT),
    };
    let (data, code) = match result {
        Ok(message) => (Some(framed(&message)), OK),
        Err(code) => (None, code),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    let frames: Vec<_> = data.map(Frame::data).into_iter().chain([Frame::trailers(trailers)]).map(Ok).collect();
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

impl Giver {
    fn answer(&self, path: &str, question: &Named) -> Result<Vec<u8>, u8> {
        match path {
            HEALTH => Ok(Health { status: SERVING }.encode_to_vec()),
            SECRET => {
                let secret = self.secrets.get(&question.name).ok_or(NOT_FOUND)?;
                Ok(Data { data: secret.reveal().as_bytes().to_vec() }.encode_to_vec())
            }
            LOGIN => {
                let login = self.logins.of_host(&question.name);
                let login = login.map(|login| (login.user.clone(), login.password.reveal().to_owned()));
                let (user, password) = login.unwrap_or_default();
                Ok(Credentials { user, password }.encode_to_vec())
            }
            _ => Err(UNIMPLEMENTED),
        }
    }
}

/// The message of a call (gRPC over HTTP/2, "Length-Prefixed-Message"), none of which is compressed.
fn question(body: &[u8]) -> Option<Named> {
    let (head, message) = body.split_at_checked(5)?;
    let length = usize::try_from(u32::from_be_bytes(head[1..].try_into().ok()?)).ok()?;
    if head[0] != 0 || message.len() != length {
        return None;
    }
    Named::decode(message).ok()
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Login;

    #[test]
    fn only_what_was_given_is_told() {
        let mut logins = Logins::default();
        logins.add("registry.example", Login { user: "dana".into(), password: Secret::new("p") });
        let giver = Giver { secrets: HashMap::from([("token".into(), Secret::new("geheim"))]), logins };
        let ask = |path, name: &str| giver.answer(path, &Named { name: name.into() });
        assert_eq!(Data::decode(ask(SECRET, "token").unwrap().as_slice()).unwrap().data, b"geheim");
        assert_eq!(ask(SECRET, "other"), Err(NOT_FOUND));
        assert_eq!(ask("/moby.filesync.v1.FileSync/DiffCopy", ""), Err(UNIMPLEMENTED));
        let login = |host| Credentials::decode(ask(LOGIN, host).unwrap().as_slice()).unwrap().user;
        assert_eq!((login("registry.example").as_str(), login("evil.example").as_str()), ("dana", ""));
    }

    #[test]
    fn questions_are_framed() {
        let message = Named { name: "a".into() };
        assert_eq!(question(&framed(&message.encode_to_vec())), Some(message));
        for wrong in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x09a", b"\0\xff\xff\xff\xffa"] {
            assert_eq!(question(wrong), None);
        }
    }
}
