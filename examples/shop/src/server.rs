//! Carries requests to the app: one thread a connection, an orderly end on SIGTERM.

use crate::app::App;
use crate::http::{Fault, Response, read_request};
use crate::log;
use std::ffi::c_int;
use std::io::{self, BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Connections at a time; a further one is closed.
const CONNECTIONS_MAX: usize = 512;
/// Stack of a connection's thread.
const STACK_BYTES: usize = 256 * 1024;
/// How long a connection may be silent between requests, and within one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in flight may take once the service has to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// A request slower than this is worth a warning.
const SLOW: Duration = Duration::from_millis(500);

/// The listening service.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    app: Arc<App>,
    connections: AtomicUsize,
    stopping: AtomicBool,
    in_flight: Mutex<usize>,
    landed: Condvar,
}

impl Server {
    /// Listens on that port of every address; 0 takes a free one.
    pub fn bind(port: u16, app: Arc<App>) -> io::Result<Self> {
        let shared = Shared {
            app,
            connections: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            in_flight: Mutex::new(0),
            landed: Condvar::new(),
        };
        Ok(Self {
            listener: TcpListener::bind(("0.0.0.0", port))?,
            shared: Arc::new(shared),
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener
            .local_addr()
            .map_or(0, |address| address.port())
    }

    /// Makes SIGTERM end [`Server::run`].
    pub fn stop_on_sigterm(&self) {
        signals::shut_down_on_sigterm(self.listener.as_raw_fd());
    }

    /// Serves until the listener is shut down, then lets requests in flight finish.
    pub fn run(self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.serve(stream),
                Err(_) if signals::is_stopping() => break,
                Err(error) => {
                    log::error("cannot accept a connection", &[("error", &error)]);
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(self.listener);
        self.shared.wait_until_landed();
    }

    fn serve(&self, stream: TcpStream) {
        let shared = Arc::clone(&self.shared);
        if shared.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            shared.connections.fetch_sub(1, Ordering::SeqCst);
            log::warn("too many connections", &[("limit", &CONNECTIONS_MAX)]);
            return;
        }
        let talk = move || {
            // The other side went away: its own affair.
            let _ = shared.talk(stream);
            shared.connections.fetch_sub(1, Ordering::SeqCst);
        };
        if thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(talk)
            .is_err()
        {
            self.shared.connections.fetch_sub(1, Ordering::SeqCst);
            log::error("cannot start a thread", &[]);
        }
    }
}

impl Shared {
    /// Answers one request after the other.
    fn talk(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
            if reader.fill_buf()?.is_empty() {
                return Ok(());
            }
            stream.set_read_timeout(Some(READ_TIMEOUT))?;
            let _flight = Flight::begin(self);
            if !self.answer(&mut reader, &mut stream)? {
                return Ok(());
            }
        }
    }

    /// Answers one request; false where the connection has to end.
    fn answer(&self, reader: &mut impl BufRead, stream: &mut TcpStream) -> io::Result<bool> {
        let (response, wants_more, what) = match read_request(reader) {
            Err(Fault::Closed) => return Ok(false),
            Err(Fault::Refused(status)) => (
                Response::json(status, r#"{"error":"this request is not understood"}"#),
                false,
                String::new(),
            ),
            Ok(request) => {
                let began = Instant::now();
                let response = self.app.respond(&request);
                let what = format!("{} {}", request.method, request.path);
                if began.elapsed() > SLOW {
                    log::warn(
                        "slow request",
                        &[("request", &what), ("ms", &began.elapsed().as_millis())],
                    );
                }
                (response, request.keep_alive, what)
            }
        };
        let keep_alive = wants_more && !self.stopping.load(Ordering::SeqCst);
        if what != "GET /healthz" {
            log::info(
                "request",
                &[("request", &what), ("status", &response.status)],
            );
        }
        response.write(stream, keep_alive)?;
        Ok(keep_alive)
    }

    fn wait_until_landed(&self) {
        let count = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .landed
            .wait_timeout_while(count, STOP_TIMEOUT, |count| *count > 0);
        let left = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if left > 0 {
            log::warn("stopped with requests in flight", &[("requests", &left)]);
        }
    }
}

/// A request in flight.
struct Flight<'a>(&'a Shared);

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared) -> Self {
        *shared
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
        Self(shared)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        *self
            .0
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.landed.notify_all();
    }
}

/// SIGTERM, by the C library that the standard library stands on.
mod signals {
    use super::{AtomicBool, AtomicI32, Ordering, c_int};

    const SIGTERM: c_int = 15;
    const SHUT_RDWR: c_int = 2;

    static LISTENER: AtomicI32 = AtomicI32::new(-1);
    static IS_STOPPING: AtomicBool = AtomicBool::new(false);

    unsafe extern "C" {
        fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
        fn shutdown(socket: c_int, how: c_int) -> c_int;
    }

    /// Makes SIGTERM shut the listening socket down, which ends a blocked accept.
    pub(super) fn shut_down_on_sigterm(listener: c_int) {
        LISTENER.store(listener, Ordering::SeqCst);
        // SAFETY: the handler only stores an atomic and calls shutdown(2), both safe in a signal handler.
        unsafe { signal(SIGTERM, on_sigterm) };
    }

    pub(super) fn is_stopping() -> bool {
        IS_STOPPING.load(Ordering::SeqCst)
    }

    extern "C" fn on_sigterm(_: c_int) {
        IS_STOPPING.store(true, Ordering::SeqCst);
        // SAFETY: shutdown(2) takes any number; the listener is open until `run` has seen the signal.
        unsafe { shutdown(LISTENER.load(Ordering::SeqCst), SHUT_RDWR) };
    }
}
