//! What happens to one request: pick, forward, repeat elsewhere or give up, count.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{Method, RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::table::{Attempt, Environment, Failure, Tried};
use crate::upgrade;

/// How many nodes a request is handed to at most.
pub(crate) const ATTEMPTS_MAX: usize = 3;
/// How long a connection to a node may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may send nothing while its answer is waited for.
const NODE_SILENCE_MAX: Duration = Duration::from_secs(120);
/// How long a client may neither send of its body nor take of the answer.
const CLIENT_SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long streams (WebSocket, server-sent events) may be silent.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(3600);
/// How long an unused connection to a node is kept: shorter than what servers usually keep it (5 s and more), so that a
/// request rarely meets one that is just being closed.
const NODE_IDLE_MAX: Duration = Duration::from_secs(4);
/// How long a client that met no node should wait, in seconds.
const RETRY_AFTER_SECONDS: u32 = 1;
/// Sets the pool of connections for upgrades apart.
const UPGRADE_GROUP: u64 = 1 << 63;
/// Response fields that end at this hop; pingora sets its own `Connection`.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "te", "upgrade"];

/// The proxy of one environment.
pub(crate) struct Edge {
    environment: Arc<Environment>,
}

/// One request on its way.
#[derive(Default)]
pub(crate) struct Exchange {
    attempt: Option<Attempt>,
    tried: Tried,
    /// A fresh connection broke before any answer: repeated once, lest a request that kills nodes kills three.
    broke_fresh: bool,
}

impl Edge {
    pub(crate) fn new(environment: Arc<Environment>) -> Self {
        Self { environment }
    }
}

impl Exchange {
    fn fail(&mut self, failure: Failure) {
        if let Some(attempt) = self.attempt.take() {
            attempt.finish(Some(failure));
        }
    }

    fn answer_began(&self) -> bool {
        self.attempt.as_ref().is_some_and(Attempt::has_header)
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::default()
    }

    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, _exchange: &mut Exchange) -> Result<()> {
        let silence = if is_stream(session) { STREAM_SILENCE_MAX } else { CLIENT_SILENCE_MAX };
        session.set_read_timeout(Some(silence));
        session.set_write_timeout(Some(CLIENT_SILENCE_MAX));
        session.set_total_drain_timeout(Some(CLIENT_SILENCE_MAX));
        Ok(())
    }

    /// Takes the first node; without one the answer is given here, which keeps the client's connection.
    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        exchange.attempt = self.environment.pick(&exchange.tried);
        if exchange.attempt.is_none() {
            self.environment.unrouted.fetch_add(1, Ordering::Relaxed);
            Answer::NO_NODE.send(session).await?;
        }
        Ok(exchange.attempt.is_none())
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        let next = exchange.attempt.take().or_else(|| self.environment.pick(&exchange.tried));
        let attempt = next.ok_or_else(|| Error::new_up(ErrorType::HTTPStatus(502)))?;
        exchange.tried.add(&attempt);
        let mut peer = HttpPeer::new(attempt.address, false, String::new());
        peer.group_key = attempt.node.id;
        let silence = if is_stream(session) { STREAM_SILENCE_MAX } else { NODE_SILENCE_MAX };
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.read_timeout = Some(silence);
        peer.options.write_timeout = Some(CLIENT_SILENCE_MAX);
        peer.options.idle_timeout = Some(NODE_IDLE_MAX);
        if session.is_upgrade_req() {
            // One bit more than any node's id: a connection made in this way is never another request's.
            peer.group_key |= UPGRADE_GROUP;
            peer.options.idle_timeout = Some(Duration::ZERO);
            peer.options.custom_l4 = Some(Arc::new(upgrade::Connector { limit: CONNECT_TIMEOUT }));
        }
        exchange.attempt = Some(attempt);
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _exchange: &mut Exchange,
    ) -> Result<()> {
        set_forwarded(session, request)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if let (Some(attempt), Some(body)) = (&exchange.attempt, body) {
            attempt.sent(body.len());
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let status = response.status.as_u16();
        if let Some(attempt) = &mut exchange.attempt
            && (status == 101 || status >= 200)
        {
            attempt.header(status);
            if has_no_body(session, status) {
                attempt.end_of_answer();
            }
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        if let Some(attempt) = &mut exchange.attempt {
            attempt.received(body.as_ref().map_or(0, Bytes::len));
            if end_of_stream {
                attempt.end_of_answer();
            }
        }
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if self.environment.is_ending() {
            session.set_keepalive(None);
        }
        if response.status.as_u16() != 101 {
            for name in HOP_BY_HOP {
                response.remove_header(name);
            }
        }
        if let Some(attempt) = exchange.attempt.as_ref().filter(|_| self.environment.shows_node()) {
            let node = format!("{}/{}", attempt.node.name, attempt.node.generation);
            response.insert_header("X-Serin-Node", node.into_bytes())?;
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        exchange.fail(Failure::Connect);
        error.set_retry(true);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        reused: bool,
    ) -> Box<Error> {
        let failure = failure_of(&error);
        let retry = may_repeat(session, &error, exchange, failure, reused);
        exchange.broke_fresh |= retry && !reused;
        exchange.fail(failure);
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        exchange.fail(failure_of(error));
        let answer = Answer::to(error);
        let begun = session.response_written().is_some_and(|response| !response.status.is_informational());
        let sent = match answer {
            Some(answer) if !begun => answer.send(session).await.is_ok(),
            _ => false,
        };
        FailToProxy {
            error_code: answer.filter(|_| sent).map_or(0, |answer| answer.status),
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, _session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        if let Some(attempt) = exchange.attempt.take() {
            attempt.finish(error.map(failure_of));
        }
        if let Some(error) = error {
            tracing::debug!(environment = %self.environment.key, %error, "request failed");
        }
    }

    fn suppress_error_log(&self, _session: &Session, _exchange: &Exchange, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _exchange: &Exchange,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// What the gateway itself says to a client.
#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    text: &'static str,
}

impl Answer {
    const NO_NODE: Self = Self { status: 503, text: "no node of this environment takes requests at the moment\n" };

    /// Gives the answer to a failure; `None`: the client is gone.
    fn to(error: &Error) -> Option<Self> {
        let (status, text) = match (error.etype(), error.esource()) {
            (ErrorType::ReadTimedout, ErrorSource::Downstream) => (408, "the request body stopped coming\n"),
            (ErrorType::InvalidHTTPHeader, ErrorSource::Downstream) => (400, "the request is malformed\n"),
            (_, ErrorSource::Downstream) => return None,
            (ErrorType::ReadTimedout | ErrorType::WriteTimedout, _) => (504, "the node took too long to answer\n"),
            _ => (502, "the node could not be reached or broke off\n"),
        };
        Some(Self { status, text })
    }

    async fn send(self, session: &mut Session) -> Result<()> {
        let mut response = ResponseHeader::build(self.status, Some(4))?;
        response.insert_header("Content-Type", "text/plain; charset=utf-8")?;
        response.insert_header("Content-Length", self.text.len())?;
        response.insert_header("Cache-Control", "no-store")?;
        if self.status == 503 {
            response.insert_header("Retry-After", RETRY_AFTER_SECONDS)?;
        } else {
            session.set_keepalive(None);
        }
        let head = session.req_header().method == Method::HEAD;
        session.as_downstream_mut().write_response_header(Box::new(response)).await?;
        if head {
            return Ok(());
        }
        session.as_downstream_mut().write_response_body(Bytes::from_static(self.text.as_bytes()), true).await
    }
}

/// Overwrites what clients may not claim about themselves.
fn set_forwarded(session: &Session, request: &mut RequestHeader) -> Result<()> {
    request.remove_header("Forwarded");
    request.remove_header("X-Real-IP");
    match session.client_addr().and_then(|address| address.as_inet()) {
        Some(address) => request.insert_header("X-Forwarded-For", address.ip().to_canonical().to_string())?,
        None => drop(request.remove_header("X-Forwarded-For")),
    }
    request.insert_header("X-Forwarded-Proto", "http")?;
    match session.req_header().headers.get("host") {
        Some(host) => request.insert_header("X-Forwarded-Host", host.clone()),
        None => {
            request.remove_header("X-Forwarded-Host");
            Ok(())
        }
    }
}

/// Tells who is at fault.
fn failure_of(error: &Error) -> Failure {
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Failure::Timeout,
        (ErrorSource::Upstream, _) => Failure::Reset,
        _ => Failure::Client,
    }
}

/// Decides whether another node may get the request after a connection to one broke.
fn may_repeat(session: &Session, error: &Error, exchange: &Exchange, failure: Failure, reused: bool) -> bool {
    if failure != Failure::Reset || exchange.answer_began() || session.as_ref().retry_buffer_truncated() {
        return false;
    }
    let broke_off = matches!(error.etype(), ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed);
    let safe = is_idempotent(&session.req_header().method) || header_never_left(error);
    broke_off && safe && (reused || !exchange.broke_fresh)
}

/// RFC 9110, section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE].contains(method)
}

/// A header that could not be written whole was never a request to the node.
fn header_never_left(error: &Error) -> bool {
    *error.etype() == ErrorType::WriteError
        && error.context.as_ref().is_some_and(|context| context.as_str().starts_with("while writing request headers"))
}

/// Says whether long silences are in the nature of the request.
fn is_stream(session: &Session) -> bool {
    let accepts_events = session
        .req_header()
        .headers
        .get("accept")
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/event-stream")));
    accepts_events || session.is_upgrade_req()
}

fn has_no_body(session: &Session, status: u16) -> bool {
    session.req_header().method == Method::HEAD || matches!(status, 204 | 304)
}
