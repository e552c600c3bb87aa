//! Who reads waits only for others of the same purpose, and no statement reads for ever.
//!
//! Each purpose has connections of its own, so that a search in the pages, a scrape and a script cannot keep each other
//! waiting, and none of them the gateways. A statement that runs past its time is interrupted by SQLite itself: a client that
//! hangs up ends nothing, because SQLite works on.

use std::time::{Duration, Instant};

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::domain::error::Error;
use crate::store::seam::engine::Lent;
use crate::store::seam::purpose::Purpose;
use crate::store::seam::tx::View;

/// The connections for reading.
pub(super) struct Readers {
    sync: SqlitePool,
    leases: SqlitePool,
    api: SqlitePool,
    pages: SqlitePool,
    lists: SqlitePool,
    metrics: SqlitePool,
}

/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// SQLite asks whether to go on once in so many steps of its virtual machine: some ten microseconds.
const STEPS: i32 = 10_000;

/// How many are read for at once.
const fn connections(purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Api => 3,
        Purpose::Sync | Purpose::Replicas | Purpose::Pages | Purpose::Lists => 2,
        Purpose::Leases | Purpose::Metrics => 1,
    }
}

impl Readers {
    pub async fn open(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let open = async |purpose: Purpose| {
            let pool = pool(connections(purpose)).acquire_timeout(PATIENCE);
            pool.connect_with(options.clone()).await
        };
        Ok(Self {
            sync: open(Purpose::Sync).await?,
            leases: open(Purpose::Leases).await?,
            api: open(Purpose::Api).await?,
            pages: open(Purpose::Pages).await?,
            lists: open(Purpose::Lists).await?,
            metrics: open(Purpose::Metrics).await?,
        })
    }

    /// A connection whose time begins now.
    pub async fn acquire(&self, purpose: Purpose) -> Result<PoolConnection<Sqlite>, Error> {
        let mut connection = self.pool(purpose).acquire().await?;
        let end = Instant::now() + purpose.longest();
        connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
        Ok(connection)
    }

    pub async fn close(&self) {
        for purpose in Purpose::ALL {
            self.pool(purpose).close().await;
        }
    }

    const fn pool(&self, purpose: Purpose) -> &SqlitePool {
        match purpose {
            // One process has a file open: there is no other replica.
            Purpose::Sync | Purpose::Replicas => &self.sync,
            Purpose::Leases => &self.leases,
            Purpose::Api => &self.api,
            Purpose::Pages => &self.pages,
            Purpose::Lists => &self.lists,
            Purpose::Metrics => &self.metrics,
        }
    }
}

/// Connections to a local file do not go stale, so they are kept.
pub(super) fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(size).min_connections(1).idle_timeout(None).max_lifetime(None)
}

impl Lent for PoolConnection<Sqlite> {
    fn view(&self) -> &View {
        &**self
    }

    fn view_mut(&mut self) -> &mut View {
        &mut **self
    }
}
