//! The running gateway: puts tables in force, opens and closes listeners.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::listener::{Door, Listening};
use crate::proxy::{ATTEMPTS_MAX, Edge};
use crate::state_file::{self, State};
use crate::table::Environment;
use crate::{Applied, EnvironmentRoutes, Error, Info, ListenFailure, Routes, Stats};

/// Most connections of clients at a time, over all environments.
const CONNECTIONS_MAX: u32 = 8_192;
/// Unused connections kept to the nodes of one environment.
const NODE_CONNECTIONS_KEPT: usize = 128;
/// Where environments without an address of their own listen.
const FREE_LOOPBACK_PORT: &str = "127.0.0.1:0";

/// The gateway of one folder.
pub(crate) struct Gateway {
    dir: PathBuf,
    started_ms: i64,
    connections: Arc<Semaphore>,
    configuration: Arc<ServerConf>,
    /// Held over a whole change of the table; readers take `served` only.
    changing: tokio::sync::Mutex<State>,
    served: Mutex<BTreeMap<String, Served>>,
    revision: watch::Sender<u64>,
}

/// An environment that is served.
struct Served {
    environment: Arc<Environment>,
    proxy: Arc<HttpProxy<Edge>>,
    stop: watch::Sender<bool>,
    asked: Option<String>,
    listening: Result<Listening, ListenFailure>,
}

/// A listener opened for a table that is not yet in force.
type Opened = BTreeMap<String, Result<(TcpListener, SocketAddr), ListenFailure>>;

impl Gateway {
    /// Makes a gateway that serves what the folder holds.
    pub(crate) async fn load(dir: PathBuf) -> Result<Arc<Self>, Error> {
        let state = state_file::load(&dir)?;
        let gateway = Arc::new(Self {
            dir,
            started_ms: now_ms(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX as usize)),
            configuration: Arc::new(configuration()),
            changing: tokio::sync::Mutex::default(),
            served: Mutex::default(),
            revision: watch::Sender::new(state.routes.revision),
        });
        gateway.resume(state).await?;
        Ok(gateway)
    }

    async fn resume(&self, state: State) -> Result<(), Error> {
        let mut current = self.changing.lock().await;
        let opened = self.open(&state.routes, &state.ports).await;
        let next = with_ports(&state, &state.routes, &opened);
        if next != state {
            state_file::save(&self.dir, &next)?;
        }
        self.enforce(&next.routes, opened).await;
        *current = next;
        Ok(())
    }

    /// Puts a table on disk and in force.
    pub(crate) async fn apply(&self, routes: Routes) -> Result<Applied, Error> {
        routes.check()?;
        let mut current = self.changing.lock().await;
        refuse_stale(&routes, &current.routes)?;
        let opened = self.open(&routes, &current.ports).await;
        let next = with_ports(&current, &routes, &opened);
        if next != *current {
            self.save(next.clone()).await?;
        }
        self.enforce(&routes, opened).await;
        *current = next;
        Ok(self.applied())
    }

    /// Tries again to open listeners that failed.
    pub(crate) async fn retry_listeners(&self) {
        if self.applied().failures.is_empty() {
            return;
        }
        let routes = self.changing.lock().await.routes.clone();
        if let Err(error) = self.apply(routes).await {
            tracing::warn!(%error, "cannot open listeners again");
        }
    }

    async fn save(&self, state: State) -> Result<(), Error> {
        let dir = self.dir.clone();
        let saving = tokio::task::spawn_blocking(move || state_file::save(&dir, &state));
        saving.await.map_err(|error| Error::Gateway { message: error.to_string() })?
    }

    /// Opens the listeners that a table needs and that are not open.
    async fn open(&self, routes: &Routes, ports: &BTreeMap<String, SocketAddr>) -> Opened {
        let mut opened = Opened::new();
        for environment in routes.environments.iter().filter(|environment| !self.is_open(environment)) {
            let outcome = open_one(environment, ports.get(&environment.key)).await;
            opened.insert(environment.key.clone(), outcome);
        }
        opened
    }

    fn is_open(&self, routes: &EnvironmentRoutes) -> bool {
        self.with_served(|served| {
            let found = served.get(&routes.key);
            found.is_some_and(|found| found.asked == routes.listen && found.listening.is_ok())
        })
    }

    /// Switches over; environments that left stop listening first, so that their requests meet a closed door.
    async fn enforce(&self, routes: &Routes, mut opened: Opened) {
        let mut closing = Vec::new();
        self.with_served(|served| {
            let mut next = BTreeMap::new();
            for environment in &routes.environments {
                let mut one = served.remove(&environment.key).unwrap_or_else(|| self.serve(environment));
                one.environment.set(environment);
                if let Some(outcome) = opened.remove(&environment.key) {
                    closing.extend(one.listen(environment, outcome, &self.connections));
                }
                next.insert(environment.key.clone(), one);
            }
            for (_, gone) in std::mem::replace(served, next) {
                closing.extend(gone.end());
            }
        });
        for listening in closing {
            listening.close().await;
        }
        self.revision.send_replace(routes.revision);
    }

    fn serve(&self, routes: &EnvironmentRoutes) -> Served {
        let environment = Environment::new(&routes.key);
        let edge = Edge::new(Arc::clone(&environment));
        let failure = ListenFailure { key: routes.key.clone(), listen: String::new(), message: "not open".to_owned() };
        Served {
            proxy: Arc::new(http_proxy(&self.configuration, edge)),
            environment,
            stop: watch::Sender::new(false),
            asked: None,
            listening: Err(failure),
        }
    }

    pub(crate) fn applied(&self) -> Applied {
        let mut applied = Applied { revision: *self.revision.borrow(), ..Applied::default() };
        self.with_served(|served| {
            for (key, one) in served {
                match &one.listening {
                    Ok(listening) => drop(applied.listens.insert(key.clone(), listening.address)),
                    Err(failure) => applied.failures.push(failure.clone()),
                }
            }
        });
        applied
    }

    pub(crate) fn stats(&self) -> Stats {
        let environments = self.with_served(|served| {
            let address = |one: &Served| one.listening.as_ref().ok().map(|listening| listening.address);
            served.values().map(|one| one.environment.stats(address(one))).collect()
        });
        Stats { started_ms: self.started_ms, revision: *self.revision.borrow(), environments }
    }

    pub(crate) fn info(&self) -> Info {
        Info {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: *self.revision.borrow(),
            started_ms: self.started_ms,
        }
    }

    pub(crate) async fn wait_drained(&self, key: &str, node: &str, limit: Duration) -> Result<bool, Error> {
        let environment = self.with_served(|served| served.get(key).map(|one| Arc::clone(&one.environment)));
        let environment = environment.ok_or_else(|| Error::Gateway { message: format!("no environment `{key}`") })?;
        environment.wait_drained(node, limit).await
    }

    /// Stops listening and lets what is in flight finish; `false`: some was left after the time-out.
    pub(crate) async fn end(&self, limit: Duration) -> bool {
        let gone = self.with_served(std::mem::take);
        for (_, one) in gone {
            if let Some(listening) = one.end() {
                listening.close().await;
            }
        }
        timeout(limit, self.connections.acquire_many(CONNECTIONS_MAX)).await.is_ok()
    }

    fn with_served<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Served>) -> T) -> T {
        act(&mut self.served.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Served {
    /// Takes over a listener or the failure to open it; gives back the one before.
    fn listen(
        &mut self,
        routes: &EnvironmentRoutes,
        outcome: Result<(TcpListener, SocketAddr), ListenFailure>,
        connections: &Arc<Semaphore>,
    ) -> Option<Listening> {
        let door = Door {
            environment: Arc::clone(&self.environment),
            proxy: Arc::clone(&self.proxy),
            stop: self.stop.subscribe(),
            connections: Arc::clone(connections),
        };
        self.asked.clone_from(&routes.listen);
        let next = outcome.map(|(listener, address)| Listening::start(listener, address, door));
        std::mem::replace(&mut self.listening, next).ok()
    }

    /// Tells its connections to end after the request they are at.
    fn end(self) -> Option<Listening> {
        self.environment.end();
        self.stop.send_replace(true);
        self.listening.ok()
    }
}

async fn open_one(
    routes: &EnvironmentRoutes,
    kept: Option<&SocketAddr>,
) -> Result<(TcpListener, SocketAddr), ListenFailure> {
    let outcome = match (&routes.listen, kept) {
        (Some(listen), _) => TcpListener::bind(listen.as_str()).await,
        (None, None) => TcpListener::bind(FREE_LOOPBACK_PORT).await,
        (None, Some(kept)) => match TcpListener::bind(kept).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(FREE_LOOPBACK_PORT).await,
        },
    };
    outcome.and_then(|listener| listener.local_addr().map(|address| (listener, address))).map_err(|error| {
        let listen = routes.listen.clone().unwrap_or_else(|| FREE_LOOPBACK_PORT.to_owned());
        ListenFailure { key: routes.key.clone(), listen, message: error.to_string() }
    })
}

/// Notes the ports of environments that have no address of their own.
fn with_ports(state: &State, routes: &Routes, opened: &Opened) -> State {
    let mut next = state.clone();
    next.routes = routes.clone();
    for environment in routes.environments.iter().filter(|environment| environment.listen.is_none()) {
        if let Some(Ok((_, address))) = opened.get(&environment.key) {
            next.ports.insert(environment.key.clone(), *address);
        }
    }
    next
}

fn refuse_stale(offered: &Routes, current: &Routes) -> Result<(), Error> {
    let is_stale = offered.revision < current.revision;
    if is_stale || (offered.revision == current.revision && offered != current) {
        return Err(Error::StaleRevision { offered: offered.revision, current: current.revision });
    }
    Ok(())
}

fn configuration() -> ServerConf {
    ServerConf {
        max_retries: ATTEMPTS_MAX,
        upstream_keepalive_pool_size: NODE_CONNECTIONS_KEPT,
        threads: 1,
        ..ServerConf::default()
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
