//! The gateway's table: every environment's part of it, handed over as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serin_gateway::{Client, EnvironmentRoutes, GatewayCommand, Routes, Stats};
use serin_store::delivery as rows;
use tokio::sync::Mutex;

use super::state;
use crate::App;
use crate::error::{Error, Result};

/// The gateway's process, started when the first environment needs it.
pub struct Gateway {
    command: GatewayCommand,
    dir: PathBuf,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    client: Option<Client>,
    is_whole: bool,
    parts: BTreeMap<String, EnvironmentRoutes>,
}

impl Gateway {
    pub(super) fn new(command: GatewayCommand, dir: PathBuf) -> Self {
        Self { command, dir, table: Mutex::default() }
    }

    /// Hands one environment's part over, with those of all others; gives its listener's address. Returns when the
    /// table is in force.
    pub(super) async fn apply(&self, app: &App, part: EnvironmentRoutes) -> Result<Option<SocketAddr>> {
        let mut table = self.table.lock().await;
        if !table.is_whole {
            table.parts = self.known_parts(app).await?;
            table.is_whole = true;
        }
        let key = part.key.clone();
        table.parts.insert(key.clone(), part);
        let environments = table.parts.values().cloned().collect();
        let mut tx = app.store.begin().await?;
        let revision = rows::routes_revision_next(&mut tx).await?;
        tx.commit().await?;
        let routes = Routes { revision: u64::try_from(revision).unwrap_or(0), environments };
        let client = self.client(&mut table).await?;
        let applied = match client.apply(&routes).await {
            Ok(applied) => applied,
            Err(error) => {
                // It may have been killed: the next round starts it anew.
                table.client = None;
                return Err(Error::internal("hand the routes to the gateway", &error));
            }
        };
        if let Some(failed) = applied.failures.iter().find(|failed| failed.key == key) {
            return Err(Error::conflict(format!("the gateway cannot listen on {}: {}", failed.listen, failed.message))
                .hint("free the address, or change `listen` in `serin.yml`"));
        }
        Ok(applied.listens.get(&key).copied())
    }

    /// Everything that the gateway counted.
    pub(super) async fn stats(&self) -> Result<Stats> {
        let client = self.client(&mut *self.table.lock().await).await?;
        match client.stats().await {
            Ok(stats) => Ok(stats),
            Err(error) => {
                self.table.lock().await.client = None;
                Err(Error::internal("ask the gateway", &error))
            }
        }
    }

    async fn client(&self, table: &mut Table) -> Result<Client> {
        if let Some(client) = &table.client {
            return Ok(client.clone());
        }
        let client = serin_gateway::ensure_running(&self.command, &self.dir)
            .await
            .map_err(|error| Error::internal("start the gateway", &error))?;
        table.client = Some(client.clone());
        Ok(client)
    }

    /// What every environment had when the server ended: the first table after a start takes nothing away from those that
    /// are not looked at yet.
    async fn known_parts(&self, app: &App) -> Result<BTreeMap<String, EnvironmentRoutes>> {
        let environments = rows::environment_list(&mut *app.store.read().await?, None).await?;
        let keys: BTreeSet<String> = environments.iter().map(state::key).collect();
        let dir = self.dir.clone();
        let kept = tokio::task::spawn_blocking(move || serin_gateway::kept_routes(&dir)).await;
        let kept = kept.map_err(|error| Error::internal("read the gateway's table", &error))?;
        let kept = kept.map_err(|error| Error::internal("read the gateway's table", &error))?;
        let known = kept.environments.into_iter().filter(|part| keys.contains(&part.key));
        Ok(known.map(|part| (part.key.clone(), part)).collect())
    }
}
