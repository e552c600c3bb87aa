//! The database file: opening, migrating, the one writer and the readers.

pub mod audit;
pub mod changes;
pub mod gateways;
pub mod idempotency;
pub mod keys;
pub mod maintenance;
pub mod sessions;
pub mod users;
pub mod workspaces;

use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteSynchronous;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
};
use tokio::sync::watch;

use crate::error::Error;

/// What a transaction's statements run on.
pub type Tx = SqliteConnection;

/// A boxed step of a transaction; see [`Store::write`].
pub type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 't>>;

/// The open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: SqlitePool,
    readers: SqlitePool,
    head: watch::Sender<Head>,
    /// Held as long as the store is open: a second control plane on the same file would not wake this one's polls.
    _lock: File,
}

/// Where the revision log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Name of this history; gateways of another one need the whole table.
    pub epoch: String,
    /// The last revision given out.
    pub revision: u64,
}

/// A committed write.
#[derive(Debug)]
pub struct Written<T> {
    /// What the transaction returned.
    pub value: T,
    /// The log's head right after it.
    pub head: Head,
    /// When the commit was known to be durable.
    pub at: Instant,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its lock file cannot be made or opened.
    #[error("cannot open {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Another process serves this database.
    #[error("{0} is in use by another flamegate-control")]
    InUse(PathBuf),
    /// SQLite refused the file.
    #[error("cannot open the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// No randomness for the epoch, or a damaged log.
    #[error("cannot prepare the revision log: {0}")]
    Log(Error),
}

/// Every schema that there ever was, in order.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Store {
    /// Opens the file, creating it (readable by its owner only) when it is not there, and migrates it.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // One connection is the one writer: whoever wants to write waits for it in order of arrival.
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&writer).await?;
        let head = {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            let head = changes::ensure_epoch(&mut tx).await.map_err(OpenError::Log)?;
            tx.commit().await?;
            head
        };
        let readers = pool(READERS).connect_with(options.pragma("query_only", "on")).await?;
        let (head, _) = watch::channel(head);
        Ok(Self { inner: Arc::new(Inner { writer, readers, head, _lock: lock }) })
    }

    /// Runs `work` in a transaction of its own, commits it durably and publishes the new head. It runs to its end even
    /// when the caller is dropped (a client that hangs up): a commit without its publication would leave polls asleep.
    pub async fn write<T, F>(&self, work: F) -> Result<Written<T>, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.write(work).await }).await.map_err(Error::internal)?
    }

    /// A connection for reading. Each statement sees everything that was committed before it began.
    pub async fn read(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, Error> {
        Ok(self.inner.readers.acquire().await?)
    }

    /// Where the log stands.
    pub fn head(&self) -> Head {
        self.inner.head.borrow().clone()
    }

    /// Follows the log: the receiver changes after every commit that took a revision.
    pub fn watch(&self) -> watch::Receiver<Head> {
        self.inner.head.subscribe()
    }

    /// Fails when nothing could be written now.
    pub async fn check_writable(&self) -> Result<(), Error> {
        self.write(|tx| Box::pin(changes::touch(tx))).await.map(|_| ())
    }

    /// Closes the connections; the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }
}

impl<T> Written<T> {
    /// The same commit with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Written<U> {
        Written { value: change(self.value), head: self.head, at: self.at }
    }
}

impl Inner {
    async fn write<T, F>(&self, work: F) -> Result<Written<T>, Error>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T>,
    {
        let mut connection = self.writer.acquire().await?;
        let done = transact(&mut connection, work).await;
        if matches!(done, Err(Error::Internal(_))) {
            // SQLite has rolled back by itself when the disk is full, and SQLx would go on to count that transaction as
            // open: nothing could be written until a restart.
            connection.close_on_drop();
        }
        let (value, head) = done?;
        let at = Instant::now();
        // The next writer may have published before us; the head never goes back.
        self.head.send_if_modified(|published| {
            let newer = head.revision > published.revision;
            if newer {
                published.clone_from(&head);
            }
            newer
        });
        Ok(Written { value, head, at })
    }
}

/// Runs `work` and commits it.
async fn transact<T, F>(connection: &mut SqliteConnection, work: F) -> Result<(T, Head), Error>
where
    F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T>,
{
    let mut tx = sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE").await?;
    let value = work(&mut tx).await?;
    let head = changes::head(&mut tx).await?;
    tx.commit().await?;
    Ok((value, head))
}

/// Connections to a local file do not go stale, so they are kept.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(size).min_connections(1).idle_timeout(None).max_lifetime(None)
}

fn lock(database: &Path) -> Result<File, OpenError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = private_options().open(&path).map_err(|e| OpenError::File(path.clone(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(database.to_owned())),
        Err(TryLockError::Error(e)) => Err(OpenError::File(path, e)),
    }
}

/// SQLite gives its side files the mode of the database file.
fn create_private(path: &Path) -> Result<(), OpenError> {
    private_options().open(path).map(drop).map_err(|e| OpenError::File(path.to_owned(), e))
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
