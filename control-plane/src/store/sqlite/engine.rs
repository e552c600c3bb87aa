//! The database file: opening, migrating, the one writer and the readers.
//!
//! One write at a time, in `BEGIN IMMEDIATE`, flushed to disk before it is acknowledged (`synchronous=FULL`): a revocation that was
//! answered survives a crash.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqliteSynchronous,
};

use super::files::{create_private, lock};
use super::migrations;
use super::readers::{Readers, pool};
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::store::seam::engine::{Commit, Engine, Lent, Steps};
use crate::store::seam::heads::Heads;
use crate::store::seam::open::OpenError;
use crate::store::seam::purpose::Purpose;
use crate::store::sql::changes::ensure_epoch;
use crate::store::sql::folded;
use crate::store::sql::tags::seal;

/// An open file.
pub struct Sqlite {
    writer: SqlitePool,
    readers: Readers,
    heads: Heads,
    /// Held as long as the store is open: a second control plane on the same file would not wake this one's polls.
    lock: File,
}

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Sqlite {
    /// Opens the database that is there, and migrates it. Where there is none nothing is made, not even the lock's file.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        if !is_ours(path).await? {
            return Err(OpenError::Missing(path.display().to_string()));
        }
        Self::open_or_make(path).await
    }

    /// The same, and makes one (readable by its owner only) where there is none or an empty file.
    pub async fn open_or_make(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        is_ours(path).await?;
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // It would log whole statements, and one that inserts a thousand rows is long.
            .disable_statement_logging();
        // One connection is the one writer: whoever wants to write waits for it in order of arrival.
        let writer = pool(1).connect_with(options.clone()).await?;
        migrations::run(&mut *writer.acquire().await?).await?;
        fill_in(&writer).await?;
        let head = {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            ensure_epoch(&mut *tx).await.map_err(OpenError::Log)?;
            let (head, _) = seal(&mut *tx).await.map_err(OpenError::Log)?;
            tx.commit().await?;
            head
        };
        let readers = Readers::open(options.pragma("query_only", "on")).await?;
        Ok(Self { writer, readers, heads: Heads::new(head), lock })
    }

    /// A transaction over everything, while nobody else writes.
    pub(in crate::store) async fn begin_copy(&self) -> Result<sqlx::SqliteTransaction<'static>, Error> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A connection for reading whose time begins now.
    pub async fn connection(&self, purpose: Purpose) -> Result<PoolConnection<sqlx::Sqlite>, Error> {
        self.readers.acquire(purpose).await
    }
}

#[async_trait]
impl Engine for Sqlite {
    async fn transact(&self, steps: Steps) -> Result<Commit, Error> {
        let mut connection = self.writer.acquire().await?;
        let done = transact(&mut connection, steps).await;
        if matches!(done, Err(Error::Internal(_))) {
            // SQLite has rolled back by itself when the disk is full, and SQLx would go on to count that transaction as
            // open: nothing could be written until a restart.
            connection.close_on_drop();
        }
        let (head, at) = (done?, Instant::now());
        self.heads.publish(&head);
        Ok(Commit { head, at })
    }

    async fn reader(&self, purpose: Purpose) -> Result<Box<dyn Lent>, Error> {
        Ok(Box::new(self.connection(purpose).await?))
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Closes the connections; the write-ahead log is folded into the file, and another process may open it.
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        // Closing the file would not do: who still holds a clone of the store, or a child process between fork and exec, has it too.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the database's lock stays until this process ends");
        }
    }
}

/// Whether a database is there; false where there is no file, or nothing in it. Changes nothing.
async fn is_ours(path: &Path) -> Result<bool, OpenError> {
    if fs::metadata(path).map_or(true, |file| file.len() == 0) {
        return Ok(false);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
    let mut connection = options.connect().await?;
    // The first table that migrations make is their own.
    let sql = "SELECT COUNT(*), COALESCE(SUM(name = '_sqlx_migrations'), 0) FROM sqlite_schema";
    let (all, ours): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    let _ = connection.close().await;
    match (all, ours) {
        (0, _) => Ok(false),
        (_, 0) => Err(OpenError::Foreign(path.display().to_string())),
        _ => Ok(true),
    }
}

/// Runs the steps and commits them. Revisions that they took get their tag here, whatever took them.
async fn transact(connection: &mut SqliteConnection, steps: Steps) -> Result<Head, Error> {
    let mut tx = sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE").await?;
    steps(&mut *tx).await?;
    let (head, _) = seal(&mut *tx).await?;
    tx.commit().await?;
    Ok(head)
}

/// Does what migrations cannot: what needs more than SQL.
async fn fill_in(writer: &SqlitePool) -> Result<(), OpenError> {
    loop {
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let more = folded::fill(&mut *tx).await.map_err(OpenError::Search)?;
        tx.commit().await?;
        if !more {
            return Ok(());
        }
    }
}
