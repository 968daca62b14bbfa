//! What Serin remembers: one SQLite database, its migrations, and a function for every question asked of it.
//!
//! Invariants: no decision is made here; every write happens inside a [`Tx`], of which there is one at a time, so a
//! transaction sees no other's half; a function is named resource first, then verb; SQL uses `$1` alone.

pub mod account;
pub mod delivery;
pub mod merge_request;
pub mod outbox;
pub mod pipeline;
pub mod project;
pub mod quality;
pub mod release;

use std::path::Path;
use std::time::Duration;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

/// A database connection, from [`Store::read`] or a [`Tx`].
pub type Connection = sqlx::SqliteConnection;
/// A write transaction; dropped without [`Tx::commit`] it leaves no trace.
pub type Tx = sqlx::Transaction<'static, Sqlite>;
/// Why a question could not be answered.
pub type Error = sqlx::Error;
/// What every function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Connections that read at the same time.
const READERS_MAX: u32 = 4;
/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is no database, or is not accessible.
    #[error("cannot open the database `{path}`")]
    Open {
        /// The file.
        path: String,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the database `{path}` up to date")]
    Migrate {
        /// The file.
        path: String,
        /// What failed.
        source: sqlx::migrate::MigrateError,
    },
}

/// The database: many readers, one writer.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Store {
    /// Opens the database file, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// Where the file cannot be opened, or a migration fails.
    pub async fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(failed)?;
        sqlx::migrate!("./migrations")
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migrate { path: path.display().to_string(), source })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed)?;
        Ok(Self { readers, writer })
    }

    /// A connection to read with.
    ///
    /// # Errors
    /// Where none becomes free.
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        self.readers.acquire().await
    }

    /// The write transaction; waits until no other is open.
    ///
    /// # Errors
    /// Where none becomes free.
    pub async fn begin(&self) -> Result<Tx> {
        self.writer.begin_with("begin immediate").await
    }

    /// Ends all connections, after what is under way.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
