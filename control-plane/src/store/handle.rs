//! The open database, whatever engine it is on.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::postgres::Postgres;
use super::seam::engine::{Commit, Engine, Lent, Steps};
use super::seam::open::OpenError;
use super::seam::purpose::Purpose;
use super::seam::tx::{Tx, View, Work};
use super::sqlite::Sqlite;
use crate::config::database::DatabaseAddress;
use crate::domain::error::Error;
use crate::domain::log::Head;

/// The open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    /// Whose connections [`Store::read`] and [`Store::note`] take.
    purpose: Purpose,
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

/// A connection for reading.
pub struct Reader(Box<dyn Lent>);

impl Store {
    /// Opens the database that is there, and migrates it.
    pub async fn open(address: impl Into<DatabaseAddress>) -> Result<Self, OpenError> {
        Ok(match address.into() {
            DatabaseAddress::File(path) => Self::on(Sqlite::open(&path).await?),
            DatabaseAddress::Server(server) => Self::on(Postgres::open(&server).await?),
        })
    }

    /// The same, and makes one where there is none: a file that only its owner can read, tables in an empty database.
    pub async fn open_or_make(address: impl Into<DatabaseAddress>) -> Result<Self, OpenError> {
        Ok(match address.into() {
            DatabaseAddress::File(path) => Self::on(Sqlite::open_or_make(&path).await?),
            DatabaseAddress::Server(server) => Self::on(Postgres::open_or_make(&server).await?),
        })
    }

    /// The store on an engine that is open.
    pub fn on(engine: impl Engine + 'static) -> Self {
        Self { engine: Arc::new(engine), purpose: Purpose::Api }
    }

    /// Runs `work` in a transaction of its own: `Ok` commits it durably and publishes the new head, anything else leaves nothing of it. It
    /// runs to its end even when the caller is dropped (a client that hangs up): a commit without its publication would leave polls
    /// asleep.
    pub async fn write<T, F>(&self, work: F) -> Result<Written<T>, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        let engine = Arc::clone(&self.engine);
        to_its_end(work, |steps| async move { engine.transact(steps).await })
            .await
            .map(|(value, Commit { head, at })| Written { value, head, at })
    }

    /// Writes what was observed, beside what others write: no order, no revision, and it may be lost when the database fails. For what
    /// is soon written again.
    pub async fn note<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        let (engine, purpose) = (Arc::clone(&self.engine), self.purpose);
        to_its_end(work, move |steps| async move { engine.note(purpose, steps).await })
            .await
            .map(|(value, ())| value)
    }

    /// A connection for reading, of the readers for this store's purpose.
    pub async fn read(&self) -> Result<Reader, Error> {
        self.engine.reader(self.purpose).await.map(Reader)
    }

    /// The same database, by the connections for this purpose.
    pub fn reading_for(&self, purpose: Purpose) -> Self {
        Self { engine: Arc::clone(&self.engine), purpose }
    }

    /// Whether other control planes may have the database open at the same time.
    pub fn is_shared(&self) -> bool {
        self.engine.is_shared()
    }

    /// Follows the changes of gateways' credentials that others make.
    pub fn watch_credentials(&self) -> watch::Receiver<u64> {
        self.engine.heads().watch_credentials()
    }

    /// Where the log stands.
    pub fn head(&self) -> Head {
        self.engine.heads().newest()
    }

    /// When [`Self::head`] was surely the database's: what others have committed since may not be known here. `None` where nobody else
    /// commits.
    pub fn head_asked(&self) -> Option<Instant> {
        self.engine.heads().asked()
    }

    /// Follows the log: the receiver changes after every commit that took a revision.
    pub fn watch(&self) -> watch::Receiver<Head> {
        self.engine.heads().watch()
    }

    /// Fails when nothing could be written now.
    pub async fn check_writable(&self) -> Result<(), Error> {
        self.write(|tx| tx.touch()).await.map(|_| ())
    }

    /// Closes the connections; another process may open the database.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

/// Has an engine do the work, and returns what came of it with what the engine says. It is done to its end whoever waits for it.
async fn to_its_end<T, F, D, C>(
    work: F,
    run: impl FnOnce(Steps) -> D + Send + 'static,
) -> Result<(T, C), Error>
where
    T: Send + 'static,
    C: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    D: Future<Output = Result<C, Error>> + Send,
{
    let (result, mut value) = oneshot::channel();
    let steps: Steps = Box::new(move |tx| {
        Box::pin(async move {
            let _ = result.send(work(tx).await?);
            Ok(())
        })
    });
    let done = tokio::spawn(async move {
        let said = run(steps).await?;
        Ok((value.try_recv().map_err(Error::internal)?, said))
    });
    done.await.map_err(Error::internal)?
}

impl Deref for Reader {
    type Target = View;

    fn deref(&self) -> &View {
        self.0.view()
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut View {
        self.0.view_mut()
    }
}

impl<T> Written<T> {
    /// The same commit with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Written<U> {
        Written { value: change(self.value), head: self.head, at: self.at }
    }
}
